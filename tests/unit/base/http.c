#include "base/http.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "support/resolver.h"
#include "support/server.h"

struct result {
        unsigned calls;
        int status;
        char body[4096];
        size_t body_len;
        char header[256];
        char peer[64];
        unsigned tries;
        struct err error;
        struct loop *loop;
        unsigned *left;
};

static struct loop *loop;
static struct http_client *client;
static struct err kept[64]; /* the errors of all results, until the test ends */
static size_t kept_n;

static void set_up(void)
{
        static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};

        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                unsetenv(variables[i]);
        test_init();
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(http_client_new(loop, &client), 0);
}

static void tear_down(void)
{
        http_client_free(client);
        loop_free(loop);
        while (kept_n > 0)
                err_done(&kept[--kept_n]);
}

TestSuite(http, .init = set_up, .fini = tear_down, .timeout = 60);

static void on_done(void *userdata, struct http_response *resp)
{
        struct result *r = userdata;

        r->calls++;
        r->status = resp->status;
        cr_assert_not_null(resp->body);
        cr_assert_eq(resp->body[resp->body_len], '\0');
        r->body_len = resp->body_len;
        snprintf(r->body, sizeof r->body, "%s", resp->body);
        snprintf(r->peer, sizeof r->peer, "%s", resp->peer);
        const char *h = http_header(resp, "X-Test");
        snprintf(r->header, sizeof r->header, "%s", h ? h : "(none)");
        r->tries = resp->tries;
        if (resp->status == 0) {
                cr_assert_lt(kept_n, ELEMENTSOF(kept));
                err_move(&kept[kept_n], &resp->error);
                r->error = kept[kept_n++];
        }
}

static void run_until(const unsigned *counter, unsigned n)
{
        while (*counter < n)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

static struct result fetch(const char *url, const struct http_endpoint *ep)
{
        struct result r = {0};
        struct http_request q = {.method = "GET", .url = url, .endpoint = ep};
        struct err e = {0};

        int x = http_send(client, &q, on_done, &r, NULL, &e);
        cr_assert_eq(x, 0, "%s", err_text(&e));
        cr_assert_eq(r.calls, 0, "called from within http_send");
        run_until(&r.calls, 1);
        return r;
}

static struct result fetch_from(struct test_server *s, const char *path)
{
        char url[256];
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};

        snprintf(url, sizeof url, "%s%s", test_server_url(s), path);
        return fetch(url, &ep);
}

Test(http, body_headers_and_peer)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        test_server_say(s, &(struct test_answer){.status = 201,
                                   .headers = "x-tEst:  two words \r\nOther: y\r\n",
                                   .body = "hello\0there",
                                   .body_len = 11});
        struct result r = fetch_from(s, "/a/b?c=d");
        cr_assert_eq(r.status, 201);
        cr_assert_eq(r.body_len, 11);
        cr_assert_str_eq(r.body, "hello");
        cr_assert_str_eq(r.header, "two words");
        cr_assert_str_eq(r.peer, "127.0.0.1");
        cr_assert_eq(r.tries, 1);

        struct test_request q;
        char value[64];
        test_server_get(s, 0, &q);
        cr_assert_str_eq(q.method, "GET");
        cr_assert_str_eq(q.target, "/a/b?c=d");
        cr_assert(test_request_header(&q, "User-Agent", value, sizeof value));
        cr_assert_str_eq(value, "akvfs/" AKVFS_VERSION);
        cr_assert_not(test_request_header(&q, "Expect", value, sizeof value));
        cr_assert_not(test_request_header(&q, "Accept-Encoding", value, sizeof value));
}

Test(http, post_sends_body_and_headers)
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
        struct result r = {0};
        struct test_request seen;
        char value[64];

        cr_assert_eq(http_send(client, &q, on_done, &r, NULL, NULL), 0);
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

Test(http, methods)
{
        static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};

        for (unsigned i = 0; i < ELEMENTSOF(methods); i++) {
                struct http_request q = {
                        .method = methods[i], .url = test_server_url(s), .endpoint = &ep};
                struct result r = {0};
                struct test_request seen;
                cr_assert_eq(http_send(client, &q, on_done, &r, NULL, NULL), 0);
                run_until(&r.calls, 1);
                cr_assert_eq(r.status, 200, "%s: %s", methods[i], err_text(&r.error));
                test_server_get(s, i, &seen);
                cr_assert_str_eq(seen.method, methods[i]);
        }
}

