/* The worker's event loop: descriptors, timers and work posted by other threads.
 *
 * All of auth/, vault/, cache/ and the control socket run on the one thread that calls loop_run();
 * nothing there needs a lock. Only loop_post() and loop_exit() may be called from another thread.
 * A callback may free any source, its own included.
 *
 * Tests set loop_simulate(): the clock then stands still and leaps to the next timer whenever no
 * descriptor is ready and nothing is posted, so that an hour of refreshes takes a millisecond. It
 * does not leap while somebody holds it (loop_hold), which base/http does for as long as a request
 * is on its way: a real server's answer takes no simulated time. A finite timeout of loop_turn() is
 * simulated time too: it bounds the leap and is not waited for, but while the clock is held.
 */
#pragma once

#include "base/util.h"

typedef uint64_t usec_t;
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_INFINITY UINT64_MAX

struct loop;
struct loop_io;
struct loop_timer;

int loop_new(struct loop **ret);
void loop_free(
        struct loop *l); /* after every source is freed; posted work not yet run is dropped */
DEFINE_CLEANUP(struct loop *, loop_free)

/* Runs until loop_exit(); returns the code given there, or a negative errno. */
int loop_run(struct loop *l);
/* One turn: waits at most timeout (USEC_INFINITY: until something happens), runs what is ready. 1
 * when something ran, 0 on timeout, negative errno. */
int loop_turn(struct loop *l, usec_t timeout);
void loop_exit(struct loop *l, int code); /* any thread */

/* CLOCK_MONOTONIC, or the simulated time. Fresh at each call. */
usec_t loop_now(const struct loop *l);
/* CLOCK_REALTIME in seconds since the epoch, moved along with the simulated time. */
int64_t loop_wall(const struct loop *l);
void loop_simulate(struct loop *l, usec_t start, int64_t wall);

/* Something outside this process is under way: the simulated clock stands still until as many
 * loop_release() as loop_hold() were called. Without loop_simulate() they do nothing. */
void loop_hold(struct loop *l);
void loop_release(struct loop *l);

/* events and revents as epoll(7): EPOLLIN, EPOLLOUT, ... Level-triggered. fd is borrowed. */
typedef void (*loop_io_fn)(void *userdata, int fd, uint32_t revents);
int loop_io_new(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *userdata,
        struct loop_io **ret);
int loop_io_set(struct loop_io *io, uint32_t events);
struct loop_io *loop_io_free(struct loop_io *io); /* before fd is closed; returns NULL */

/* A timer fires once, at or after the time set, and is then off until set again. Timers for the
 * same moment fire in the order in which they were set. USEC_INFINITY turns one off. */
typedef void (*loop_timer_fn)(void *userdata);
int loop_timer_new(struct loop *l, loop_timer_fn fn, void *userdata, struct loop_timer **ret);
int loop_timer_at(struct loop_timer *t, usec_t when);     /* absolute, loop_now()'s clock */
int loop_timer_in(struct loop_timer *t, usec_t from_now); /* 0 fires on the next turn */
void loop_timer_off(struct loop_timer *t);
usec_t loop_timer_when(const struct loop_timer *t); /* USEC_INFINITY when off */
struct loop_timer *loop_timer_free(struct loop_timer *t);

/* Runs fn(userdata) once on the loop's thread, in the order posted. Any thread. -ENOMEM. */
typedef void (*loop_fn)(void *userdata);
int loop_post(struct loop *l, loop_fn fn, void *userdata);
