/* What happens between a request and the next one: failure, back-off, throttling, and the log. */
#include "cache/key.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "desk.h"

TestSuite(key, .init = desk_set_up, .fini = desk_tear_down);

/* The log so far; and how many lines of it hold a text. */
static char *read_log(void)
{
        static char text[1 << 20];
        ssize_t n = pread(desk.log_fd, text, sizeof text - 1, 0);

        cr_assert_geq(n, 0);
        text[n] = '\0';
        return text;
}

static unsigned lines_with(char level, const char *what)
{
        unsigned n = 0;
        char *save, *line;

        for (line = strtok_r(read_log(), "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                n += line[0] == level && strstr(line, what);
        return n;
}

/* --- failure and recovery --- */

Test(key, failure_keeps_the_last_good_object)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        run_for(desk.loop, 60 * MINUTE);
        cr_assert(a.failed);
        cr_assert_eq(a.cause, ERR_SERVICE);
        cr_assert_eq(a.last.failures, a.errors);
        cr_assert_str_eq(a.value, "hunter2");

        fake_set(desk.fake, "db", "new");
        fake_mend(desk.fake);
        run_for(desk.loop, INTERVAL);
        cr_assert_str_eq(a.value, "new", "within one interval");
        cr_assert_not(a.failed);
        cr_assert_eq(a.last.failures, 0);
        unsub(&a);
}

Test(key, retries_back_off_to_the_interval_and_no_further)
{
        struct seen a = {0};
        static const unsigned step[] = {30, 60, 120, 120, 120};

        fake_latency(desk.fake, NULL, 0);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        run_for(desk.loop, 20 * MINUTE);
        for (unsigned i = 0; i < ELEMENTSOF(step); i++) {
                usec_t gap = fake_sent(desk.fake, NULL, "db", i + 2) -
                             fake_sent(desk.fake, NULL, "db", i + 1);

                cr_assert_leq(gap, step[i] * SECOND);
                cr_assert_geq(gap, step[i] * SECOND * 9 / 10);
        }
        unsub(&a);
}

Test(key, a_day_without_a_vault_is_not_a_storm)
{
        struct seen a = {0};

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_FORBIDDEN, 0, FAKE_FOREVER);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, 24 * 60 * MINUTE);
        cr_assert_leq(requests("db"), 24 * 60 * 60 / 108 + 3);
        unsub(&a);
}

Test(key, never_polled_means_never_retried)
{
        struct seen a = {0};

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        sub_at(&a, desk.vault, "db", "", CACHE_NO_POLL);
        run_for(desk.loop, 24 * 60 * MINUTE);
        cr_assert_eq(requests("db"), 1);
        cr_assert_eq(a.last.next_poll, 0);
        unsub(&a);
}

Test(key, a_refusal_is_not_papered_over_for_a_new_subscriber)
{
        static const enum err_cause refusals[] = {
                ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_DISABLED, ERR_AUTH};
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
                struct seen b = {0};

                fake_fail(desk.fake, NULL, NULL, NULL, refusals[i], 0, FAKE_FOREVER);
                cache_refresh(a.sub);
                run_for(desk.loop, SECOND);
                sub(&b, "db", INTERVAL);
                run_for(desk.loop, SECOND);
                cr_assert_eq(b.cause, refusals[i]);
                cr_assert_str_eq(b.value, "");
                unsub(&b);
                fake_mend(desk.fake);
                cache_refresh(a.sub);
                run_for(desk.loop, SECOND);
        }
        unsub(&a);
}

Test(key, an_outage_hands_over_what_is_young_enough)
{
        struct seen a = {0}, b = {0}, late = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_TIMEOUT, 0, FAKE_FOREVER);
        cache_refresh(a.sub);
        run_for(desk.loop, SECOND);
        sub(&b, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_str_eq(b.value, "hunter2");
        cr_assert(b.failed, "and says that the last try failed");
        unsub(&b);
        run_for(desk.loop, INTERVAL);
        sub(&late, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_str_eq(late.value, "");
        cr_assert_eq(late.cause, ERR_TIMEOUT);
        unsub(&a);
        unsub(&late);
}

Test(key, a_request_that_cannot_be_sent_is_a_failure_like_any_other)
{
        struct seen a = {0}, b = {0};

        fake_no_memory(desk.fake, true);
        sub(&a, "db", INTERVAL);
        cr_assert_eq(cache_subscribe_versions(desk.cache, desk.vault, VAULT_SECRET, "db", INTERVAL,
                             on_state, &b, &b.sub),
                0);
        cr_assert_eq(a.calls + b.calls, 0);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.cause, ERR_LOCAL);
        cr_assert_eq(b.cause, ERR_LOCAL);
        cr_assert(strstr(b.error, "failed to get versions of objectType:secret, objectName:db"));
        fake_no_memory(desk.fake, false);
        run_for(desk.loop, INTERVAL);
        cr_assert_str_eq(a.value, "hunter2");
        cr_assert_not(b.failed);
        unsub(&a);
        unsub(&b);
}

