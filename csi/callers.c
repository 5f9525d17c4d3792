#include "csi/callers.h"

#include "base/log.h"
#include "csi/proto/csi.pb-c.h"

#define MARGIN_MAX (2 * USEC_PER_SEC)

struct caller {
        struct caller *next;
        struct callers *line;
        struct rpc_call *call;
        struct loop_timer *timer; /* shortly before its deadline; NULL: never */
};

/* Frees the caller; the call is left. */
static struct rpc_call *leave(struct caller *w)
{
        struct rpc_call *call = w->call;

        for (struct caller **p = &w->line->list; *p; p = &(*p)->next)
                if (*p == w) {
                        *p = w->next;
                        break;
                }
        rpc_call_on_cancel(call, NULL, NULL);
        loop_timer_free(w->timer);
        free(w);
        return call;
}

static void give_up(struct caller *w, const char *text)
{
        const struct callers *line = w->line;

        rpc_fail(leave(w), RPC_DEADLINE_EXCEEDED, text);
        if (!line->list && line->nobody)
                line->nobody(line->userdata);
}

static void on_cancel(void *userdata, struct rpc_call *call)
{
        give_up(userdata, "the caller has given up");
}

static void on_late(void *userdata)
{
        struct caller *w = userdata;
        _cleanup_free_ char *text = w->line->late(w->line->userdata);

        log_warning("%s", text ? text : "context deadline exceeded");
        give_up(w, text ? text : "context deadline exceeded");
}

/* How long it can wait. */
static usec_t patience(const struct callers *c, const struct rpc_call *call)
{
        usec_t deadline = rpc_call_deadline(call), now = loop_now(c->loop);
        usec_t left = deadline > now ? deadline - now : 0;

        return deadline == USEC_INFINITY ? USEC_INFINITY : left - MIN(left / 5, MARGIN_MAX);
}

int callers_add(struct callers *c, struct rpc_call *call, bool bounded)
{
        usec_t wait = bounded ? patience(c, call) : USEC_INFINITY;
        struct caller *w = calloc(1, sizeof *w);
        int r = w ? 0 : -ENOMEM;

        if (r == 0 && wait != USEC_INFINITY) {
                r = loop_timer_new(c->loop, on_late, w, &w->timer);
                if (r == 0)
                        r = loop_timer_in(w->timer, wait);
        }
        if (r < 0) {
                if (w)
                        loop_timer_free(w->timer);
                free(w);
                rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
                return r;
        }
        w->line = c;
        w->call = call;
        w->next = c->list;
        c->list = w;
        rpc_call_on_cancel(call, on_cancel, w);
        return 0;
}

void callers_answer(struct callers *c, enum rpc_code code, const char *text)
{
        while (c->list) {
                struct rpc_call *call = leave(c->list);

                if (code == RPC_OK) {
                        Csi__V1__Nothing nothing = CSI__V1__NOTHING__INIT;
                        rpc_reply(call, &nothing.base);
                } else
                        rpc_fail(call, code, text);
        }
}
