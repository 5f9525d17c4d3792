#include "base/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

struct loop_io {
        struct loop *loop;
        int fd;
        loop_io_fn fn;
        void *userdata;
        bool dead;
        struct loop_io *next_dead;
};

struct loop_timer {
        struct loop *loop;
        usec_t when;
        uint64_t serial; /* of loop_timer_at(): the order among equal times */
        size_t index;    /* in the heap; SIZE_MAX when off */
        loop_timer_fn fn;
        void *userdata;
};

struct posted {
        struct posted *next;
        loop_fn fn;
        void *userdata;
};

struct loop {
        int epoll_fd;
        int wake_fd;
        struct loop_timer **heap;
        size_t timers, heap_size;
        uint64_t serial;
        struct loop_io *dead; /* freed within this turn: events already fetched may name them */

        pthread_mutex_t lock; /* what follows is touched by other threads */
        struct posted *first, **last;
        bool exiting;
        int exit_code;

        bool simulated;
        usec_t sim_start, sim_now;
        int64_t sim_wall;
        unsigned holds;
};

static usec_t monotonic(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

usec_t loop_now(const struct loop *l)
{
        return l->simulated ? l->sim_now : monotonic();
}

int64_t loop_wall(const struct loop *l)
{
        struct timespec ts;

        if (l->simulated)
                return l->sim_wall + (int64_t)((l->sim_now - l->sim_start) / USEC_PER_SEC);
        clock_gettime(CLOCK_REALTIME, &ts);
        return ts.tv_sec;
}

void loop_simulate(struct loop *l, usec_t start, int64_t wall)
{
        l->simulated = true;
        l->sim_start = l->sim_now = start;
        l->sim_wall = wall;
}

void loop_hold(struct loop *l)
{
        l->holds++;
}

void loop_release(struct loop *l)
{
        l->holds--;
}

int loop_new(struct loop **ret)
{
        struct loop *l = calloc(1, sizeof *l);
        if (!l)
                return -ENOMEM;
        l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        l->last = &l->first;
        pthread_mutex_init(&l->lock, NULL);

        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
        if (l->epoll_fd < 0 || l->wake_fd < 0 ||
                epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0) {
                int r = -errno;
                loop_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

void loop_free(struct loop *l)
{
        if (!l)
                return;
        for (struct posted *p = l->first, *next; p; p = next) {
                next = p->next;
                free(p);
        }
        for (struct loop_io *io = l->dead, *next; io; io = next) {
                next = io->next_dead;
                free(io);
        }
        safe_close(l->epoll_fd);
        safe_close(l->wake_fd);
        pthread_mutex_destroy(&l->lock);
        free(l->heap);
        free(l);
}

/* --- descriptors --- */

int loop_io_new(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *userdata,
        struct loop_io **ret)
{
        struct loop_io *io = calloc(1, sizeof *io);
        if (!io)
                return -ENOMEM;
        *io = (struct loop_io){.loop = l, .fd = fd, .fn = fn, .userdata = userdata};

        struct epoll_event ev = {.events = events, .data.ptr = io};
        if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
                int r = -errno;
                free(io);
                return r;
        }
        *ret = io;
        return 0;
}

int loop_io_set(struct loop_io *io, uint32_t events)
{
        struct epoll_event ev = {.events = events, .data.ptr = io};

        return epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) < 0 ? -errno : 0;
}

struct loop_io *loop_io_free(struct loop_io *io)
{
        if (!io)
                return NULL;
        (void)epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
        io->dead = true;
        io->next_dead = io->loop->dead;
        io->loop->dead = io;
        return NULL;
}

/* --- timers: a binary heap by time, then by the order of setting --- */

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
        return a->when < b->when || (a->when == b->when && a->serial < b->serial);
}

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
        l->heap[i] = t;
        t->index = i;
}

static void heap_up(struct loop *l, size_t i)
{
        struct loop_timer *t = l->heap[i];

        while (i > 0 && before(t, l->heap[(i - 1) / 2])) {
                heap_put(l, i, l->heap[(i - 1) / 2]);
                i = (i - 1) / 2;
        }
        heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i)
{
        struct loop_timer *t = l->heap[i];

        for (;;) {
                size_t child = 2 * i + 1;
                if (child >= l->timers)
                        break;
                if (child + 1 < l->timers && before(l->heap[child + 1], l->heap[child]))
                        child++;
                if (!before(l->heap[child], t))
                        break;
                heap_put(l, i, l->heap[child]);
                i = child;
        }
        heap_put(l, i, t);
}

int loop_timer_new(struct loop *l, loop_timer_fn fn, void *userdata, struct loop_timer **ret)
{
        struct loop_timer *t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        *t = (struct loop_timer){.loop = l,
                .when = USEC_INFINITY,
                .index = SIZE_MAX,
                .fn = fn,
                .userdata = userdata};
        *ret = t;
        return 0;
}

int loop_timer_at(struct loop_timer *t, usec_t when)
{
        struct loop *l = t->loop;

        if (when == USEC_INFINITY) {
                loop_timer_off(t);
                return 0;
        }
        if (t->index != SIZE_MAX) {
                t->when = when;
                t->serial = l->serial++;
                heap_up(l, t->index);
                heap_down(l, t->index);
                return 0;
        }
        if (l->timers == l->heap_size) {
                size_t n = l->heap_size ? 2 * l->heap_size : 16;
                struct loop_timer **heap = realloc(l->heap, n * sizeof(struct loop_timer *));
                if (!heap)
                        return -ENOMEM;
                l->heap = heap;
                l->heap_size = n;
        }
        t->when = when;
        t->serial = l->serial++;
        heap_put(l, l->timers++, t);
        heap_up(l, t->index);
        return 0;
}

