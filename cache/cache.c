#include "cache/cache.h"

#include <assert.h>
#include <search.h>

#include "cache/alarm.h"
#include "cache/key.h"

/* Field by field, never over a joined text: what a vault's key or an object's name may hold cannot
 * make two identities meet. */
static int key_compare(const void *pa, const void *pb)
{
        const struct key *a = pa, *b = pb;
        int r = strcmp(vault_key(a->vault), vault_key(b->vault));

        if (r == 0)
                r = (a->kind > b->kind) - (a->kind < b->kind);
        if (r == 0)
                r = (int)a->what - (int)b->what;
        if (r == 0)
                r = strcmp(a->name, b->name);
        if (r == 0)
                r = strcmp(a->version, b->version);
        return r;
}

/* --- budgets --- */

static void drop_idle_budgets(struct cache *c, bool all)
{
        struct vault_budget *b, *next;

        for (b = SLIST_FIRST(&c->budgets); b; b = next) {
                next = SLIST_NEXT(b, link);
                if (b->users > 0 || (!all && !budget_is_idle(b->budget)))
                        continue;
                SLIST_REMOVE(&c->budgets, b, vault_budget, link);
                budget_free(b->budget);
                free(b);
        }
}

static int use_budget(struct cache *c, const char *url, struct vault_budget **ret)
{
        struct vault_budget *b;

        drop_idle_budgets(c, false);
        SLIST_FOREACH (b, &c->budgets, link)
                if (streq(budget_url(b->budget), url))
                        break;
        if (!b) {
                b = calloc(1, sizeof *b);
                if (!b)
                        return -ENOMEM;
                int r = budget_new(c->loop, url, &b->budget);
                if (r < 0) {
                        free(b);
                        return r;
                }
                SLIST_INSERT_HEAD(&c->budgets, b, link);
        }
        b->users++;
        *ret = b;
        return 0;
}

/* --- the set of keys --- */

void key_free(struct key *k)
{
        struct cache *c = k->cache;

        assert(TAILQ_EMPTY(&k->subs));
        vault_cancel(k->call);
        if (k->budget) {
                budget_cancel(k->budget->budget, &k->slot);
                k->budget->users--;
        }
        loop_timer_free(k->timer);
        if (k->in_cache) {
                tdelete(k, &c->keys, key_compare);
                c->n_keys--;
        }
        versions_done(&k->versions);
        vault_names_unref(k->names);
        vault_object_unref(k->object);
        vault_unref(k->vault);
        free(k->name);
        free(k->version);
        err_done(&k->error);
        free(k);
}

static int find_key(struct cache *c, const struct key *like, struct key **ret)
{
        struct key *const *found = tfind(like, &c->keys, key_compare);

        if (found) {
                *ret = *found;
                return 0;
        }

        struct key *k = calloc(1, sizeof *k);
        if (!k)
                return -ENOMEM;
        k->cache = c;
        k->vault = vault_ref(like->vault);
        k->what = like->what;
        k->kind = like->kind;
        TAILQ_INIT(&k->subs);
        k->name = strdup(like->name);
        k->version = strdup(like->version);
        int r = k->name && k->version ? key_init(k) : -ENOMEM;
        if (r == 0)
                r = use_budget(c, vault_url(k->vault), &k->budget);
        if (r == 0 && !tsearch(k, &c->keys, key_compare))
                r = -ENOMEM;
        if (r < 0) {
                key_free(k);
                return r;
        }
        k->in_cache = true;
        c->n_keys++;
        *ret = k;
        return 0;
}

/* --- callbacks that no answer brings --- */

static void tell_later(struct cache_sub *s, enum tell what)
{
        struct cache *c = s->key->cache;

        if (s->tell == TELL_NOTHING) {
                TAILQ_INSERT_TAIL(&c->telling, s, tell_link);
                s->tell_round = c->tell_round;
        }
        s->tell = what;
        alarm_set(c->tell, loop_now(c->loop));
}

static void tell_nothing(struct cache_sub *s)
{
        if (s->tell != TELL_NOTHING)
                TAILQ_REMOVE(&s->key->cache->telling, s, tell_link);
        s->tell = TELL_NOTHING;
}

void sub_told(struct cache_sub *s)
{
        tell_nothing(s);
        s->asked = false;
}

static void on_tell(void *userdata)
{
        struct cache *c = userdata;
        struct cache_sub *s;
        uint64_t round = c->tell_round++;

        alarm_rest(c->tell);
        /* What the callbacks add belongs to the next round, behind those of this one. */
        while ((s = TAILQ_FIRST(&c->telling)) && s->tell_round <= round) {
                struct key *k = s->key;
                struct cache_state state;
                _cleanup_err_ struct err throttled = {0};

                key_get_state(k, s, &state);
                if (s->tell == TELL_THROTTLED) {
                        key_throttled_error(k, &throttled);
                        state.error = &throttled;
                }
                sub_told(s);
                k->busy++;
                s->fn(s->userdata, &state);
                k->busy--;
                key_release(k);
        }
        if (!TAILQ_EMPTY(&c->telling))
                alarm_set(c->tell, loop_now(c->loop));
}

