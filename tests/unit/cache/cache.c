#include "cache/cache.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "fake_vault.h"

#define SECOND USEC_PER_SEC
#define MINUTE (60 * USEC_PER_SEC)
#define DAY (24 * 60 * MINUTE)
#define INTERVAL (2 * MINUTE)

/* What one subscriber was told. */
struct seen {
        unsigned calls, errors;
        char value[64], version[16], error[256];
        enum err_cause cause;
        struct cache_state last; /* numbers only: its pointers are not valid any more */
        struct cache_sub *sub;
        void (*then)(struct seen *s);
};

static struct loop *l;
static struct fake *f;
static struct cache *c;
static struct vault *v, *other_identity, *other_vault;

static void set_up(void)
{
        l = simulated_loop();
        f = fake_new(l);
        cr_assert_eq(cache_new(l, &c), 0);
        v = fake_open(f, FAKE_URL, "alice");
        other_identity = fake_open(f, FAKE_URL, "bob");
        other_vault = fake_open(f, FAKE_URL_2, "alice");
        fake_set(f, "db", "hunter2");
        fake_set(f, "api", "key");
}

static void tear_down(void)
{
        cache_free(c);
        vault_unref(v);
        vault_unref(other_identity);
        vault_unref(other_vault);
        fake_free(f);
        loop_free(l);
}

TestSuite(cache, .init = set_up, .fini = tear_down);

static void on_state(void *userdata, const struct cache_state *state)
{
        struct seen *s = userdata;

        s->calls++;
        s->last = *state;
        s->value[0] = s->version[0] = s->error[0] = '\0';
        if (state->object) {
                memcpy(s->value, sec_bytes(state->object->value), sec_len(state->object->value));
                s->value[sec_len(state->object->value)] = '\0';
                strcpy(s->version, state->object->version);
        }
        if (state->error) {
                s->errors++;
                s->cause = state->error->cause;
                strncpy(s->error, err_text(state->error), sizeof s->error - 1);
        }
        if (s->then)
                s->then(s);
}

static void sub_at(
        struct seen *s, struct vault *at, const char *name, const char *version, usec_t interval)
{
        cr_assert_eq(
                cache_subscribe(c, at, VAULT_SECRET, name, version, interval, on_state, s, &s->sub),
                0);
        cr_assert_eq(s->calls, 0, "never from within cache_subscribe()");
}

static void sub(struct seen *s, const char *name, usec_t interval)
{
        sub_at(s, v, name, "", interval);
}

static void unsub(struct seen *s)
{
        s->sub = cache_unsubscribe(s->sub);
}

static unsigned requests(const char *name)
{
        return fake_requests(f, NULL, NULL, name);
}

/* --- single flight and sharing --- */

Test(cache, a_subscriber_gets_the_object)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(l, SECOND);
        cr_assert_eq(a.calls, 1);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_eq(a.last.fetched_at, loop_wall(l) - 1);
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
        run_for(l, SECOND);
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
        run_for(l, SECOND);
        sub(&b, "db", INTERVAL);
        run_for(l, SECOND);
        cr_assert_eq(requests("db"), 1);
        cr_assert_str_eq(b.value, "hunter2");
        cr_assert_eq(b.calls, 1);
        unsub(&b);

        fake_set(f, "db", "new");
        run_for(l, INTERVAL);
        sub(&late, "db", INTERVAL);
        run_for(l, SECOND);
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
        run_for(l, SECOND);
        sub(&b, "db", CACHE_NO_POLL);
        run_for(l, SECOND);
        cr_assert_eq(requests("db"), 2);
        unsub(&a);
        unsub(&b);
}

Test(cache, identities_never_share)
{
        struct seen a = {0}, b = {0};

        fake_fail(f, NULL, "bob", NULL, ERR_FORBIDDEN, 0, FAKE_FOREVER);
        sub(&a, "db", INTERVAL);
        run_for(l, SECOND);
        sub_at(&b, other_identity, "db", "", INTERVAL);
        run_for(l, DAY);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_gt(b.calls, 1);
        cr_assert_eq(b.errors, b.calls);
        cr_assert_eq(b.cause, ERR_FORBIDDEN);
        cr_assert_str_eq(b.value, "");
        cr_assert_gt(fake_requests(f, NULL, "bob", "db"), 1);
        unsub(&a);
        unsub(&b);
}

