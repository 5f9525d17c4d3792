/* Workers: what each is given at its start, and how one follows another by plan. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "fs/keeper_private.h"
#include "fs/keeper_resend.h"
#include "fs/keeper_spare.h"

/* What the worker gets to serve with: see fs/keeper_resend.h. */
int keeper_worker_end(const struct keeper *k, const struct keeper_mount *m)
{
        if (!k->resend) {
                int fd = keeper_clone(m->fuse_fd);
                if (fd >= 0)
                        return fd;
                log_warning(
                        "%s: the connection cannot be cloned: %s", m->mountpoint, strerror(-fd));
        }
        int fd = fcntl(m->fuse_fd, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : fd;
}

void keeper_tell_heir(struct keeper *k)
{
        struct keeper_msg m;

        int heir = k->worker.heir_fd >= 0 ? k->worker.heir_fd : k->guardian.heir_fd;
        if (heir < 0)
                return;
        keeper_msg_init(&m, KEEPER_HEIR, 0);
        keeper_worker_tell(&k->worker, &m, heir);
}

/* Everything that a worker needs to go on where the last one ended. */
static void brief(struct keeper *k)
{
        struct keeper_msg m;

        keeper_store_changed(&k->store, false); /* the count of starts */
        keeper_msg_init(&m, KEEPER_HELLO, 0);
        m.seq = k->worker.starts;
        m.flags = k->resend ? (uint32_t)KEEPER_RESEND : 0;
        keeper_worker_tell(&k->worker, &m, -EBADF);
        keeper_tell_heir(k);
        if (k->area_fd >= 0) {
                keeper_msg_init(&m, KEEPER_AREA, 0);
                keeper_worker_tell(&k->worker, &m, k->area_fd);
        }
        for (size_t i = 0; i < k->n_volumes; i++) {
                const struct volume *v = &k->volumes[i];
                if (v->mount.fuse_fd < 0) /* could not be detached, and is over */
                        continue;
                _cleanup_close_ int fd = keeper_worker_end(k, &v->mount);
                if (fd < 0) {
                        /* A worker that is told of it in vain can serve no other mount either. */
                        log_error("%s has no worker any more: %s", v->mount.mountpoint,
                                strerror(-fd));
                        continue;
                }
                keeper_msg_init(&m, KEEPER_VOLUME, v->id);
                keeper_worker_tell(&k->worker, &m, fd);
        }
        keeper_msg_init(&m, KEEPER_START, 0);
        keeper_worker_tell(&k->worker, &m, -EBADF);
}

int keeper_start_worker(struct keeper *k)
{
        int r = keeper_standby_promote(&k->standby, &k->worker) ? 0
                                                                : keeper_worker_start(&k->worker);

        if (r == 0)
                brief(k);
        return r;
}

void keeper_restart_worker(struct keeper *k)
{
        if (k->leaving) {
                k->worker.start_at = 0;
                return;
        }
        int r = keeper_start_worker(k);
        if (r < 0) {
                log_error("the worker cannot be started: %s", strerror(-r));
                keeper_worker_died(&k->worker, k->worker.status, true);
        }
}

int keeper_hear_next(struct keeper_worker *next, char *detail)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = keeper_recv(next->fd, &m, &fd);
        if (r == -EAGAIN)
                return 0;
        if (r == -EPROTONOSUPPORT)
                snprintf(detail, KEEPER_NAME_SIZE,
                        "the new worker speaks version %u of the keeper's protocol, this keeper "
                        "version %u: unmount, and mount with the new program",
                        m.version, KEEPER_VERSION);
        else if (r == 1 && keeper_msg_valid(&m) == 0 && m.op == KEEPER_READY) {
                next->ready = true;
                next->journal = (uint32_t)m.seq;
                return 1;
        } else
                snprintf(detail, KEEPER_NAME_SIZE, "%s",
                        r == 0 ? "the new worker ended before it was ready; the log says why"
                               : "the new worker said what makes no sense");
        return r < 0 ? r : r == 0 ? -ECHILD : -EPROTO;
}