Test(http, many_requests_share_few_connections)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct result r = {0};

        test_server_say(s, &(struct test_answer){.body = "x", .delay_ms = 5});
        for (int i = 0; i < 100; i++)
                cr_assert_eq(http_send(client, &q, on_done, &r, NULL, NULL), 0);
        run_until(&r.calls, 100);
        cr_assert_eq(r.status, 200);
        cr_assert_eq(test_server_requests(s), 100);
        cr_assert_leq(test_server_peak(s), HTTP_CONNECTIONS_PER_HOST);
        cr_assert_gt(test_server_peak(s), 1);
        cr_assert_leq(test_server_connections(s), HTTP_CONNECTIONS_PER_HOST);
}

/* The time limit of a request starts when it leaves the queue: a hundred slow answers in a row
 * take longer than one may. */
Test(http, waiting_in_the_queue_is_no_timeout)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s), .total_timeout_ms = 1500};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct result r[40] = {0};
        unsigned done = 0;

        test_server_say(s, &(struct test_answer){.body = "x", .delay_ms = 400});
        for (size_t i = 0; i < ELEMENTSOF(r); i++)
                cr_assert_eq(http_send(client, &q, on_done, &r[i], NULL, NULL), 0);
        while (done < ELEMENTSOF(r)) {
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
                done = 0;
                for (size_t i = 0; i < ELEMENTSOF(r); i++)
                        done += r[i].calls;
        }
        for (size_t i = 0; i < ELEMENTSOF(r); i++)
                cr_assert_eq(r[i].status, 200, "%zu: %s", i, err_text(&r[i].error));
}

Test(http, kept_alive_connection_that_the_server_closed_is_replaced)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        test_server_say(s, &(struct test_answer){.body = "1"});
        cr_assert_eq(fetch_from(s, "/").status, 200);
        test_server_say(s, &(struct test_answer){.body = "2", .close = true});
        cr_assert_eq(fetch_from(s, "/").status, 200);
        test_server_say(s, &(struct test_answer){.body = "3"});
        cr_assert_eq(fetch_from(s, "/").status, 200);
        cr_assert_eq(test_server_connections(s), 2);
}

Test(http, chunked_and_dripping_answers)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        test_server_say(s, &(struct test_answer){.body = "chunks", .manner = TEST_CHUNKED});
        test_server_say(s, &(struct test_answer){.body = "drops", .manner = TEST_DRIP});
        cr_assert_str_eq(fetch_from(s, "/").body, "chunks");
        cr_assert_str_eq(fetch_from(s, "/").body, "drops");
}

Test(http, redirects_are_handed_on_and_cookies_forgotten)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct test_request q;
        char value[64];

        test_server_say(s, &(struct test_answer){.status = 302,
                                   .headers = "Location: /elsewhere\r\nSet-Cookie: a=b\r\n"});
        struct result r = fetch_from(s, "/");
        cr_assert_eq(r.status, 302);
        cr_assert_eq(test_server_requests(s), 1);
        fetch_from(s, "/");
        test_server_get(s, 1, &q);
        cr_assert_not(test_request_header(&q, "Cookie", value, sizeof value));
}

/* --- limits --- */

Test(http, body_above_the_limit_is_an_error_of_its_own)
{
        static char big[3000];
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s), .response_max = 1000};

        memset(big, 'x', sizeof big - 1);
        test_server_say(s, &(struct test_answer){.body = big, .body_len = 1000});
        test_server_say(s, &(struct test_answer){.body = big, .body_len = 1001});
        test_server_say(s, &(struct test_answer){.body = big, .manner = TEST_CHUNKED});
        test_server_say(s, &(struct test_answer){.body = big, .manner = TEST_ENDLESS});
        struct result r = fetch(test_server_url(s), &ep);
        cr_assert_eq(r.status, 200);
        cr_assert_eq(r.body_len, 1000);
        for (int i = 0; i < 3; i++) {
                r = fetch(test_server_url(s), &ep);
                cr_assert_eq(r.status, 0);
                cr_assert_eq(r.error.cause, ERR_SERVICE);
                cr_assert_eq(r.error.code, -EFBIG);
                cr_assert_not_null(strstr(err_text(&r.error), "larger than the limit of 1000"));
        }
}

