#include "fs/notifier.h"

#include <pthread.h>
#include <signal.h>

#include "base/log.h"

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
        struct loop *loop;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct item *first, **last;
        bool stop;
};

static void send_item(struct notifier *n, const struct item *i)
{
        int r = 0;

        switch (i->what) {
        case INVAL_INODE:
                r = session_inval_inode(i->session, i->id);
                break;
        case PROBE:
                r = session_probe(i->session, i->id);
                break;
        case FLUSH:
                r = loop_post(n->loop, i->fn, i->userdata);
                break;
        }
        /* ENOENT: not cached; ENODEV, ENOTCONN: the volume is gone; ENOSYS: INIT has not been
         * answered. Nothing is there to forget. */
        if (r < 0 && r != -ENOENT && r != -ENODEV && r != -ENOTCONN && r != -ENOSYS)
                log_warning("a notification failed: %s", strerror(-r));
}

static void *run(void *userdata)
{
        struct notifier *n = userdata;

        pthread_mutex_lock(&n->lock);
        for (;;) {
                while (!n->first && !n->stop)
                        pthread_cond_wait(&n->wake, &n->lock);
                if (n->stop)
                        break;
                struct item *i = n->first;
                n->first = i->next;
                if (!n->first)
                        n->last = &n->first;
                pthread_mutex_unlock(&n->lock);

                send_item(n, i);
                session_unref(i->session);
                free(i);
                pthread_mutex_lock(&n->lock);
        }
        pthread_mutex_unlock(&n->lock);
        return NULL;
}

int notifier_new(struct loop *l, struct notifier **ret)
{
        struct notifier *n = calloc(1, sizeof *n);
        if (!n)
                return -ENOMEM;
        n->loop = l;
        n->last = &n->first;
        pthread_mutex_init(&n->lock, NULL);
        pthread_cond_init(&n->wake, NULL);

        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        int r = -pthread_create(&n->thread, NULL, run, n);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r < 0) {
                pthread_mutex_destroy(&n->lock);
                pthread_cond_destroy(&n->wake);
                free(n);
                return r;
        }
        *ret = n;
        return 0;
}

void notifier_free(struct notifier *n)
{
        if (!n)
                return;
        pthread_mutex_lock(&n->lock);
        n->stop = true;
        pthread_cond_signal(&n->wake);
        pthread_mutex_unlock(&n->lock);
        pthread_join(n->thread, NULL);
        for (struct item *i = n->first, *next; i; i = next) {
                next = i->next;
                session_unref(i->session);
                free(i);
        }
        pthread_mutex_destroy(&n->lock);
        pthread_cond_destroy(&n->wake);
        free(n);
}

/* One that still waits will be sent later than now, which is all that is asked for. So that whoever
 * tries to write in a loop cannot make the queue grow. */
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
        pthread_cond_signal(&n->wake);
        pthread_mutex_unlock(&n->lock);
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
