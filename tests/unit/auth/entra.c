#include <criterion/criterion.h>

#include "auth/mode.h"

static char client[] = "app&1";

Test(entra, where_tokens_are_asked_for)
{
        static const struct {
                const char *authority, *tenant, *url;
        } cases[] = {
                {"https://login/", "t.example", "https://login/t.example/oauth2/v2.0/token"},
                {"https://adfs.local/", "adfs", "https://adfs.local/adfs/oauth2/token"},
                {"https://adfs.local/", "ADFS", "https://adfs.local/adfs/oauth2/token"},
                {"https://adfs.local/adfs/", "adfs", "https://adfs.local/adfs/oauth2/token"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const struct auth_params p = {.authority = (char *)(uintptr_t)cases[i].authority,
                        .tenant = (char *)(uintptr_t)cases[i].tenant};
                _cleanup_free_ char *url = NULL;

                cr_expect_eq(auth_entra_token_url(&p, &url), 0);
                cr_expect_str_eq(url, cases[i].url);
        }
}

Test(entra, the_form)
{
        char tenant[] = "t", adfs[] = "adfs", authority[] = "https://login/";
        struct auth_params p = {.tenant = tenant, .authority = authority, .client_id = client};
        struct auth_request q = {0};

        cr_assert_eq(auth_entra_request(&p, "https://v/.default", "proof=x", &q), 0);
        cr_assert_str_eq(q.request.method, "POST");
        cr_assert_str_eq(q.request.body,
                "grant_type=client_credentials&client_id=app%261&proof=x&scope=https%3A%2F%2Fv%2F"
                ".default");
        auth_request_done(&q);
        p.tenant = adfs;
        cr_assert_eq(auth_entra_request(&p, "https://v/.default", "proof=x", &q), 0);
        cr_assert_str_eq(q.request.body,
                "grant_type=client_credentials&client_id=app%261&proof=x&scope=https%3A%2F%2Fv%2F"
                ".default%20openid%20offline_access%20profile");
        auth_request_done(&q);
}

Test(entra, an_assertion_as_proof)
{
        _cleanup_free_ char *proof = NULL;

        cr_assert_eq(auth_entra_assertion("a.b.cXX", 5, &proof), 0);
        cr_assert_str_eq(proof,
                "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-"
                "bearer&client_assertion=a.b.c");
}