Test(cache, vaults_kinds_names_and_versions_are_told_apart)
{
        struct seen s[5] = {0};
        const char *first = fake_set(f, "two", "1");

        fake_set(f, "two", "2");
        sub_at(&s[0], v, "two", "", INTERVAL);
        sub_at(&s[1], v, "two", first, INTERVAL);
        sub_at(&s[2], other_vault, "two", "", INTERVAL);
        sub_at(&s[3], v, "db", "", INTERVAL);
        cr_assert_eq(
                cache_subscribe(c, v, VAULT_CERT, "two", "", INTERVAL, on_state, &s[4], &s[4].sub),
                0);
        struct cache_stats stats;
        cache_get_stats(c, &stats);
        cr_assert_eq(stats.keys, 5);
        run_for(l, SECOND);
        cr_assert_eq(requests(NULL), 5);
        cr_assert_str_eq(s[0].value, "2");
        cr_assert_str_eq(s[1].value, "1");
        cache_get_stats(c, &stats);
        cr_assert_eq(stats.fetches, 5);
        cr_assert_eq(stats.failures, 0);
        for (size_t i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
        cache_get_stats(c, &stats);
        cr_assert_eq(stats.keys, 0);
}

Test(cache, the_same_identity_opened_twice_shares)
{
        struct seen a = {0}, b = {0};
        struct vault *again = fake_open(f, FAKE_URL, "alice");

        sub(&a, "db", INTERVAL);
        sub_at(&b, again, "db", "", INTERVAL);
        run_for(l, SECOND);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
        run_for(l, DAY); /* on the vault of a, which nobody else holds */
        cr_assert_gt(b.calls, 600);
        unsub(&b);
        vault_unref(again);
}

Test(cache, a_key_without_subscribers_is_forgotten)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        run_for(l, SECOND);
        unsub(&a);
        cr_assert_eq(sec_total(), 0, "nothing is held for nobody");
        run_for(l, DAY);
        cr_assert_eq(requests("db"), 1, "nor polled");
        sub(&b, "db", INTERVAL);
        run_for(l, SECOND);
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
                fake_set(f, name, "x");
                sub(&waiting[i], name, INTERVAL);
        }
        run_for(l, USEC_PER_MSEC);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
        for (unsigned i = 0; i < ELEMENTSOF(waiting); i++)
                unsub(&waiting[i]);
        run_for(l, SECOND);
        cr_assert_eq(a.calls + b.calls, 0);
        cr_assert_eq(requests("api"), 0);
}

/* --- the clock --- */

Test(cache, two_subscribers_of_a_day_poll_once_per_interval)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        sub(&b, "db", INTERVAL);
        run_for(l, DAY);
        unsigned n = requests("db");
        cr_assert_geq(n, (unsigned)(DAY / (INTERVAL + INTERVAL / 10)) - 1);
        cr_assert_leq(n, (unsigned)(DAY / (INTERVAL - INTERVAL / 10)) + 1);
        cr_assert_eq(a.calls, n);
        cr_assert_eq(b.calls, n);
        unsub(&a);
        unsub(&b);
}

Test(cache, polls_keep_the_bounds_of_the_jitter)
{
        struct seen a = {0};
        usec_t low = USEC_INFINITY, high = 0;

        fake_latency(f, NULL, 0);
        sub(&a, "db", INTERVAL);
        run_for(l, 2 * DAY);
        for (unsigned i = 1; i < requests("db"); i++) {
                usec_t gap = fake_sent(f, NULL, "db", i) - fake_sent(f, NULL, "db", i - 1);

                low = MIN(low, gap);
                high = MAX(high, gap);
        }
        cr_assert_geq(low, INTERVAL - INTERVAL / 10);
        cr_assert_leq(high, INTERVAL + INTERVAL / 10);
        cr_assert_lt(low, INTERVAL - INTERVAL / 20);
        cr_assert_gt(high, INTERVAL + INTERVAL / 20);
        unsub(&a);
}

Test(cache, the_shortest_interval_wins_while_it_is_there)
{
        struct seen slow = {0}, fast = {0}, never = {0};

        sub(&slow, "db", 60 * MINUTE);
        sub(&never, "db", CACHE_NO_POLL);
        run_for(l, SECOND);
        sub(&fast, "db", MINUTE);
        run_for(l, 60 * MINUTE);
        unsigned n = requests("db");
        cr_assert(n >= 54 && n <= 68, "%u polls", n);
        cr_assert_eq(never.calls, n);

        unsub(&fast);
        run_for(l, 600 * MINUTE);
        n = requests("db") - n;
        cr_assert(n >= 9 && n <= 12, "%u polls", n);

        unsub(&slow);
        n = requests("db");
        run_for(l, DAY);
        cr_assert_eq(requests("db"), n);
        struct cache_state state;
        cache_get_state(never.sub, &state);
        cr_assert_eq(state.next_poll, 0);
        cr_assert(state.object);
        unsub(&never);
}

Test(cache, a_pinned_version_is_fetched_once)
{
        struct seen a = {0};

        sub_at(&a, v, "db", fake_set(f, "db", "pinned"), INTERVAL);
        fake_set(f, "db", "newer");
        run_for(l, DAY);
        cr_assert_eq(requests("db"), 1);
        cr_assert_str_eq(a.value, "pinned");
        cr_assert_eq(a.last.next_poll, 0);
        unsub(&a);
}

