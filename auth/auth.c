/* Identities: one object each, a slot a scope, one request at a time and slot.
 *
 * A slot has at most a token, an error and a request under way. slot_step() looks at the three and
 * at who waits, and does what follows; everything that happens (a new waiter, an answer, a timer)
 * ends in it. Callers are answered from the slot's timer or from an answer, so never from within
 * auth_get_token().
 *
 * A usable token whose refresh is due is handed out all the same while the next one is fetched, so
 * that nobody waits for a token but the first. Nothing is fetched for somebody who no longer asks;
 * a token that nobody asked to refresh is wiped when it expires.
 */
#include "auth/auth.h"

#include <assert.h>
#include <sys/queue.h>

#include "auth/fetch.h"
#include "base/log.h"
#include "base/wipe.h"

/* Refresh when a fifth of the lifetime or this much is left, whichever is smaller. */
#define REFRESH_MARGIN (300 * USEC_PER_SEC)
/* A token this close to its end may expire on the way to the vault. */
#define EXPIRY_MARGIN (30 * USEC_PER_SEC)
/* After a failure nothing is sent for this long, doubling. */
#define BACKOFF_FIRST USEC_PER_SEC
#define BACKOFF_MAX (60 * USEC_PER_SEC)
/* Where the endpoint asks for more, up to this. */
#define RETRY_AFTER_MAX (600 * USEC_PER_SEC)
/* A vault that refuses every token must not make a token request out of each of its own. */
#define REJECT_INTERVAL (10 * USEC_PER_SEC)
#define SCOPE_MAX ((size_t)1024)

TAILQ_HEAD(waits, auth_wait);

struct auth_wait {
        TAILQ_ENTRY(auth_wait) entry;
        struct waits *list; /* that it is in */
        struct slot *slot;
        auth_token_fn done;
        void *userdata;
};

struct slot {
        struct slot *next;
        struct auth *auth;
        char *scope;

        struct sec *token;
        int64_t expires_at; /* wall clock, for callers and against a clock that was set */
        usec_t usable_until, refresh_at;
        usec_t rejected_at; /* 0: never */

        struct err error; /* of the last request, empty after a success */
        usec_t retry_at;  /* nothing is sent before, after a failure */
        unsigned failures;

        struct auth_fetch *fetch;
        struct loop_timer *step;   /* a waiter is to be answered */
        struct loop_timer *expire; /* the token's end */
        struct waits waits;
};

struct auth {
        struct auths *auths;
        struct auth *next;
        unsigned refs;
        const struct auth_mode *mode;
        struct auth_params params;
        char *key, *description;
        struct slot *slots;
        uint64_t requests;
};

struct auths {
        struct loop *loop;
        struct http_client *http;
        struct auth_helper *helper;
        struct auth *first;
};

static void slot_step(struct slot *s);

/* --- slots --- */

static void slot_drop_token(struct slot *s)
{
        s->token = sec_unref(s->token);
        s->expires_at = 0;
        s->usable_until = s->refresh_at = 0;
        loop_timer_off(s->expire);
}

static void on_expire(void *userdata)
{
        slot_drop_token(userdata);
}

static void on_step(void *userdata)
{
        slot_step(userdata);
}

static void slot_free(struct slot *s)
{
        if (!s)
                return;
        assert(TAILQ_EMPTY(&s->waits)); /* a wait holds its identity */
        auth_fetch_cancel(s->fetch);
        if (s->expire)
                slot_drop_token(s);
        loop_timer_free(s->step);
        loop_timer_free(s->expire);
        err_done(&s->error);
        free(s->scope);
        free(s);
}

static int slot_get(struct auth *a, const char *scope, struct slot **ret)
{
        struct loop *l = a->auths->loop;

        for (struct slot *s = a->slots; s; s = s->next)
                if (streq(s->scope, scope)) {
                        *ret = s;
                        return 0;
                }

        struct slot *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        TAILQ_INIT(&s->waits);
        s->auth = a;
        s->scope = strdup(scope);
        int r = s->scope ? 0 : -ENOMEM;
        if (r == 0)
                r = loop_timer_new(l, on_step, s, &s->step);
        if (r == 0)
                r = loop_timer_new(l, on_expire, s, &s->expire);
        if (r < 0) {
                slot_free(s);
                return r;
        }
        s->next = a->slots;
        a->slots = s;
        *ret = s;
        return 0;
}

static bool token_usable(const struct slot *s)
{
        struct loop *l = s->auth->auths->loop;

        return s->token && loop_now(l) < s->usable_until && loop_wall(l) < s->expires_at;
}

