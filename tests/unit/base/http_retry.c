#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#include "base/http.h"
#include "support/resolver.h"
#include "support/server.h"
#include "support/wire.h"

#define START 1000000
#define WALL 1700000000

static struct loop *loop;
static struct http_client *client;

static void set_up(void)
{
        unsetenv("http_proxy");
        unsetenv("all_proxy");
        test_init();
        cr_assert_eq(loop_new(&loop), 0);
        loop_simulate(loop, START, WALL);
        cr_assert_eq(http_client_new(loop, &client), 0);
}

static void tear_down(void)
{
        http_client_free(client);
        loop_free(loop);
}

TestSuite(http_retry, .init = set_up, .fini = tear_down, .timeout = 60);

struct result {
        unsigned calls;
        int status;
        unsigned tries, retry_after;
        usec_t at; /* simulated time since the start */
        enum err_cause cause;
        char text[512];
};

static void on_done(void *userdata, struct http_response *resp)
{
        struct result *r = userdata;

        r->calls++;
        r->status = resp->status;
        r->tries = resp->tries;
        r->retry_after = http_retry_after(resp, loop_wall(loop));
        r->at = loop_now(loop) - START;
        r->cause = resp->error.cause;
        snprintf(r->text, sizeof r->text, "%s", err_text(&resp->error));
}

static struct result fetch(const char *url, const struct http_retry *policy)
{
        static const struct http_endpoint ep = {.allow_http = true};
        struct http_request q = {.method = "GET", .url = url, .endpoint = &ep};
        struct result r = {0};

        cr_assert_eq(http_send_retrying(client, &q, policy, on_done, &r, NULL, NULL), 0);
        cr_assert_eq(r.calls, 0);
        while (r.calls == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        return r;
}

static struct test_server *plain_server(void)
{
        return test_server_new(&(struct test_server_options){.plain_http = true});
}

Test(http_retry, first_answer_is_enough)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();

        struct result r = fetch(test_server_url(s), NULL);
        cr_assert_eq(r.status, 200);
        cr_assert_eq(r.tries, 1);
        cr_assert_eq(r.at, 0);
}

Test(http_retry, passing_statuses_are_tried_again)
{
        static const int passing[] = {408, 429, 500, 502, 503, 504};

        for (size_t i = 0; i < ELEMENTSOF(passing); i++) {
                struct test_server *s = plain_server();
                test_server_say(s, &(struct test_answer){.status = passing[i]});
                test_server_say(s, &(struct test_answer){.status = 200});
                struct result r = fetch(test_server_url(s), NULL);
                cr_assert_eq(r.status, 200);
                cr_assert_eq(r.tries, 2, "%d", passing[i]);
                test_server_free(s);
        }
}

Test(http_retry, other_statuses_are_final)
{
        static const int final[] = {201, 301, 400, 401, 403, 404, 409, 501};

        for (size_t i = 0; i < ELEMENTSOF(final); i++) {
                struct test_server *s = plain_server();
                test_server_say(s, &(struct test_answer){.status = final[i]});
                struct result r = fetch(test_server_url(s), NULL);
                cr_assert_eq(r.status, final[i]);
                cr_assert_eq(test_server_requests(s), 1);
                test_server_free(s);
        }
}

/* 1, 3 and 7 times 800 ms, each times 0.8 to 1.3. */
Test(http_retry, pauses_grow_within_their_jitter)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();
        bool differ = false;
        usec_t first = 0;

        test_server_say(s, &(struct test_answer){.status = 503});
        for (int i = 0; i < 8; i++) {
                usec_t before = loop_now(loop) - START;
                struct result r = fetch(test_server_url(s), NULL);
                usec_t took = r.at - before;
                cr_assert_eq(r.status, 503);
                cr_assert_eq(r.tries, 4);
                cr_assert_geq(took, 11 * 640 * USEC_PER_MSEC);
                cr_assert_leq(took, 11 * 1040 * USEC_PER_MSEC);
                differ |= i > 0 && took != first;
                first = i == 0 ? took : first;
        }
        cr_assert(differ);
}

