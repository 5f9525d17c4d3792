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