static void slot_failed(struct slot *s, usec_t asked)
{
        struct loop *l = s->auth->auths->loop;
        usec_t backoff = BACKOFF_MAX;

        if (s->failures < 6)
                backoff = MIN(BACKOFF_FIRST << s->failures, BACKOFF_MAX);
        s->failures++;
        s->retry_at = loop_now(l) + MAX(backoff, MIN(asked, RETRY_AFTER_MAX));
        /* Said once; who waits gets the error anyhow. */
        if (token_usable(s) && s->failures == 1)
                log_warning("token is not refreshed, the old one is used until it expires in %lld "
                            "s: %s",
                        (long long)(s->expires_at - loop_wall(l)), err_text(&s->error));
}

/* Up to a quarter of the margin earlier, so that the nodes of a cluster do not ask all at once. */
static usec_t with_jitter(usec_t margin)
{
        uint32_t random = 0;

        (void)random_bytes(&random, sizeof random); /* without it: no jitter */
        return margin + margin / 4 * random / UINT32_MAX;
}

static void slot_take_token(struct slot *s, struct sec *token, int64_t lifetime)
{
        struct loop *l = s->auth->auths->loop;
        usec_t life = (usec_t)lifetime * USEC_PER_SEC;
        usec_t now = loop_now(l);

        if (s->failures > 0)
                log_info("token for %s is there again", s->auth->description);
        slot_drop_token(s);
        s->token = token;
        s->expires_at = loop_wall(l) + lifetime;
        s->usable_until = now + life - MIN(EXPIRY_MARGIN, life / 10);
        s->refresh_at = now + life - MIN(with_jitter(MIN(REFRESH_MARGIN, life / 5)), life);
        s->retry_at = 0;
        s->failures = 0;
        err_done(&s->error);
        /* Without a timer the token would only stay in memory for longer. */
        (void)loop_timer_at(s->expire, now + life);
}

static void on_fetched(void *userdata, struct auth_fetched *result)
{
        struct slot *s = userdata;

        s->fetch = NULL;
        s->auth->requests += result->requests;
        if (result->token)
                slot_take_token(s, result->token, result->lifetime);
        else {
                err_move(&s->error, &result->error);
                slot_failed(s, result->retry_after);
        }
        slot_step(s);
}

/* On failure the slot's error is set, as if the request had failed. */
static void slot_fetch(struct slot *s)
{
        struct auth *a = s->auth;
        const struct auth_fetch_with with = {
                .loop = a->auths->loop,
                .http = a->auths->http,
                .helper = a->auths->helper,
                .mode = a->mode,
                .params = &a->params,
                .description = a->description,
        };
        struct err error = {0};

        if (auth_fetch_new(&with, s->scope, on_fetched, s, &s->fetch, &error) < 0) {
                err_move(&s->error, &error);
                slot_failed(s, 0);
        }
}

static void wait_free(struct auth_wait *w)
{
        struct auth *a = w->slot->auth;

        TAILQ_REMOVE(w->list, w, entry);
        free(w);
        auth_unref(a);
}

/* Answers those who wait now. Whom a callback adds waits in the slot's list, for a step of his own;
 * whom a callback cancels leaves this one. */
static void slot_answer(struct slot *s, const struct auth_token *token, const struct err *error)
{
        struct waits now = TAILQ_HEAD_INITIALIZER(now);
        struct auth_wait *w;

        TAILQ_CONCAT(&now, &s->waits, entry);
        for (w = TAILQ_FIRST(&now); w; w = TAILQ_NEXT(w, entry))
                w->list = &now;
        while ((w = TAILQ_FIRST(&now))) {
                auth_token_fn done = w->done;
                void *userdata = w->userdata;

                wait_free(w);
                done(userdata, token, error);
        }
}

static void slot_step(struct slot *s)
{
        struct auth *a = auth_ref(s->auth); /* a callback may drop the last reference */
        usec_t now = loop_now(a->auths->loop);
        bool may_fetch = !s->fetch && (s->failures == 0 || now >= s->retry_at);

        if (TAILQ_EMPTY(&s->waits))
                ;
        else if (token_usable(s)) {
                if (may_fetch && now >= s->refresh_at)
                        slot_fetch(s);
                struct auth_token t = {.token = sec_ref(s->token), .expires_at = s->expires_at};
                slot_answer(s, &t, NULL);
                sec_unref(t.token);
        } else {
                if (may_fetch)
                        slot_fetch(s);
                if (!s->fetch) {
                        struct err error = {0};
                        (void)err_copy(&error, &s->error);
                        slot_answer(s, NULL, &error);
                        err_done(&error);
                }
        }
        auth_unref(a);
}

/* --- tokens --- */

int auth_get_token(struct auth *a, const char *scope, auth_token_fn done, void *userdata,
        struct auth_wait **ret)
{
        struct slot *s;