Test(http_retry, pause_has_a_cap)
{
        static const struct http_retry policy = {.tries = 40, .base_ms = 1000, .cap_ms = 4000};
        _cleanup_(test_server_freep) struct test_server *s = plain_server();

        test_server_say(s, &(struct test_answer){.status = 500});
        struct result r = fetch(test_server_url(s), &policy);
        cr_assert_eq(r.tries, 40);
        cr_assert_leq(r.at, 39 * 4000 * USEC_PER_MSEC);
        cr_assert_geq(r.at, 30 * 3200 * USEC_PER_MSEC);
}

Test(http_retry, retry_after_is_honoured)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();

        test_server_say(s, &(struct test_answer){.status = 429, .headers = "Retry-After: 42\r\n"});
        test_server_say(s, &(struct test_answer){.status = 200});
        struct result r = fetch(test_server_url(s), NULL);
        cr_assert_eq(r.status, 200);
        cr_assert_eq(r.at, 42 * USEC_PER_SEC);
}

Test(http_retry, retry_after_above_the_cap_ends_it)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();

        test_server_say(s, &(struct test_answer){.status = 429, .headers = "Retry-After: 61\r\n"});
        struct result r = fetch(test_server_url(s), NULL);
        cr_assert_eq(r.status, 429);
        cr_assert_eq(r.tries, 1);
        cr_assert_eq(r.retry_after, 61);
        cr_assert_eq(r.at, 0);
}

static bool only_404(int status)
{
        return status == 404;
}

Test(http_retry, policy_names_its_own_statuses)
{
        static const struct http_retry policy = {
                .tries = 3, .base_ms = 10, .cap_ms = 1000, .retry_status = only_404};
        _cleanup_(test_server_freep) struct test_server *s = plain_server();

        test_server_say(s, &(struct test_answer){.status = 404});
        test_server_say(s, &(struct test_answer){.status = 404});
        test_server_say(s, &(struct test_answer){.status = 503});
        struct result r = fetch(test_server_url(s), &policy);
        cr_assert_eq(r.status, 503);
        cr_assert_eq(r.tries, 3);
}

Test(http_retry, transport_errors_are_tried_again)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();

        test_server_say(s, &(struct test_answer){.manner = TEST_CLOSE});
        test_server_say(s, &(struct test_answer){.manner = TEST_CUT, .body = "abcd"});
        test_server_say(s, &(struct test_answer){.body = "there"});
        struct result r = fetch(test_server_url(s), NULL);
        cr_assert_eq(r.status, 200);
        cr_assert_eq(r.tries, 3);
}

Test(http_retry, error_says_how_often_it_was_tried)
{
        static const struct http_retry policy = {
                .tries = 5, .base_ms = 800, .cap_ms = 60000, .transport_tries = 2};
        struct test_server *s = plain_server();
        char url[128];

        snprintf(url, sizeof url, "%s", test_server_url(s));
        test_server_free(s);
        struct result r = fetch(url, NULL);
        cr_assert_eq(r.status, 0);
        cr_assert_eq(r.tries, 4);
        cr_assert_eq(r.cause, ERR_CONNECT);
        cr_assert_not_null(strstr(r.text, "Connection refused (tried 4 times)"), "%s", r.text);

        r = fetch(url, &policy);
        cr_assert_eq(r.tries, 2);
}

Test(http_retry, certificates_that_are_not_accepted_are_final)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        struct result r = fetch(test_server_url(s), NULL);
        cr_assert_eq(r.cause, ERR_TLS);
        cr_assert_eq(r.tries, 1);
        cr_assert_null(strstr(r.text, "tried"));
}

static void on_end(void *userdata)
{
}

Test(http_retry, cancelled_in_a_try_and_in_a_pause)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();
        struct http_endpoint ep = {.allow_http = true};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct http_call *call;
        struct result r = {0};
        usec_t end = START + 100 * USEC_PER_SEC;

        test_server_say(s, &(struct test_answer){.status = 503});
        cr_assert_eq(http_send_retrying(client, &q, NULL, on_done, &r, &call, NULL), 0);
        cr_assert_null(http_cancel(call));

        cr_assert_eq(http_send_retrying(client, &q, NULL, on_done, &r, &call, NULL), 0);
        while (loop_now(loop) == START && test_server_requests(s) < 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        while (loop_turn(loop, USEC_PER_MSEC) > 0)
                ;
        http_cancel(call); /* in the pause */

        struct loop_timer *t;
        cr_assert_eq(loop_timer_new(loop, on_end, NULL, &t), 0);
        cr_assert_eq(loop_timer_at(t, end), 0);
        while (loop_now(loop) < end)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        loop_timer_free(t);
        cr_assert_eq(r.calls, 0);
        cr_assert_eq(test_server_requests(s), 1);
}