/* --- subscribers --- */

static void update_interval(struct key *k)
{
        usec_t shortest = CACHE_NO_POLL;
        struct cache_sub *s;

        TAILQ_FOREACH (s, &k->subs, link)
                if (s->interval != CACHE_NO_POLL &&
                        (shortest == CACHE_NO_POLL || s->interval < shortest))
                        shortest = s->interval;
        if (shortest == k->interval)
                return;
        k->interval = shortest;
        if (key_is_idle(k))
                key_schedule(k);
}

static int subscribe(struct cache *c, const struct key *like, usec_t poll_interval, cache_fn fn,
        void *userdata, struct cache_sub **ret)
{
        struct cache_sub *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;

        struct key *k;
        int r = find_key(c, like, &k);
        if (r < 0) {
                free(s);
                return r;
        }
        s->key = k;
        s->fn = fn;
        s->userdata = userdata;
        s->interval = poll_interval;
        s->born = k->round;
        bool fresh = key_is_fresh(k, poll_interval);
        TAILQ_INSERT_TAIL(&k->subs, s, link);
        update_interval(k);
        if (fresh) {
                s->entitled = true;
                tell_later(s, TELL_STATE);
        } else {
                key_be_patient(k);
                key_fetch(k);
        }
        *ret = s;
        return 0;
}

int cache_subscribe(struct cache *c, struct vault *v, enum vault_kind kind, const char *name,
        const char *version, usec_t poll_interval, cache_fn fn, void *userdata,
        struct cache_sub **ret)
{
        struct key like = {
                .vault = v, .kind = kind, .name = (char *)name, .version = (char *)version};

        return subscribe(c, &like, poll_interval, fn, userdata, ret);
}

int cache_subscribe_versions(struct cache *c, struct vault *v, enum vault_kind kind,
        const char *name, usec_t poll_interval, cache_fn fn, void *userdata, struct cache_sub **ret)
{
        struct key like = {.vault = v,
                .what = KEY_VERSIONS,
                .kind = kind,
                .name = (char *)name,
                .version = (char *)""};

        return subscribe(c, &like, poll_interval, fn, userdata, ret);
}

int cache_subscribe_names(struct cache *c, struct vault *v, enum vault_kind kind,
        usec_t poll_interval, cache_fn fn, void *userdata, struct cache_sub **ret)
{
        struct key like = {.vault = v,
                .what = KEY_NAMES,
                .kind = kind,
                .name = (char *)"",
                .version = (char *)""};

        return subscribe(c, &like, poll_interval, fn, userdata, ret);
}

struct cache_sub *cache_unsubscribe(struct cache_sub *s)
{
        if (!s)
                return NULL;

        struct key *k = s->key;
        tell_nothing(s);
        if (k->cursor == s)
                k->cursor = TAILQ_NEXT(s, link);
        TAILQ_REMOVE(&k->subs, s, link);
        free(s);
        if (TAILQ_EMPTY(&k->subs))
                key_release(k);
        else
                update_interval(k);
        return NULL;
}

void cache_refresh(struct cache_sub *s)
{
        struct key *k = s->key;
        bool paused = budget_paused_until(k->budget->budget) > 0;

        if (key_is_pinned(k) && k->have && !k->failed && key_is_idle(k))
                tell_later(s, TELL_STATE);
        else if (paused && k->slot.state != SLOT_HELD)
                tell_later(s, TELL_THROTTLED);
        else {
                tell_nothing(s); /* the answer to come is the one that was asked for */
                s->asked = true;
                key_be_patient(k);
                key_fetch(k);
        }
}

void cache_get_state(const struct cache_sub *s, struct cache_state *ret)
{
        key_get_state(s->key, s, ret);
}

/* --- the cache --- */

static bool is_tried_again(int status)
{
        return status != 429 && http_retry_status(status);
}

const struct http_retry cache_http_retry = {
        .tries = 4, .base_ms = 800, .cap_ms = 60000, .retry_status = is_tried_again};

int cache_new(struct loop *l, struct cache **ret)
{
        struct cache *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->loop = l;
        SLIST_INIT(&c->budgets);
        TAILQ_INIT(&c->telling);
        int r = alarm_new(l, on_tell, c, &c->tell);
        if (r < 0) {
                free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void cache_free(struct cache *c)
{
        if (!c)
                return;
        assert(c->n_keys == 0);
        drop_idle_budgets(c, true);
        loop_timer_free(c->tell);
        free(c);
}

void cache_get_stats(const struct cache *c, struct cache_stats *ret)
{
        const struct vault_budget *b;

        *ret = (struct cache_stats){
                .keys = c->n_keys, .fetches = c->fetches, .failures = c->failures};
        SLIST_FOREACH (b, &c->budgets, link)
                if (budget_paused_until(b->budget) > 0)
                        ret->throttled++;
}

struct loop *cache_loop(const struct cache *c)
{
        return c->loop;
}

uint64_t cache_next_serial(struct cache *c)
{
        return ++c->serial;
}
