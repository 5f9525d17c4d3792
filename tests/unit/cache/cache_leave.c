/* Subscribers that leave, or come, within their callback. */
#include "cache/cache.h"

#include <criterion/criterion.h>

#include "desk.h"

TestSuite(cache_leave, .init = desk_set_up, .fini = desk_tear_down);

static struct seen party[5];

static void leave(struct seen *s)
{
        unsub(s);
}

static void all_leave(struct seen *s)
{
        for (size_t i = 0; i < ELEMENTSOF(party); i++)
                unsub(&party[i]);
}

static void next_leaves(struct seen *s)
{
        unsub(&party[(s - party + 1) % ELEMENTSOF(party)]);
}

static struct seen newcomer;

static void newcomer_comes(struct seen *s)
{
        unsub(s);
        if (!newcomer.sub)
                sub(&newcomer, "db", INTERVAL);
}

static unsigned told(void)
{
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(party); i++)
                n += party[i].calls;
        return n;
}

static void invite(void (*then)(struct seen *s))
{
        for (size_t i = 0; i < ELEMENTSOF(party); i++) {
                party[i].then = then;
                sub(&party[i], "db", INTERVAL);
        }
        run_for(desk.loop, SECOND);
}

Test(cache_leave, subscribers_leave_within_their_callback)
{
        invite(leave);
        cr_assert_eq(told(), 5);
        cr_assert_eq(sec_total(), 0);
}

Test(cache_leave, one_subscriber_ends_them_all)
{
        invite(all_leave);
        cr_assert_eq(told(), 1);
        cr_assert_eq(sec_total(), 0);
}

Test(cache_leave, subscribers_end_the_next_one)
{
        invite(next_leaves);
        cr_assert_eq(told(), 3); /* 0 ends 1, 2 ends 3, 4 ends 0 */
        unsub(&party[2]);
        unsub(&party[4]);
}

Test(cache_leave, failures_are_left_as_well)
{
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_NOT_FOUND, 0, FAKE_FOREVER);
        invite(all_leave);
        cr_assert_eq(told(), 1);
        cr_assert_eq(party[0].cause, ERR_NOT_FOUND);
}

Test(cache_leave, a_hand_over_is_left_within_its_callback)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        invite(all_leave);
        cr_assert_eq(told(), 1);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
        cr_assert_eq(sec_total(), 0);
}

Test(cache_leave, who_comes_within_a_callback_gets_its_own)
{
        invite(newcomer_comes);
        cr_assert_eq(told(), 5);
        cr_assert_eq(newcomer.calls, 1);
        cr_assert_str_eq(newcomer.value, "hunter2");
        cr_assert_eq(requests("db"), 1);
        unsub(&newcomer);
}

static void come_again(struct seen *s)
{
        if (s->calls == 100)
                return;
        unsub(s);
        sub(s, "db", INTERVAL);
}

Test(cache_leave, those_who_come_again_and_again_do_not_stop_the_loop)
{
        struct seen a = {.then = come_again}, b = {.then = come_again};

        sub(&a, "db", INTERVAL);
        sub(&b, "db", INTERVAL);
        while (a.calls == 0)
                cr_assert_geq(loop_turn(desk.loop, USEC_INFINITY), 0);
        cr_assert_lt(a.calls, 20, "others have their turn");
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.calls, 100);
        cr_assert_eq(b.calls, 100);
        unsub(&a);
        unsub(&b);
}