Test(key, an_unreachable_vault_fails_all_that_wait_with_the_first)
{
        static struct seen s[200];
        struct seen elsewhere = {0};
        char name[16];

        fake_latency(desk.fake, NULL, 30 * SECOND);
        fake_fail(desk.fake, FAKE_URL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        sub_all(s, ELEMENTSOF(s), INTERVAL);
        sub_at(&elsewhere, desk.other_vault, "db", "", INTERVAL);
        run_for(desk.loop, 31 * SECOND);
        cr_assert_eq(fake_requests(desk.fake, FAKE_URL, NULL, NULL), BUDGET_WINDOW);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].errors, 1);
                cr_assert_eq(s[i].cause, ERR_CONNECT);
                (void)snprintf(name, sizeof name, "n%u", i);
                if (i >= BUDGET_WINDOW)
                        cr_assert(strstr(s[i].error, name), "%s", s[i].error);
        }
        cr_assert_str_eq(elsewhere.value, "hunter2");

        fake_mend(desk.fake);
        fake_latency(desk.fake, NULL, SECOND);
        run_for(desk.loop, INTERVAL);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_not(s[i].failed);
                unsub(&s[i]);
        }
        unsub(&elsewhere);
}

Test(key, an_identity_without_a_token_fails_its_own_alone)
{
        static struct seen bad[40], good[40];
        char name[16];

        fake_fail(desk.fake, NULL, "bob", NULL, ERR_AUTH, 0, FAKE_FOREVER);
        for (unsigned i = 0; i < ELEMENTSOF(bad); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(desk.fake, name, name);
                sub_at(&bad[i], desk.other_identity, name, "", INTERVAL);
                sub(&good[i], name, INTERVAL);
        }
        run_for(desk.loop, 5 * SECOND);
        cr_assert_leq(fake_requests(desk.fake, NULL, "bob", NULL), BUDGET_WINDOW);
        for (unsigned i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_eq(bad[i].cause, ERR_AUTH);
                cr_assert_eq(good[i].errors, 0);
                cr_assert_eq(good[i].calls, 1);
                unsub(&bad[i]);
                unsub(&good[i]);
        }
}

/* --- throttling --- */

Test(key, a_429_stops_the_whole_vault_and_no_other)
{
        struct seen a = {0}, b = {0}, bob = {0}, elsewhere = {0};

        sub(&a, "db", INTERVAL);
        sub(&b, "api", INTERVAL);
        sub_at(&bob, desk.other_identity, "db", "", INTERVAL);
        sub_at(&elsewhere, desk.other_vault, "db", "", MINUTE);
        run_for(desk.loop, SECOND);
        fake_fail(desk.fake, FAKE_URL, NULL, "api", ERR_THROTTLED, 600, 1);
        cache_refresh(b.sub);
        run_for(desk.loop, SECOND);
        cr_assert_eq(b.cause, ERR_THROTTLED);
        cr_assert_str_eq(b.value, "key");
        unsigned here = fake_requests(desk.fake, FAKE_URL, NULL, NULL),
                 there = fake_requests(desk.fake, FAKE_URL_2, NULL, NULL);
        run_for(desk.loop, 590 * SECOND);
        cr_assert_eq(fake_requests(desk.fake, FAKE_URL, NULL, NULL), here,
                "nothing is sent to it, by any identity");
        cr_assert_geq(fake_requests(desk.fake, FAKE_URL_2, NULL, NULL), there + 8);
        struct cache_state state;
        cache_get_state(a.sub, &state);
        cr_assert_eq(
                state.next_poll, loop_wall(desk.loop) + 9, "and it is known when there will be");
        run_for(desk.loop, 20 * SECOND);
        cr_assert_geq(fake_requests(desk.fake, FAKE_URL, NULL, NULL), here + 3);
        cr_assert_not(b.failed);
        unsub(&a);
        unsub(&b);
        unsub(&bob);
        unsub(&elsewhere);
}

