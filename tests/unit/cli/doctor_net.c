#include "cli/doctor_net.h"

#include <criterion/criterion.h>

Test(doctor_net, urls_to_host_and_port)
{
        static const struct {
                const char *url, *host;
                unsigned port;
        } cases[] = {
                {"https://v.vault.azure.net", "v.vault.azure.net", 443},
                {"https://v:8443/path:1", "v", 8443},
                {"http://proxy", "proxy", 80},
                {"http://user:p%40ss@proxy:3128/", "proxy", 3128},
                {"proxy:3128", "proxy", 3128},
                {"https://[::1]:5/x", "::1", 5},
                {"https://[::1]", "::1", 443},
                {"https://", NULL, 0},
                {"https://[::1", NULL, 0},
                {"https://v:99999", NULL, 0},
                {"https://v:x", NULL, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *host = NULL;
                uint16_t port = 0;
                int r = doctor_split_url(cases[i].url, &host, &port);

                cr_expect_eq(r, cases[i].host ? 0 : -EINVAL, "%s", cases[i].url);
                if (r < 0)
                        continue;
                cr_expect_str_eq(host, cases[i].host);
                cr_expect_eq(port, cases[i].port, "%s", cases[i].url);
        }
}

Test(doctor_net, nobody_there)
{
        const struct doctor_target t = {.host = "127.0.0.1", .port = 1};
        _cleanup_err_ struct err e = {0};
        char peer[64];

        cr_expect_eq(doctor_connect(&t, peer, &e), -ECONNREFUSED);
        cr_expect_eq(e.cause, ERR_CONNECT);
        cr_expect_not_null(strstr(err_text(&e), "127.0.0.1"));
}

Test(doctor_net, a_proxy_that_cannot_be_read)
{
        const struct doctor_target t = {.host = "v", .port = 443, .proxy = "http://"};
        _cleanup_err_ struct err e = {0};
        char peer[64];

        cr_expect_eq(doctor_connect(&t, peer, &e), -EINVAL);
        cr_expect_eq(e.cause, ERR_USAGE);
}

Test(doctor_net, addresses_of_this_machine_are_private)
{
        struct doctor_addresses a;

        cr_assert_eq(doctor_resolve("127.0.0.1", &a, NULL), 0);
        cr_assert_geq(a.n, 1);
        cr_expect_str_eq(a.text[0], "127.0.0.1");
        cr_expect(a.private[0]);
}

/* As a request of ours goes there, on machines too whose resolver does not know such names. */
Test(doctor_net, names_below_localhost_are_this_machine)
{
        static const struct {
                const char *host;
                bool local;
        } cases[] = {{"localhost", true}, {"kv.localhost", true}, {"a.b.LocalHost", true},
                {"kv-localhost", false}, {"localhost.example", false}, {"host", false},
                {"", false}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_expect_eq(
                        doctor_is_localhost(cases[i].host), cases[i].local, "%s", cases[i].host);

        struct doctor_addresses here, below;
        cr_assert_eq(doctor_resolve("localhost", &here, NULL), 0);
        cr_assert_eq(doctor_resolve("kv.localhost", &below, NULL), 0);
        cr_assert_eq(below.n, here.n);
        for (size_t i = 0; i < here.n; i++)
                cr_expect_str_eq(below.text[i], here.text[i]);
}