        if (strlen(scope) > SCOPE_MAX)
                return -EINVAL;
        int r = slot_get(a, scope, &s);
        if (r < 0)
                return r;
        struct auth_wait *w = malloc(sizeof *w);
        if (!w)
                return -ENOMEM;
        r = loop_timer_in(s->step, 0);
        if (r < 0) {
                free(w);
                return r;
        }
        *w = (struct auth_wait){.list = &s->waits, .slot = s, .done = done, .userdata = userdata};
        TAILQ_INSERT_TAIL(&s->waits, w, entry);
        auth_ref(a);
        if (ret)
                *ret = w;
        return 0;
}

struct auth_wait *auth_cancel(struct auth_wait *w)
{
        if (w)
                wait_free(w);
        return NULL;
}

void auth_reject_token(struct auth *a, const char *scope, const struct sec *token)
{
        usec_t now = loop_now(a->auths->loop);

        for (struct slot *s = a->slots; s; s = s->next) {
                if (!streq(s->scope, scope) || !s->token || !sec_equal(s->token, token))
                        continue;
                if (s->rejected_at != 0 && now - s->rejected_at < REJECT_INTERVAL)
                        return;
                s->rejected_at = MAX(now, (usec_t)1);
                slot_drop_token(s);
                return;
        }
}

uint64_t auth_requests(const struct auth *a)
{
        return a->requests;
}

/* --- identities --- */

static void auth_free(struct auth *a)
{
        if (a->auths)
                for (struct auth **p = &a->auths->first; *p; p = &(*p)->next)
                        if (*p == a) {
                                *p = a->next;
                                break;
                        }
        for (struct slot *s = a->slots, *next; s; s = next) {
                next = s->next;
                slot_free(s);
        }
        auth_params_done(&a->params);
        erase_and_free(a->key); /* a hash of the secret */
        free(a->description);
        free(a);
}

int auth_open(struct auths *all, const struct auth_config *cfg, struct auth **ret, struct err *e)
{
        const struct auth_mode *mode = auth_mode_of(cfg->mode);

        if (!mode)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "identity mode %d is not known", (int)cfg->mode);
        int r = mode->check(cfg, e);
        if (r < 0)
                return r;

        struct auth *a = calloc(1, sizeof *a);
        if (!a)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "not enough memory for an identity");
        a->refs = 1;
        a->mode = mode;
        r = auth_params_fill(cfg, &a->params);
        if (r == 0)
                r = auth_params_key(&a->params, &a->key);
        if (r == 0)
                r = mode->describe(&a->params, &a->description);
        if (r < 0) {
                auth_free(a);
                return err_set_cause(e, ERR_LOCAL, r, "not enough memory for an identity");
        }

        for (struct auth *known = all->first; known; known = known->next)
                if (streq(known->key, a->key) &&
                        auth_params_same_endpoint(&known->params, &a->params)) {
                        /* the same service account with a newer token */
                        if (a->params.subject && a->params.secret)
                                (void)auth_set_assertion(known, a->params.secret);
                        auth_free(a);
                        *ret = auth_ref(known);
                        return 0;
                }
        a->auths = all;
        a->next = all->first;
        all->first = a;
        *ret = a;
        return 0;
}

struct auth *auth_ref(struct auth *a)
{
        if (a)
                a->refs++;
        return a;
}

struct auth *auth_unref(struct auth *a)
{
        if (a && --a->refs == 0)
                auth_free(a);
        return NULL;
}

int auth_set_assertion(struct auth *a, struct sec *token)
{
        struct sec *fresh = sec_ref(token);

        if (a->params.mode != AUTH_FEDERATED || a->params.source ||
                !jwt_is_well_formed(sec_bytes(token), sec_len(token))) {
                sec_unref(fresh);
                return -EINVAL;
        }
        /* the very same one, which kubelet hands over every minute, proves nothing new */
        bool same = a->params.secret && sec_equal(a->params.secret, token);
        sec_unref(a->params.secret);
        a->params.secret = fresh;
        if (same)
                return 0;
        for (struct slot *s = a->slots; s; s = s->next)
                s->retry_at = 0;
        return 0;
}

const char *auth_key(const struct auth *a)
{
        return a->key;
}

const char *auth_describe(const struct auth *a)
{
        return a->description;
}

int auths_new(struct loop *l, struct http_client *http, struct auths **ret)
{
        struct auths *all = calloc(1, sizeof *all);
        if (!all)
                return -ENOMEM;
        all->loop = l;
        all->http = http;
        *ret = all;
        return 0;
}

void auths_set_helper(struct auths *all, struct auth_helper *helper)
{
        all->helper = helper;
}

void auths_free(struct auths *all)
{
        if (!all)
                return;
        assert(!all->first); /* every identity was given back */
        free(all);
}
