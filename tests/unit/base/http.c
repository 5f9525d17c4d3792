#include "base/http.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "support/fetch.h"
#include "support/resolver.h"

TestSuite(http, .init = fetch_set_up, .fini = fetch_tear_down, .timeout = 60);

Test(http, body_headers_and_peer)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        test_server_say(s, &(struct test_answer){.status = 201,
                                   .headers = "x-tEst:  two words \r\nOther: y\r\n",
                                   .body = "hello\0there",
                                   .body_len = 11});
        struct fetched r = fetch_from(s, "/a/b?c=d");
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

Test(http, many_requests_share_few_connections)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct fetched r = {0};

        test_server_say(s, &(struct test_answer){.body = "x", .delay_ms = 5});
        for (int i = 0; i < 100; i++)
                cr_assert_eq(http_send(client, &q, on_fetched, &r, NULL, NULL), 0);
        run_until(&r.calls, 100);
        cr_assert_eq(r.status, 200);
        cr_assert_eq(test_server_requests(s), 100);
        cr_assert_leq(test_server_peak(s), HTTP_CONNECTIONS_PER_HOST);
        cr_assert_gt(test_server_peak(s), 1);
        cr_assert_leq(test_server_connections(s), HTTP_CONNECTIONS_PER_HOST);
}

/* The time limit of a request starts when it leaves the queue: eighty slow answers in a row take
 * longer than one may, which is plenty for one even where a handshake takes its time. */
Test(http, waiting_in_the_queue_is_no_timeout)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        test_server_say(s, &(struct test_answer){.body = "x"});
        usec_t began = loop_now(loop);
        cr_assert_eq(fetch_from(s, "/").status, 200);
        unsigned one_ms = (unsigned)((loop_now(loop) - began) / USEC_PER_MSEC);
        unsigned limit_ms = MAX(1500U, 20 * one_ms);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s), .total_timeout_ms = limit_ms};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct fetched r[80] = {0};
        unsigned done = 0;

        test_server_say(s, &(struct test_answer){.body = "x", .delay_ms = limit_ms / 4});
        for (size_t i = 0; i < ELEMENTSOF(r); i++)
                cr_assert_eq(http_send(client, &q, on_fetched, &r[i], NULL, NULL), 0);
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

/* --- cancelling --- */

Test(http, cancel_at_every_stage)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {.method = "GET", .url = test_server_url(s), .endpoint = &ep};
        struct http_call *calls[40];
        struct fetched r = {0}, last = {0};

        /* before anything, in the queue, and while the server is silent */
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                cr_assert_eq(http_send(client, &q, on_fetched, &r, &calls[i], NULL), 0);
        calls[0] = http_cancel(calls[0]);
        calls[39] = http_cancel(calls[39]);
        cr_assert_null(calls[0]);
        test_server_say(s, &(struct test_answer){.manner = TEST_HANG});
        while (test_server_requests(s) < HTTP_CONNECTIONS_PER_HOST)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        for (size_t i = 1; i < 39; i++)
                http_cancel(calls[i]);
        cr_assert_null(http_cancel(NULL));

        test_server_say(s, &(struct test_answer){.body = "x"});
        cr_assert_eq(http_send(client, &q, on_fetched, &last, NULL, NULL), 0);
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
        struct fetched r = {0};

        test_resolver_hang("slow.example");
        cr_assert_eq(http_send(client, &q, on_fetched, &r, &call, NULL), 0);
        while (test_resolver_hanging() == 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        http_cancel(call);
        cr_assert_eq(test_resolver_hanging(), 1);
        cr_assert_eq(r.calls, 0);
        test_resolver_release();
        while (test_resolver_hanging() > 0)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
}

struct nested {
        struct http_request request;
        struct http_call *other;
        struct fetched second;
        unsigned calls;
};

static void on_done_send_again(void *userdata, struct http_response *resp)
{
        struct nested *n = userdata;

        n->calls++;
        n->other = http_cancel(n->other);
        cr_assert_eq(http_send(client, &n->request, on_fetched, &n->second, NULL, NULL), 0);
        cr_assert_eq(n->second.calls, 0);
}

Test(http, callbacks_may_cancel_and_send)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct nested n = {
                .request = {.method = "GET", .url = test_server_url(s), .endpoint = &ep}};
        struct fetched never = {0};

        test_server_say(s, &(struct test_answer){.body = "x"});
        test_server_say(s, &(struct test_answer){.manner = TEST_HANG});
        cr_assert_eq(http_send(client, &n.request, on_done_send_again, &n, NULL, NULL), 0);
        while (test_server_requests(s) < 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_eq(http_send(client, &n.request, on_fetched, &never, &n.other, NULL), 0);
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
        struct fetched r = {0};

        test_server_say(s, &(struct test_answer){.manner = TEST_HANG});
        for (int i = 0; i < 30; i++)
                cr_assert_eq(http_send(client, &q, on_fetched, &r, NULL, NULL), 0);
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
