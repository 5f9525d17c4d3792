#include <criterion/criterion.h>

#include "auth/mode.h"
#include "support/server.h"
#include "support/signer.h"

static char tenant[] = "t", client[] = "app", authority[] = "https://login/", file[] = "/c.pem",
            source[] = "id";

static struct auth_params params(struct sec *password)
{
        return (struct auth_params){.mode = AUTH_CERTIFICATE,
                .tenant = tenant,
                .client_id = client,
                .authority = authority,
                .file = file,
                .source = source,
                .secret = password};
}

Test(certificate, what_a_configuration_needs)
{
        struct auth_config cfg = {.mode = AUTH_CERTIFICATE,
                .tenant = "t",
                .client_id = "c",
                .authority = "https://a/"};
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(auth_certificate.check(&cfg, &e), -EINVAL);
        cr_assert_not_null(strstr(e.hint, "AZURE_CLIENT_CERTIFICATE_PATH"));
        cfg.source = "id";
        cfg.file = "/c";
        cr_assert_eq(auth_certificate.check(&cfg, &e), 0);
        cr_assert_eq(sec_new("a\0b", 3, &cfg.secret), 0);
        cr_assert_eq(auth_certificate.check(&cfg, &e), -EINVAL);
        sec_unref(cfg.secret);
        cfg.secret = NULL;
        cfg.tenant = "";
        cr_assert_eq(auth_certificate.check(&cfg, &e), -EINVAL);
}

Test(certificate, the_request)
{
        EVP_PKEY *key = test_key_rsa(2048);
        X509 *x = test_certificate(key, "app");
        _cleanup_free_ char *k = test_pem_key(key, "word"), *c = test_pem_certificate(x);
        _cleanup_free_ char *pem = NULL, *text = NULL;
        _cleanup_sec_ struct sec *password = NULL;
        _cleanup_err_ struct err e = {0};
        struct auth_request q = {0};

        cr_assert_eq(xasprintf(&pem, "%s%s", k, c), 0);
        cr_assert_eq(sec_new("word", 4, &password), 0);
        struct auth_params p = params(password);
        const struct auth_material m = {.bytes = pem, .len = strlen(pem), .now = 1700000000};
        cr_assert_eq(auth_certificate.build(&p, &m, "https://v/.default", &q, &e), 0, "%s",
                err_text(&e));
        cr_assert_str_eq(q.request.url, "https://login/t/oauth2/v2.0/token");
        cr_assert_not_null(strstr(q.body, "&client_assertion_type=urn%3Aietf%3A"));
        cr_assert_not_null(strstr(q.body, "&client_assertion=eyJ"));
        cr_assert_null(strstr(q.body, "word"));
        auth_request_done(&q);
        cr_assert_eq(auth_certificate.describe(&p, &text), 0);
        cr_assert_str_eq(text, "service principal app of tenant t (certificate /c.pem)");
        X509_free(x);
        EVP_PKEY_free(key);
}

Test(certificate, a_file_that_is_none_is_named)
{
        struct auth_params p = params(NULL);
        const struct auth_material m = {.bytes = "x", .len = 1};
        _cleanup_err_ struct err e = {0};
        struct auth_request q = {0};

        test_init();
        cr_assert_eq(auth_certificate.build(&p, &m, "https://v/.default", &q, &e), -EINVAL);
        cr_assert_eq(e.cause, ERR_AUTH);
        cr_assert_str_eq(err_text(&e), "client certificate /c.pem: it is neither PEM nor PKCS#12");
        cr_assert_not_null(strstr(e.hint, "password"));
}
