#include <criterion/criterion.h>

#include "auth/mode.h"
#include "base/wipe.h"

static char none[] = "", id[] = "id/1", endpoint[] = "http://127.0.0.1:1";

Test(managed, how_the_identity_is_named)
{
        static const char *const names[] = {"client_id", "object_id", "res_id"};
        static const struct {
                enum auth_id_kind kind;
                const char *query, *described;
        } cases[] = {
                {AUTH_BY_CLIENT_ID, "client_id=id%2F1&", "managed identity id/1 of this VM"},
                {AUTH_BY_OBJECT_ID, "object_id=id%2F1&",
                        "managed identity of object id id/1 of this VM"},
                {AUTH_BY_RESOURCE_ID, "res_id=id%2F1&",
                        "managed identity of resource id/1 of this VM"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const struct auth_params p = {.client_id = id, .id_kind = cases[i].kind};
                _cleanup_free_ char *url = NULL, *text = NULL;
                struct auth_request q = {0};

                cr_assert_eq(
                        xasprintf(&url, "http://m/t?api-version=v&%sresource=https%%3A%%2F%%2Fr",
                                cases[i].query),
                        0);
                cr_assert_eq(auth_managed_request(
                                     &p, "http://m/t", "v", names, "https://r/.default", NULL, &q),
                        0);
                cr_expect_str_eq(q.request.url, url);
                cr_expect_str_eq(q.request.headers[0], "Metadata: true");
                cr_expect(q.endpoint.allow_http);
                cr_expect_str_eq(q.endpoint.proxy, "", "never through a proxy");
                auth_request_done(&q);
                cr_assert_eq(auth_managed_describe(&p, "VM", &text), 0);
                cr_expect_str_eq(text, cases[i].described);
        }
}

/* 410 may last for 70 seconds; the pauses are at least 0.8 of these. */
Test(managed, patience_is_longer_than_an_update_of_the_service)
{
        unsigned sum = 0;

        for (unsigned n = 1; n < auth_imds_retry.tries; n++)
                sum += MIN(((1U << n) - 1) * auth_imds_retry.base_ms, auth_imds_retry.cap_ms) * 4 /
                       5;
        cr_assert_geq(sum, 70000);
        cr_assert(auth_imds_retry.retry_status(410));
        cr_assert_not(auth_imds_retry.retry_status(400));
}

Test(managed, endpoints_and_lengths)
{
        static char big[2000];
        struct auth_config cfg = {.client_id = big, .imds_endpoint = endpoint};

        memset(big, 'x', 300);
        cr_assert_eq(auth_managed_check(&cfg, "it", NULL), -EINVAL);
        cfg.id_kind = AUTH_BY_RESOURCE_ID;
        cr_assert_eq(auth_managed_check(&cfg, "it", NULL), 0);
        memset(big, 'x', 1025);
        cr_assert_eq(auth_managed_check(&cfg, "it", NULL), -EINVAL);
        cfg.client_id = none;
        cfg.imds_endpoint = "ftp://x";
        cr_assert_eq(auth_managed_check(&cfg, "it", NULL), -EINVAL);
}

/* --- App Service --- */

Test(managed, app_service)
{
        struct auth_config cfg = {.mode = AUTH_APP_SERVICE, .imds_endpoint = "http://x/msi/token"};
        struct auth_params p = {
                .mode = AUTH_APP_SERVICE, .client_id = none, .imds_endpoint = endpoint};
        const struct auth_material m = {0};
        struct auth_request q = {0};

        cr_assert_eq(auth_app_service.check(&cfg, NULL), -EINVAL);
        cr_assert_eq(sec_new("a\r\nb", 4, &cfg.secret), 0);
        cr_assert_eq(auth_app_service.check(&cfg, NULL), -EINVAL, "no header within the header");
        sec_unref(cfg.secret);
        cr_assert_eq(sec_new("h3ader", 6, &cfg.secret), 0);
        cr_assert_eq(auth_app_service.check(&cfg, NULL), 0);
        p.secret = cfg.secret;
        cr_assert_eq(auth_app_service.build(&p, &m, "https://r/.default", &q, NULL), 0);
        cr_assert_str_eq(q.request.url,
                "http://127.0.0.1:1?api-version=2019-08-01&resource=https%3A%2F%2Fr");
        cr_assert_str_eq(q.request.headers[0], "X-IDENTITY-HEADER: h3ader");
        auth_request_done(&q);
        sec_unref(cfg.secret);
}
