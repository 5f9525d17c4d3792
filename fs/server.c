#include "fs/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/log.h"

struct server {
        int epoll_fd, stop_fd;
        pthread_t *threads;
        void **bounces; /* one a thread */
        unsigned n_threads, n_bounces;
        _Atomic unsigned n_started;

        pthread_mutex_t lock;
        struct session **sessions; /* by number; NULL once removed, places are used again */
        size_t n_sessions;
        uint64_t generation; /* makes numbers unique although places are not */
};

/* A number is the place and a generation, so that a late event never meets a newcomer. */
static uint64_t number_of(size_t place, uint64_t generation)
{
        return generation << 24 | (place + 1);
}

static size_t place_of(uint64_t number)
{
        return (size_t)(number & 0xffffff) - 1;
}

static struct session *find(struct server *s, uint64_t number)
{
        struct session *found = NULL;

        pthread_mutex_lock(&s->lock);
        size_t place = place_of(number);
        if (place < s->n_sessions && s->sessions[place] &&
                session_number(s->sessions[place]) == number)
                found = session_ref(s->sessions[place]);
        pthread_mutex_unlock(&s->lock);
        return found;
}

static int arm(int epoll_fd, int op, struct session *session)
{
        struct epoll_event ev = {
                .events = EPOLLIN | EPOLLONESHOT, .data.u64 = session_number(session)};

        return epoll_ctl(epoll_fd, op, session_fd(session), &ev) < 0 ? -errno : 0;
}

/* Thread-local because libfuse's callbacks carry no more than the session. */
static _Thread_local int current_epoll_fd = -EBADF;

static void rearm(struct session *session)
{
        int r = arm(current_epoll_fd, EPOLL_CTL_MOD, session);
        if (r < 0 && r != -ENOENT) /* ENOENT: it has just been removed */
                log_error("a connection cannot be waited for: %s", strerror(-r));
}

static void *serve(void *userdata)
{
        struct server *s = userdata;
        _Alignas(16) char request[SESSION_BUFFER];
        struct session_scratch scratch = {request, s->bounces[atomic_fetch_add(&s->n_started, 1)]};

        current_epoll_fd = s->epoll_fd;
        for (;;) {
                struct epoll_event ev;
                int n = epoll_wait(s->epoll_fd, &ev, 1, -1);
                if (n < 0 && errno != EINTR)
                        log_error("epoll_wait: %s", strerror(errno));
                if (n <= 0)
                        continue;
                if (ev.data.u64 == 0)
                        return NULL;
                struct session *session = find(s, ev.data.u64);
                if (!session)
                        continue;
                session_handle(session, &scratch, rearm);
                session_unref(session);
        }
}

int server_new(unsigned threads, struct server **ret)
{
        struct server *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        pthread_mutex_init(&s->lock, NULL);
        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        s->stop_fd = eventfd(0, EFD_CLOEXEC);
        s->threads = calloc(threads, sizeof *s->threads);
        s->bounces = calloc(threads, sizeof *s->bounces);

        struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0};
        int r = 0;
        if (s->epoll_fd < 0 || s->stop_fd < 0 ||
                epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->stop_fd, &ev) < 0)
                r = -errno;
        else if (!s->threads || !s->bounces)
                r = -ENOMEM;
        while (r == 0 && s->n_bounces < threads) {
                s->bounces[s->n_bounces] = sec_bounce_new(SESSION_READ_MAX);
                if (!s->bounces[s->n_bounces++])
                        r = -ENOMEM;
        }

        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        while (r == 0 && s->n_threads < threads) {
                r = -pthread_create(&s->threads[s->n_threads], NULL, serve, s);
                if (r == 0)
                        s->n_threads++;
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r < 0) {
                server_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void server_free(struct server *s)
{
        if (!s)
                return;
        /* Level-triggered and never read: it wakes every thread. */
        ssize_t n = write(s->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)n;
        for (unsigned i = 0; i < s->n_threads; i++)
                pthread_join(s->threads[i], NULL);
        safe_close(s->epoll_fd);
        safe_close(s->stop_fd);
        pthread_mutex_destroy(&s->lock);
        for (unsigned i = 0; i < s->n_bounces; i++)
                sec_bounce_free(s->bounces[i], SESSION_READ_MAX);
        free(s->bounces);
        free(s->threads);
        free(s->sessions);
        free(s);
}

int server_add(struct server *s, struct session *session)
{
        pthread_mutex_lock(&s->lock);
        size_t place = 0;
        while (place < s->n_sessions && s->sessions[place])
                place++;
        if (place == s->n_sessions) {
                struct session **bigger =
                        realloc(s->sessions, (s->n_sessions + 1) * sizeof(struct session *));
                if (!bigger) {
                        pthread_mutex_unlock(&s->lock);
                        return -ENOMEM;
                }
                s->sessions = bigger;
                s->n_sessions++;
        }
        s->sessions[place] = session_ref(session);
        session_set_number(session, number_of(place, ++s->generation));
        pthread_mutex_unlock(&s->lock);
        int r = arm(s->epoll_fd, EPOLL_CTL_ADD, session);
        if (r < 0)
                server_remove(s, session);
        return r;
}

void server_remove(struct server *s, struct session *session)
{
        bool found = false;

        pthread_mutex_lock(&s->lock);
        size_t place = place_of(session_number(session));
        if (place < s->n_sessions && s->sessions[place] == session) {
                s->sessions[place] = NULL;
                found = true;
        }
        pthread_mutex_unlock(&s->lock);
        if (found) {
                (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, session_fd(session), NULL);
                session_unref(session);
        }
}
