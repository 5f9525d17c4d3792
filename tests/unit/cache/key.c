/* What happens between a request and the next one: failure, back-off, throttling, and the log. */
#include "cache/key.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"
#include "fake_vault.h"

#define SECOND USEC_PER_SEC
#define MINUTE (60 * USEC_PER_SEC)
#define INTERVAL (2 * MINUTE)

struct seen {
        unsigned calls, errors, failures;
        char value[64], error[512];
        enum err_cause cause;
        bool failed;
        usec_t first_error;
        int64_t next_poll;
        struct cache_sub *sub;
};

static struct loop *l;
static struct fake *f;
static struct cache *c;
static struct vault *v, *other_vault, *other_identity;
static int log_fd;

static void set_up(void)
{
        log_fd = memfd_create("log", MFD_CLOEXEC);
        cr_assert_geq(log_fd, 0);
        log_set_fd(log_fd);
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
        vault_unref(other_vault);
        vault_unref(other_identity);
        fake_free(f);
        loop_free(l);
        close(log_fd);
}

TestSuite(key, .init = set_up, .fini = tear_down);

static void on_state(void *userdata, const struct cache_state *state)
{
        struct seen *s = userdata;

        s->calls++;
        s->failures = state->failures;
        s->next_poll = state->next_poll;
        s->value[0] = s->error[0] = '\0';
        s->failed = state->error;
        if (state->object) {
                memcpy(s->value, sec_bytes(state->object->value), sec_len(state->object->value));
                s->value[sec_len(state->object->value)] = '\0';
        }
        if (state->error) {
                if (s->errors++ == 0)
                        s->first_error = loop_now(l);
                s->cause = state->error->cause;
                strncpy(s->error, err_text(state->error), sizeof s->error - 1);
        }
}

static void sub_at(struct seen *s, struct vault *at, const char *name, usec_t interval)
{
        cr_assert_eq(
                cache_subscribe(c, at, VAULT_SECRET, name, "", interval, on_state, s, &s->sub), 0);
}

static void sub(struct seen *s, const char *name)
{
        sub_at(s, v, name, INTERVAL);
}

static void unsub(struct seen *s)
{
        s->sub = cache_unsubscribe(s->sub);
}

static unsigned requests(const char *url, const char *name)
{
        return fake_requests(f, url, NULL, name);
}

