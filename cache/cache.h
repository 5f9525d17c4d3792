/* The node's object cache: every object is fetched once per interval, however many mounts show it.
 *
 * Keyed by vault_key() (URL and identity), kind, name and version. One fetch a key at a time. Raw
 * answers are kept; each mount renders its own bytes from them (cache/view.h). Nothing fetched by
 * one identity is ever handed to another.
 *
 * The refresh clock is per key: the shortest poll interval of its subscribers, with jitter; an
 * object pinned to a version is fetched once. Failure keeps the last good object, is logged on
 * transitions and at the steps of the back-off only, and backs off (doubling from the interval's
 * quarter, at least 1 s, up to the interval itself). One budget per vault URL: while a vault
 * throttles (429, Retry-After) nothing is sent to it, by any key (cache/budget.h). A vault that
 * cannot be reached fails the requests that still wait for their turn as well, so that a thousand
 * objects take no longer to fail than one.
 *
 * A key, its raw object included, is forgotten when its last subscriber leaves. Callbacks may
 * subscribe and unsubscribe whatever they like, themselves included; they must not free the cache.
 * Loop thread only.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "vault/vault.h"

struct cache;
struct cache_sub; /* one subscriber to one key */

int cache_new(struct loop *l, struct cache **ret);
void cache_free(struct cache *c); /* after the last subscriber left; never from a callback */
DEFINE_CLEANUP(struct cache *, cache_free)

/* For struct vault_config of vaults that a cache asks: http_retry_default, but a 429 is not tried
 * again by the one request that met it. It comes here at once and stops them all. */
extern const struct http_retry cache_http_retry;

/* The enabled versions of an object, newest first. */
struct cache_versions {
        struct vault_version *list;
        size_t n;
};

/* What is known of a key; borrowed, valid during the callback. */
struct cache_state {
        struct vault_object *object; /* last good one, or NULL; the same pointer as long as the
                                        vault's answers are the same in all that is kept of them */
        const struct cache_versions *versions; /* of cache_subscribe_versions(), or NULL */
        const struct vault_names *names;       /* of cache_subscribe_names(), or NULL */
        const struct err *error;               /* of the last try, or NULL when it succeeded */
        int64_t fetched_at;                    /* last success, seconds since the epoch; 0 never */
        int64_t tried_at;                      /* last try; 0 never */
        int64_t next_poll;                     /* 0: never again (pinned, or polling is off) */
        unsigned failures;                     /* in a row */
};
/* After every try, changed or not (compare object->version and value to tell). Never from within
 * cache_subscribe(). */
typedef void (*cache_fn)(void *userdata, const struct cache_state *state);

#define CACHE_NO_POLL ((usec_t)0)

/* How long a first fetch waits for a vault that throttles, before the subscriber is told so. */
#define CACHE_PATIENCE (60 * USEC_PER_SEC)

/* An object that this very identity fetched within the last poll interval is handed over without
 * a request; otherwise it is fetched, and a subscriber that never got one sees none in its states
 * before that fetch succeeded. It is fetched as well when the vault's last word on it was a refusal
 * (403, 404, disabled, no token), however short ago. version "" follows the latest one; a pinned
 * one is not polled once it is there. */
int cache_subscribe(struct cache *c, struct vault *v, enum vault_kind kind, const char *name,
        const char *version, usec_t poll_interval, cache_fn fn, void *userdata,
        struct cache_sub **ret);
/* The same for the list of an object's versions. */
int cache_subscribe_versions(struct cache *c, struct vault *v, enum vault_kind kind,
        const char *name, usec_t poll_interval, cache_fn fn, void *userdata,
        struct cache_sub **ret);
/* The same for the names of all objects of one kind. */
int cache_subscribe_names(struct cache *c, struct vault *v, enum vault_kind kind,
        usec_t poll_interval, cache_fn fn, void *userdata, struct cache_sub **ret);
struct cache_sub *cache_unsubscribe(struct cache_sub *s); /* returns NULL */

/* Poll now, whatever the clock says, pinned objects excepted; joins a fetch already under way. Not
 * while the vault throttles: then this subscriber alone is told so (ERR_THROTTLED). The callback
 * tells when it is done. */
void cache_refresh(struct cache_sub *s);

void cache_get_state(const struct cache_sub *s, struct cache_state *ret);

/* For status and metrics. */
struct cache_stats {
        size_t keys;                /* with at least one subscriber */
        uint64_t fetches, failures; /* so far; a vault's own retries are not counted */
        size_t throttled;           /* vaults to which nothing is sent just now */
};
void cache_get_stats(const struct cache *c, struct cache_stats *ret);

struct loop *cache_loop(const struct cache *c);
/* Grows with each call: struct view_file's serial. */
uint64_t cache_next_serial(struct cache *c);
