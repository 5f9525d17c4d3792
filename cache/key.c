#include "cache/key.h"

#include <stdio.h>

#include "base/log.h"
#include "cache/alarm.h"
#include "cache/clock.h"
#include "cache/same.h"

static const char *noun(const struct key *k)
{
        return k->what == KEY_VERSIONS ? "versions of " : "";
}

/* What is asked for, in few words. */
static const char *name_of(const struct key *k)
{
        return k->what == KEY_NAMES ? "names" : k->name;
}

/* The words that every message about one object begins with, as the vault's own errors do. */
static int key_error(const struct key *k, struct err *e, enum err_cause cause, int r,
        const char *fmt, ...) _printf_(5, 6);
static int key_error(
        const struct key *k, struct err *e, enum err_cause cause, int r, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        err_setv(e, r, fmt, ap);
        va_end(ap);
        e->cause = cause;
        if (k->what == KEY_NAMES)
                return err_wrap(e, r, "failed to list objectType:%s", vault_kind_name(k->kind));
        return err_wrap(e, r, "failed to get %sobjectType:%s, objectName:%s, objectVersion:%s",
                noun(k), vault_kind_name(k->kind), k->name, k->version);
}

void key_throttled_error(const struct key *k, struct err *e)
{
        char span[CLOCK_SPAN_LEN];
        usec_t now = loop_now(k->cache->loop), until = budget_paused_until(k->budget->budget);
        usec_t left = until > now ? until - now : 0;

        key_error(k, e, ERR_THROTTLED, -EBUSY,
                "vault %s throttles, and nothing is sent to it for another %s", vault_url(k->vault),
                clock_format_span(left, span));
        err_hint(e, "wait until then, and ask it less: fewer objects, a longer poll_interval");
}

/* Is there somebody who has not got any answer yet, or asked for a new one? */
static bool somebody_waits(const struct key *k)
{
        const struct cache_sub *s;

        TAILQ_FOREACH (s, &k->subs, link)
                if (!s->entitled || s->asked)
                        return true;
        return false;
}

void key_get_state(const struct key *k, const struct cache_sub *s, struct cache_state *ret)
{
        struct loop *l = k->cache->loop;
        usec_t now = loop_now(l), next = loop_timer_when(k->timer);

        if (!key_is_idle(k))
                next = now;
        *ret = (struct cache_state){
                .error = k->failed ? &k->error : NULL,
                .fetched_at = k->fetched_at,
                .tried_at = k->tried_at,
                .failures = k->failures,
        };
        if (s->entitled && k->have) {
                ret->object = k->object;
                ret->versions = k->what == KEY_VERSIONS ? &k->versions : NULL;
                ret->names = k->names;
        }
        if (next != USEC_INFINITY) {
                next = MAX(MAX(next, now), budget_paused_until(k->budget->budget));
                ret->next_poll = loop_wall(l) + (int64_t)((next - now) / USEC_PER_SEC);
        }
}

void key_release(struct key *k)
{
        if (k->busy == 0 && TAILQ_EMPTY(&k->subs))
                key_free(k);
}

/* Callbacks may do anything to the list: take out any subscriber (the cursor moves on) or add some
 * (they were born in this round). The caller holds `busy`. */
static void tell_all(struct key *k)
{
        k->round++;
        for (struct cache_sub *s = TAILQ_FIRST(&k->subs); s; s = k->cursor) {
                struct cache_state state;

                k->cursor = TAILQ_NEXT(s, link);
                if (s->born == k->round)
                        continue;
                sub_told(s);
                key_get_state(k, s, &state);
                s->fn(s->userdata, &state);
        }
        k->cursor = NULL;
}

/* --- the clock --- */

void key_schedule(struct key *k)
{
        struct loop *l = k->cache->loop;
        usec_t now = loop_now(l), delay;

        if (k->interval == CACHE_NO_POLL || (key_is_pinned(k) && !k->failed)) {
                alarm_rest(k->timer);
                return;
        }
        if (k->failed)
                delay = clock_retry_delay(k->interval, k->failures, clock_random());
        else
                delay = clock_poll_delay(k->interval, loop_wall(l),
                        k->object ? k->object->expires : VAULT_NO_TIME, clock_random());
        alarm_set(k->timer, MAX(now, k->done + delay));
}

bool key_is_fresh(const struct key *k, usec_t interval)
{
        if (!k->have || interval == CACHE_NO_POLL ||
                loop_now(k->cache->loop) - k->fetched > interval)
                return false;
        if (!k->failed)
                return true;
        switch (k->error.cause) {
        case ERR_AUTH:
        case ERR_FORBIDDEN:
        case ERR_NOT_FOUND:
        case ERR_DISABLED:
                return false;
        default:
                return true;
        }
}

static usec_t patience_ends(const struct key *k)
{
        usec_t now = loop_now(k->cache->loop), until = budget_paused_until(k->budget->budget);

        return until > k->patience ? now : k->patience;
}

