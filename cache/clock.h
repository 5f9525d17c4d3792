/* When to ask again: pure functions of the interval, the object's expiry and a random number.
 *
 * Spans are in microseconds, instants in seconds since the epoch. Nothing here keeps state, so that
 * the bounds can be tested over all random numbers (tests/unit/cache/clock.c).
 */
#pragma once

#include "base/loop.h"

/* Longer intervals are cut to this; it also keeps the arithmetic far from overflow. */
#define CLOCK_INTERVAL_MAX ((usec_t)366 * 24 * 3600 * USEC_PER_SEC)
/* An object is asked for again this long before it expires, and once more when it has expired. */
#define CLOCK_BEFORE_EXPIRY 300
/* Nodes that show the same object do not all ask in the same second of its last five minutes. */
#define CLOCK_BEFORE_EXPIRY_SPREAD 60
#define CLOCK_AT_EXPIRY_SPREAD 10

/* From a success to the next poll: the interval give or take a tenth, so never later than
 * interval * 1.1; sooner when the object's expiry (VAULT_NO_TIME: none) comes first. */
usec_t clock_poll_delay(usec_t interval, int64_t now, int64_t expires, uint64_t random);

/* From the nth failure in a row (n >= 1) to the next try: a quarter of the interval, doubled with
 * each failure up to the interval, and at least one second. */
usec_t clock_backoff(usec_t interval, unsigned failures);
/* The same with up to a tenth taken off: after an outage the last try is never later than one
 * interval after the one before. */
usec_t clock_retry_delay(usec_t interval, unsigned failures, uint64_t random);

/* A number for the two above. */
uint64_t clock_random(void);

/* "90ms", "30s", "1m30s", "2h5m" into buf, which is returned. */
#define CLOCK_SPAN_LEN 32
const char *clock_format_span(usec_t span, char buf[static CLOCK_SPAN_LEN]);
