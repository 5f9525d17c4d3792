#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/mode.h"

static const struct auth_material material;
#include "support/wire.h"

static int check(const char *client_id, const char *endpoint, struct err *e)
{
        struct auth_config cfg = {
                .mode = AUTH_VM_IDENTITY, .client_id = client_id, .imds_endpoint = endpoint};

        return auth_imds.check(&cfg, e);
}

Test(imds, what_a_configuration_needs)
{
        static const char *const bad[] = {"169.254.169.254", "ftp://x", "http://", "http:///x",
                "http://u:pw@x", "http://x/?y", "http://x y", ""};
        static char big[300];

        cr_assert_eq(check(NULL, NULL, NULL), 0);
        cr_assert_eq(check("", "http://127.0.0.1:1", NULL), 0);
        cr_assert_eq(check("id", "https://localhost:1/", NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_err_ struct err e = {0};
                cr_expect_eq(check("", bad[i], &e), -EINVAL, "%s", bad[i]);
                cr_expect_eq(e.cause, ERR_USAGE);
                cr_expect_null(strstr(err_text(&e), "pw"));
                cr_expect_not_null(e.hint);
        }
        memset(big, 'x', sizeof big - 1);
        cr_assert_eq(check(big, NULL, NULL), -EINVAL);
}

static char none[] = "", user[] = "id/1", endpoint[] = "http://169.254.169.254", ca[] = "/ca.pem";

Test(imds, the_request)
{
        struct auth_params p = {.mode = AUTH_VM_IDENTITY,
                .tenant = none,
                .client_id = none,
                .imds_endpoint = endpoint,
                .endpoint = {.ca_file = ca}};
        struct auth_request q = {0};
        char *text = NULL;

        cr_assert_eq(
                auth_imds.build(&p, &material, "https://vault.azure.net/.default", &q, NULL), 0);
        cr_assert_str_eq(q.request.method, "GET");
        cr_assert_str_eq(q.request.url,
                "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&"
                "resource=https%3A%2F%2Fvault.azure.net");
        cr_assert_str_eq(q.request.headers[0], "Metadata: true");
        cr_assert_null(q.request.body);
        cr_assert(q.request.endpoint->allow_http);
        cr_assert_str_eq(q.request.endpoint->proxy, ""); /* never through one */
        cr_assert_eq(auth_imds.describe(&p, &text), 0);
        cr_assert_not_null(strstr(text, "managed identity of this VM"));
        free(text);
        auth_request_done(&q);

        p.client_id = user;
        cr_assert_eq(auth_imds.build(&p, &material, "https://vault.azure.net", &q, NULL), 0);
        cr_assert_str_eq(q.request.url,
                "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&"
                "client_id=id%2F1&resource=https%3A%2F%2Fvault.azure.net");
        cr_assert_eq(auth_imds.describe(&p, &text), 0);
        cr_assert_str_eq(text, "managed identity id/1 of this VM");
        free(text);
        auth_request_done(&q);
}

Test(imds, the_request_is_as_recorded)
{
        struct auth_params p = {
                .mode = AUTH_VM_IDENTITY, .tenant = none, .imds_endpoint = endpoint};
        char fake[] = "fake-client-id";
        struct auth_request q = {0};
        struct wire w;

        if (!wire_folder())
                return;
        p.client_id = none;
        wire_load("imds-token-200-system-assigned", &w);
        cr_assert_eq(auth_imds.build(&p, &material, "https://management.core.windows.net//.default",
                             &q, NULL),
                0);
        cr_assert_str_eq(q.request.url, w.url);
        cr_assert_str_eq(q.request.method, w.method);
        auth_request_done(&q);
        wire_done(&w);

        p.client_id = fake;
        wire_load("imds-token-200-client-id", &w);
        cr_assert_eq(auth_imds.build(&p, &material, "https://management.core.windows.net//.default",
                             &q, NULL),
                0);
        cr_assert_str_eq(q.request.url, w.url);
        auth_request_done(&q);
        wire_done(&w);
}

Test(imds, rules_for_trying_again)
{
        static const int again[] = {
                404, 410, 429, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511};
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(again); i++)
                cr_expect(auth_imds.retry->retry_status(again[i]), "%d", again[i]);
        for (int status = 100; status < 600; status++)
                n += auth_imds.retry->retry_status(status);
        cr_assert_eq(n, ELEMENTSOF(again));
        cr_assert_eq(auth_imds.retry->tries, 7);
        cr_assert_eq(auth_imds.retry->base_ms, 2000);
        cr_assert_eq(auth_imds.retry->cap_ms, 25000);
}
