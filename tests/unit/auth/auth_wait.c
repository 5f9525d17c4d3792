/* Those who wait for a token: many for one request, some who leave, some who do things when called.
 */
#include "auth/auth.h"

#include <criterion/criterion.h>

#include "scene.h"

TestSuite(auth_wait, .init = scene_set_up, .fini = scene_tear_down, .timeout = 60);

Test(auth_wait, hundred_waiters_share_one_request)
{
        struct auth *a = scene_open();
        struct told r = {0};

        for (int i = 0; i < 100; i++)
                cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
        scene_run_until(&r.calls, 100);
        cr_assert_str_eq(r.token, "token-0");
        cr_assert_eq(test_server_requests(scene.server), 1);
        auth_unref(a);
}

Test(auth_wait, cancelled_waits_are_not_called)
{
        struct auth *a = scene_open();
        struct told r = {0}, other = {0};
        struct auth_wait *w[3];

        for (int i = 0; i < 3; i++)
                cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, &w[i]), 0);
        cr_assert_null(auth_cancel(w[0]));
        cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &other, NULL), 0);
        cr_assert_geq(loop_turn(scene.loop, 0), 0);
        auth_cancel(w[1]); /* while the request is under way */
        auth_cancel(w[2]);
        cr_assert_null(auth_cancel(NULL));
        scene_run_until(&other.calls, 1);
        cr_assert_eq(r.calls, 0);
        auth_unref(a);
}

Test(auth_wait, waiting_keeps_the_identity)
{
        struct auth *a = scene_open();
        struct told r = {0};

        cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, NULL), 0);
        auth_unref(a);
        scene_run_until(&r.calls, 1);
        cr_assert_str_eq(r.token, "token-0");
}

Test(auth_wait, dropped_while_a_request_is_under_way)
{
        struct auth *a = scene_open();
        struct told r = {0};
        struct auth_wait *w;

        scene.answer = (struct test_answer){.manner = TEST_HANG};
        test_server_handle(scene.server, scene_say, NULL);
        cr_assert_eq(auth_get_token(a, SCOPE, scene_on_token, &r, &w), 0);
        while (test_server_requests(scene.server) == 0)
                cr_assert_geq(loop_turn(scene.loop, USEC_INFINITY), 0);
        auth_cancel(w);
        auth_unref(a);
        cr_assert_eq(loop_turn(scene.loop, 0), 0);
        cr_assert_eq(r.calls, 0);
}

struct chain {
        struct auth *auth;
        struct auth_wait *victim;
        unsigned calls;
        struct told again;
};

static void on_token_do_things(
        void *userdata, const struct auth_token *token, const struct err *error)
{
        struct chain *c = userdata;

        c->calls++;
        c->victim = auth_cancel(c->victim);
        cr_assert_eq(auth_get_token(c->auth, SCOPE, scene_on_token, &c->again, NULL), 0);
        cr_assert_eq(c->again.calls, 0);
        c->auth = auth_unref(c->auth);
        cr_assert_eq(sec_len(token->token), strlen("token-0"));
}

Test(auth_wait, callbacks_may_cancel_ask_again_and_drop)
{
        struct chain c = {.auth = scene_open()};
        struct told never = {0};

        cr_assert_eq(auth_get_token(c.auth, SCOPE, on_token_do_things, &c, NULL), 0);
        cr_assert_eq(auth_get_token(c.auth, SCOPE, scene_on_token, &never, &c.victim), 0);
        scene_run_until(&c.again.calls, 1);
        cr_assert_eq(c.calls, 1);
        cr_assert_eq(never.calls, 0);
        cr_assert_str_eq(c.again.token, "token-0");
}
