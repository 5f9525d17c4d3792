#include <criterion/criterion.h>

#include "auth/mode.h"

static const struct auth_material material;

static struct sec *make_secret(const char *s, size_t len)
{
        struct sec *secret = NULL;

        cr_assert_eq(sec_new(s, len, &secret), 0);
        return secret;
}

Test(client_secret, what_a_configuration_needs)
{
        static const struct {
                const char *tenant, *client_id, *secret, *authority;
                int r;
                const char *why;
        } cases[] = {
                {"t-1.example", "c", "s", "https://a/", 0, ""},
                {"T", "c", "s", "https://a", 0, ""},
                {NULL, "c", "s", "https://a/", -EINVAL, "no tenant"},
                {"", "c", "s", "https://a/", -EINVAL, "no tenant"},
                {"t/../u", "c", "s", "https://a/", -EINVAL, "invalid tenantID"},
                {"t t", "c", "s", "https://a/", -EINVAL, "invalid tenantID"},
                {"t?x", "c", "s", "https://a/", -EINVAL, "invalid tenantID"},
                {"t\xc3\xa4", "c", "s", "https://a/", -EINVAL, "invalid tenantID"},
                {"t", NULL, "s", "https://a/", -EINVAL, "could not find clientid in secrets"},
                {"t", "", "s", "https://a/", -EINVAL, "could not find clientid in secrets"},
                {"t", "c", NULL, "https://a/", -EINVAL, "could not find clientsecret in secrets"},
                {"t", "c", "", "https://a/", -EINVAL, "could not find clientsecret in secrets"},
                {"t", "c", "s", NULL, -EINVAL, "no authority"},
                {"t", "c", "s", "", -EINVAL, "no authority"},
                {"t", "c", "s", "http://a/", -EINVAL, "http://a/ is not an https URL"},
                {"t", "c", "s", "https://", -EINVAL, "not an https URL"},
                {"t", "c", "s", "https:///x", -EINVAL, "not an https URL"},
                {"t", "c", "s", "https://u:pw@a/", -EINVAL, "not an https URL"},
                {"t", "c", "s", "https://a/?x", -EINVAL, "not an https URL"},
                {"t", "c", "s", "login.microsoftonline.com", -EINVAL, "not an https URL"},
                {"adfs", "c", "s", "https://a/", 0, ""},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                struct auth_config cfg = {.mode = AUTH_CLIENT_SECRET,
                        .tenant = cases[i].tenant,
                        .client_id = cases[i].client_id,
                        .authority = cases[i].authority};
                if (cases[i].secret)
                        cfg.client_secret = make_secret(cases[i].secret, strlen(cases[i].secret));
                cr_expect_eq(auth_client_secret.check(&cfg, &e), cases[i].r, "%zu", i);
                if (cases[i].r < 0) {
                        cr_expect_not_null(
                                strstr(err_text(&e), cases[i].why), "%zu: %s", i, err_text(&e));
                        cr_expect_eq(e.cause, cases[i].r == -EINVAL ? ERR_USAGE : ERR_UNSUPPORTED);
                        cr_expect_null(strstr(err_text(&e), "pw"));
                }
                sec_unref(cfg.client_secret);
        }
}

Test(client_secret, lengths_and_nul)
{
        static char big[5000];
        struct auth_config cfg = {.mode = AUTH_CLIENT_SECRET,
                .tenant = "t",
                .client_id = "c",
                .authority = "https://a/"};

        memset(big, 'x', sizeof big - 1);
        cfg.client_secret = make_secret("a\0b", 3);
        cr_assert_eq(auth_client_secret.check(&cfg, NULL), -EINVAL);
        sec_unref(cfg.client_secret);
        cfg.client_secret = make_secret(big, 4097);
        cr_assert_eq(auth_client_secret.check(&cfg, NULL), -EINVAL);
        sec_unref(cfg.client_secret);
        cfg.client_secret = make_secret(big, 4096);
        cr_assert_eq(auth_client_secret.check(&cfg, NULL), 0);
        cfg.client_id = big;
        cr_assert_eq(auth_client_secret.check(&cfg, NULL), -EINVAL);
        cfg.client_id = "c";
        cfg.tenant = big;
        cr_assert_eq(auth_client_secret.check(&cfg, NULL), -EINVAL);
        sec_unref(cfg.client_secret);
}

Test(client_secret, the_request)
{
        char tenant[] = "contoso.example", client[] = "app&1", authority[] = "https://login/";
        struct auth_params p = {.mode = AUTH_CLIENT_SECRET,
                .tenant = tenant,
                .client_id = client,
                .authority = authority,
                .client_secret = make_secret("p~Q+ /=&%\xc3\xa4\n", 12)};
        struct auth_request q = {0};
        char *text = NULL;

        cr_assert_eq(auth_client_secret.build(
                             &p, &material, "https://vault.azure.net/.default", &q, NULL),
                0);
        cr_assert_str_eq(q.request.method, "POST");
        cr_assert_str_eq(q.request.url, "https://login/contoso.example/oauth2/v2.0/token");
        cr_assert_str_eq(q.request.body,
                "grant_type=client_credentials&client_id=app%261&client_secret=p~Q%2B%20%2F%3D%26"
                "%25%C3%A4%0A&scope=https%3A%2F%2Fvault.azure.net%2F.default");
        cr_assert_eq(q.request.body_len, strlen(q.request.body));
        cr_assert_not_null(startswith(
                q.request.headers[0], "Content-Type: application/x-www-form-urlencoded"));
        cr_assert_null(q.request.headers[2]);
        cr_assert_not(q.request.endpoint->allow_http);
        auth_request_done(&q);
        cr_assert_null(q.body);

        cr_assert_eq(auth_client_secret.describe(&p, &text), 0);
        cr_assert_str_eq(text, "service principal app&1 of tenant contoso.example");
        free(text);
        sec_unref(p.client_secret);
}
