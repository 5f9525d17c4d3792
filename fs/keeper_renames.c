/* What the worker asks to be done within a mount (RENAME, FORGET, INVALIDATE, WARM): which renamer
 * does it, and what becomes of it. */
#include <poll.h>
#include <string.h>

#include "fs/keeper_private.h"
#include "fs/keeper_resend.h"

static struct renamer *free_renamer(struct keeper *k)
{
        for (size_t i = 0; i < k->n_renamers; i++)
                if (!k->renamers[i].busy)
                        return &k->renamers[i];
        if (k->n_renamers == RENAMERS_MAX || renamer_start(&k->renamers[k->n_renamers]) < 0)
                return NULL;
        return &k->renamers[k->n_renamers++];
}

static void drop(struct keeper *k, struct renamer *r)
{
        renamer_done(r);
        *r = k->renamers[--k->n_renamers];
}

/* To one that lives: an idle one may have been killed, and nobody has looked since. */
static int give(struct keeper *k, const struct keeper_mount *m, const struct keeper_msg *request)
{
        for (unsigned tries = 0; tries <= RENAMERS_MAX; tries++) {
                struct renamer *r = free_renamer(k);
                int e = r ? renamer_send(r, m, request) : -EAGAIN;
                if (e != -EPIPE && e != -ECONNRESET)
                        return e;
                drop(k, r);
        }
        return -EAGAIN;
}

static enum keeper_op answer_to(enum keeper_op op)
{
        return op == KEEPER_WARM         ? KEEPER_WARMED
               : op == KEEPER_INVALIDATE ? KEEPER_INVALIDATED
                                         : KEEPER_RENAMED;
}

void keeper_on_renamer(struct keeper *k, struct renamer *r)
{
        struct keeper_msg m = {.mount = r->mount, .seq = r->seq};
        enum keeper_op op = answer_to(r->op);
        int result = -EINTR;
        bool busy = r->busy;

        int e = renamer_receive(r, &result);
        if (e == -EAGAIN)
                return;
        if (busy)
                keeper_answer(k, &m, op, result, result < 0 ? strerror(-result) : "", -EBADF);
        if (e == 0)
                drop(k, r);
}

void keeper_on_rename(struct keeper *k, const struct keeper_msg *request)
{
        struct volume *v = keeper_find(k, request->mount);
        enum keeper_op op = answer_to(request->op);

        if (!v) {
                keeper_answer(k, request, op, -ENODEV, "no such mount", -EBADF);
                return;
        }
        int e = give(k, &v->mount, request);
        if (e < 0)
                keeper_answer(k, request, op, e, strerror(-e), -EBADF);
}

/* The mount may be no more and its connection held by other namespaces, so the worker brings it. Of
 * the worker's own open file the renamer would be another holder: what is in the worker's hands
 * when it dies would not fail before that lets go, which may be waiting for just this. A clone is
 * also proof that it is a connection. */
void keeper_on_invalidate(struct keeper *k, const struct keeper_msg *request, int fuse_fd)
{
        _cleanup_close_ int clone = fuse_fd < 0 ? -EBADF : keeper_clone(fuse_fd);
        const struct keeper_mount m = {.privileged = true, .fuse_fd = clone, .private_fd = -EBADF};

        /* Its own error would say of the inode what is true of /dev/fuse. */
        int e = clone < 0 ? -EBADF : give(k, &m, request);
        if (e < 0)
                keeper_answer(k, request, KEEPER_INVALIDATED, e, strerror(-e), -EBADF);
}

void keeper_settle_renames(struct keeper *k, int timeout_ms)
{
        int64_t end = monotonic_ms() + timeout_ms;

        for (;;) {
                struct pollfd p[RENAMERS_MAX];
                size_t n = 0;

                for (size_t i = 0; i < k->n_renamers; i++)
                        if (k->renamers[i].busy)
                                p[n++] = (struct pollfd){.fd = k->renamers[i].fd, .events = POLLIN};
                if (n == 0 || monotonic_ms() >= end)
                        break;
                (void)poll(p, n, (int)(end - monotonic_ms()));
                for (size_t i = k->n_renamers; i-- > 0;)
                        keeper_on_renamer(k, &k->renamers[i]);
        }
        for (size_t i = k->n_renamers; i-- > 0;) {
                struct renamer *r = &k->renamers[i];
                const struct keeper_msg m = {.mount = r->mount, .seq = r->seq};
                if (!r->busy)
                        continue;
                keeper_answer(k, &m, answer_to(r->op), -EINTR, strerror(EINTR), -EBADF);
                drop(k, r);
        }
}