Test(key, without_retry_after_the_pause_doubles)
{
        struct seen a = {0};
        static const unsigned pause[] = {1, 2, 4, 8, 16};

        fake_latency(desk.fake, NULL, 0);
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_THROTTLED, 0, ELEMENTSOF(pause));
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, MINUTE);
        cr_assert_eq(requests("db"), ELEMENTSOF(pause) + 1);
        for (unsigned i = 0; i < ELEMENTSOF(pause); i++)
                cr_assert_eq(fake_sent(desk.fake, NULL, "db", i + 1) -
                                     fake_sent(desk.fake, NULL, "db", i),
                        pause[i] * SECOND);
        cr_assert_eq(a.calls, 1, "a first fetch sits it out");
        cr_assert_eq(a.errors, 0);
        cr_assert_str_eq(a.value, "hunter2");
        unsub(&a);
}

Test(key, patience_ends_with_a_pause_that_is_too_long)
{
        struct seen a = {0}, b = {0};

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_THROTTLED, 61, 1);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(a.cause, ERR_THROTTLED, "the answer itself");
        unsub(&a);

        /* Who comes meanwhile is told at once, without a request, */
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_THROTTLED, 200, 1);
        run_for(desk.loop, 70 * SECOND);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        unsigned n = requests(NULL);
        sub(&b, "api", INTERVAL);
        run_for(desk.loop, SECOND);
        cr_assert_eq(b.cause, ERR_THROTTLED);
        cr_assert(strstr(b.error, "another 3m1"), "%s", b.error);
        cr_assert_eq(requests(NULL), n);
        /* and gets it when the pause is over. */
        run_for(desk.loop, 210 * SECOND);
        cr_assert_str_eq(b.value, "key");
        cr_assert_not(b.failed);
        unsub(&a);
        unsub(&b);
}

Test(key, a_vault_that_throttles_without_end_fails_a_first_fetch_within_the_patience)
{
        struct seen a = {0};
        usec_t start = loop_now(desk.loop);

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_THROTTLED, 0, FAKE_FOREVER);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, 5 * MINUTE);
        cr_assert_geq(a.errors, 1);
        cr_assert_leq(requests("db"), 15);
        cr_assert_leq(a.first_error - start, CACHE_PATIENCE);
        unsub(&a);
}

Test(key, a_queue_that_does_not_move_ends_patience_as_well)
{
        static struct seen s[BUDGET_WINDOW + 1];

        fake_latency(desk.fake, NULL, 10 * MINUTE);
        sub_all(s, ELEMENTSOF(s), INTERVAL);
        run_for(desk.loop, CACHE_PATIENCE + SECOND);
        cr_assert_eq(s[BUDGET_WINDOW].cause, ERR_TIMEOUT);
        cr_assert(strstr(s[BUDGET_WINDOW].error, "busy"), "%s", s[BUDGET_WINDOW].error);
        cr_assert_eq(s[0].calls, 0);
        run_for(desk.loop, 5 * MINUTE);
        cr_assert_eq(s[BUDGET_WINDOW].calls, 1, "once is enough");
        run_for(desk.loop, 15 * MINUTE);
        cr_assert_not(s[BUDGET_WINDOW].failed, "it kept its place in line");
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
}

Test(key, a_refresh_sits_out_a_short_pause_and_is_told_of_a_long_one)
{
        struct seen s[BUDGET_WINDOW + 8] = {0};

        sub_all(s, ELEMENTSOF(s), DAY);
        run_for(desk.loop, SECOND);
        fake_fail(desk.fake, NULL, NULL, "n0", ERR_THROTTLED, 20, 1);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                cache_refresh(s[i].sub);
        run_for(desk.loop, 30 * SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].calls, 2);
                cr_assert_eq(s[i].errors, 0, "%u: %s", i, s[i].error);
        }

        fake_fail(desk.fake, NULL, NULL, "n0", ERR_THROTTLED, 600, 1);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                cache_refresh(s[i].sub);
        run_for(desk.loop, CACHE_PATIENCE + SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].calls, 3, "nobody waits for ten minutes");
                if (i == 0 || i >= BUDGET_WINDOW)
                        cr_assert_eq(s[i].cause, ERR_THROTTLED);
                cr_assert_str_neq(s[i].value, "");
        }
        run_for(desk.loop, 600 * SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].failed, i == 0, "who waited in line was sent behind the pause");
                unsub(&s[i]);
        }
}

