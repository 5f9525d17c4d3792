#include "fs/dialect.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "fs/session_ops.h"

struct dialect {
        struct dialect *next;
        struct dialects *all; /* NULL until it is shared */
        unsigned refs;        /* under their lock */
        struct fuse_session *fuse;
        dialect_answer_fn answer;
        uint32_t minor;
        uint64_t flags;
};

struct dialects {
        pthread_mutex_t lock;
        struct dialect *list;
        bool left; /* by its owner: it goes with the last of them */
};

int dialects_new(struct dialects **ret)
{
        struct dialects *all = calloc(1, sizeof *all);

        if (!all)
                return -ENOMEM;
        pthread_mutex_init(&all->lock, NULL);
        *ret = all;
        return 0;
}

static void free_all(struct dialects *all)
{
        pthread_mutex_destroy(&all->lock);
        free(all);
}

void dialects_leave(struct dialects *all)
{
        if (!all)
                return;
        pthread_mutex_lock(&all->lock);
        all->left = true;
        bool empty = !all->list;
        pthread_mutex_unlock(&all->lock);
        if (empty)
                free_all(all);
}

/* Requests are read by fs/session.c. */
static ssize_t io_read(int fd, void *buf, size_t len, void *userdata)
{
        errno = EBADF;
        return -1;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
        const struct dialect *d = userdata;

        return d->answer(iov, count);
}

static void dialect_free(struct dialect *d)
{
        if (d->fuse)
                fuse_session_destroy(d->fuse);
        free(d);
}

int dialect_new(dialect_answer_fn answer, struct dialect **ret)
{
        static const struct fuse_custom_io io = {.read = io_read, .writev = io_writev};
        struct fuse_lowlevel_ops ops;
        char *argv[] = {(char *)(uintptr_t) "akvfs", NULL};
        struct fuse_args args = FUSE_ARGS_INIT(1, argv);

        struct dialect *d = calloc(1, sizeof *d);
        if (!d)
                return -ENOMEM;
        d->refs = 1;
        d->answer = answer;
        session_ops_fill(&ops);
        d->fuse = fuse_session_new(&args, &ops, sizeof ops, d);
        fuse_opt_free_args(&args);
        if (!d->fuse) {
                dialect_free(d);
                return -ENOMEM;
        }
        /* libfuse wants a descriptor, which it closes in the end and never uses. */
        _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC);
        int r = fd < 0 ? -errno : fuse_session_custom_io(d->fuse, &io, fd);
        if (r < 0) {
                dialect_free(d);
                return r;
        }
        TAKE_FD(fd);
        *ret = d;
        return 0;
}

struct dialect *dialect_share(
        struct dialects *all, struct dialect *d, uint32_t minor, uint64_t flags)
{
        struct dialect *same;

        pthread_mutex_lock(&all->lock);
        for (same = all->list; same; same = same->next)
                if (same->minor == minor && same->flags == flags)
                        break;
        if (same)
                same->refs++;
        else {
                d->minor = minor;
                d->flags = flags;
                d->all = all;
                d->next = all->list;
                all->list = d;
        }
        pthread_mutex_unlock(&all->lock);
        if (!same)
                return d;
        dialect_free(d);
        return same;
}

struct dialect *dialect_unref(struct dialect *d)
{
        if (!d)
                return NULL;
        struct dialects *all = d->all;
        if (all) {
                pthread_mutex_lock(&all->lock);
                bool last = --d->refs == 0;
                for (struct dialect **p = &all->list; last && *p; p = &(*p)->next)
                        if (*p == d) {
                                *p = d->next;
                                break;
                        }
                bool empty = all->left && !all->list;
                pthread_mutex_unlock(&all->lock);
                if (!last)
                        return NULL;
                if (empty)
                        free_all(all);
        }
        dialect_free(d);
        return NULL;
}

void dialect_process(struct dialect *d, void *request, size_t n)
{
        struct fuse_buf buf = {.mem = request, .size = n};

        fuse_session_process_buf(d->fuse, &buf);
}

int dialect_inval_inode(struct dialect *d, uint64_t id, off_t offset, off_t len)
{
        return fuse_lowlevel_notify_inval_inode(d->fuse, id, offset, len);
}