Test(http, headers_above_the_limit_are_an_error)
{
        enum { LINE = 1000 };
        static char headers[HTTP_HEADERS_MAX + 8 * LINE];
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.plain_http = true});
        struct http_endpoint ep = {.allow_http = true};

        size_t n = (size_t)sprintf(headers, "HTTP/1.1 200 OK\r\n");
        while (n < HTTP_HEADERS_MAX + LINE) {
                memcpy(headers + n, "A: ", 3);
                memset(headers + n + 3, 'x', LINE - 5);
                memcpy(headers + n + LINE - 2, "\r\n", 2);
                n += LINE;
        }
        memcpy(headers + n, "\r\n", 3);
        test_server_say(s, &(struct test_answer){.manner = TEST_RAW, .body = headers});
        struct result r = fetch(test_server_url(s), &ep);
        cr_assert_eq(r.status, 0);
        cr_assert_eq(r.error.code, -EFBIG);
        cr_assert_not_null(
                strstr(err_text(&r.error), "bytes of headers"), "%s", err_text(&r.error));
}

/* --- what goes wrong --- */

static void assert_error(const struct result *r, enum err_cause cause, const char *text)
{
        cr_assert_eq(r->calls, 1);
        cr_assert_eq(r->status, 0);
        cr_assert_lt(r->error.code, 0);
        cr_assert_eq(r->error.cause, cause, "%s: %s", err_cause_name(r->error.cause),
                err_text(&r->error));
        cr_assert_not_null(strstr(err_text(&r->error), text), "%s", err_text(&r->error));
        cr_assert_null(strstr(err_text(&r->error), "query"));
        cr_assert_null(strchr(err_text(&r->error), '\n'));
}

Test(http, broken_answers)
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
                struct result r = fetch(url, &ep);
                cr_assert_eq(r.status, 0, "case %zu", i);
                assert_error(&r, cases[i].cause, cases[i].text);
                test_server_free(s);
        }
}

Test(http, refused_connection)
{
        struct test_server *s = test_server_new(NULL);
        char url[128];

        snprintf(url, sizeof url, "%s/?query", test_server_url(s));
        test_server_free(s); /* now nobody listens there */
        struct result r = fetch(url, NULL);
        assert_error(&r, ERR_CONNECT, "Connection refused");
        cr_assert_eq(r.error.code, -ECONNREFUSED);
        cr_assert_not_null(r.error.hint);
}

Test(http, unknown_host)
{
        test_resolver_unknown("no.such.host");
        struct result r = fetch("https://no.such.host:8443/?query", NULL);
        assert_error(&r, ERR_DNS, "no.such.host");
        cr_assert_not_null(strstr(err_text(&r.error), "https://no.such.host:8443"));
}

Test(http, black_hole)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.never_accept = true});
        struct http_endpoint ep = {.connect_timeout_ms = 200};
        char text[128];

        struct result r = fetch(test_server_url(s), &ep);
        snprintf(text, sizeof text, "no answer from 127.0.0.1:%u within 200 ms (connecting)",
                test_server_port(s));
        assert_error(&r, ERR_TIMEOUT, text);
        cr_assert_eq(r.error.code, -ETIMEDOUT);
}

Test(http, silence_has_a_time_limit)
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
                struct result r = fetch(test_server_url(s), &ep);
                assert_error(&r, ERR_TIMEOUT, cases[i].text);
                cr_assert_not_null(strstr(err_text(&r.error), "within 300 ms"));
        }
}

/* --- TLS --- */

Test(http, tls_failures)
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
                struct result r = fetch_from(s, "/?query");
                assert_error(&r, ERR_TLS, cases[i].text);
                cr_assert_not_null(strstr(r.error.hint, cases[i].hint), "%s", r.error.hint);
                cr_assert_eq(test_server_requests(s), 0);
                test_server_free(s);
        }
}

Test(http, ca_of_the_system_does_not_know_a_private_server)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        struct result r = fetch(test_server_url(s), NULL);
        assert_error(&r, ERR_TLS, "certificate of 127.0.0.1");
        cr_assert_not_null(strstr(r.error.hint, "--ca-file"));
}

Test(http, ca_file_that_is_not_there)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = "/nonexistent/ca.pem"};

        struct result r = fetch(test_server_url(s), &ep);
        assert_error(&r, ERR_TLS, "/nonexistent/ca.pem");
}

Test(http, host_name_is_verified_against_the_url)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.host = "vault.example"});
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        char url[128];

        test_resolver_local(".example");
        snprintf(url, sizeof url, "https://vault.example:%u/", test_server_port(s));
        cr_assert_eq(fetch(url, &ep).status, 200);
        snprintf(url, sizeof url, "https://other.example:%u/", test_server_port(s));
        struct result r = fetch(url, &ep);
        assert_error(&r, ERR_TLS, "another host name");
}

