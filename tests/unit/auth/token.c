#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/mode.h"
#include "support/wire.h"

#define NOW 1700000000

static int parse(const char *body, char token[64], int64_t *lifetime, struct err *e)
{
        struct sec *s = NULL;

        int r = auth_token_parse(body, strlen(body), NOW, &s, lifetime, e);
        if (r == 0) {
                snprintf(token, 64, "%.*s", (int)sec_len(s), (const char *)sec_bytes(s));
                sec_unref(s);
        } else
                cr_assert_null(s);
        return r;
}

Test(token, answers_of_both_endpoints)
{
        static const struct {
                const char *body, *token;
                int64_t lifetime;
        } cases[] = {
                {"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"a.b-c_d~e+f/g=\"}",
                        "a.b-c_d~e+f/g=", 3599},
                {"{\"access_token\":\"t\",\"expires_in\":\"85770\",\"expires_on\":\"1\"}", "t",
                        85770},
                {"{\"access_token\":\"t\",\"expires_on\":\"1700000100\",\"token_type\":\"bearer\"}",
                        "t", 100},
                {"{\"access_token\":\"t\",\"expires_on\":1700000100,\"expires_in\":null}", "t",
                        100},
                {"{\"access_token\":\"t\",\"expires_in\":99999999999}", "t", 30 * 86400},
                {"{\"access_token\":\"t\",\"expires_on\":9007199254740992}", "t", 30 * 86400},
                {"{\"access_token\":\"t\",\"expires_in\":1,\"unknown\":{\"x\":[]}}", "t", 1},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                char token[64];
                int64_t lifetime;
                cr_assert_eq(
                        parse(cases[i].body, token, &lifetime, &e), 0, "%zu: %s", i, err_text(&e));
                cr_expect_str_eq(token, cases[i].token);
                cr_expect_eq(lifetime, cases[i].lifetime, "%zu", i);
        }
}

Test(token, answers_that_make_no_sense)
{
        static const struct {
                const char *body, *why;
        } cases[] = {
                {"", "not a JSON object"},
                {"<html>", "not a JSON object"},
                {"[]", "not a JSON object"},
                {"{}", "no access_token"},
                {"{\"access_token\":\"\",\"expires_in\":1}", "no access_token"},
                {"{\"access_token\":5,\"expires_in\":1}", "no access_token"},
                {"{\"access_token\":\"SeCrEt\\r\\nX: y\",\"expires_in\":1}", "characters"},
                {"{\"access_token\":\"SeCrEt x\",\"expires_in\":1}", "characters"},
                {"{\"access_token\":\"SeCrEt\\u00e4\",\"expires_in\":1}", "characters"},
                {"{\"access_token\":\"SeCrEt\",\"token_type\":\"pop\",\"expires_in\":1}",
                        "not Bearer"},
                {"{\"access_token\":\"SeCrEt\"}", "neither a valid expires_in nor expires_on"},
                {"{\"access_token\":\"SeCrEt\",\"expires_in\":\"soon\"}", "neither a valid"},
                {"{\"access_token\":\"SeCrEt\",\"expires_in\":1.5}", "neither a valid"},
                {"{\"access_token\":\"SeCrEt\",\"expires_on\":true}", "neither a valid"},
                {"{\"access_token\":\"SeCrEt\",\"expires_in\":0}", "expired already"},
                {"{\"access_token\":\"SeCrEt\",\"expires_in\":-5}", "expired already"},
                {"{\"access_token\":\"SeCrEt\",\"expires_on\":1699999999}", "expired already"},
                {"{\"access_token\":\"SeCrEt\",\"expires_on\":-9007199254740992}",
                        "expired already"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                char token[64];
                int64_t lifetime = 4711;
                cr_expect_eq(parse(cases[i].body, token, &lifetime, &e), -EBADMSG, "%zu", i);
                cr_expect_not_null(strstr(err_text(&e), cases[i].why), "%zu: %s", i, err_text(&e));
                cr_expect_null(strstr(err_text(&e), "SeCrEt"));
                cr_expect_eq(lifetime, 4711);
        }
}

Test(token, length_is_bounded)
{
        static char body[2 * AUTH_TOKEN_MAX];
        _cleanup_err_ struct err e = {0};
        struct sec *s = NULL;
        int64_t lifetime;

        for (size_t len = AUTH_TOKEN_MAX; len <= AUTH_TOKEN_MAX + 1; len++) {
                size_t n = (size_t)sprintf(body, "{\"expires_in\":5,\"access_token\":\"");
                memset(body + n, 'x', len);
                strcpy(body + n + len, "\"}");
                int r = auth_token_parse(body, strlen(body), NOW, &s, &lifetime, &e);
                cr_assert_eq(r, len > AUTH_TOKEN_MAX ? -EBADMSG : 0);
                s = sec_unref(r == 0 ? s : NULL);
        }
}

Test(token, recorded_answers)
{
        static const char *const prefixes[] = {"entra-token-200", "imds-token-200"};
        unsigned n = 0;

        if (!wire_folder())
                return;
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                _cleanup_(wire_list_freep) char **names = wire_list(prefixes[i]);
                for (char **name = names; *name; name++, n++) {
                        _cleanup_err_ struct err e = {0};
                        struct wire w;
                        struct sec *s = NULL;
                        int64_t lifetime = 0;
                        wire_load(*name, &w);
                        cr_expect_eq(w.status, 200);
                        cr_assert_eq(
                                auth_token_parse(w.body, w.body_len, 1438728890, &s, &lifetime, &e),
                                0, "%s: %s", *name, err_text(&e));
                        cr_expect_gt(sec_len(s), 0);
                        cr_expect(lifetime >= 3599 && lifetime <= 86400, "%s", *name);
                        sec_unref(s);
                        wire_done(&w);
                }
        }
        cr_assert_geq(n, 5);
}
