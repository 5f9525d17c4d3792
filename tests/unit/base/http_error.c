#include <criterion/criterion.h>
#include <stdio.h>

#include "support/fetch.h"
#include "support/resolver.h"

TestSuite(http_error, .init = fetch_set_up, .fini = fetch_tear_down, .timeout = 60);

Test(http_error, broken_answers)
{
        static const struct {
                struct test_answer answer;
                enum err_cause cause;
                const char *text;
        } cases[] = {
                {{.manner = TEST_CLOSE}, ERR_CONNECT, "closed the connection without an answer"},
                {{.manner = TEST_CUT, .body = "0123456789"}, ERR_CONNECT, "cut short"},
                {{.manner = TEST_RAW, .body = "\x16\x03garbage\r\n\r\n"}, ERR_SERVICE, "not HTTP"},
                {{.manner = TEST_RAW, .body = "HTTP/1.1 2\r\n\r\n"}, ERR_SERVICE, "not HTTP"},
                {{.manner = TEST_RAW, .body = "HTTP/1.1 200 OK\r\nContent-Length: 5"}, ERR_CONNECT,
                        "cut short"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct test_server *s =
                        test_server_new(&(struct test_server_options){.plain_http = true});
                struct http_endpoint ep = {.allow_http = true};
                char url[128];

                test_server_say(s, &cases[i].answer);
                snprintf(url, sizeof url, "%s/path?query=secret", test_server_url(s));
                struct fetched r = fetch(url, &ep);
                cr_assert_eq(r.status, 0, "case %zu", i);
                assert_no_answer(&r, cases[i].cause, cases[i].text);
                test_server_free(s);
        }
}

Test(http_error, refused_connection)
{
        struct test_server *s = test_server_new(NULL);
        char url[128];

        snprintf(url, sizeof url, "%s/?query", test_server_url(s));
        test_server_free(s); /* now nobody listens there */
        struct fetched r = fetch(url, NULL);
        assert_no_answer(&r, ERR_CONNECT, "Connection refused");
        cr_assert_eq(r.error.code, -ECONNREFUSED);
        cr_assert_not_null(r.error.hint);
}

Test(http_error, unknown_host)
{
        test_resolver_unknown("no.such.host");
        struct fetched r = fetch("https://no.such.host:8443/?query", NULL);
        assert_no_answer(&r, ERR_DNS, "no.such.host");
        cr_assert_not_null(strstr(err_text(&r.error), "https://no.such.host:8443"));
}

Test(http_error, black_hole)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.never_accept = true});
        struct http_endpoint ep = {.connect_timeout_ms = 200};
        char text[128];

        struct fetched r = fetch(test_server_url(s), &ep);
        snprintf(text, sizeof text, "no answer from 127.0.0.1:%u within 200 ms (connecting)",
                test_server_port(s));
        assert_no_answer(&r, ERR_TIMEOUT, text);
        cr_assert_eq(r.error.code, -ETIMEDOUT);
}

Test(http_error, silence_has_a_time_limit)
{
        static const struct {
                enum test_manner manner;
                const char *text;
        } cases[] = {
                {TEST_HANG, "waiting for the answer"},
                {TEST_HANG_IN_BODY, "in the middle of the answer"},
        };
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s), .total_timeout_ms = 300};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                test_server_say(
                        s, &(struct test_answer){.manner = cases[i].manner, .body = "abcdef"});
                struct fetched r = fetch(test_server_url(s), &ep);
                assert_no_answer(&r, ERR_TIMEOUT, cases[i].text);
                cr_assert_not_null(strstr(err_text(&r.error), "within 300 ms"));
        }
}

