#include <criterion/criterion.h>
#include <stdio.h>

#include "support/fetch.h"

TestSuite(http_request, .init = fetch_set_up, .fini = fetch_tear_down, .timeout = 60);

Test(http_request, post_sends_body_and_headers)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        char body[] = "a=b&c=\0d", header[] = "X-One: 1";
        const char *headers[] = {header, "Content-Type: text/x", NULL};
        struct http_request q = {.method = "POST",
                .url = test_server_url(s),
                .headers = headers,
                .body = body,
                .body_len = sizeof body - 1,
                .endpoint = &ep};
        struct fetched r = {0};
        struct test_request seen;
        char value[64];

        cr_assert_eq(http_send(client, &q, on_fetched, &r, NULL, NULL), 0);
        memset(body, 'x', sizeof body); /* it was copied */
        memset(header, 'x', sizeof header);
        run_until(&r.calls, 1);
        cr_assert_eq(r.status, 200);
        test_server_get(s, 0, &seen);
        cr_assert_str_eq(seen.method, "POST");
        cr_assert_eq(seen.body_len, 8);
        cr_assert_arr_eq(seen.body, "a=b&c=\0d", 8);
        cr_assert(test_request_header(&seen, "X-One", value, sizeof value));
        cr_assert_str_eq(value, "1");
        cr_assert(test_request_header(&seen, "Content-Type", value, sizeof value));
        cr_assert_str_eq(value, "text/x");
}

Test(http_request, methods)
{
        static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};

        for (unsigned i = 0; i < ELEMENTSOF(methods); i++) {
                struct http_request q = {
                        .method = methods[i], .url = test_server_url(s), .endpoint = &ep};
                struct fetched r = {0};
                struct test_request seen;
                cr_assert_eq(http_send(client, &q, on_fetched, &r, NULL, NULL), 0);
                run_until(&r.calls, 1);
                cr_assert_eq(r.status, 200, "%s: %s", methods[i], err_text(&r.error));
                test_server_get(s, i, &seen);
                cr_assert_str_eq(seen.method, methods[i]);
        }
}

/* The URL's host is whom TLS talks to; no name is looked up but where to connect to. A second try
 * goes there too, when who asked has long freed the string. */
Test(http_request, connected_elsewhere)
{
        static const char host[] = "name.ests.aks";
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.host = host});
        char connect_to[32], value[64];
        struct http_endpoint ep = {
                .ca_file = test_server_ca_file(s), .connect_to = connect_to, .proxy = ""};
        static const char *const headers[] = {"Host: login.example", NULL};
        struct http_request q = {.method = "GET",
                .url = "https://name.ests.aks/t/token",
                .headers = headers,
                .endpoint = &ep};
        struct fetched r = {0}, wrong = {0};
        struct test_request seen;

        snprintf(connect_to, sizeof connect_to, "127.0.0.1:%u", test_server_port(s));
        test_server_say(s, &(struct test_answer){.status = 503});
        test_server_say(s, &(struct test_answer){.status = 200});
        cr_assert_eq(http_send_retrying(client, &q, NULL, on_fetched, &r, NULL, NULL), 0);
        memset(connect_to, 'x', sizeof connect_to - 1);
        run_until(&r.calls, 1);
        cr_assert_eq(r.status, 200, "%s", err_text(&r.error));
        test_server_get(s, 1, &seen);
        cr_assert_str_eq(seen.target, "/t/token");
        cr_assert(test_request_header(&seen, "Host", value, sizeof value));
        cr_assert_str_eq(value, "login.example");

        snprintf(connect_to, sizeof connect_to, "127.0.0.1:%u", test_server_port(s));
        q.url = "https://other.ests.aks/t/token";
        cr_assert_eq(http_send(client, &q, on_fetched, &wrong, NULL, NULL), 0);
        run_until(&wrong.calls, 1);
        cr_assert_eq(wrong.status, 0);
        cr_assert_eq(wrong.error.cause, ERR_TLS);
}

Test(http_request, bad_requests_are_refused)
{
        static const char *const urls[] = {"http://plain.example/", "ftp://x/",
                "file:///etc/passwd", "https://user:pw@x/", "https://user@x/", "", "https://",
                "nonsense", "https://x/\r\nHost: y", "https://x:99999/"};
        static const char *const bad_headers[] = {"NoColon", ": empty", "A: b\r\nC: d", "A: b\n"};
        struct fetched r = {0};

        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
                struct http_request q = {.method = "GET", .url = urls[i]};
                struct err e = {0};
                cr_assert_eq(
                        http_send(client, &q, on_fetched, &r, NULL, &e), -EINVAL, "%s", urls[i]);
                cr_assert_eq(e.cause, ERR_USAGE, "%s", urls[i]);
                cr_assert_null(strstr(err_text(&e), "pw"));
                err_done(&e);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad_headers); i++) {
                const char *headers[] = {bad_headers[i], NULL};
                struct http_request q = {.method = "GET", .url = "https://x/", .headers = headers};
                cr_assert_eq(http_send(client, &q, on_fetched, &r, NULL, NULL), -EINVAL);
        }
        struct http_request q = {.method = "GET /x", .url = "https://x/"};
        cr_assert_eq(http_send(client, &q, on_fetched, &r, NULL, NULL), -EINVAL);
        cr_assert_eq(r.calls, 0);
}

Test(http_request, plain_http_where_it_is_allowed)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.plain_http = true});
        struct http_endpoint ep = {.allow_http = true};

        test_server_say(s, &(struct test_answer){.body = "plain"});
        cr_assert_str_eq(fetch(test_server_url(s), &ep).body, "plain");
}

Test(http_request, escape)
{
        char *s = NULL;

        cr_assert_eq(http_escape("AZaz09-._~", &s), 0);
        cr_assert_str_eq(s, "AZaz09-._~");
        free(s);
        cr_assert_eq(http_escape("a b+c/d?e&f=g%\xc3\xa4", &s), 0);
        cr_assert_str_eq(s, "a%20b%2Bc%2Fd%3Fe%26f%3Dg%25%C3%A4");
        free(s);
        cr_assert_eq(http_escape("", &s), 0);
        cr_assert_str_eq(s, "");
        free(s);
}