Test(http, plain_server_behind_an_https_url)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.plain_http = true});
        char url[128];

        snprintf(url, sizeof url, "https://127.0.0.1:%u/", test_server_port(s));
        struct result r = fetch(url, NULL);
        assert_error(&r, ERR_TLS, "TLS handshake");
}

/* --- what is not sent at all --- */

Test(http, bad_requests_are_refused)
{
        static const char *const urls[] = {"http://plain.example/", "ftp://x/",
                "file:///etc/passwd", "https://user:pw@x/", "https://user@x/", "", "https://",
                "nonsense", "https://x/\r\nHost: y", "https://x:99999/"};
        static const char *const bad_headers[] = {"NoColon", ": empty", "A: b\r\nC: d", "A: b\n"};
        struct result r = {0};

        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
                struct http_request q = {.method = "GET", .url = urls[i]};
                struct err e = {0};
                cr_assert_eq(http_send(client, &q, on_done, &r, NULL, &e), -EINVAL, "%s", urls[i]);
                cr_assert_eq(e.cause, ERR_USAGE, "%s", urls[i]);
                cr_assert_null(strstr(err_text(&e), "pw"));
                err_done(&e);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad_headers); i++) {
                const char *headers[] = {bad_headers[i], NULL};
                struct http_request q = {.method = "GET", .url = "https://x/", .headers = headers};
                cr_assert_eq(http_send(client, &q, on_done, &r, NULL, NULL), -EINVAL);
        }
        struct http_request q = {.method = "GET /x", .url = "https://x/"};
        cr_assert_eq(http_send(client, &q, on_done, &r, NULL, NULL), -EINVAL);
        cr_assert_eq(r.calls, 0);
}

Test(http, plain_http_where_it_is_allowed)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.plain_http = true});
        struct http_endpoint ep = {.allow_http = true};

        test_server_say(s, &(struct test_answer){.body = "plain"});
        cr_assert_str_eq(fetch(test_server_url(s), &ep).body, "plain");
}

/* --- cancelling --- */

Test(http, cancel_at_every_stage)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct http_call *calls[20];
        struct result r = {0}, last = {0};

        /* before anything, in the queue, and while the server is silent */
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                cr_assert_eq(http_send(client, &q, on_done, &r, &calls[i], NULL), 0);
        calls[0] = http_cancel(calls[0]);
        calls[19] = http_cancel(calls[19]);
        cr_assert_null(calls[0]);
        test_server_say(s, &(struct test_answer){.manner = TEST_HANG});
        while (test_server_requests(s) < HTTP_CONNECTIONS_PER_HOST)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        for (size_t i = 1; i < 19; i++)
                http_cancel(calls[i]);
        cr_assert_null(http_cancel(NULL));

        test_server_say(s, &(struct test_answer){.body = "x"});
        cr_assert_eq(http_send(client, &q, on_done, &last, NULL, NULL), 0);
        run_until(&last.calls, 1);
        cr_assert_eq(last.status, 200);
        cr_assert_eq(r.calls, 0);
}

/* The thread of a look-up is left to end by itself, the loop does not wait for it: the look-up here
 * hangs until the test lets it go. */
