#include <criterion/criterion.h>

#include "auth/mode.h"
#include "support/wire.h"

#define FOLDER "/var/opt/azcmagent/tokens"

static char none[] = "", endpoint[] = "http://127.0.0.1:1/t", folder[] = FOLDER, source[] = "id";

static struct auth_params params(void)
{
        return (struct auth_params){.mode = AUTH_ARC,
                .client_id = none,
                .imds_endpoint = endpoint,
                .file = folder,
                .source = source};
}

Test(arc, only_the_machine_itself)
{
        struct auth_config cfg = {.mode = AUTH_ARC, .source = "id", .client_id = "assigned"};
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(auth_arc.check(&cfg, &e), -EINVAL);
        cr_assert_not_null(strstr(err_text(&e), "no user-assigned"));
        cfg.client_id = "";
        cr_assert_eq(auth_arc.check(&cfg, &e), 0);
}

Test(arc, which_files_it_may_name)
{
        static const struct {
                const char *header, *name; /* NULL: refused */
        } cases[] = {
                {"Basic realm=" FOLDER "/a-1_B.key", "a-1_B.key"},
                {"basic Realm=\"" FOLDER "/a.key\"", "a.key"},
                {"Basic  realm=" FOLDER "/a.key", "a.key"},
                {NULL, NULL},
                {"Bearer realm=" FOLDER "/a.key", NULL},
                {"Basic " FOLDER "/a.key", NULL},
                {"Basic realm=", NULL},
                {"Basic realm=/etc/shadow", NULL},
                {"Basic realm=/etc/a.key", NULL},
                {"Basic realm=" FOLDER "/a.txt", NULL},
                {"Basic realm=" FOLDER "/.key", NULL},
                {"Basic realm=" FOLDER "/", NULL},
                {"Basic realm=" FOLDER, NULL},
                {"Basic realm=" FOLDER "x/a.key", NULL},
                {"Basic realm=" FOLDER "/../a.key", NULL},
                {"Basic realm=" FOLDER "/b/a.key", NULL},
                {"Basic realm=" FOLDER "/a.b.key", NULL},
                {"Basic realm=" FOLDER "/a.key, charset=x", NULL},
        };
        struct auth_params p = params();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *line = NULL, *name = NULL;
                _cleanup_err_ struct err e = {0};
                struct wire w;

                if (cases[i].header)
                        cr_assert_eq(xasprintf(&line, "WWW-Authenticate: %s", cases[i].header), 0);
                const char *const headers[] = {line, NULL};
                wire_make(401, "", headers, &w);
                int r = auth_arc.challenge(&p, &w.response, &name, &e);
                cr_expect_eq(r, cases[i].name ? 0 : -EBADMSG, "%zu: %s", i, cases[i].header);
                if (cases[i].name)
                        cr_expect_str_eq(name ? name : "", cases[i].name);
                else
                        cr_expect_eq(e.cause, ERR_AUTH);
                wire_done(&w);
        }
}

Test(arc, without_and_with_the_key)
{
        struct auth_params p = params();
        const struct auth_material nothing = {0}, key = {.bytes = "k3y\n", .len = 4},
                                   bad = {.bytes = "a b", .len = 3};
        struct auth_request q = {0};

        cr_assert_eq(auth_arc.build(&p, &nothing, "https://r/.default", &q, NULL), 0);
        cr_assert_str_eq(q.request.url,
                "http://127.0.0.1:1/t?api-version=2020-06-01&resource=https%3A%2F%2Fr");
        cr_assert_str_eq(q.request.headers[0], "Metadata: true");
        auth_request_done(&q);
        cr_assert_eq(auth_arc.build(&p, &key, "https://r/.default", &q, NULL), 0);
        cr_assert_str_eq(q.request.headers[0], "Authorization: Basic k3y");
        cr_assert_str_eq(q.request.headers[1], "Metadata: true");
        auth_request_done(&q);
        cr_assert_eq(auth_arc.build(&p, &bad, "https://r/.default", &q, NULL), -EINVAL);
}