Test(http_retry, client_is_freed_in_a_pause)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();
        struct http_endpoint ep = {.allow_http = true};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct result r = {0};

        test_server_say(s, &(struct test_answer){.status = 503});
        cr_assert_eq(http_send_retrying(client, &q, NULL, on_done, &r, NULL, NULL), 0);
        while (test_server_requests(s) < 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        while (loop_turn(loop, USEC_PER_MSEC) > 0)
                ;
        http_client_free(TAKE_PTR(client));
        cr_assert_eq(r.calls, 0);
}

Test(http_retry, requests_are_copied_with_their_bodies)
{
        _cleanup_(test_server_freep) struct test_server *s = plain_server();
        struct http_endpoint ep = {.allow_http = true};
        char body[] = "body", header[] = "X-A: b", url[128];
        const char *headers[] = {header, NULL};
        struct http_request q = {.method = "POST",
                .url = url,
                .headers = headers,
                .body = body,
                .body_len = 4,
                .endpoint = &ep};
        struct result r = {0};

        snprintf(url, sizeof url, "%s/x", test_server_url(s));
        test_server_say(s, &(struct test_answer){.status = 503});
        test_server_say(s, &(struct test_answer){.status = 200});
        cr_assert_eq(http_send_retrying(client, &q, NULL, on_done, &r, NULL, NULL), 0);
        memset(body, 0, sizeof body);
        memset(header, 0, sizeof header);
        memset(url, 0, sizeof url);
        memset(&ep, 0, sizeof ep);
        while (r.calls == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_eq(r.status, 200);
        for (unsigned i = 0; i < 2; i++) {
                struct test_request seen;
                char value[16];
                test_server_get(s, i, &seen);
                cr_assert_str_eq(seen.method, "POST");
                cr_assert_str_eq(seen.target, "/x");
                cr_assert_arr_eq(seen.body, "body", 4);
                cr_assert(test_request_header(&seen, "X-A", value, sizeof value));
        }
}

Test(http_retry, bad_request_fails_at_once)
{
        struct http_request q = {.method = "GET", .url = "http://x/"};
        struct result r = {0};
        struct err e = {0};

        cr_assert_eq(http_send_retrying(client, &q, NULL, on_done, &r, NULL, &e), -EINVAL);
        cr_assert_eq(e.cause, ERR_USAGE);
        err_done(&e);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_eq(r.calls, 0);
}

static unsigned retry_after(const char *value)
{
        char line[128];
        const char *headers[] = {"Other: 5", line, NULL};
        struct wire w;

        snprintf(line, sizeof line, "retry-after: %s", value);
        wire_make(429, "", headers, &w);
        unsigned n = http_retry_after(&w.response, WALL);
        wire_done(&w);
        return n;
}

Test(http_retry, retry_after_forms)
{
        char date[64];
        time_t t = WALL + 90;
        struct tm tm;

        cr_assert_eq(retry_after("7"), 7);
        cr_assert_eq(retry_after("0"), 0);
        cr_assert_eq(retry_after(""), 0);
        cr_assert_eq(retry_after("-5"), 0);
        cr_assert_eq(retry_after("soon"), 0);
        cr_assert_eq(retry_after("99999999999999999999"), 86400);
        cr_assert_eq(retry_after("86401"), 86400);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        cr_assert_eq(retry_after(date), 90);
        cr_assert_eq(retry_after("Thu, 01 Jan 1998 00:00:00 GMT"), 0);
        cr_assert_eq(retry_after("Thu, 01 Jan 2099 00:00:00 GMT"), 86400);

        struct wire w;
        wire_make(429, "", NULL, &w);
        cr_assert_eq(http_retry_after(&w.response, WALL), 0);
        wire_done(&w);
}