Test(cache, a_pinned_version_is_tried_until_it_is_there)
{
        struct seen a = {0};

        fake_fail(f, NULL, NULL, "db", ERR_SERVICE, 0, 3);
        sub_at(&a, v, "db", fake_set(f, "db", "pinned"), INTERVAL);
        run_for(l, DAY);
        cr_assert_eq(requests("db"), 4);
        cr_assert_str_eq(a.value, "pinned");
        unsub(&a);
}

Test(cache, a_new_mount_of_a_pinned_version_has_to_show_that_it_may)
{
        struct seen a = {0}, b = {0};
        const char *version = fake_set(f, "db", "pinned");

        sub_at(&a, v, "db", version, INTERVAL);
        run_for(l, DAY);
        fake_fail(f, NULL, NULL, "db", ERR_FORBIDDEN, 0, FAKE_FOREVER);
        sub_at(&b, v, "db", version, INTERVAL);
        run_for(l, SECOND);
        cr_assert_eq(b.cause, ERR_FORBIDDEN);
        cr_assert_str_eq(b.value, "", "the old bytes are not for it");
        cr_assert_str_eq(a.value, "pinned", "who has them keeps them");
        fake_mend(f);
        run_for(l, 2 * INTERVAL);
        cr_assert_str_eq(b.value, "pinned");
        unsub(&a);
        unsub(&b);
}

Test(cache, expiry_is_polled_for_before_and_at)
{
        struct seen a = {0};
        int64_t expires = loop_wall(l) + 7200;

        fake_expires(f, "db", expires);
        sub(&a, "db", DAY);
        run_for(l, 6901 * SECOND);
        cr_assert_eq(requests("db"), 2, "once in the minute before the last five");
        run_for(l, 297 * SECOND);
        cr_assert_eq(requests("db"), 2);
        run_for(l, 15 * SECOND);
        cr_assert_eq(requests("db"), 3, "and once when it has expired");
        run_for(l, 12 * 60 * MINUTE);
        cr_assert_eq(requests("db"), 3, "then the interval is all there is");
        unsub(&a);
}

/* --- refresh --- */

Test(cache, a_refresh_polls_now)
{
        struct seen a = {0};

        sub(&a, "db", CACHE_NO_POLL);
        run_for(l, SECOND);
        fake_set(f, "db", "new");
        cache_refresh(a.sub);
        cr_assert_eq(a.calls, 1);
        run_for(l, SECOND);
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
        run_for(l, USEC_PER_MSEC);
        cache_refresh(a.sub); /* is sent */
        cache_refresh(b.sub);
        run_for(l, SECOND);
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
                run_for(l, MINUTE);
                cache_refresh(a.sub);
        }
        run_for(l, SECOND);
        cr_assert_eq(requests("db"), 61);
        unsub(&a);
}

Test(cache, a_refresh_of_a_pinned_version_is_answered_without_a_request)
{
        struct seen a = {0};

        sub_at(&a, v, "db", fake_set(f, "db", "pinned"), INTERVAL);
        run_for(l, SECOND);
        cache_refresh(a.sub);
        cr_assert_eq(a.calls, 1);
        run_for(l, SECOND);
        cr_assert_eq(a.calls, 2);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
}

Test(cache, a_refresh_of_a_fresh_hand_over_is_not_answered_by_it)
{
        struct seen a = {0}, b = {0};

        sub(&a, "db", INTERVAL);
        run_for(l, SECOND);
        fake_set(f, "db", "new");
        sub(&b, "db", INTERVAL);
        cache_refresh(b.sub);
        run_for(l, SECOND);
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
        run_for(l, SECOND);
        fake_fail(f, NULL, NULL, "api", ERR_THROTTLED, 300, 1);
        cache_refresh(b.sub);
        run_for(l, SECOND);
        cache_refresh(a.sub);
        run_for(l, SECOND);
        cr_assert_eq(requests("db"), 1);
        cr_assert_eq(a.calls, 2);
        cr_assert_eq(a.cause, ERR_THROTTLED);
        cr_assert(strstr(a.error, FAKE_URL) && strstr(a.error, "objectName:db"), "%s", a.error);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_eq(a.last.failures, 0, "the object itself was not tried");
        struct cache_stats stats;
        cache_get_stats(c, &stats);
        cr_assert_eq(stats.throttled, 1);
        unsub(&a);
        unsub(&b);
}

/* --- who leaves within a callback --- */

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
        run_for(l, SECOND);
}

Test(cache, subscribers_leave_within_their_callback)
{
        invite(leave);
        cr_assert_eq(told(), 5);
        cr_assert_eq(sec_total(), 0);
}