Test(http, cancel_in_look_up_does_not_block)
{
        struct http_request q = {.method = "GET", .url = "https://slow.example/"};
        struct http_call *call;
        struct result r = {0};

        test_resolver_hang("slow.example");
        cr_assert_eq(http_send(client, &q, on_done, &r, &call, NULL), 0);
        while (test_resolver_hanging() == 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        http_cancel(call);
        cr_assert_eq(test_resolver_hanging(), 1);
        cr_assert_eq(r.calls, 0);
        test_resolver_release();
        while (test_resolver_hanging() > 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
}

Test(http, look_up_has_a_time_limit)
{
        struct http_endpoint ep = {.connect_timeout_ms = 200};

        test_resolver_hang("slow.example");
        struct result r = fetch("https://slow.example/?query", &ep);
        cr_assert_eq(test_resolver_hanging(), 1);
        assert_error(&r, ERR_DNS, "slow.example was not resolved within 200 ms");
        test_resolver_release();
        while (test_resolver_hanging() > 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
}

struct nested {
        struct http_request request;
        struct http_call *other;
        struct result second;
        unsigned calls;
};

static void on_done_send_again(void *userdata, struct http_response *resp)
{
        struct nested *n = userdata;

        n->calls++;
        n->other = http_cancel(n->other);
        cr_assert_eq(http_send(client, &n->request, on_done, &n->second, NULL, NULL), 0);
        cr_assert_eq(n->second.calls, 0);
}

Test(http, callbacks_may_cancel_and_send)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct nested n = {
                .request = {.method = "GET", .url = test_server_url(s), .endpoint = &ep}};
        struct result never = {0};

        test_server_say(s, &(struct test_answer){.body = "x"});
        test_server_say(s, &(struct test_answer){.manner = TEST_HANG});
        cr_assert_eq(http_send(client, &n.request, on_done_send_again, &n, NULL, NULL), 0);
        while (test_server_requests(s) < 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_eq(http_send(client, &n.request, on_done, &never, &n.other, NULL), 0);
        test_server_say(s, &(struct test_answer){.body = "y"});
        while (n.calls == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        while (test_server_requests(s) < 2)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        cr_assert_eq(never.calls, 0);
}

static void on_done_free_client(void *userdata, struct http_response *resp)
{
        unsigned *calls = userdata;

        cr_assert_eq(resp->status, 200);
        (*calls)++;
        http_client_free(TAKE_PTR(client));
}

Test(http, client_may_be_freed_by_a_callback)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        unsigned calls = 0;

        for (int i = 0; i < 30; i++)
                cr_assert_eq(http_send(client, &q, on_done_free_client, &calls, NULL, NULL), 0);
        run_until(&calls, 1);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_eq(calls, 1);
}

Test(http, client_is_freed_with_requests_under_way)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct result r = {0};

        test_server_say(s, &(struct test_answer){.manner = TEST_HANG});
        for (int i = 0; i < 30; i++)
                cr_assert_eq(http_send(client, &q, on_done, &r, NULL, NULL), 0);
        while (test_server_requests(s) < 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        http_client_free(TAKE_PTR(client));
        cr_assert_eq(r.calls, 0);
}

static void on_leap(void *userdata)
{
        cr_assert_fail("the clock leapt");
}

/* The simulated clock stands still while a real server takes its time. */
Test(http, simulated_time_does_not_pass_during_a_request)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct loop_timer *never;

        loop_simulate(loop, 1000, 5000);
        cr_assert_eq(loop_timer_new(loop, on_leap, NULL, &never), 0);
        loop_timer_in(never, USEC_PER_SEC);
        test_server_say(s, &(struct test_answer){.body = "x", .delay_ms = 50});
        cr_assert_eq(fetch_from(s, "/").status, 200);
        cr_assert_eq(loop_now(loop), 1000);
        loop_timer_free(never);
}

/* --- proxies --- */

Test(http, proxy_from_the_environment_is_used_and_named)
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
        struct result r = fetch("https://vault.invalid/?query", NULL);
        assert_error(&r, ERR_CONNECT, name);
        cr_assert_not_null(strstr(err_text(&r.error), "403"));
        cr_assert_null(strstr(err_text(&r.error), "hunter2"));
        test_server_get(proxy, 0, &q);
        cr_assert_str_eq(q.method, "CONNECT");
        cr_assert_str_eq(q.target, "vault.invalid:443");

        /* the setting of the endpoint comes before the environment, and "" means none */
        test_resolver_unknown("vault.invalid");
        struct http_endpoint none = {.proxy = ""};
        r = fetch("https://vault.invalid/", &none);
        assert_error(&r, ERR_DNS, "vault.invalid");
        cr_assert_eq(test_server_requests(proxy), 1);
        setenv("no_proxy", "example.com,.invalid", 1);
        r = fetch("https://vault.invalid/", NULL);
        assert_error(&r, ERR_DNS, "vault.invalid");
        cr_assert_eq(test_server_requests(proxy), 1);
}

Test(http, proxy_that_does_not_run)
{
        struct test_server *gone =
                test_server_new(&(struct test_server_options){.plain_http = true});
        char setting[64], name[80];

        snprintf(setting, sizeof setting, "127.0.0.1:%u", test_server_port(gone));
        test_server_free(gone);
        struct http_endpoint ep = {.proxy = setting};
        struct result r = fetch("https://vault.invalid/", &ep);
        snprintf(name, sizeof name, "through proxy %s", setting);
        assert_error(&r, ERR_CONNECT, name);
        cr_assert_not_null(strstr(r.error.hint, "https_proxy"));
}

/* --- small parts --- */

Test(http, escape)
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