void key_be_patient(struct key *k)
{
        k->patience = loop_now(k->cache->loop) + CACHE_PATIENCE;
        if (k->slot.state == SLOT_WAITING)
                alarm_set(k->timer, patience_ends(k));
}

void key_fetch(struct key *k)
{
        if (!key_is_idle(k))
                return;
        budget_wait(k->budget->budget, &k->slot);
        if (somebody_waits(k))
                alarm_set(k->timer, patience_ends(k));
        else
                alarm_rest(k->timer);
}

/* --- what came of it --- */

/* On the transition, when the reason changes, and at each step of the back-off. */
static void log_failure(struct key *k, bool other_cause)
{
        char next[CLOCK_SPAN_LEN + 16] = "not tried again", span[CLOCK_SPAN_LEN];
        usec_t now = loop_now(k->cache->loop), when = loop_timer_when(k->timer);
        bool news = !k->logged || other_cause;
        bool step = clock_backoff(k->interval, k->failures) !=
                    clock_backoff(k->interval, k->failures - 1);

        /* Who waits for a first answer gets the error itself, and tells it in his own words. */
        if (!k->have || (!news && !step))
                return;
        k->logged = true;
        if (!key_is_idle(k))
                strcpy(next, "it stays in line");
        else if (when != USEC_INFINITY)
                (void)snprintf(next, sizeof next, "next try in %s",
                        clock_format_span(when > now ? when - now : 0, span));
        if (news)
                log_warning("failing: %s; the last good answer, %s old, is kept; %s",
                        err_text(&k->error), clock_format_span(now - k->fetched, span), next);
        else
                log_info("still failing, %u tries in a row: %s%s %s in %s; backing off, %s",
                        k->failures, noun(k), vault_kind_name(k->kind), name_of(k),
                        vault_url(k->vault), next);
}

static void fail(struct key *k, const struct err *e, bool quiet)
{
        struct cache *c = k->cache;
        bool other_cause = k->failed && k->error.cause != e->cause;

        if (!k->failed)
                k->failing_since = loop_now(c->loop);
        (void)err_copy(&k->error, e);
        k->failed = true;
        k->failures++;
        c->failures++;
        k->done = loop_now(c->loop);
        k->tried_at = loop_wall(c->loop);
        if (key_is_idle(k))
                key_schedule(k);
        if (!quiet)
                log_failure(k, other_cause);
        k->busy++;
        tell_all(k);
        k->busy--;
        key_release(k);
}

static void succeed(struct key *k)
{
        struct cache *c = k->cache;
        struct cache_sub *s;
        char span[CLOCK_SPAN_LEN];

        if (k->logged)
                log_info("recovered: %s%s %s in %s, after %u failed tries in %s", noun(k),
                        vault_kind_name(k->kind), name_of(k), vault_url(k->vault), k->failures,
                        clock_format_span(loop_now(c->loop) - k->failing_since, span));
        k->logged = k->failed = false;
        k->failures = 0;
        err_done(&k->error);
        k->have = true;
        k->done = k->fetched = loop_now(c->loop);
        k->fetched_at = k->tried_at = loop_wall(c->loop);
        key_schedule(k);
        TAILQ_FOREACH (s, &k->subs, link)
                s->entitled = true;
        k->busy++;
        tell_all(k);
        k->busy--;
        key_release(k);
}

/* A vault that cannot be reached, or an identity that gets no token: those who still wait for their
 * turn would each run into the same time limits, one after the other. They fail with this one. */
static void fail_the_queue(struct key *k, const struct err *e)
{
        struct budget *b = k->budget->budget;
        struct budget_slot *s;
        bool same_identity = e->cause == ERR_AUTH;

        if (!err_cause_is_common(e->cause))
                return;
        for (s = budget_first(b); s; s = TAILQ_NEXT(s, link)) {
                struct key *other = s->userdata;
                s->marked = !same_identity || streq(vault_key(other->vault), vault_key(k->vault));
        }
        for (;;) {
                /* From the start each time: a callback may have taken out any of them. Those that
                 * callbacks put in are not marked. */
                for (s = budget_first(b); s && !s->marked; s = TAILQ_NEXT(s, link))
                        ;
                if (!s)
                        return;
                struct key *other = s->userdata;
                _cleanup_err_ struct err copy = {0};

                s->marked = false;
                budget_cancel(b, s);
                key_error(other, &copy, e->cause, e->code,
                        "not sent, because another request to the same vault failed: %s",
                        err_text(e));
                err_hint(&copy, "%s", e->hint ? e->hint : "mend that one first");
                fail(other, &copy, true);
        }
}

