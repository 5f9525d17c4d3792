#include "fs/keeper_recover.h"

#include <poll.h>
#include <signal.h>

#include "base/log.h"
#include "fs/keeper_resend.h"

#define MOUNTS_MAX 4096
#define SLICE_MS 100 /* between two looks at pending signals */

void keeper_returned_done(struct keeper_returned *r)
{
        for (size_t i = 0; i < r->n; i++)
                keeper_mount_done(&r->mounts[i].mount);
        free(r->mounts);
        r->area_fd = safe_close(r->area_fd);
        *r = (struct keeper_returned){.area_fd = -EBADF};
}

static int add(struct keeper_returned *r, const struct keeper_msg *m, int *fd, bool clone)
{
        char detail[KEEPER_NAME_SIZE] = "";
        struct keeper_mount mount;

        for (size_t i = 0; i < r->n; i++)
                if (r->mounts[i].id == m->mount)
                        return -EEXIST;
        if (*fd < 0 || r->n >= MOUNTS_MAX)
                return -EPROTO;
        struct keeper_returned_mount *bigger =
                reallocarray(r->mounts, r->n + 1, sizeof(struct keeper_returned_mount));
        if (!bigger)
                return -ENOMEM;
        r->mounts = bigger;
        if (clone) {
                /* Of the worker's own open file ours would be the second holder: what is in its
                 * hands when it dies would then never fail, and be waited for. */
                int held = keeper_clone(*fd);
                if (held >= 0) {
                        safe_close(*fd);
                        *fd = held;
                }
        }
        int e = keeper_mount_recover(m, *fd, -EBADF, &mount, detail);
        if (e < 0) {
                log_error("%s cannot be taken over: %s", m->path, detail);
                return 0;
        }
        *fd = -EBADF;
        r->mounts[r->n++] = (struct keeper_returned_mount){.id = m->mount, .mount = mount};
        return 0;
}

/* Signals stay pending: they are for the loop of the keeper that this becomes. */
static int await(int socket, int patience_ms)
{
        struct pollfd p = {.fd = socket, .events = POLLIN};

        for (int waited = 0; waited < patience_ms; waited += SLICE_MS) {
                sigset_t pending;

                if (sigpending(&pending) == 0 &&
                        (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT)))
                        return -EINTR;
                int n = poll(&p, 1, MIN(SLICE_MS, patience_ms - waited));
                if (n > 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
        }
        return -ETIMEDOUT;
}

static int receive(int socket, bool clone, int patience_ms, struct keeper_returned *r)
{
        int32_t count = 0;

        for (;;) {
                struct keeper_msg m;
                _cleanup_close_ int fd = -EBADF;
                pid_t sender = 0;

                int e = await(socket, patience_ms);
                if (e < 0)
                        return e;
                e = keeper_recv_from(socket, &m, &fd, &sender);
                if (e <= 0)
                        return e < 0 ? e : -ENODATA;
                if (keeper_msg_valid(&m) < 0 || sender <= 0 || (r->worker && r->worker != sender))
                        return -EPROTO;
                r->worker = sender;
                switch (m.op) {
                case KEEPER_RETURN:
                        count++;
                        e = add(r, &m, &fd, clone);
                        if (e < 0)
                                return e;
                        break;
                case KEEPER_AREA:
                        safe_close(r->area_fd);
                        r->area_fd = TAKE_FD(fd);
                        r->area_version = (uint32_t)m.seq;
                        break;
                case KEEPER_RETURNED:
                        r->starts = (unsigned)m.seq;
                        return m.result == count ? 0 : -EPROTO;
                default:
                        return -EPROTO;
                }
        }
}

int keeper_recover(int socket, bool clone, int patience_ms, struct keeper_returned *ret)
{
        struct keeper_returned r = {.area_fd = -EBADF};

        int e = receive(socket, clone, patience_ms, &r);
        if (e < 0) {
                keeper_returned_done(&r);
                return e;
        }
        *ret = r;
        return 0;
}
