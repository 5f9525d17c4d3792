/* The instance metadata service's identity endpoint, on plain HTTP. */

#include <strings.h>

#include "base/wipe.h"
#include "tests/emulator/managed.h"
#include "tests/emulator/sent.h"

static void imds_headers(struct answer *a)
{
        char id[GUID_LEN + 1];

        guid_make(id);
        answer_header(a, "Content-Type", "application/json; charset=utf-8");
        answer_header(a, "Server", "IMDS/150.870.65.1324");
        answer_header(a, "x-ms-request-id", "%s", id);
}

void imds_fail(struct answer *a, unsigned status, const char *description)
{
        struct out o = {0};

        out_open(&o, '{');
        out_member(&o, "error", "invalid_request");
        out_member(&o, "error_description", description);
        out_close(&o, '}');
        answer_out(a, status, &o);
}

void imds_fault_answer(struct request *r, unsigned status, struct answer *a)
{
        imds_fail(a, status,
                status == 429 ? "Temporarily throttled, too many requests"
                              : "The emulator was told to fail this request");
        imds_headers(a);
}

/* The identity that is meant; NULL with *many set when it has to be named. */
struct identity *imds_find(const struct request *r, bool *many)
{
        const char *client_id = request_param(r, "client_id");
        const char *object_id = request_param(r, "object_id");
        const char *resource_id = request_param(r, "msi_res_id");
        struct identity *only = NULL;
        size_t n = 0;

        if (!resource_id)
                resource_id = request_param(r, "mi_res_id");
        for (struct identity *i = store_identities(r->emu->store); i; i = i->next) {
                if (!i->system_assigned && !i->user_assigned)
                        continue;
                if (client_id || object_id || resource_id) {
                        if ((client_id && strcasecmp(client_id, i->client_id) == 0) ||
                                (object_id && strcasecmp(object_id, i->object_id) == 0) ||
                                (resource_id && i->resource_id &&
                                        strcasecmp(resource_id, i->resource_id) == 0))
                                return i;
                        continue;
                }
                if (i->system_assigned)
                        return i;
                only = i;
                n++;
        }
        *many = n > 1;
        return n == 1 ? only : NULL;
}

void imds_answer_token(struct request *r, struct answer *a, const struct identity *i)
{
        const char *resource = request_param(r, "resource");
        int64_t lifetime = r->emu->settings.imds_lifetime, now = now_seconds();
        _cleanup_secret_ char *token = NULL;
        struct out o = {0};

        if (token_issue(&r->emu->signer, i, resource, lifetime, &token) < 0) {
                answer_text(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "");
                return;
        }
        out_open(&o, '{');
        out_member(&o, "access_token", token);
        out_member(&o, "client_id", i->client_id);
        out_memberf(&o, "expires_in", "%lld", (long long)lifetime);
        out_memberf(&o, "expires_on", "%lld", (long long)now + lifetime);
        out_memberf(&o, "ext_expires_in", "%lld", (long long)lifetime);
        out_memberf(&o, "not_before", "%lld", (long long)now - 300);
        out_member(&o, "resource", resource);
        out_member(&o, "token_type", "Bearer");
        out_close(&o, '}');
        answer_out(a, MHD_HTTP_OK, &o);
}

static void token_request(struct request *r, struct answer *a)
{
        const char *metadata = request_header(r, "Metadata");
        bool many = false;

        r->operation = "imds.token";
        note_sent(r);
        if (!metadata || strcasecmp(metadata, "true") != 0 || request_header(r, "X-Forwarded-For"))
                imds_fail(a, MHD_HTTP_BAD_REQUEST, "Required metadata header not specified");
        else if (!streq(r->method, "GET"))
                imds_fail(a, MHD_HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
        else if (isempty(request_param(r, "api-version")))
                imds_fail(a, MHD_HTTP_BAD_REQUEST,
                        "Required query variable 'api-version' is missing");
        else if (isempty(request_param(r, "resource")))
                imds_fail(a, MHD_HTTP_BAD_REQUEST, "Required query variable 'resource' is missing");
        else {
                const struct identity *i = imds_find(r, &many);
                if (many)
                        imds_fail(a, MHD_HTTP_BAD_REQUEST,
                                "Multiple user assigned identities exist, please specify the "
                                "clientId / resourceId of the identity in the token request");
                else if (!i)
                        imds_fail(a, MHD_HTTP_BAD_REQUEST, "Identity not found");
                else {
                        (void)set_string(&r->identity, i->client_id);
                        imds_answer_token(r, a, i);
                }
        }
}

void handle_imds(struct request *r, struct answer *a)
{
        char **s = r->segments;

        store_lock(r->emu->store);
        if (handle_managed(r, a))
                ;
        else if (r->n_segments == 4 && strcasecmp(s[0], "metadata") == 0 &&
                 strcasecmp(s[1], "identity") == 0 && strcasecmp(s[2], "oauth2") == 0 &&
                 strcasecmp(s[3], "token") == 0)
                token_request(r, a);
        else
                imds_fail(a, MHD_HTTP_NOT_FOUND, "The emulator has identity endpoints only");
        store_unlock(r->emu->store);
        imds_headers(a);
}
