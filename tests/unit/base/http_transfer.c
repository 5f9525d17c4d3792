#include <criterion/criterion.h>
#include <stdio.h>

#include "support/fetch.h"

TestSuite(http_transfer, .init = fetch_set_up, .fini = fetch_tear_down, .timeout = 60);

Test(http_transfer, chunked_and_dripping_answers)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);

        test_server_say(s, &(struct test_answer){.body = "chunks", .manner = TEST_CHUNKED});
        test_server_say(s, &(struct test_answer){.body = "drops", .manner = TEST_DRIP});
        cr_assert_str_eq(fetch_from(s, "/").body, "chunks");
        cr_assert_str_eq(fetch_from(s, "/").body, "drops");
}

Test(http_transfer, redirects_are_handed_on_and_cookies_forgotten)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct test_request q;
        char value[64];

        test_server_say(s, &(struct test_answer){.status = 302,
                                   .headers = "Location: /elsewhere\r\nSet-Cookie: a=b\r\n"});
        struct fetched r = fetch_from(s, "/");
        cr_assert_eq(r.status, 302);
        cr_assert_eq(test_server_requests(s), 1);
        fetch_from(s, "/");
        test_server_get(s, 1, &q);
        cr_assert_not(test_request_header(&q, "Cookie", value, sizeof value));
}

Test(http_transfer, body_above_the_limit_is_an_error_of_its_own)
{
        static char big[3000];
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s), .response_max = 1000};

        memset(big, 'x', sizeof big - 1);
        test_server_say(s, &(struct test_answer){.body = big, .body_len = 1000});
        test_server_say(s, &(struct test_answer){.body = big, .body_len = 1001});
        test_server_say(s, &(struct test_answer){.body = big, .manner = TEST_CHUNKED});
        test_server_say(s, &(struct test_answer){.body = big, .manner = TEST_ENDLESS});
        struct fetched r = fetch(test_server_url(s), &ep);
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

Test(http_transfer, headers_above_the_limit_are_an_error)
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
        struct fetched r = fetch(test_server_url(s), &ep);
        cr_assert_eq(r.status, 0);
        cr_assert_eq(r.error.code, -EFBIG);
        cr_assert_not_null(
                strstr(err_text(&r.error), "bytes of headers"), "%s", err_text(&r.error));
}

struct streamed {
        struct fetched end; /* first: on_fetched() takes it */
        char data[64];
        unsigned pieces;
        int answer; /* of on_data() */
};

static int on_data(void *userdata, const char *data, size_t len)
{
        struct streamed *s = userdata;
        size_t had = strlen(s->data);

        s->pieces++;
        cr_assert_lt(had + len, sizeof s->data);
        memcpy(s->data + had, data, len);
        s->data[had + len] = '\0';
        return s->answer;
}

static void stream(struct test_server *s, struct streamed *got, struct http_call **ret)
{
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s), .response_max = 4};
        struct http_request q = {
                .method = "GET", .url = test_server_url(s), .endpoint = &ep, .on_data = on_data};

        cr_assert_eq(http_send(client, &q, on_fetched, got, ret, NULL), 0);
}

Test(http_transfer, a_stream_is_handed_on_as_it_comes_and_bounded_by_its_taker)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct streamed got = {0}, given_up = {.answer = -EFBIG}, refused = {0};
        struct http_call *call;

        test_server_say(s, &(struct test_answer){.body = "drop by drop", .manner = TEST_DRIP});
        stream(s, &got, NULL);
        run_until(&got.end.calls, 1);
        cr_assert_eq(got.end.status, 200);
        cr_assert_str_eq(got.data, "drop by drop");
        cr_assert_eq(got.end.body_len, 0);

        test_server_say(s, &(struct test_answer){.body = "x", .manner = TEST_ENDLESS});
        stream(s, &given_up, NULL);
        run_until(&given_up.end.calls, 1);
        cr_assert_eq(given_up.pieces, 1);
        assert_no_answer(&given_up.end, ERR_SERVICE, "is not taken");
        cr_assert_eq(given_up.end.error.code, -EFBIG);

        /* What the server says of a refusal is an answer like any other. */
        test_server_say(s, &(struct test_answer){.status = 410, .body = "old"});
        stream(s, &refused, NULL);
        run_until(&refused.end.calls, 1);
        cr_assert_eq(refused.end.status, 410);
        cr_assert_str_eq(refused.end.body, "old");
        cr_assert_eq(refused.pieces, 0);

        /* It is open for as long as it takes: what came is there meanwhile. */
        struct streamed open = {0};
        test_server_say(s, &(struct test_answer){.body = "abcd", .manner = TEST_HANG_IN_BODY});
        stream(s, &open, &call);
        run_until(&open.pieces, 1);
        cr_assert_eq(open.end.calls, 0);
        cr_assert_str_eq(open.data, "ab");
        http_cancel(call);
}

Test(http_transfer, streams_take_nobody_s_place)
{
        _cleanup_(test_server_freep) struct test_server *s = test_server_new(NULL);
        struct streamed open[HTTP_CONNECTIONS_PER_HOST + 1] = {0};

        for (size_t i = 0; i < ELEMENTSOF(open); i++) {
                test_server_say(
                        s, &(struct test_answer){.body = "ab", .manner = TEST_HANG_IN_BODY});
                stream(s, &open[i], NULL);
                run_until(&open[i].pieces, 1);
        }
        test_server_say(s, &(struct test_answer){.body = "through"});
        cr_assert_str_eq(fetch_from(s, "/").body, "through");
}

Test(http_transfer, streams_are_bounded_in_number)
{
        _cleanup_(test_server_freep) struct test_server *s =
                test_server_new(&(struct test_server_options){.never_accept = true});
        struct http_endpoint ep = {.ca_file = test_server_ca_file(s)};
        struct http_request q = {
                .method = "GET", .url = test_server_url(s), .endpoint = &ep, .on_data = on_data};
        struct streamed all = {0};
        _cleanup_err_ struct err e = {0};

        for (unsigned i = 0; i < HTTP_STREAMS_PER_HOST; i++)
                cr_assert_eq(http_send(client, &q, on_fetched, &all, NULL, NULL), 0);
        cr_assert_eq(http_send(client, &q, on_fetched, &all, NULL, &e), -EBUSY);
        cr_assert_not_null(strstr(e.text, "256 streams"));
}
