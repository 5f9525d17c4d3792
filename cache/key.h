/* Inside the cache: one key, its subscribers and its fetch.
 *
 * A key is IDLE (its timer holds the next poll, or rests), WAITING for a slot of its vault's
 * budget, or SENT. That state is the budget slot's (cache/budget.h): a key never has more than one
 * request. While it waits, the timer holds the end of its subscribers' patience instead.
 *
 * cache.c owns the set of keys and the subscribers' side; key.c what happens between a request and
 * the next one.
 */
#pragma once

#include "cache/budget.h"
#include "cache/cache.h"

struct key;

enum tell {
        TELL_NOTHING,
        TELL_STATE,     /* what is there is fresh enough, or a refresh had nothing to ask for */
        TELL_THROTTLED, /* a refresh that the vault's pause forbids */
};

struct cache_sub {
        TAILQ_ENTRY(cache_sub) link;
        struct key *key;
        cache_fn fn;
        void *userdata;
        usec_t interval;
        uint64_t born; /* the key's round when it came: it is not told of that one */
        bool entitled; /* was handed a good answer: may be shown the last good one from now on */
        bool asked;    /* for a refresh, and waits for what comes of it */

        TAILQ_ENTRY(cache_sub) tell_link; /* in the cache's `telling`, unless TELL_NOTHING */
        enum tell tell;
        uint64_t tell_round;
};
TAILQ_HEAD(sub_list, cache_sub);

/* One vault's budget, kept beyond its last key for as long as it is paused. */
struct vault_budget {
        SLIST_ENTRY(vault_budget) link;
        struct budget *budget;
        unsigned users;
};

struct cache {
        struct loop *loop;
        void *keys; /* tsearch(3), by key_compare() */
        SLIST_HEAD(, vault_budget) budgets;
        struct sub_list telling; /* subscribers that get a callback on the next turn */
        uint64_t tell_round;
        struct loop_timer *tell;
        size_t n_keys;
        uint64_t fetches, failures, serial;
};

/* What is asked for. */
enum key_what { KEY_OBJECT, KEY_VERSIONS, KEY_NAMES };

struct key {
        struct cache *cache;
        struct vault *vault;
        struct vault_budget *budget;
        bool in_cache;
        enum key_what what;
        enum vault_kind kind;
        char *name, *version;

        struct sub_list subs;
        struct cache_sub *cursor; /* next to be told while a round is under way */
        uint64_t round;
        unsigned busy; /* callbacks are running: it is freed behind them */
        usec_t interval;

        struct budget_slot slot;
        struct vault_call *call;
        struct loop_timer *timer;
        usec_t patience; /* while somebody waits for an answer: until when */

        struct vault_object *object;
        struct cache_versions versions;
        struct vault_names *names;
        bool have;
        struct err error;
        bool failed; /* the last try; then error holds why */
        bool logged; /* as failing, so that recovery is worth a line as well */
        unsigned failures;
        usec_t failing_since;
        usec_t done;    /* end of the last try */
        usec_t fetched; /* last success */
        int64_t fetched_at, tried_at;
};

/* cache.c */
void key_free(struct key *k); /* takes it out of the cache; half-built ones are fine */
/* It is called now: nothing more waits to be told. */
void sub_told(struct cache_sub *s);

/* key.c */
int key_init(struct key *k); /* timer and slot */
/* Waits for a slot, unless it does or is SENT already. */
void key_fetch(struct key *k);
/* Sets the timer anew, after interval, subscribers or state changed. */
void key_schedule(struct key *k);
/* Somebody that came or asked for a refresh just now waits for the answer. */
void key_be_patient(struct key *k);
/* Is the answer that is there good enough for a subscriber that comes now? */
bool key_is_fresh(const struct key *k, usec_t interval);
void key_get_state(const struct key *k, const struct cache_sub *s, struct cache_state *ret);
/* "failed to get objectType:..., vault ... asked to be left alone for 20s" */
void key_throttled_error(const struct key *k, struct err *e);
/* Frees it when nobody subscribes any more and no callback of it is running. */
void key_release(struct key *k);
void versions_done(struct cache_versions *v);

static inline bool key_is_idle(const struct key *k)
{
        return k->slot.state == SLOT_IDLE;
}

static inline bool key_is_pinned(const struct key *k)
{
        return k->what == KEY_OBJECT && *k->version;
}
