/* What failures cost: one request and one error for all who wait, pauses, no storm of tokens. */
#include "auth/auth.h"

#include <criterion/criterion.h>

#include "scene.h"
#include "support/resolver.h"

TestSuite(auth_failure, .init = scene_set_up, .fini = scene_tear_down, .timeout = 60);

/* --- failures --- */

#define WRONG_SECRET                                                                    \
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid " \
        "client secret provided.\\r\\nTrace ID: 1\",\"error_codes\":[7000215]}"

Test(auth_failure, failure_is_one_request_and_one_error_for_all)
{
        struct auth *a = scene_open();
        struct told r = {0};

        scene.answer = (struct test_answer){.status = 401, .body = WRONG_SECRET};
        test_server_handle(scene.server, scene_say, NULL);
        for (int i = 0; i < 100; i++)
                cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
        scene_run_until(&r.calls, 100);
        cr_assert_eq(r.cause, ERR_AUTH);
        cr_assert_not_null(strstr(r.text, "failed to get key vault token: service principal app of "
                                          "tenant contoso.example at "));
        cr_assert_not_null(strstr(r.text, "AADSTS7000215"));
        cr_assert_eq(test_server_requests(scene.server), 1);
        for (int i = 0; i < 10; i++)
                cr_assert_eq(scene_get(a).cause, ERR_AUTH); /* remembered */
        cr_assert_eq(test_server_requests(scene.server), 1);
        auth_unref(a);
}

Test(auth_failure, failures_back_off_and_end)
{
        struct auth *a = scene_open();
        usec_t begin;
        unsigned seen = 1;

        scene.answer = (struct test_answer){.status = 401, .body = WRONG_SECRET};
        test_server_handle(scene.server, scene_say, NULL);
        scene_get(a);
        begin = loop_now(scene.loop);
        /* after 1, 2, 4, 8, 16, 32, then 60 seconds each */
        static const unsigned at[] = {1, 3, 7, 15, 31, 63, 123, 183};
        for (unsigned second = 0; second < 190; second++) {
                if (loop_now(scene.loop) < begin + second * USEC_PER_SEC)
                        scene_pass(begin + second * USEC_PER_SEC - loop_now(scene.loop));
                scene_get(a);
                unsigned due = 1;
                for (size_t i = 0; i < ELEMENTSOF(at); i++)
                        due += second >= at[i];
                seen = test_server_requests(scene.server);
                cr_assert_eq(seen, due, "after %u s: %u", second, seen);
        }
        test_server_handle(scene.server, scene_issue, NULL);
        scene_pass(61 * USEC_PER_SEC);
        cr_assert_str_eq(scene_get(a).token, "token-0");
        auth_unref(a);
}

Test(auth_failure, endpoint_that_asks_for_time_gets_it)
{
        struct auth *a = scene_open();

        scene.answer = (struct test_answer){.status = 429, .headers = "Retry-After: 300\r\n"};
        test_server_handle(scene.server, scene_say, NULL);
        cr_assert_eq(scene_get(a).cause, ERR_THROTTLED);
        test_server_handle(scene.server, scene_issue, NULL);
        scene_pass(299 * USEC_PER_SEC);
        cr_assert_eq(scene_get(a).cause, ERR_THROTTLED);
        cr_assert_eq(test_server_requests(scene.server), 1);
        scene_pass(2 * USEC_PER_SEC);
        cr_assert_str_eq(scene_get(a).token, "token-0");
        auth_unref(a);
}

Test(auth_failure, failed_refresh_leaves_the_old_token_until_it_expires)
{
        static char text[4096];
        struct auth *a = scene_open();

        scene_get(a);
        scene.answer = (struct test_answer){.status = 401, .body = WRONG_SECRET};
        test_server_handle(scene.server, scene_say, NULL);
        scene_pass(3400 * USEC_PER_SEC);
        for (int i = 0; i < 3; i++) {
                cr_assert_str_eq(scene_get(a).token, "token-0");
                while (auth_requests(a) < 2 + (unsigned)i)
                        cr_assert_geq(loop_turn(scene.loop, USEC_PER_MSEC), 0);
                cr_assert_str_eq(scene_get(a).token, "token-0");
                scene_pass(10 * USEC_PER_SEC);
        }
        ssize_t n = pread(scene.log_fd, text, sizeof text - 1, 0);
        cr_assert_gt(n, 0);
        cr_assert_not_null(strstr(text, "token is not refreshed"));
        cr_assert_eq(strchr(text, '\n') - text, n - 1, "said more than once: %s", text);
        scene_pass(200 * USEC_PER_SEC);
        cr_assert_eq(scene_get(a).cause, ERR_AUTH);
        auth_unref(a);
}

Test(auth_failure, answer_without_a_token_is_an_error)
{
        struct auth *a = scene_open();

        scene.answer = (struct test_answer){.body = "<html>please log in</html>"};
        test_server_handle(scene.server, scene_say, NULL);
        struct told r = scene_get(a);
        cr_assert_eq(r.cause, ERR_SERVICE);
        cr_assert_not_null(startswith(r.text, "failed to get key vault token: service principal"));
        cr_assert_null(strstr(r.text, "please"));
        auth_unref(a);
}

Test(auth_failure, endpoint_that_is_not_there)
{
        struct auth_config cfg = scene_config();
        struct auth *a = NULL;

        cfg.authority = "https://no.such.authority/";
        test_resolver_unknown("no.such.authority");
        cr_assert_eq(auth_open(scene.auths, &cfg, &a, NULL), 0);
        struct told r = scene_get(a);
        cr_assert_eq(r.cause, ERR_DNS);
        cr_assert_not_null(strstr(r.text, "no.such.authority"));
        cr_assert_eq(auth_requests(a), 4);
        auth_unref(a);
}

/* --- rejecting --- */

Test(auth_failure, rejected_token_is_replaced_once)
{
        struct auth *a = scene_open();
        struct told r = {.keep = true};

        auth_reject_token(a, SCOPE, scene.secret); /* nothing there yet */
        cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
        scene_run_until(&r.calls, 1);
        auth_reject_token(a, "other", r.sec);
        auth_reject_token(a, SCOPE, scene.secret); /* not this one */
        cr_assert_str_eq(scene_get(a).token, "token-0");
        auth_reject_token(a, SCOPE, r.sec);
        cr_assert_str_eq(scene_get(a).token, "token-1");
        for (int i = 0; i < 100; i++)
                auth_reject_token(a, SCOPE, r.sec); /* the others that it was refused to */
        cr_assert_str_eq(scene_get(a).token, "token-1");
        sec_unref(r.sec);
        auth_unref(a);
}

Test(auth_failure, vault_that_refuses_every_token_makes_no_storm)
{
        struct auth *a = scene_open();

        for (int i = 0; i < 100; i++) {
                struct told r = {.keep = true};
                cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
                scene_run_until(&r.calls, 1);
                auth_reject_token(a, SCOPE, r.sec);
                sec_unref(r.sec);
                scene_pass(USEC_PER_SEC / 10);
        }
        cr_assert_eq(scene.issued, 2);
        scene_pass(11 * USEC_PER_SEC);
        struct told r = {.keep = true};
        cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
        scene_run_until(&r.calls, 1);
        auth_reject_token(a, SCOPE, r.sec);
        sec_unref(r.sec);
        scene_get(a);
        cr_assert_eq(scene.issued, 3);
        auth_unref(a);
}