int keeper_check_next(const struct keeper_worker *next, uint32_t journal, bool held, char *detail)
{
        if (!held || next->journal == journal)
                return 0;
        snprintf(detail, KEEPER_NAME_SIZE,
                "the new program writes journals of version %u, and what is mounted is in one of "
                "version %u: unmount, and mount with the new program",
                next->journal, journal);
        return -EPROTONOSUPPORT;
}

void keeper_swap(struct keeper *k)
{
        struct keeper_msg m;

        k->swap_by = monotonic_ms() + SWAP_MS;
        if (k->worker.pid <= 0) {
                if (k->parting)
                        k->upgrade.over = true;
                else
                        keeper_promote(k);
                return;
        }
        keeper_msg_init(&m, KEEPER_LEAVE, 0);
        keeper_worker_tell(&k->worker, &m, -EBADF);
}

void keeper_promote(struct keeper *k)
{
        k->swap_by = k->absent_by = 0;
        /* A guardian knows the program of its own days. */
        if (k->next.program >= 0)
                guardian_end(&k->guardian);
        keeper_standby_end(&k->standby); /* of the program before */
        /* What a keeper that has taken over found is kept. */
        if (k->previous < 0)
                k->previous = TAKE_FD(k->worker.program);
        keeper_worker_succeed(&k->worker, &k->next);
        log_info("a new worker, %d, takes over by plan", (int)k->worker.pid);
        brief(k);
}

void keeper_revert(struct keeper *k)
{
        log_error("the new worker ended before it served: the program before is used again");
        keeper_standby_end(&k->standby);
        safe_close(k->worker.program);
        k->worker.program = TAKE_FD(k->previous);
        guardian_end(&k->guardian);
        keeper_upgrade_failed(k, -ECHILD,
                "the new worker ended before it served; workers of the old program go on");
}

int keeper_swap_timeout(const struct keeper *k)
{
        return k->swap_by ? (int)MAX(k->swap_by - monotonic_ms(), (int64_t)0) : -1;
}

void keeper_swap_late(struct keeper *k)
{
        k->swap_by = 0;
        log_error("the worker (pid %d) does not make way: it is killed", (int)k->worker.pid);
        keeper_worker_kill(&k->worker, SIGKILL);
}

/* --- while there is none --- */

/* It is no other than a worker: where nothing can be sent again it gets clones, so that what it
 * leaves unanswered (renames) fails when it ends. */
void keeper_begin_spare(struct keeper *k)
{
        int *fds = calloc(k->n_volumes + 1, sizeof *fds);
        size_t n = 0;

        for (size_t i = 0; fds && i < k->n_volumes; i++) {
                fds[n] = keeper_worker_end(k, &k->volumes[i].mount);
                n += fds[n] >= 0;
        }
        k->spare = fds ? keeper_spare_start(fds, n) : -ENOMEM;
        for (size_t i = 0; i < n; i++)
                safe_close(fds[i]);
        free(fds);
        if (k->spare < 0) {
                log_error("no spare can be started: %s", strerror(-k->spare));
                k->spare = 0;
                return;
        }
        if (k->options.gated)
                log_error("no worker has come: until one serves, readers get EIO");
        else
                log_error("%u workers died in a row: until one serves, readers get EIO",
                        k->worker.deaths);
}

/* What it had read and not answered (renames, and whatever it was about to answer) was read after
 * the new worker had asked for such requests: it is asked for once more. */
void keeper_end_spare(struct keeper *k)
{
        if (k->spare <= 0)
                return;
        (void)kill(k->spare, SIGKILL);
        while (waitpid(k->spare, NULL, 0) < 0 && errno == EINTR)
                ;
        k->spare = 0;
        for (size_t i = 0; k->resend && i < k->n_volumes; i++)
                if (k->volumes[i].mount.fuse_fd >= 0)
                        (void)keeper_resend(k->volumes[i].mount.fuse_fd);
}