/* The log so far; and how many lines of it hold a text. */
static char *read_log(void)
{
        static char text[1 << 20];
        ssize_t n = pread(log_fd, text, sizeof text - 1, 0);

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

        sub(&a, "db");
        run_for(l, SECOND);
        fake_fail(f, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        run_for(l, 60 * MINUTE);
        cr_assert(a.failed);
        cr_assert_eq(a.cause, ERR_SERVICE);
        cr_assert_eq(a.failures, a.errors);
        cr_assert_str_eq(a.value, "hunter2");

        fake_set(f, "db", "new");
        fake_mend(f);
        run_for(l, INTERVAL);
        cr_assert_str_eq(a.value, "new", "within one interval");
        cr_assert_not(a.failed);
        cr_assert_eq(a.failures, 0);
        unsub(&a);
}

Test(key, retries_back_off_to_the_interval_and_no_further)
{
        struct seen a = {0};
        static const unsigned step[] = {30, 60, 120, 120, 120};

        fake_latency(f, NULL, 0);
        sub(&a, "db");
        run_for(l, SECOND);
        fake_fail(f, NULL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        run_for(l, 20 * MINUTE);
        for (unsigned i = 0; i < ELEMENTSOF(step); i++) {
                usec_t gap = fake_sent(f, NULL, "db", i + 2) - fake_sent(f, NULL, "db", i + 1);

                cr_assert_leq(gap, step[i] * SECOND);
                cr_assert_geq(gap, step[i] * SECOND * 9 / 10);
        }
        unsub(&a);
}

Test(key, a_day_without_a_vault_is_not_a_storm)
{
        struct seen a = {0};

        fake_fail(f, NULL, NULL, NULL, ERR_FORBIDDEN, 0, FAKE_FOREVER);
        sub(&a, "db");
        run_for(l, 24 * 60 * MINUTE);
        cr_assert_leq(requests(NULL, "db"), 24 * 60 * 60 / 108 + 3);
        unsub(&a);
}

Test(key, never_polled_means_never_retried)
{
        struct seen a = {0};

        fake_fail(f, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        sub_at(&a, v, "db", CACHE_NO_POLL);
        run_for(l, 24 * 60 * MINUTE);
        cr_assert_eq(requests(NULL, "db"), 1);
        cr_assert_eq(a.next_poll, 0);
        unsub(&a);
}

Test(key, a_refusal_is_not_papered_over_for_a_new_subscriber)
{
        static const enum err_cause refusals[] = {
                ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_DISABLED, ERR_AUTH};
        struct seen a = {0};

        sub(&a, "db");
        run_for(l, SECOND);
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
                struct seen b = {0};

                fake_fail(f, NULL, NULL, NULL, refusals[i], 0, FAKE_FOREVER);
                cache_refresh(a.sub);
                run_for(l, SECOND);
                sub(&b, "db");
                run_for(l, SECOND);
                cr_assert_eq(b.cause, refusals[i]);
                cr_assert_str_eq(b.value, "");
                unsub(&b);
                fake_mend(f);
                cache_refresh(a.sub);
                run_for(l, SECOND);
        }
        unsub(&a);
}

Test(key, an_outage_hands_over_what_is_young_enough)
{
        struct seen a = {0}, b = {0}, late = {0};

        sub(&a, "db");
        run_for(l, SECOND);
        fake_fail(f, NULL, NULL, NULL, ERR_TIMEOUT, 0, FAKE_FOREVER);
        cache_refresh(a.sub);
        run_for(l, SECOND);
        sub(&b, "db");
        run_for(l, SECOND);
        cr_assert_str_eq(b.value, "hunter2");
        cr_assert(b.failed, "and says that the last try failed");
        unsub(&b);
        run_for(l, INTERVAL);
        sub(&late, "db");
        run_for(l, SECOND);
        cr_assert_str_eq(late.value, "");
        cr_assert_eq(late.cause, ERR_TIMEOUT);
        unsub(&a);
        unsub(&late);
}

Test(key, a_request_that_cannot_be_sent_is_a_failure_like_any_other)
{
        struct seen a = {0}, b = {0};

        fake_no_memory(f, true);
        sub(&a, "db");
        cr_assert_eq(
                cache_subscribe_versions(c, v, VAULT_SECRET, "db", INTERVAL, on_state, &b, &b.sub),
                0);
        cr_assert_eq(a.calls + b.calls, 0);
        run_for(l, SECOND);
        cr_assert_eq(a.cause, ERR_LOCAL);
        cr_assert_eq(b.cause, ERR_LOCAL);
        cr_assert(strstr(b.error, "failed to get versions of objectType:secret, objectName:db"));
        fake_no_memory(f, false);
        run_for(l, INTERVAL);
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

        fake_latency(f, NULL, 30 * SECOND);
        fake_fail(f, FAKE_URL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub(&s[i], name);
        }
        sub_at(&elsewhere, other_vault, "db", INTERVAL);
        run_for(l, 31 * SECOND);
        cr_assert_eq(requests(FAKE_URL, NULL), BUDGET_WINDOW);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].errors, 1);
                cr_assert_eq(s[i].cause, ERR_CONNECT);
                (void)snprintf(name, sizeof name, "n%u", i);
                if (i >= BUDGET_WINDOW)
                        cr_assert(strstr(s[i].error, name), "%s", s[i].error);
        }
        cr_assert_str_eq(elsewhere.value, "hunter2");

        fake_mend(f);
        fake_latency(f, NULL, SECOND);
        run_for(l, INTERVAL);
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

        fake_fail(f, NULL, "bob", NULL, ERR_AUTH, 0, FAKE_FOREVER);
        for (unsigned i = 0; i < ELEMENTSOF(bad); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub_at(&bad[i], other_identity, name, INTERVAL);
                sub(&good[i], name);
        }
        run_for(l, 5 * SECOND);
        cr_assert_leq(fake_requests(f, NULL, "bob", NULL), BUDGET_WINDOW);
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

        sub(&a, "db");
        sub(&b, "api");
        sub_at(&bob, other_identity, "db", INTERVAL);
        sub_at(&elsewhere, other_vault, "db", MINUTE);
        run_for(l, SECOND);
        fake_fail(f, FAKE_URL, NULL, "api", ERR_THROTTLED, 600, 1);
        cache_refresh(b.sub);
        run_for(l, SECOND);
        cr_assert_eq(b.cause, ERR_THROTTLED);
        cr_assert_str_eq(b.value, "key");
        unsigned here = requests(FAKE_URL, NULL), there = requests(FAKE_URL_2, NULL);
        run_for(l, 590 * SECOND);
        cr_assert_eq(requests(FAKE_URL, NULL), here, "nothing is sent to it, by any identity");
        cr_assert_geq(requests(FAKE_URL_2, NULL), there + 8);
        struct cache_state state;
        cache_get_state(a.sub, &state);
        cr_assert_eq(state.next_poll, loop_wall(l) + 9, "and it is known when there will be");
        run_for(l, 20 * SECOND);
        cr_assert_geq(requests(FAKE_URL, NULL), here + 3);
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

        fake_latency(f, NULL, 0);
        fake_fail(f, NULL, NULL, NULL, ERR_THROTTLED, 0, ELEMENTSOF(pause));
        sub(&a, "db");
        run_for(l, MINUTE);
        cr_assert_eq(requests(NULL, "db"), ELEMENTSOF(pause) + 1);
        for (unsigned i = 0; i < ELEMENTSOF(pause); i++)
                cr_assert_eq(fake_sent(f, NULL, "db", i + 1) - fake_sent(f, NULL, "db", i),
                        pause[i] * SECOND);
        cr_assert_eq(a.calls, 1, "a first fetch sits it out");
        cr_assert_eq(a.errors, 0);
        cr_assert_str_eq(a.value, "hunter2");
        unsub(&a);
}

