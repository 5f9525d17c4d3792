/* The node's object cache: every object is fetched once per interval, however many mounts show it.
 *
 * Keyed by vault_key() (URL and identity), kind, name and version. One fetch a key at a time. Raw
 * answers are kept; each mount renders its own bytes from them (cache/view.h). Nothing fetched by
 * one identity is ever handed to another.
 *
 * The refresh clock is per key: the shortest poll interval of its subscribers, with jitter; an
 * object pinned to a version is fetched once. Failure keeps the last good object, is logged on the
 * transition only, and backs off (doubling from the interval's quarter, at least 1 s, up to the
 * interval itself). One budget per vault URL: while a vault throttles (429, Retry-After) nothing is
 * sent to it, by any key. Loop thread only.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "vault/vault.h"

struct cache;
struct cache_sub; /* one subscriber to one key */

int cache_new(struct loop *l, struct cache **ret);
void cache_free(struct cache *c); /* after the last subscriber left */
DEFINE_CLEANUP(struct cache *, cache_free)

/* What is known of a key; borrowed, valid during the callback. */
struct cache_state {
        struct vault_object *object; /* last good one, or NULL */
        const struct err *error;     /* of the last try, or NULL when it succeeded */
        int64_t fetched_at;          /* last success, seconds since the epoch; 0 never */
        int64_t tried_at;            /* last try; 0 never */
        int64_t next_poll;           /* 0: never again (pinned, or polling is off) */
        unsigned failures;           /* in a row */
};
/* After every try, changed or not (compare object->version and value to tell). Never from within
 * cache_subscribe(). */
typedef void (*cache_fn)(void *userdata, const struct cache_state *state);

#define CACHE_NO_POLL ((usec_t)0)

/* An object that this very identity fetched within the last poll interval is handed over without
 * a request; otherwise it is fetched. */
int cache_subscribe(struct cache *c, struct vault *v, enum vault_kind kind, const char *name,
        const char *version, usec_t poll_interval, cache_fn fn, void *userdata,
        struct cache_sub **ret);
struct cache_sub *cache_unsubscribe(struct cache_sub *s); /* returns NULL */

/* Poll now, whatever the clock says, pinned objects excepted; joins a fetch already under way. Not
 * while the vault throttles. The callback tells when it is done. */
void cache_refresh(struct cache_sub *s);

void cache_get_state(const struct cache_sub *s, struct cache_state *ret);

/* Keys, fetches so far, throttled vaults: for status and metrics. */
struct cache_stats {
        size_t keys;
        uint64_t fetches, failures;
};
void cache_get_stats(const struct cache *c, struct cache_stats *ret);
