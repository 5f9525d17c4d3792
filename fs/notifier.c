#include "fs/notifier.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/log.h"

#define ANSWER_TIMEOUT (10 * USEC_PER_SEC)
#define RETRY_DELAY (100 * USEC_PER_MSEC)
#define TRIES 5

enum what { INVAL_INODE, PROBE, FLUSH };

struct item {
        struct item *next;
        enum what what;
        struct session *session;
        uint64_t id;
        loop_fn fn;
        void *userdata;
};

struct notifier {
        struct notifier_config cfg;
        int wake_fd; /* written to by whoever queues */
        struct loop_io *wake;
        pthread_mutex_t lock; /* the queue */
        struct item *first, **last;

        struct item *current; /* it is asked for, or will be again */
        bool asked;
        uint64_t seq;
        unsigned tries;
        struct loop_timer *timer; /* for its answer, or before the next try */
};

static void drop(struct item *i)
{
        session_unref(i->session);
        free(i);
}

static struct item *take(struct notifier *n)
{
        pthread_mutex_lock(&n->lock);
        struct item *i = n->first;
        if (i) {
                n->first = i->next;
                if (!n->first)
                        n->last = &n->first;
        }
        pthread_mutex_unlock(&n->lock);
        return i;
}

static void done(struct notifier *n, int result)
{
        struct item *i = TAKE_PTR(n->current);

        n->asked = false;
        loop_timer_off(n->timer);
        if (i->what == PROBE && result == -ENOENT)
                session_unknown(i->session, i->id);
        /* ENOENT: not cached; ENODEV, ENOTCONN: the volume is gone; ENOSYS: INIT has not been
         * answered. Nothing is there to forget. */
        if (result < 0 && result != -ENOENT && result != -ENODEV && result != -ENOTCONN &&
                result != -ENOSYS)
                log_warning("a notification failed: %s", strerror(-result));
        drop(i);
}

/* No child was free, or it died. */
static bool may_be_tried_again(int result)
{
        return result == -EAGAIN || result == -EINTR || result == -ENOMEM || result == -EMFILE ||
               result == -ENFILE;
}

/* Nobody else can, and what would be waited for is answered by other threads. */
static int directly(const struct item *i)
{
        return session_inval_inode(i->session, i->id, i->what == PROBE);
}

static void ended(struct notifier *n, int result)
{
        n->asked = false;
        if (result == -ENOTCONN || result == -EBADF)
                result = directly(n->current);
        if (may_be_tried_again(result) && ++n->tries < TRIES &&
                loop_timer_in(n->timer, RETRY_DELAY << n->tries) == 0)
                return;
        done(n, result);
}

static void ask(struct notifier *n)
{
        const struct item *i = n->current;

        int r = n->cfg.ask(n->cfg.userdata, i->session, ++n->seq, i->id, i->what == PROBE);
        n->asked = r == 0;
        if (r == 0)
                r = loop_timer_in(n->timer, ANSWER_TIMEOUT);
        if (r < 0)
                ended(n, r);
}

static void go_on(struct notifier *n)
{
        while (!n->current) {
                struct item *i = take(n);
                if (!i)
                        return;
                if (i->what == FLUSH) {
                        if (loop_post(n->cfg.loop, i->fn, i->userdata) < 0)
                                i->fn(i->userdata);
                        drop(i);
                        continue;
                }
                n->current = i;
                n->tries = 0;
                ask(n);
        }
}

static void on_wake(void *userdata, int fd, uint32_t revents)
{
        uint64_t count;

        if (read(fd, &count, sizeof count) == sizeof count)
                go_on(userdata);
}

static void on_timer(void *userdata)
{
        struct notifier *n = userdata;

        if (n->asked)
                done(n, -ETIMEDOUT);
        else if (n->current)
                ask(n);
        go_on(n);
}

void notifier_answered(struct notifier *n, uint64_t seq, int result)
{
        if (!n->asked || seq != n->seq)
                return;
        ended(n, result);
        go_on(n);
}

void notifier_lost(struct notifier *n)
{
        if (n->asked)
                ask(n);
        go_on(n);
}

int notifier_new(const struct notifier_config *cfg, struct notifier **ret)
{
        struct notifier *n = calloc(1, sizeof *n);
        if (!n)
                return -ENOMEM;
        n->cfg = *cfg;
        n->seq = cfg->first_seq;
        n->last = &n->first;
        pthread_mutex_init(&n->lock, NULL);
        n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        int r = n->wake_fd < 0 ? -errno : loop_timer_new(cfg->loop, on_timer, n, &n->timer);
        if (r == 0)
                r = loop_io_new(cfg->loop, n->wake_fd, EPOLLIN, on_wake, n, &n->wake);
        if (r < 0) {
                notifier_free(n);
                return r;
        }
        *ret = n;
        return 0;
}

void notifier_free(struct notifier *n)
{
        struct item *i;

        if (!n)
                return;
        if (n->current)
                drop(n->current);
        while ((i = take(n)))
                drop(i);
        loop_timer_free(n->timer);
        loop_io_free(n->wake);
        safe_close(n->wake_fd);
        pthread_mutex_destroy(&n->lock);
        free(n);
}

/* One that still waits will be asked for later than now, which is all that is wanted. So that
 * whoever tries to write in a loop cannot make the queue grow. */
static bool waits_already(const struct notifier *n, const struct item *what)
{
        for (const struct item *i = n->first; i; i = i->next)
                if (i->what == INVAL_INODE && i->session == what->session && i->id == what->id)
                        return true;
        return false;
}

static int queue(struct notifier *n, const struct item *what)
{
        struct item *i = malloc(sizeof *i);
        if (!i)
                return -ENOMEM;
        *i = *what;

        pthread_mutex_lock(&n->lock);
        if (i->what == INVAL_INODE && waits_already(n, i)) {
                pthread_mutex_unlock(&n->lock);
                free(i);
                return 0;
        }
        if (i->session)
                session_ref(i->session);
        *n->last = i;
        n->last = &i->next;
        pthread_mutex_unlock(&n->lock);
        (void)write_all(n->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
        return 0;
}

int notifier_inval_inode(struct notifier *n, struct session *s, uint64_t id)
{
        return queue(n, &(struct item){.what = INVAL_INODE, .session = s, .id = id});
}

int notifier_probe(struct notifier *n, struct session *s, uint64_t id)
{
        return queue(n, &(struct item){.what = PROBE, .session = s, .id = id});
}

int notifier_flush(struct notifier *n, struct session *s, loop_fn fn, void *userdata)
{
        return queue(
                n, &(struct item){.what = FLUSH, .session = s, .fn = fn, .userdata = userdata});
}
