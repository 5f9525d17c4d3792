/* Timers that can always be set.
 *
 * loop_timer_at() needs room in the loop's heap and can fail when memory is short, which in the
 * middle of a refresh clock would silently stop it. A timer that is never taken out of the heap
 * keeps its place there: it is put in once, where failure can be reported, and rests at
 * USEC_INFINITY instead of being off. The one moment it is out is when it fires, so a callback's
 * first act is alarm_rest(); the place it had is then still free.
 */
#pragma once

#include <assert.h>

#include "base/loop.h"

static inline void alarm_set(struct loop_timer *t, usec_t when)
{
        int r = loop_timer_at(t, when);

        assert(r == 0);
        (void)r;
}

static inline void alarm_rest(struct loop_timer *t)
{
        alarm_set(t, USEC_INFINITY);
}

static inline int alarm_new(
        struct loop *l, loop_timer_fn fn, void *userdata, struct loop_timer **ret)
{
        struct loop_timer *t;
        int r = loop_timer_new(l, fn, userdata, &t);

        if (r < 0)
                return r;
        r = loop_timer_at(t, USEC_INFINITY);
        if (r < 0) {
                loop_timer_free(t);
                return r;
        }
        *ret = t;
        return 0;
}
