#include <criterion/criterion.h>

#include "auth/mode.h"

#define SCOPE "https://vault.azure.net/.default"

static char tenant[] = "t", client[] = "app", authority[] = "https://login.example:8443/",
            source[] = "id", file[] = "/token", sni[] = "x.ests.aks", subject[] = "ns/sa";

static struct auth_params params(void)
{
        return (struct auth_params){.mode = AUTH_FEDERATED,
                .tenant = tenant,
                .client_id = client,
                .authority = authority,
                .source = source,
                .file = file};
}

Test(federated, what_a_configuration_needs)
{
        struct auth_config cfg = {.mode = AUTH_FEDERATED, .tenant = "t", .authority = "https://a/"};
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(auth_federated.check(&cfg, &e), -EINVAL);
        cr_assert_not_null(strstr(e.hint, "clientID"));
        cfg.client_id = "c";
        cr_assert_eq(auth_federated.check(&cfg, &e), -EINVAL);
        cr_assert_not_null(strstr(err_text(&e), "service account tokens not found"));
        cfg.token_proxy = "https://p/";
        cr_assert_eq(auth_federated.check(&cfg, &e), -EINVAL);
        cr_assert_not_null(
                strstr(err_text(&e), "service account tokens are required for identity binding"));
        cfg.source = "id";
        cr_assert_eq(auth_federated.check(&cfg, &e), 0);
        cfg.token_proxy = "http://p/";
        cr_assert_eq(auth_federated.check(&cfg, &e), -EINVAL);
        cfg.token_proxy = NULL;
        cfg.source = NULL;
        cr_assert_eq(sec_new("no token", 8, &cfg.secret), 0);
        cr_assert_eq(auth_federated.check(&cfg, &e), -EINVAL);
        sec_unref(cfg.secret);
        cr_assert_eq(sec_new("a.b.c", 5, &cfg.secret), 0);
        cr_assert_eq(auth_federated.check(&cfg, &e), 0);
        sec_unref(cfg.secret);
}

Test(federated, a_token_from_a_file)
{
        struct auth_params p = params();
        const struct auth_material m = {.bytes = "a.b.c\n", .len = 6};
        struct auth_request q = {0};

        cr_assert_eq(auth_federated.build(&p, &m, SCOPE, &q, NULL), 0);
        cr_assert_str_eq(q.request.url, "https://login.example:8443/t/oauth2/v2.0/token");
        cr_assert_not_null(strstr(q.body, "&client_assertion=a.b.c&scope="));
        cr_assert_null(q.headers[2]);
        cr_assert_null(q.endpoint.connect_to);
        auth_request_done(&q);
}

Test(federated, a_token_that_was_handed_over)
{
        struct auth_params p = params();
        const struct auth_material m = {0};
        struct auth_request q = {0};
        _cleanup_free_ char *text = NULL;

        p.source = p.file = NULL;
        p.subject = subject;
        cr_assert_eq(sec_new("d.e.f", 5, &p.secret), 0);
        cr_assert_eq(auth_federated.build(&p, &m, SCOPE, &q, NULL), 0);
        cr_assert_not_null(strstr(q.body, "&client_assertion=d.e.f&scope="));
        auth_request_done(&q);
        cr_assert_eq(auth_federated.describe(&p, &text), 0);
        cr_assert_str_eq(text, "workload identity app of tenant t for service account ns/sa");
        sec_unref(p.secret);
}

Test(federated, a_file_without_a_token)
{
        static const char *const bad[] = {"", "\n", "x", "a.b", "a.b.c&scope=x"};
        struct auth_params p = params();

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const struct auth_material m = {.bytes = bad[i], .len = strlen(bad[i])};
                _cleanup_err_ struct err e = {0};
                struct auth_request q = {0};

                cr_expect_eq(auth_federated.build(&p, &m, SCOPE, &q, &e), -EINVAL, "%zu", i);
                cr_expect_not_null(strstr(err_text(&e), "/token: it holds no JSON Web Token"));
                cr_expect_null(strstr(err_text(&e), "scope=x"));
        }
}

Test(federated, the_same_request_by_a_proxy)
{
        static const struct {
                char proxy[40];
                char *sni;
                const char *url, *connect_to;
        } cases[] = {
                {"https://proxy", sni, "https://x.ests.aks/t/oauth2/v2.0/token", "proxy:443"},
                {"https://proxy:6443/", sni, "https://x.ests.aks/t/oauth2/v2.0/token",
                        "proxy:6443"},
                {"https://proxy:6443/a/b", sni, "https://x.ests.aks/a/b/t/oauth2/v2.0/token",
                        "proxy:6443"},
                {"https://proxy:6443", NULL, "https://proxy:6443/t/oauth2/v2.0/token",
                        "proxy:6443"},
        };
        char pem[] = "-----BEGIN ";

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct auth_params p = params();
                const struct auth_material m = {.bytes = "a.b.c", .len = 5};
                struct auth_request q = {0};

                p.token_proxy = (char *)(uintptr_t)cases[i].proxy;
                p.sni = cases[i].sni;
                p.proxy_ca_pem = pem;
                cr_expect_eq(auth_federated.build(&p, &m, SCOPE, &q, NULL), 0);
                cr_expect_str_eq(q.request.url, cases[i].url);
                cr_expect_str_eq(q.endpoint.connect_to, cases[i].connect_to);
                cr_expect_str_eq(q.headers[2], "Host: login.example:8443");
                cr_expect_str_eq(q.endpoint.proxy, "");
                cr_expect_str_eq(q.endpoint.ca_pem, pem);
                auth_request_done(&q);
        }
}
