#include "cache/budget.h"

#include <assert.h>

#include "base/log.h"
#include "cache/alarm.h"
#include "cache/clock.h"

struct budget {
        struct loop *loop;
        char *url;
        TAILQ_HEAD(, budget_slot) queue;
        unsigned held, window;
        struct loop_timer *pump;
        usec_t paused_until; /* in the past: not paused */
        usec_t paused_at;    /* when the last pause began */
        usec_t pause;        /* length of the last one without Retry-After; 0 after recovery */
        usec_t logged;       /* length of the last pause that the log tells of */
        bool throttled;      /* since the first 429 until a request is answered again */
        bool pumping;
};

static bool is_paused(const struct budget *b)
{
        return b->paused_until > loop_now(b->loop);
}

/* Arms the pump for the next moment at which a slot can be given. */
static void arm(struct budget *b)
{
        usec_t now = loop_now(b->loop);

        if (!TAILQ_EMPTY(&b->queue) && b->held < b->window)
                alarm_set(b->pump, MAX(now, b->paused_until));
        else
                alarm_rest(b->pump);
}

static void on_pump(void *userdata)
{
        struct budget *b = userdata;
        struct budget_slot *s;

        alarm_rest(b->pump);
        b->pumping = true;
        /* go() may put slots in or out and leave this one: nothing is kept over the call. */
        while (!is_paused(b) && b->held < b->window && (s = TAILQ_FIRST(&b->queue))) {
                TAILQ_REMOVE(&b->queue, s, link);
                s->state = SLOT_HELD;
                s->sent = loop_now(b->loop);
                b->held++;
                s->go(s->userdata);
        }
        b->pumping = false;
        arm(b);
}

int budget_new(struct loop *l, const char *url, struct budget **ret)
{
        struct budget *b = calloc(1, sizeof *b);
        if (!b)
                return -ENOMEM;
        b->loop = l;
        b->window = BUDGET_WINDOW;
        TAILQ_INIT(&b->queue);
        b->url = strdup(url);
        int r = b->url ? alarm_new(l, on_pump, b, &b->pump) : -ENOMEM;
        if (r < 0) {
                budget_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

void budget_free(struct budget *b)
{
        if (!b)
                return;
        assert(TAILQ_EMPTY(&b->queue) && b->held == 0);
        loop_timer_free(b->pump);
        free(b->url);
        free(b);
}

const char *budget_url(const struct budget *b)
{
        return b->url;
}

void budget_wait(struct budget *b, struct budget_slot *s)
{
        assert(s->state == SLOT_IDLE);
        s->state = SLOT_WAITING;
        TAILQ_INSERT_TAIL(&b->queue, s, link);
        arm(b);
}

static void pause_sends(struct budget *b, const struct budget_slot *s, unsigned retry_after)
{
        char text[CLOCK_SPAN_LEN];
        usec_t now = loop_now(b->loop), length;
        bool same_burst = b->throttled && s->sent <= b->paused_at;

        if (retry_after > 0)
                length = MIN((usec_t)retry_after * USEC_PER_SEC, BUDGET_PAUSE_MAX);
        else if (same_burst)
                return;
        else {
                length = b->pause ? MIN(2 * b->pause, BUDGET_PAUSE_LAST) : BUDGET_PAUSE_FIRST;
                b->pause = length;
        }
        if (now + length <= b->paused_until)
                return;

        b->paused_until = now + length;
        if (same_burst)
                return;
        b->paused_at = now;
        b->window = 1;
        clock_format_span(length, text);
        if (!b->throttled)
                log_warning("vault %s throttles: nothing is sent to it for %s%s", b->url, text,
                        retry_after > 0 ? " (Retry-After)" : "");
        else if (length != b->logged)
                log_info("vault %s still throttles: nothing is sent to it for %s%s", b->url, text,
                        retry_after > 0 ? " (Retry-After)" : "");
        b->logged = length;
        b->throttled = true;
}

void budget_leave(
        struct budget *b, struct budget_slot *s, enum budget_outcome outcome, unsigned retry_after)
{
        assert(s->state == SLOT_HELD);
        s->state = SLOT_IDLE;
        b->held--;

        if (outcome == BUDGET_THROTTLED || retry_after > 0)
                pause_sends(b, s, retry_after);
        else if (outcome == BUDGET_ANSWERED && (!b->throttled || s->sent >= b->paused_until)) {
                if (b->throttled)
                        log_info("vault %s throttles no more", b->url);
                b->throttled = false;
                b->pause = 0;
                if (b->window < BUDGET_WINDOW)
                        b->window++;
        }
        arm(b);
}

void budget_cancel(struct budget *b, struct budget_slot *s)
{
        if (s->state == SLOT_WAITING)
                TAILQ_REMOVE(&b->queue, s, link);
        else if (s->state == SLOT_HELD)
                b->held--;
        s->state = SLOT_IDLE;
        arm(b);
}

usec_t budget_paused_until(const struct budget *b)
{
        return is_paused(b) ? b->paused_until : 0;
}

bool budget_is_idle(const struct budget *b)
{
        return TAILQ_EMPTY(&b->queue) && b->held == 0 && !b->pumping && !is_paused(b);
}

struct budget_slot *budget_first(const struct budget *b)
{
        return TAILQ_FIRST(&b->queue);
}