Test(key, patience_ends_with_a_pause_that_is_too_long)
{
        struct seen a = {0}, b = {0};

        fake_fail(f, NULL, NULL, NULL, ERR_THROTTLED, 61, 1);
        sub(&a, "db");
        run_for(l, SECOND);
        cr_assert_eq(a.cause, ERR_THROTTLED, "the answer itself");
        unsub(&a);

        /* Who comes meanwhile is told at once, without a request, */
        fake_fail(f, NULL, NULL, NULL, ERR_THROTTLED, 200, 1);
        run_for(l, 70 * SECOND);
        sub(&a, "db");
        run_for(l, SECOND);
        unsigned n = requests(NULL, NULL);
        sub(&b, "api");
        run_for(l, SECOND);
        cr_assert_eq(b.cause, ERR_THROTTLED);
        cr_assert(strstr(b.error, "another 3m1"), "%s", b.error);
        cr_assert_eq(requests(NULL, NULL), n);
        /* and gets it when the pause is over. */
        run_for(l, 210 * SECOND);
        cr_assert_str_eq(b.value, "key");
        cr_assert_not(b.failed);
        unsub(&a);
        unsub(&b);
}

Test(key, a_vault_that_throttles_without_end_fails_a_first_fetch_within_the_patience)
{
        struct seen a = {0};
        usec_t start = loop_now(l);

        fake_fail(f, NULL, NULL, NULL, ERR_THROTTLED, 0, FAKE_FOREVER);
        sub(&a, "db");
        run_for(l, 5 * MINUTE);
        cr_assert_geq(a.errors, 1);
        cr_assert_leq(requests(NULL, "db"), 15);
        cr_assert_leq(a.first_error - start, CACHE_PATIENCE);
        unsub(&a);
}

Test(key, a_queue_that_does_not_move_ends_patience_as_well)
{
        static struct seen s[BUDGET_WINDOW + 1];
        char name[16];

        fake_latency(f, NULL, 10 * MINUTE);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub(&s[i], name);
        }
        run_for(l, CACHE_PATIENCE + SECOND);
        cr_assert_eq(s[BUDGET_WINDOW].cause, ERR_TIMEOUT);
        cr_assert(strstr(s[BUDGET_WINDOW].error, "busy"), "%s", s[BUDGET_WINDOW].error);
        cr_assert_eq(s[0].calls, 0);
        run_for(l, 5 * MINUTE);
        cr_assert_eq(s[BUDGET_WINDOW].calls, 1, "once is enough");
        run_for(l, 15 * MINUTE);
        cr_assert_not(s[BUDGET_WINDOW].failed, "it kept its place in line");
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
}

Test(key, a_refresh_sits_out_a_short_pause_and_is_told_of_a_long_one)
{
        struct seen s[BUDGET_WINDOW + 8] = {0};
        char name[16];

        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub_at(&s[i], v, name, 24 * 60 * MINUTE);
        }
        run_for(l, SECOND);
        fake_fail(f, NULL, NULL, "n0", ERR_THROTTLED, 20, 1);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                cache_refresh(s[i].sub);
        run_for(l, 30 * SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].calls, 2);
                cr_assert_eq(s[i].errors, 0, "%u: %s", i, s[i].error);
        }

        fake_fail(f, NULL, NULL, "n0", ERR_THROTTLED, 600, 1);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                cache_refresh(s[i].sub);
        run_for(l, CACHE_PATIENCE + SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].calls, 3, "nobody waits for ten minutes");
                if (i == 0 || i >= BUDGET_WINDOW)
                        cr_assert_eq(s[i].cause, ERR_THROTTLED);
                cr_assert_str_neq(s[i].value, "");
        }
        run_for(l, 600 * SECOND);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert_eq(s[i].failed, i == 0, "who waited in line was sent behind the pause");
                unsub(&s[i]);
        }
}

