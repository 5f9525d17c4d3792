#include "cache/clock.h"

#include <criterion/criterion.h>
#include <limits.h>

#include "vault/vault.h"

#define MINUTE (60 * USEC_PER_SEC)
#define NOW 1700000000

static const uint64_t extremes[] = {0, 1, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};

Test(clock, a_poll_comes_within_a_tenth_of_the_interval)
{
        static const usec_t intervals[] = {1, 9, 1000, USEC_PER_SEC, 2 * MINUTE, 1440 * MINUTE};

        for (size_t i = 0; i < ELEMENTSOF(intervals); i++) {
                usec_t t = intervals[i], low = USEC_INFINITY, high = 0;

                for (unsigned k = 0; k < 20000; k++) {
                        usec_t d = clock_poll_delay(t, NOW, VAULT_NO_TIME,
                                k < ELEMENTSOF(extremes) ? extremes[k] : clock_random());
                        low = MIN(low, d);
                        high = MAX(high, d);
                }
                cr_assert_geq(low, t - t / 10);
                cr_assert_leq(high, t + t / 10);
                /* And makes use of it: with jitter that stays in the middle nodes march in step. */
                if (t >= 1000) {
                        cr_assert_lt(low, t - t / 20);
                        cr_assert_gt(high, t + t / 20);
                }
        }
}

Test(clock, an_expiry_comes_first)
{
        for (unsigned k = 0; k < 20000; k++) {
                uint64_t random = k < ELEMENTSOF(extremes) ? extremes[k] : clock_random();
                usec_t d = clock_poll_delay(1440 * MINUTE, NOW, NOW + 3600, random);

                /* Before the last five minutes, at most a minute before them. */
                cr_assert_leq(d, 3300 * USEC_PER_SEC);
                cr_assert_gt(d, 3240 * USEC_PER_SEC);

                /* After that: when it has expired. */
                for (int64_t left = 1; left <= 360; left += 359) {
                        d = clock_poll_delay(1440 * MINUTE, NOW, NOW + left, random);
                        cr_assert_geq(d, left * USEC_PER_SEC);
                        cr_assert_lt(d, (left + 10) * USEC_PER_SEC);
                }
                d = clock_poll_delay(1440 * MINUTE, NOW, NOW + 361, random);
                cr_assert_geq(d, 2 * USEC_PER_SEC);
                cr_assert_leq(d, 61 * USEC_PER_SEC);
        }
}

Test(clock, an_expiry_that_is_later_or_over_changes_nothing)
{
        static const int64_t expiries[] = {
                VAULT_NO_TIME, 0, -1, NOW - 1, NOW, NOW + 7200, INT64_MAX};

        for (size_t i = 0; i < ELEMENTSOF(expiries); i++)
                for (size_t k = 0; k < ELEMENTSOF(extremes); k++)
                        cr_assert_eq(clock_poll_delay(2 * MINUTE, NOW, expiries[i], extremes[k]),
                                clock_poll_delay(2 * MINUTE, NOW, VAULT_NO_TIME, extremes[k]));
}

Test(clock, absurd_intervals_are_cut)
{
        for (size_t k = 0; k < ELEMENTSOF(extremes); k++) {
                usec_t most = CLOCK_INTERVAL_MAX + CLOCK_INTERVAL_MAX / 10;

                cr_assert_leq(
                        clock_poll_delay(USEC_INFINITY, NOW, VAULT_NO_TIME, extremes[k]), most);
                cr_assert_leq(clock_retry_delay(USEC_INFINITY, 1000, extremes[k]), most);
        }
}

Test(clock, backoff_doubles_from_a_quarter_to_the_interval)
{
        cr_assert_eq(clock_backoff(2 * MINUTE, 1), 30 * USEC_PER_SEC);
        cr_assert_eq(clock_backoff(2 * MINUTE, 2), 60 * USEC_PER_SEC);
        cr_assert_eq(clock_backoff(2 * MINUTE, 3), 120 * USEC_PER_SEC);
        cr_assert_eq(clock_backoff(2 * MINUTE, 4), 120 * USEC_PER_SEC);
        cr_assert_eq(clock_backoff(2 * MINUTE, UINT_MAX), 120 * USEC_PER_SEC);
        /* At least a second. */
        cr_assert_eq(clock_backoff(2 * USEC_PER_SEC, 1), USEC_PER_SEC);
        cr_assert_eq(clock_backoff(2 * USEC_PER_SEC, 2), 2 * USEC_PER_SEC);
        cr_assert_eq(clock_backoff(USEC_PER_MSEC, 7), USEC_PER_SEC);
        cr_assert_eq(clock_backoff(0, 1), USEC_PER_SEC);
}

Test(clock, a_retry_is_never_later_than_its_step)
{
        for (unsigned failures = 1; failures < 8; failures++)
                for (unsigned k = 0; k < 2000; k++) {
                        usec_t step = clock_backoff(2 * MINUTE, failures),
                               d = clock_retry_delay(2 * MINUTE, failures, clock_random());

                        cr_assert_leq(d, step);
                        cr_assert_geq(d, step - step / 10);
                }
}

Test(clock, spans_read_well)
{
        static const struct {
                usec_t span;
                const char *text;
        } cases[] = {
                {0, "0ms"},
                {90 * USEC_PER_MSEC, "90ms"},
                {30 * USEC_PER_SEC, "30s"},
                {90 * USEC_PER_SEC, "1m30s"},
                {2 * MINUTE, "2m"},
                {120 * MINUTE, "2h"},
                {125 * MINUTE, "2h5m"},
        };
        char buf[CLOCK_SPAN_LEN];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_assert_str_eq(clock_format_span(cases[i].span, buf), cases[i].text);
        (void)clock_format_span(USEC_INFINITY - 1, buf);
}
