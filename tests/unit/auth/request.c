#include <criterion/criterion.h>

#include "auth/mode.h"
#include "base/wipe.h"

Test(request, what_it_points_to_moves_with_it)
{
        struct auth_request q = {.headers = {"Accept: application/json"}}, r;

        q.endpoint.total_timeout_ms = 7;
        q.url = strdup("https://login/token");
        auth_request_finish(&q, &r);
        cr_assert_null(q.url);
        cr_assert_str_eq(r.request.method, "GET");
        cr_assert_eq(r.request.url, r.url);
        cr_assert_eq(r.request.headers, r.headers);
        cr_assert_eq(r.request.endpoint, &r.endpoint);
        cr_assert_eq(r.request.endpoint->total_timeout_ms, 7);
        cr_assert_null(r.request.body);
        auth_request_done(&r);
        cr_assert_null(r.url);
        auth_request_done(&r);
}

Test(request, with_a_body_it_is_a_post)
{
        struct auth_request q = {.url = strdup("u"), .body = strdup("a=b")}, r;

        auth_request_finish(&q, &r);
        cr_assert_str_eq(r.request.method, "POST");
        cr_assert_eq(r.request.body, r.body);
        cr_assert_eq(r.request.body_len, 3);
        auth_request_done(&r);
}
