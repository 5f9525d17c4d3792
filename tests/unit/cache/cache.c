#include "cache/cache.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "desk.h"

TestSuite(cache, .init = desk_set_up, .fini = desk_tear_down);

/* --- single flight and sharing --- */

Test(cache, a_subscriber_gets_the_object)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.calls, 1);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_eq(a.last.fetched_at, loop_wall(desk.loop) - 1);
        cr_assert_eq(a.last.tried_at, a.last.fetched_at);
        cr_assert_geq(a.last.next_poll, a.last.fetched_at + 107);
        cr_assert_leq(a.last.next_poll, a.last.fetched_at + 132);
        unsub(&a);
}

Test(cache, a_hundred_subscribers_are_one_request)
{
        struct seen all[100] = {0};

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                sub(&all[i], "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 1);
        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                cr_assert_eq(all[i].calls, 1);
                cr_assert_str_eq(all[i].value, "hunter2");
                unsub(&all[i]);
        }
}

Test(cache, who_comes_within_the_interval_costs_no_request)
{
        struct seen a = {0}, b = {0}, late = {0};

        sub(&a, "db", CACHE_NO_POLL);
        run_for(desk.loop, SECOND);
        sub(&b, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 1);
        cr_assert_str_eq(b.value, "hunter2");
        cr_assert_eq(b.calls, 1);
        unsub(&b);

        fake_set(desk.fake, "db", "new");
        run_for(desk.loop, INTERVAL);
        sub(&late, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 2);
        cr_assert_str_eq(late.value, "new");
        cr_assert_str_eq(a.value, "new", "and the first one is told as well");
        unsub(&a);
        unsub(&late);
}

Test(cache, who_never_polls_takes_nothing_that_is_older_than_its_own_request)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        sub(&b, "db", CACHE_NO_POLL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 2);
        unsub(&a);
        unsub(&b);
}

Test(cache, identities_never_share)
{
        struct seen a = {0}, b = {0};

        fake_fail(desk.fake, NULL, "bob", NULL, ERR_FORBIDDEN, 0, FAKE_FOREVER);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        sub_at(&b, desk.other_identity, "db", "", INTERVAL);
        run_for(desk.loop, DAY);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_gt(b.calls, 1);
        cr_assert_eq(b.errors, b.calls);
        cr_assert_eq(b.cause, ERR_FORBIDDEN);
        cr_assert_str_eq(b.value, "");
        cr_assert_gt(fake_requests(desk.fake, NULL, "bob", "db"), 1);
        unsub(&a);
        unsub(&b);
}

Test(cache, vaults_kinds_names_and_versions_are_told_apart)
{
        struct seen s[5] = {0};
        const char *first = fake_set(desk.fake, "two", "1");

        fake_set(desk.fake, "two", "2");
        sub_at(&s[0], desk.vault, "two", "", INTERVAL);
        sub_at(&s[1], desk.vault, "two", first, INTERVAL);
        sub_at(&s[2], desk.other_vault, "two", "", INTERVAL);
        sub_at(&s[3], desk.vault, "db", "", INTERVAL);
        cr_assert_eq(cache_subscribe(desk.cache, desk.vault, VAULT_CERT, "two", "", INTERVAL,
                             on_state, &s[4], &s[4].sub),
                0);
        struct cache_stats stats;
        cache_get_stats(desk.cache, &stats);
        cr_assert_eq(stats.keys, 5);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests(NULL), 5);
        cr_assert_str_eq(s[0].value, "2");
        cr_assert_str_eq(s[1].value, "1");
        cache_get_stats(desk.cache, &stats);
        cr_assert_eq(stats.fetches, 5);
        cr_assert_eq(stats.failures, 0);
        for (size_t i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
        cache_get_stats(desk.cache, &stats);
        cr_assert_eq(stats.keys, 0);
}

Test(cache, the_same_identity_opened_twice_shares)
{
        struct seen a = {0}, b = {0};
        struct vault *again = fake_open(desk.fake, FAKE_URL, "alice");

        sub(&a, "db", INTERVAL);
        sub_at(&b, again, "db", "", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
        run_for(desk.loop, DAY); /* on the vault of a, which nobody else holds */
        cr_assert_gt(b.calls, 600);
        unsub(&b);
        vault_unref(again);
}

Test(cache, a_key_without_subscribers_is_forgotten)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        unsub(&a);
        cr_assert_eq(sec_total(), 0, "nothing is held for nobody");
        run_for(desk.loop, DAY);
        cr_assert_eq(requests("db"), 1, "nor polled");
        sub(&b, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 2);
        unsub(&b);
}