Test(key, a_pause_outlives_the_last_subscriber)
{
        struct seen a = {0}, b = {0};

        fake_fail(f, NULL, NULL, NULL, ERR_THROTTLED, 300, 1);
        sub(&a, "db");
        run_for(l, SECOND);
        unsub(&a);
        sub(&b, "db");
        run_for(l, 250 * SECOND);
        cr_assert_eq(requests(NULL, NULL), 1, "a mount that is tried again hammers nobody");
        cr_assert_eq(b.cause, ERR_THROTTLED);
        unsub(&b);
}

Test(key, after_a_pause_a_thousand_objects_come_back_gently)
{
        static struct seen s[1000];
        char name[16];

        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub(&s[i], name);
        }
        run_for(l, 10 * SECOND);
        fake_fail(f, NULL, NULL, "n0", ERR_THROTTLED, 600, 1);
        cache_refresh(s[0].sub);
        run_for(l, SECOND);
        unsigned n = requests(NULL, NULL);
        run_for(l, 599 * SECOND);
        cr_assert_eq(requests(NULL, NULL), n);
        run_for(l, 20 * USEC_PER_MSEC);
        cr_assert_geq(requests(NULL, NULL) - n, 1);
        cr_assert_leq(requests(NULL, NULL) - n, 5, "not all that piled up at once");
        run_for(l, 10 * SECOND);
        cr_assert_geq(requests(NULL, NULL) - n, 1000);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                unsub(&s[i]);
}

/* --- the log --- */

Test(key, the_log_tells_of_transitions_and_of_each_step_of_the_backoff)
{
        struct seen a = {0};

        sub(&a, "db");
        run_for(l, 60 * MINUTE);
        cr_assert_str_eq(read_log(), "", "nothing while all is well");

        fake_fail(f, NULL, NULL, NULL, ERR_SERVICE, 0, FAKE_FOREVER);
        run_for(l, 60 * MINUTE);
        cr_assert_eq(lines_with('W', "failing: "), 1);
        cr_assert_eq(lines_with('W', FAKE_URL " says service"), 1);
        cr_assert_eq(lines_with('W', "next try in 2"), 1);
        cr_assert_eq(lines_with('I', "backing off, next try in 5"), 1);
        cr_assert_eq(lines_with('I', "backing off, next try in 1m"), 1);
        cr_assert_eq(lines_with('I', "backing off"), 2, "and nothing more at the top");

        /* Another reason is news. */
        fake_fail(f, NULL, NULL, NULL, ERR_FORBIDDEN, 0, FAKE_FOREVER);
        run_for(l, 60 * MINUTE);
        cr_assert_eq(lines_with('W', "failing: "), 2);

        fake_mend(f);
        run_for(l, 60 * MINUTE);
        cr_assert_eq(lines_with('I', "recovered: secret db in " FAKE_URL), 1);
        cr_assert_eq(lines_with('E', "") + lines_with('W', ""), 2);
        cr_assert_null(strstr(read_log(), "hunter2"));
        unsub(&a);
}

Test(key, a_first_fetch_that_fails_is_told_to_its_subscriber_alone)
{
        struct seen a = {0};

        fake_fail(f, NULL, NULL, NULL, ERR_NOT_FOUND, 0, FAKE_FOREVER);
        sub(&a, "db");
        run_for(l, 60 * MINUTE);
        cr_assert_gt(a.errors, 1);
        cr_assert_str_eq(read_log(), "");
        unsub(&a);
}

Test(key, an_outage_of_a_thousand_objects_is_a_handful_of_lines)
{
        static struct seen s[1000];
        char name[16];

        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                fake_set(f, name, name);
                sub(&s[i], name);
        }
        run_for(l, 10 * SECOND);
        fake_latency(f, NULL, 10 * SECOND);
        fake_fail(f, NULL, NULL, NULL, ERR_CONNECT, 0, FAKE_FOREVER);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++)
                cache_refresh(s[i].sub);
        run_for(l, 11 * SECOND);
        cr_assert_leq(lines_with('W', "failing: "), BUDGET_WINDOW);
        for (unsigned i = 0; i < ELEMENTSOF(s); i++) {
                cr_assert(s[i].failed);
                unsub(&s[i]);
        }
}
