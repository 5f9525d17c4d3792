/* When a key is asked for again: intervals, their jitter, pinned versions, expiry. */
#include "cache/cache.h"

#include <criterion/criterion.h>

#include "desk.h"

TestSuite(cache_poll, .init = desk_set_up, .fini = desk_tear_down);

Test(cache_poll, two_subscribers_of_a_day_poll_once_per_interval)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        sub(&b, "db", INTERVAL);
        run_for(desk.loop, DAY);
        unsigned n = requests("db");
        cr_assert_geq(n, (unsigned)(DAY / (INTERVAL + INTERVAL / 10)) - 1);
        cr_assert_leq(n, (unsigned)(DAY / (INTERVAL - INTERVAL / 10)) + 1);
        cr_assert_eq(a.calls, n);
        cr_assert_eq(b.calls, n);
        unsub(&a);
        unsub(&b);
}

Test(cache_poll, polls_keep_the_bounds_of_the_jitter)
{
        struct seen a = {0};
        usec_t low = USEC_INFINITY, high = 0;

        fake_latency(desk.fake, NULL, 0);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, 2 * DAY);
        for (unsigned i = 1; i < requests("db"); i++) {
                usec_t gap = fake_sent(desk.fake, NULL, "db", i) -
                             fake_sent(desk.fake, NULL, "db", i - 1);

                low = MIN(low, gap);
                high = MAX(high, gap);
        }
        cr_assert_geq(low, INTERVAL - INTERVAL / 10);
        cr_assert_leq(high, INTERVAL + INTERVAL / 10);
        cr_assert_lt(low, INTERVAL - INTERVAL / 20);
        cr_assert_gt(high, INTERVAL + INTERVAL / 20);
        unsub(&a);
}

Test(cache_poll, the_shortest_interval_wins_while_it_is_there)
{
        struct seen slow = {0}, fast = {0}, never = {0};

        sub(&slow, "db", 60 * MINUTE);
        sub(&never, "db", CACHE_NO_POLL);
        run_for(desk.loop, SECOND);
        sub(&fast, "db", MINUTE);
        run_for(desk.loop, 60 * MINUTE);
        unsigned n = requests("db");
        cr_assert(n >= 54 && n <= 68, "%u polls", n);
        cr_assert_eq(never.calls, n);

        unsub(&fast);
        run_for(desk.loop, 600 * MINUTE);
        n = requests("db") - n;
        cr_assert(n >= 9 && n <= 12, "%u polls", n);

        unsub(&slow);
        n = requests("db");
        run_for(desk.loop, DAY);
        cr_assert_eq(requests("db"), n);
        struct cache_state state;
        cache_get_state(never.sub, &state);
        cr_assert_eq(state.next_poll, 0);
        cr_assert(state.object);
        unsub(&never);
}

Test(cache_poll, a_pinned_version_is_fetched_once)
{
        struct seen a = {0};

        sub_at(&a, desk.vault, "db", fake_set(desk.fake, "db", "pinned"), INTERVAL);
        fake_set(desk.fake, "db", "newer");
        run_for(desk.loop, DAY);
        cr_assert_eq(requests("db"), 1);
        cr_assert_str_eq(a.value, "pinned");
        cr_assert_eq(a.last.next_poll, 0);
        unsub(&a);
}

Test(cache_poll, a_pinned_version_is_tried_until_it_is_there)
{
        struct seen a = {0};

        fake_fail(desk.fake, NULL, NULL, "db", ERR_SERVICE, 0, 3);
        sub_at(&a, desk.vault, "db", fake_set(desk.fake, "db", "pinned"), INTERVAL);
        run_for(desk.loop, DAY);
        cr_assert_eq(requests("db"), 4);
        cr_assert_str_eq(a.value, "pinned");
        unsub(&a);
}

Test(cache_poll, a_new_mount_of_a_pinned_version_has_to_show_that_it_may)
{
        struct seen a = {0}, b = {0};
        const char *version = fake_set(desk.fake, "db", "pinned");

        sub_at(&a, desk.vault, "db", version, INTERVAL);
        run_for(desk.loop, DAY);
        fake_fail(desk.fake, NULL, NULL, "db", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        sub_at(&b, desk.vault, "db", version, INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(b.cause, ERR_FORBIDDEN);
        cr_assert_str_eq(b.value, "", "the old bytes are not for it");
        cr_assert_str_eq(a.value, "pinned", "who has them keeps them");
        fake_mend(desk.fake);
        run_for(desk.loop, 2 * INTERVAL);
        cr_assert_str_eq(b.value, "pinned");
        unsub(&a);
        unsub(&b);
}

Test(cache_poll, expiry_is_polled_for_before_and_at)
{
        struct seen a = {0};
        int64_t expires = loop_wall(desk.loop) + 7200;

        fake_expires(desk.fake, "db", expires);
        sub(&a, "db", DAY);
        run_for(desk.loop, 6901 * SECOND);
        cr_assert_eq(requests("db"), 2, "once in the minute before the last five");
        run_for(desk.loop, 297 * SECOND);
        cr_assert_eq(requests("db"), 2);
        run_for(desk.loop, 15 * SECOND);
        cr_assert_eq(requests("db"), 3, "and once when it has expired");
        run_for(desk.loop, 12 * 60 * MINUTE);
        cr_assert_eq(requests("db"), 3, "then the interval is all there is");
        unsub(&a);
}