Test(cache, leaving_cancels_what_is_under_way)
{
        struct seen a = {0}, b = {0}, waiting[40] = {0};
        char name[16];

        sub(&a, "db", INTERVAL);
        sub(&b, "api", INTERVAL);
        unsub(&b); /* not sent yet */
        for (unsigned i = 0; i < ELEMENTSOF(waiting); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(desk.fake, name, "x");
                sub(&waiting[i], name, INTERVAL);
        }
        run_for(desk.loop, USEC_PER_MSEC);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
        for (unsigned i = 0; i < ELEMENTSOF(waiting); i++)
                unsub(&waiting[i]);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.calls + b.calls, 0);
        cr_assert_eq(requests("api"), 0);
}

/* --- refresh --- */

Test(cache, a_refresh_polls_now)
{
        struct seen a = {0};

        sub(&a, "db", CACHE_NO_POLL);
        run_for(desk.loop, SECOND);
        fake_set(desk.fake, "db", "new");
        cache_refresh(a.sub);
        cr_assert_eq(a.calls, 1);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.calls, 2);
        cr_assert_str_eq(a.value, "new");
        unsub(&a);
}

Test(cache, a_refresh_joins_what_is_under_way)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        sub(&b, "db", INTERVAL);
        cache_refresh(a.sub); /* waits for its turn */
        run_for(desk.loop, USEC_PER_MSEC);
        cache_refresh(a.sub); /* is sent */
        cache_refresh(b.sub);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 1);
        cr_assert_eq(a.calls, 1);
        cr_assert_eq(b.calls, 1);
        unsub(&a);
        unsub(&b);
}

Test(cache, a_refresh_counts_as_a_poll)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        for (unsigned i = 0; i < 60; i++) {
                run_for(desk.loop, MINUTE);
                cache_refresh(a.sub);
        }
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 61);
        unsub(&a);
}

Test(cache, a_refresh_of_a_pinned_version_is_answered_without_a_request)
{
        struct seen a = {0};

        sub_at(&a, desk.vault, "db", fake_set(desk.fake, "db", "pinned"), INTERVAL);
        run_for(desk.loop, SECOND);
        cache_refresh(a.sub);
        cr_assert_eq(a.calls, 1);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.calls, 2);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
}

Test(cache, a_refresh_of_a_fresh_hand_over_is_not_answered_by_it)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        fake_set(desk.fake, "db", "new");
        sub(&b, "db", INTERVAL);
        cache_refresh(b.sub);
        run_for(desk.loop, SECOND);
        cr_assert_eq(b.calls, 1);
        cr_assert_str_eq(b.value, "new");
        unsub(&a);
        unsub(&b);
}

Test(cache, a_refresh_does_not_break_a_pause)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", 60 * MINUTE);
        sub(&b, "api", 60 * MINUTE);
        run_for(desk.loop, SECOND);
        fake_fail(desk.fake, NULL, NULL, "api", ERR_THROTTLED, 300, 1);
        cache_refresh(b.sub);
        run_for(desk.loop, SECOND);
        cache_refresh(a.sub);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("db"), 1);
        cr_assert_eq(a.calls, 2);
        cr_assert_eq(a.cause, ERR_THROTTLED);
        cr_assert(strstr(a.error, FAKE_URL) && strstr(a.error, "objectName:db"), "%s", a.error);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_eq(a.last.failures, 0, "the object itself was not tried");
        struct cache_stats stats;
        cache_get_stats(desk.cache, &stats);
        cr_assert_eq(stats.throttled, 1);
        unsub(&a);
        unsub(&b);
}

Test(cache, a_list_of_versions_pauses_for_as_long_as_it_is_told)
{
        struct seen a = {0}, b = {0};

        fake_fail(desk.fake, NULL, NULL, "versions of db", ERR_THROTTLED, 300, FAKE_FOREVER);
        cr_assert_eq(cache_subscribe_versions(desk.cache, desk.vault, VAULT_SECRET, "db", INTERVAL,
                             on_state, &a, &a.sub),
                0);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.cause, ERR_THROTTLED);
        sub(&b, "api", INTERVAL);
        run_for(desk.loop, 200 * SECOND);
        cr_assert_eq(requests("api"), 0);
        run_for(desk.loop, 200 * SECOND);
        cr_assert_eq(requests("api"), 1);
        unsub(&a);
        unsub(&b);
}