static void on_failure(struct key *k, const struct err *e, unsigned retry_after)
{
        struct budget *b = k->budget->budget;
        bool throttled = e->cause == ERR_THROTTLED;
        enum budget_outcome outcome = BUDGET_ANSWERED;

        switch (e->cause) {
        case ERR_FORBIDDEN:
        case ERR_NOT_FOUND:
        case ERR_DISABLED:
                break;
        case ERR_THROTTLED:
                outcome = BUDGET_THROTTLED;
                break;
        default:
                outcome = BUDGET_FAILED;
        }
        budget_leave(b, &k->slot, outcome, retry_after);

        /* A pause that can be sat out is not worth a failed mount, or refresh. */
        if (throttled && somebody_waits(k) && budget_paused_until(b) <= k->patience) {
                key_fetch(k);
                return;
        }
        k->busy++;
        fail_the_queue(k, e);
        k->busy--;
        fail(k, e, false);
}

static void on_object(void *userdata, const struct vault_answer *answer)
{
        struct key *k = userdata;

        k->call = NULL;
        if (!answer->object) {
                on_failure(k, answer->error, answer->retry_after);
                return;
        }
        budget_leave(k->budget->budget, &k->slot, BUDGET_ANSWERED, 0);
        /* The old pointer stays when the new answer says the same: one copy of a secret instead of
         * two, and subscribers see at a glance that nothing changed. */
        if (!k->object || !same_object(k->object, answer->object)) {
                vault_object_unref(k->object);
                k->object = vault_object_ref(answer->object);
        }
        succeed(k);
}

void versions_done(struct cache_versions *v)
{
        for (size_t i = 0; i < v->n; i++)
                free((char *)v->list[i].version);
        free(v->list);
        *v = (struct cache_versions){0};
}

static int copy_versions(const struct vault_version *list, size_t n, struct cache_versions *ret)
{
        struct cache_versions copy = {.list = calloc(n ? n : 1, sizeof *copy.list)};

        if (!copy.list)
                return -ENOMEM;
        for (; copy.n < n; copy.n++) {
                copy.list[copy.n] = list[copy.n];
                copy.list[copy.n].version = strdup(list[copy.n].version);
                if (!copy.list[copy.n].version) {
                        versions_done(&copy);
                        return -ENOMEM;
                }
        }
        *ret = copy;
        return 0;
}

static void on_versions(void *userdata, const struct vault_version *list, size_t n,
        const struct err *error, unsigned retry_after)
{
        struct key *k = userdata;
        struct cache_versions copy;

        k->call = NULL;
        if (error) {
                on_failure(k, error, retry_after);
                return;
        }
        if (copy_versions(list, n, &copy) < 0) {
                _cleanup_err_ struct err e = {0};

                key_error(k, &e, ERR_LOCAL, -ENOMEM, "memory is short");
                on_failure(k, &e, 0);
                return;
        }
        budget_leave(k->budget->budget, &k->slot, BUDGET_ANSWERED, 0);
        versions_done(&k->versions);
        k->versions = copy;
        succeed(k);
}

static void on_names(
        void *userdata, struct vault_names *names, const struct err *error, unsigned retry_after)
{
        struct key *k = userdata;

        k->call = NULL;
        if (error) {
                on_failure(k, error, retry_after);
                return;
        }
        budget_leave(k->budget->budget, &k->slot, BUDGET_ANSWERED, 0);
        vault_names_unref(k->names);
        k->names = vault_names_ref(names);
        succeed(k);
}

/* The slot is ours. */
static void on_go(void *userdata)
{
        struct key *k = userdata;
        int r;

        alarm_rest(k->timer);
        switch (k->what) {
        case KEY_VERSIONS:
                r = vault_list_versions(k->vault, k->kind, k->name, on_versions, k, &k->call);
                break;
        case KEY_NAMES:
                r = vault_list_names(k->vault, k->kind, on_names, k, &k->call);
                break;
        default:
                r = vault_get(k->vault, k->kind, k->name, k->version, on_object, k, &k->call);
                break;
        }
        if (r < 0) {
                _cleanup_err_ struct err e = {0};

                key_error(k, &e, ERR_LOCAL, r, "cannot send a request: %s", strerror(-r));
                on_failure(k, &e, 0);
                return;
        }
        k->cache->fetches++;
}

static void on_timer(void *userdata)
{
        struct key *k = userdata;

        alarm_rest(k->timer);
        if (key_is_idle(k)) {
                key_fetch(k);
                return;
        }
        /* It still waits for its turn, and somebody's patience has come to its end. */
        if (k->slot.state == SLOT_WAITING && somebody_waits(k)) {
                _cleanup_err_ struct err e = {0};

                if (budget_paused_until(k->budget->budget) > 0)
                        key_throttled_error(k, &e);
                else
                        key_error(k, &e, ERR_TIMEOUT, -ETIMEDOUT,
                                "vault %s is still busy with requests sent before",
                                vault_url(k->vault));
                fail(k, &e, false);
        }
}

int key_init(struct key *k)
{
        k->slot.go = on_go;
        k->slot.userdata = k;
        return alarm_new(k->cache->loop, on_timer, k, &k->timer);
}
