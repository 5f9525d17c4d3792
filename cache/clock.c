#include "cache/clock.h"

#include <inttypes.h>
#include <stdio.h>

#include "vault/vault.h"

usec_t clock_poll_delay(usec_t interval, int64_t now, int64_t expires, uint64_t random)
{
        interval = MIN(interval, CLOCK_INTERVAL_MAX);
        usec_t delay = interval - interval / 10 + random % (2 * (interval / 10) + 1);

        if (expires == VAULT_NO_TIME || expires <= now)
                return delay;

        uint64_t left = (uint64_t)expires - (uint64_t)now;
        if (left > CLOCK_INTERVAL_MAX / USEC_PER_SEC)
                return delay;
        /* The two spreads must not follow the jitter above, hence the other half of the number. */
        random >>= 32;
        if (left > CLOCK_BEFORE_EXPIRY + CLOCK_BEFORE_EXPIRY_SPREAD) {
                left -= CLOCK_BEFORE_EXPIRY + random % CLOCK_BEFORE_EXPIRY_SPREAD;
                return MIN(delay, left * USEC_PER_SEC);
        }
        /* The poll above may have been anywhere within the spread: it is not repeated there. */
        return MIN(delay, (left + random % CLOCK_AT_EXPIRY_SPREAD) * USEC_PER_SEC);
}

usec_t clock_backoff(usec_t interval, unsigned failures)
{
        interval = MAX(MIN(interval, CLOCK_INTERVAL_MAX), USEC_PER_SEC);
        usec_t delay = MAX(interval / 4, USEC_PER_SEC);

        while (failures-- > 1 && delay < interval)
                delay *= 2;
        return MIN(delay, interval);
}

usec_t clock_retry_delay(usec_t interval, unsigned failures, uint64_t random)
{
        usec_t delay = clock_backoff(interval, failures);

        return delay - random % (delay / 10 + 1);
}

uint64_t clock_random(void)
{
        uint64_t random;

        /* Without randomness polls lose their jitter, which is better than losing the polls. */
        if (random_bytes(&random, sizeof random) < 0)
                return UINT64_MAX / 2;
        return random;
}

const char *clock_format_span(usec_t span, char buf[static CLOCK_SPAN_LEN])
{
        uint64_t ms = span / USEC_PER_MSEC, s = span / USEC_PER_SEC;

        if (s < 1)
                (void)snprintf(buf, CLOCK_SPAN_LEN, "%" PRIu64 "ms", ms);
        else if (s < 60)
                (void)snprintf(buf, CLOCK_SPAN_LEN, "%" PRIu64 "s", s);
        else if (s < 3600 && s % 60 == 0)
                (void)snprintf(buf, CLOCK_SPAN_LEN, "%" PRIu64 "m", s / 60);
        else if (s < 3600)
                (void)snprintf(buf, CLOCK_SPAN_LEN, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
        else if (s % 3600 < 60)
                (void)snprintf(buf, CLOCK_SPAN_LEN, "%" PRIu64 "h", s / 3600);
        else
                (void)snprintf(
                        buf, CLOCK_SPAN_LEN, "%" PRIu64 "h%" PRIu64 "m", s / 3600, s % 3600 / 60);
        return buf;
}