Test(key, a_pause_outlives_the_last_subscriber)
{
        struct seen a = {0}, b = {0};

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_THROTTLED, 300, 1);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, SECOND);
        unsub(&a);
        sub(&b, "db", INTERVAL);
        run_for(desk.loop, 250 * SECOND);
        cr_assert_eq(requests(NULL), 1, "a mount that is tried again hammers nobody");
        cr_assert_eq(b.cause, ERR_THROTTLED);
        unsub(&b);
}

Test(key, after_a_pause_a_thousand_objects_come_back_gently)
{
        static struct seen s[1000];

        sub_all(s, ELEMENTSOF(s), INTERVAL);
        run_for(desk.loop, 10 * SECOND);
        fake_fail(desk.fake, NULL, NULL, "n0", ERR_THROTTLED, 600, 1);
        cache_refresh(s[0].sub);
        run_for(desk.loop, SECOND);
        unsigned n = requests(NULL);
        run_for(desk.loop, 599 * SECOND);
        cr_assert_eq(requests(NULL), n);
        run_for(desk.loop, 20 * USEC_PER_MSEC);
        cr_assert_geq(requests(NULL) - n, 1);
        cr_assert_leq(requests(NULL) - n, 5, "not all that piled up at once");
        run_for(desk.loop, 10 * SECOND);
        cr_assert_geq(requests(NULL) - n, 1000);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
}

/* --- the log --- */

Test(key, the_log_tells_of_transitions_and_of_each_step_of_the_backoff)
{
        struct seen a = {0};

        sub(&a, "db", INTERVAL);
        run_for(desk.loop, 60 * MINUTE);
        cr_assert_str_eq(read_log(), "", "nothing while all is well");

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        run_for(desk.loop, 60 * MINUTE);
        cr_assert_eq(lines_with('W', "failing: "), 1);
        cr_assert_eq(lines_with('W', FAKE_URL " says service"), 1);
        cr_assert_eq(lines_with('W', "next try in 2"), 1);
        cr_assert_eq(lines_with('I', "backing off, next try in 5"), 1);
        cr_assert_eq(lines_with('I', "backing off, next try in 1m"), 1);
        cr_assert_eq(lines_with('I', "backing off"), 2, "and nothing more at the top");

        /* Another reason is news. */
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_FORBIDDEN, 0, FAKE_FOREVER);
        run_for(desk.loop, 60 * MINUTE);
        cr_assert_eq(lines_with('W', "failing: "), 2);

        fake_mend(desk.fake);
        run_for(desk.loop, 60 * MINUTE);
        cr_assert_eq(lines_with('I', "recovered: secret db in " FAKE_URL), 1);
        cr_assert_eq(lines_with('E', "") + lines_with('W', ""), 2);
        cr_assert_null(strstr(read_log(), "hunter2"));
        unsub(&a);
}

Test(key, a_first_fetch_that_fails_is_told_to_its_subscriber_alone)
{
        struct seen a = {0};

        fake_fail(desk.fake, NULL, NULL, NULL, ERR_NOT_FOUND, 0, FAKE_FOREVER);
        sub(&a, "db", INTERVAL);
        run_for(desk.loop, 60 * MINUTE);
        cr_assert_gt(a.errors, 1);
        cr_assert_str_eq(read_log(), "");
        unsub(&a);
}

Test(key, an_outage_of_a_thousand_objects_is_a_handful_of_lines)
{
        static struct seen s[1000];

        sub_all(s, ELEMENTSOF(s), INTERVAL);
        run_for(desk.loop, 10 * SECOND);
        fake_latency(desk.fake, NULL, 10 * SECOND);
        fake_fail(desk.fake, NULL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                cache_refresh(s[i].sub);
        run_for(desk.loop, 11 * SECOND);
        cr_assert_leq(lines_with('W', "failing: "), BUDGET_WINDOW);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert(s[i].failed);
                unsub(&s[i]);
        }
}