Test(cache, an_unchanged_answer_keeps_its_pointer)
{
        struct seen a = {0};
        struct cache_state state;

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cache_get_state(a.sub, &state);
        struct vault_object *first = vault_object_ref(state.object);
        run_for(desk.loop, 10 * INTERVAL);
        cr_assert_gt(a.calls, 5);
        cache_get_state(a.sub, &state);
        cr_assert_eq(state.object, first);
        fake_touch(desk.fake, "db", 1);
        run_for(desk.loop, 2 * INTERVAL);
        cache_get_state(a.sub, &state);
        cr_assert_neq(state.object, first);
        vault_object_unref(first);
        unsub(&a);
}

/* --- order and number --- */

Test(cache, answers_out_of_order_find_their_subscribers)
{
        struct seen s[20] = {0};
        char name[16];

        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(desk.fake, name, name);
                fake_latency(desk.fake, name, (ELEMENTSOF(s) - i) * 100 * USEC_PER_MSEC);
                sub(&s[i], name, INTERVAL);
        }
        run_for(desk.loop, 950 * USEC_PER_MSEC);
        cr_assert_eq(s[0].calls, 0);
        cr_assert_eq(s[19].calls, 1);
        run_for(desk.loop, 2 * SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                cr_assert_str_eq(s[i].value, name);
                unsub(&s[i]);
        }
}

Test(cache, a_thousand_objects_are_a_few_round_trips)
{
        static struct seen s[1000];
        char name[16];
        usec_t start = loop_now(desk.loop);

        fake_latency(desk.fake, NULL, 50 * USEC_PER_MSEC);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(desk.fake, name, name);
                sub(&s[i], name, INTERVAL);
        }
        run_for(desk.loop, MINUTE);
        cr_assert_eq(requests(NULL), 1000);
        cr_assert_eq(fake_most_in_flight(desk.fake, FAKE_URL), 32);
        cr_assert_leq(fake_sent(desk.fake, NULL, NULL, 999) - start, 32 * 50 * USEC_PER_MSEC);
        run_for(desk.loop, 60 * MINUTE);
        unsigned n = requests(NULL) - 1000;
        cr_assert(n > 27000 && n < 34000, "%u polls in an hour", n);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
}

Test(cache, versions_are_listed_once_for_all)
{
        struct seen a = {0}, b = {0};

        fake_set(desk.fake, "db", "2");
        fake_enable(desk.fake, "db", fake_set(desk.fake, "db", "off"), false);
        const char *newest = fake_set(desk.fake, "db", "3");
        cr_assert_eq(cache_subscribe_versions(desk.cache, desk.vault, VAULT_SECRET, "db", INTERVAL,
                             on_state, &a, &a.sub),
                0);
        cr_assert_eq(cache_subscribe_versions(desk.cache, desk.vault, VAULT_SECRET, "db", INTERVAL,
                             on_state, &b, &b.sub),
                0);
        run_for(desk.loop, SECOND);
        cr_assert_eq(requests("versions of db"), 1);
        struct cache_state state;
        cache_get_state(b.sub, &state);
        cr_assert_eq(state.versions->n, 3);
        cr_assert_str_eq(state.versions->list[0].version, newest);
        cr_assert_null(state.object);
        run_for(desk.loop, 60 * MINUTE);
        unsigned n = requests("versions of db");
        cr_assert(n >= 27 && n <= 35, "%u lists", n);
        unsub(&a);
        unsub(&b);
}

Test(cache, a_429_is_left_to_the_budget)
{
        static const int again[] = {408, 500, 502, 503, 504};

        for (size_t i = 0; i < ELEMENTSOF(again); i++)
                cr_assert(cache_http_retry.retry_status(again[i]));
        cr_assert_not(cache_http_retry.retry_status(429));
        cr_assert_not(cache_http_retry.retry_status(404));
        cr_assert_eq(cache_http_retry.tries, 4);
}

Test(cache, serials_grow)
{
        uint64_t one = cache_next_serial(desk.cache);

        cr_assert_gt(one, 0);
        cr_assert_gt(cache_next_serial(desk.cache), one);
        cr_assert_eq(cache_loop(desk.cache), desk.loop);
}