Test(http_error, look_up_has_a_time_limit)
{
        struct http_endpoint ep = {.connect_timeout_ms = 200};

        test_resolver_hang("slow.example");
        struct fetched r = fetch("https://slow.example/?query", &ep);
        cr_assert_eq(test_resolver_hanging(), 1);
        assert_no_answer(&r, ERR_DNS, "slow.example was not resolved within 200 ms");
        test_resolver_release();
        while (test_resolver_hanging() > 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
}

Test(http_error, tls_failures)
{
        static const struct {
                struct test_server_options options;
                const char *text, *hint;
        } cases[] = {
                {{.foreign_ca = true}, "issuer", "--ca-file"},
                {{.host = "other.example"}, "is for another host name", "127.0.0.1"},
                {{.expired = true}, "expired", "clock"},
                {{.old_tls = true}, "TLS handshake", "TLS 1.2"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct test_server *s = test_server_new(&cases[i].options);
                struct fetched r = fetch_from(s, "/?query");
                assert_no_answer(&r, ERR_TLS, cases[i].text);
                cr_assert_not_null(strstr(r.error.hint, cases[i].hint), "%s", r.error.hint);
                cr_assert_eq(test_server_requests(s), 0);
                test_server_free(s);
        }
}

Test(http_error, ca_of_the_system_does_not_know_a_private_server)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        struct fetched r = fetch(test_server_url(s), NULL);
        assert_no_answer(&r, ERR_TLS, "certificate of 127.0.0.1");
        cr_assert_not_null(strstr(r.error.hint, "--ca-file"));
}

Test(http_error, ca_file_that_is_not_there)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = "/nonexistent/ca.pem"};

        struct fetched r = fetch(test_server_url(s), &ep);
        assert_no_answer(&r, ERR_TLS, "/nonexistent/ca.pem");
}

Test(http_error, host_name_is_verified_against_the_url)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.host = "vault.example"});
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        char url[128];

        test_resolver_local(".example");
        snprintf(url, sizeof url, "https://vault.example:%u/", test_server_port(s));
        cr_assert_eq(fetch(url, &ep).status, 200);
        snprintf(url, sizeof url, "https://other.example:%u/", test_server_port(s));
        struct fetched r = fetch(url, &ep);
        assert_no_answer(&r, ERR_TLS, "another host name");
}

Test(http_error, plain_server_behind_an_https_url)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.plain_http = true});
        char url[128];

        snprintf(url, sizeof url, "https://127.0.0.1:%u/", test_server_port(s));
        struct fetched r = fetch(url, NULL);
        assert_no_answer(&r, ERR_TLS, "TLS handshake");
}

Test(http_error, proxy_from_the_environment_is_used_and_named)
{
        _cleanup_(test_server_freep) struct test_server *proxy =
                test_server_new(&(struct test_server_options){.plain_http = true});
        char setting[128], name[64];
        struct test_request q;

        snprintf(
                setting, sizeof setting, "http://me:hunter2@127.0.0.1:%u", test_server_port(proxy));
        snprintf(name, sizeof name, "proxy 127.0.0.1:%u", test_server_port(proxy));
        setenv("https_proxy", setting, 1);
        test_server_say(proxy, &(struct test_answer){.status = 403});
        struct fetched r = fetch("https://vault.invalid/?query", NULL);
        assert_no_answer(&r, ERR_CONNECT, name);
        cr_assert_not_null(strstr(err_text(&r.error), "403"));
        cr_assert_null(strstr(err_text(&r.error), "hunter2"));
        test_server_get(proxy, 0, &q);
        cr_assert_str_eq(q.method, "CONNECT");
        cr_assert_str_eq(q.target, "vault.invalid:443");

        /* the setting of the endpoint comes before the environment, and "" means none */
        test_resolver_unknown("vault.invalid");
        struct http_endpoint none = {.proxy = ""};
        r = fetch("https://vault.invalid/", &none);
        assert_no_answer(&r, ERR_DNS, "vault.invalid");
        cr_assert_eq(test_server_requests(proxy), 1);
        setenv("no_proxy", "example.com,.invalid", 1);
        r = fetch("https://vault.invalid/", NULL);
        assert_no_answer(&r, ERR_DNS, "vault.invalid");
        cr_assert_eq(test_server_requests(proxy), 1);
}

Test(http_error, proxy_that_does_not_run)
{
        struct test_server *gone =
                test_server_new(&(struct test_server_options){.plain_http = true});
        char setting[64], name[80];

        snprintf(setting, sizeof setting, "127.0.0.1:%u", test_server_port(gone));
        test_server_free(gone);
        struct http_endpoint ep = {.proxy = setting};
        struct fetched r = fetch("https://vault.invalid/", &ep);
        snprintf(name, sizeof name, "through proxy %s", setting);
        assert_no_answer(&r, ERR_CONNECT, name);
        cr_assert_not_null(strstr(r.error.hint, "https_proxy"));
}
