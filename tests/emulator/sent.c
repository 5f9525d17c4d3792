#include "tests/emulator/sent.h"

#include <strings.h>

#include "base/json.h"
#include "base/wipe.h"
#include "tests/emulator/assertion.h"

static bool is_secret(const char *name)
{
        static const char *const secrets[] = {"client_secret", "client_assertion", "Authorization",
                "X-IDENTITY-HEADER", "password", "refresh_token"};

        for (size_t i = 0; i < ELEMENTSOF(secrets); i++)
                if (strcasecmp(name, secrets[i]) == 0)
                        return true;
        return false;
}

static enum MHD_Result on_header(
        void *userdata, enum MHD_ValueKind kind, const char *name, const char *value)
{
        out_member(userdata, name, is_secret(name) ? "***" : value);
        return MHD_YES;
}

static void write_assertion(struct out *o, const char *jwt)
{
        _cleanup_json_ cJSON *header = assertion_part(jwt, 0), *claims = assertion_part(jwt, 1);

        out_key(o, "assertion");
        out_open(o, '{');
        out_key(o, "header");
        out_tree(o, header);
        out_key(o, "claims");
        out_tree(o, claims);
        out_close(o, '}');
}

void note_sent(struct request *r)
{
        const char *jwt = request_form_value(r, "client_assertion");
        struct out o = {0};

        out_open(&o, '{');
        out_key(&o, "headers");
        out_open(&o, '{');
        MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_header, &o);
        out_close(&o, '}');
        out_key(&o, "form");
        out_open(&o, '{');
        for (size_t i = 0; i < r->n_form; i++)
                out_member(
                        &o, r->form[i].name, is_secret(r->form[i].name) ? "***" : r->form[i].value);
        out_close(&o, '}');
        if (jwt)
                write_assertion(&o, jwt);
        out_close(&o, '}');
        erase_and_free(r->sent);
        r->sent = out_finish(&o, NULL);
}
