/* How much may be asked of one vault: one budget a vault URL, whoever asks.
 *
 * Whoever wants to send a request waits for a slot; slots are given first come, first served, at
 * most BUDGET_WINDOW at a time. While the vault throttles none is given:
 *   - an answer with Retry-After stops all sends for that long (at most BUDGET_PAUSE_MAX);
 *   - a 429 without it stops them for 1 s, doubling to 60 s with each pause that did not help.
 *     Requests that were under way when a pause began are part of the same burst: their 429s may
 *     prolong the pause by a Retry-After, but do not double it.
 * After a pause one request goes first, and the window opens by one with each answer, so that what
 * piled up does not throttle the vault again at once. Loop thread only.
 */
#pragma once

#include <sys/queue.h>

#include "base/loop.h"

#define BUDGET_WINDOW 32
#define BUDGET_PAUSE_FIRST USEC_PER_SEC
#define BUDGET_PAUSE_LAST (60 * USEC_PER_SEC)
#define BUDGET_PAUSE_MAX (3600 * USEC_PER_SEC) /* a Retry-After above this is cut */

struct budget;

enum budget_slot_state { SLOT_IDLE, SLOT_WAITING, SLOT_HELD };

/* Embedded in what waits; zeroed, then `go` and `userdata` set. */
struct budget_slot {
        TAILQ_ENTRY(budget_slot) link;
        enum budget_slot_state state;
        usec_t sent; /* when the slot was given */
        bool marked; /* for the owner's own use while it walks the queue */
        /* The slot is yours: send. Never called from within budget_wait(). May call anything here,
         * budget_leave() of this very slot included. */
        void (*go)(void *userdata);
        void *userdata;
};

int budget_new(struct loop *l, const char *url, struct budget **ret);
void budget_free(struct budget *b); /* no slot may wait or be held */
const char *budget_url(const struct budget *b);

void budget_wait(struct budget *b, struct budget_slot *s); /* s is idle */

enum budget_outcome {
        BUDGET_ANSWERED,  /* the vault answered, well or with an error of that one request */
        BUDGET_THROTTLED, /* 429 */
        BUDGET_FAILED,    /* no answer, or none that tells anything of the vault's load */
};
/* Gives the slot back. retry_after: seconds the answer asked for, 0 none; it counts with every
 * outcome (503 carries it as well). */
void budget_leave(
        struct budget *b, struct budget_slot *s, enum budget_outcome outcome, unsigned retry_after);
/* Leaves the queue, or gives back a slot whose request was cancelled. An idle slot is fine. */
void budget_cancel(struct budget *b, struct budget_slot *s);

/* Until when (loop_now()'s clock) nothing is sent; 0 when it is not paused. */
usec_t budget_paused_until(const struct budget *b);
/* Nothing waits, is under way or is paused: it can be freed and made anew with nothing lost. */
bool budget_is_idle(const struct budget *b);
/* The first in the queue, for walks with TAILQ_NEXT(); NULL when nobody waits. */
struct budget_slot *budget_first(const struct budget *b);