Test(cache, one_subscriber_ends_them_all)
{
        invite(all_leave);
        cr_assert_eq(told(), 1);
        cr_assert_eq(sec_total(), 0);
}

Test(cache, subscribers_end_the_next_one)
{
        invite(next_leaves);
        cr_assert_eq(told(), 3); /* 0 ends 1, 2 ends 3, 4 ends 0 */
        unsub(&party[2]);
        unsub(&party[4]);
}

Test(cache, failures_are_left_as_well)
{
        fake_fail(f, NULL, NULL, NULL, ERR_NOT_FOUND, 0, FAKE_FOREVER);
        invite(all_leave);
        cr_assert_eq(told(), 1);
        cr_assert_eq(party[0].cause, ERR_NOT_FOUND);
}

Test(cache, a_hand_over_is_left_within_its_callback)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(l, SECOND);
        invite(all_leave);
        cr_assert_eq(told(), 1);
        cr_assert_eq(requests("db"), 1);
        unsub(&a);
        cr_assert_eq(sec_total(), 0);
}

Test(cache, who_comes_within_a_callback_gets_its_own)
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
        unsigned calls = s->calls;

        if (calls == 100)
                return;
        unsub(s);
        s->calls = 0; /* as sub() wants it */
        sub(s, "db", INTERVAL);
        s->calls = calls;
}

Test(cache, those_who_come_again_and_again_do_not_stop_the_loop)
{
        struct seen a = {.then = come_again}, b = {.then = come_again};

        sub(&a, "db", INTERVAL);
        sub(&b, "db", INTERVAL);
        while (a.calls == 0)
                cr_assert_geq(loop_turn(l, USEC_INFINITY), 0);
        cr_assert_lt(a.calls, 20, "others have their turn");
        run_for(l, SECOND);
        cr_assert_eq(a.calls, 100);
        cr_assert_eq(b.calls, 100);
        unsub(&a);
        unsub(&b);
}

Test(cache, an_unchanged_answer_keeps_its_pointer)
{
        struct seen a = {0};
        struct cache_state state;

        sub(&a, "db", INTERVAL);
        run_for(l, SECOND);
        cache_get_state(a.sub, &state);
        struct vault_object *first = vault_object_ref(state.object);
        run_for(l, 10 * INTERVAL);
        cr_assert_gt(a.calls, 5);
        cache_get_state(a.sub, &state);
        cr_assert_eq(state.object, first);
        fake_touch(f, "db", 1);
        run_for(l, 2 * INTERVAL);
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
                fake_set(f, name, name);
                fake_latency(f, name, (ELEMENTSOF(s) - i) * 100 * USEC_PER_MSEC);
                sub(&s[i], name, INTERVAL);
        }
        run_for(l, 950 * USEC_PER_MSEC);
        cr_assert_eq(s[0].calls, 0);
        cr_assert_eq(s[19].calls, 1);
        run_for(l, 2 * SECOND);
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
        usec_t start = loop_now(l);

        fake_latency(f, NULL, 50 * USEC_PER_MSEC);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub(&s[i], name, INTERVAL);
        }
        run_for(l, MINUTE);
        cr_assert_eq(requests(NULL), 1000);
        cr_assert_eq(fake_most_in_flight(f, FAKE_URL), 32);
        cr_assert_leq(fake_sent(f, NULL, NULL, 999) - start, 32 * 50 * USEC_PER_MSEC);
        run_for(l, 60 * MINUTE);
        unsigned n = requests(NULL) - 1000;
        cr_assert(n > 27000 && n < 34000, "%u polls in an hour", n);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
}

Test(cache, versions_are_listed_once_for_all)
{
        struct seen a = {0}, b = {0};

        fake_set(f, "db", "2");
        fake_enable(f, "db", fake_set(f, "db", "off"), false);
        const char *newest = fake_set(f, "db", "3");
        cr_assert_eq(
                cache_subscribe_versions(c, v, VAULT_SECRET, "db", INTERVAL, on_state, &a, &a.sub),
                0);
        cr_assert_eq(
                cache_subscribe_versions(c, v, VAULT_SECRET, "db", INTERVAL, on_state, &b, &b.sub),
                0);
        run_for(l, SECOND);
        cr_assert_eq(requests("versions of db"), 1);
        struct cache_state state;
        cache_get_state(b.sub, &state);
        cr_assert_eq(state.versions->n, 3);
        cr_assert_str_eq(state.versions->list[0].version, newest);
        cr_assert_null(state.object);
        run_for(l, 60 * MINUTE);
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
        uint64_t one = cache_next_serial(c);

        cr_assert_gt(one, 0);
        cr_assert_gt(cache_next_serial(c), one);
        cr_assert_eq(cache_loop(c), l);
}