int loop_timer_in(struct loop_timer *t, usec_t from_now)
{
        usec_t now = loop_now(t->loop);

        return loop_timer_at(t, from_now < USEC_INFINITY - now ? now + from_now : USEC_INFINITY);
}

void loop_timer_off(struct loop_timer *t)
{
        struct loop *l = t->loop;
        size_t i = t->index;

        if (i == SIZE_MAX)
                return;
        t->index = SIZE_MAX;
        t->when = USEC_INFINITY;
        struct loop_timer *moved = l->heap[--l->timers];
        if (moved != t) {
                heap_put(l, i, moved);
                heap_up(l, i);
                heap_down(l, moved->index);
        }
}

usec_t loop_timer_when(const struct loop_timer *t)
{
        return t->when;
}

struct loop_timer *loop_timer_free(struct loop_timer *t)
{
        if (t) {
                loop_timer_off(t);
                free(t);
        }
        return NULL;
}

/* --- posted work --- */

static void wake(struct loop *l)
{
        ssize_t n = write(l->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)n; /* EAGAIN: it is awake already */
}

int loop_post(struct loop *l, loop_fn fn, void *userdata)
{
        struct posted *p = malloc(sizeof *p);
        if (!p)
                return -ENOMEM;
        *p = (struct posted){.fn = fn, .userdata = userdata};

        pthread_mutex_lock(&l->lock);
        *l->last = p;
        l->last = &p->next;
        pthread_mutex_unlock(&l->lock);
        wake(l);
        return 0;
}

void loop_exit(struct loop *l, int code)
{
        pthread_mutex_lock(&l->lock);
        l->exiting = true;
        l->exit_code = code;
        pthread_mutex_unlock(&l->lock);
        wake(l);
}

static bool run_posted(struct loop *l)
{
        bool ran = false;

        pthread_mutex_lock(&l->lock);
        struct posted *p = l->first;
        l->first = NULL;
        l->last = &l->first;
        pthread_mutex_unlock(&l->lock);
        while (p) {
                struct posted *next = p->next;
                p->fn(p->userdata);
                free(p);
                p = next;
                ran = true;
        }
        return ran;
}

/* --- the loop --- */

static bool run_timers(struct loop *l)
{
        usec_t now = loop_now(l);
        uint64_t limit = l->serial;
        bool ran = false;

        /* What a callback sets for "now" waits for the next turn, or one timer could starve all. */
        while (l->timers > 0) {
                struct loop_timer *t = l->heap[0];
                if (t->when > now || t->serial >= limit)
                        break;
                loop_timer_off(t);
                t->fn(t->userdata);
                ran = true;
        }
        return ran;
}

/* How long nothing can happen but by a descriptor. Simulated time passes without waiting, unless
 * somebody outside is waited for. */
static int wait_ms(const struct loop *l, usec_t timeout)
{
        if (l->timers > 0) {
                usec_t now = loop_now(l), when = l->heap[0]->when;
                usec_t left = when > now ? when - now : 0;
                if (!l->simulated || left == 0)
                        timeout = MIN(timeout, left);
                else if (l->holds == 0)
                        return 0;
        } else if (l->simulated && l->holds == 0 && timeout != USEC_INFINITY)
                return 0;
        if (timeout == USEC_INFINITY)
                return -1;
        usec_t ms = timeout / USEC_PER_MSEC + (timeout % USEC_PER_MSEC != 0);
        return (int)MIN(ms, (usec_t)1 << 30);
}

int loop_turn(struct loop *l, usec_t timeout)
{
        struct epoll_event events[64];
        bool ran = false, woken = false;

        int n = epoll_wait(l->epoll_fd, events, ELEMENTSOF(events), wait_ms(l, timeout));
        if (n < 0 && errno != EINTR)
                return -errno;
        for (int i = 0; i < n; i++) {
                struct loop_io *io = events[i].data.ptr;

                if (!io) {
                        uint64_t count;
                        ssize_t got = read(l->wake_fd, &count, sizeof count);
                        (void)got;
                        woken = true;
                        continue;
                }
                if (!io->dead) {
                        io->fn(io->userdata, io->fd, events[i].events);
                        ran = true;
                }
        }
        ran |= run_posted(l);
        if (l->simulated && l->holds == 0 && !ran && !woken && l->timers > 0) {
                usec_t leap = l->heap[0]->when;
                if (leap > l->sim_now && leap - l->sim_now <= timeout)
                        l->sim_now = leap;
        }
        ran |= run_timers(l);

        for (struct loop_io *io = TAKE_PTR(l->dead), *next; io; io = next) {
                next = io->next_dead;
                free(io);
        }
        return ran;
}

int loop_run(struct loop *l)
{
        for (;;) {
                pthread_mutex_lock(&l->lock);
                bool exiting = l->exiting;
                int code = l->exit_code;
                l->exiting = false;
                pthread_mutex_unlock(&l->lock);
                if (exiting)
                        return code;
                int r = loop_turn(l, USEC_INFINITY);
                if (r < 0)
                        return r;
        }
}
