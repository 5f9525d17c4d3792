/* The end of a keeper: what a worker that was told to end has for it, and what becomes of mounts
 * that it leaves.
 *
 * How long a thousand mounts take is up to the machine, so what counts is silence: a worker that
 * takes nothing away for LEAVE_MS is killed. It is the process that reads what comes from outside,
 * and may say for ever that it goes on: the whole has a limit too, by the number of mounts. One
 * that does not even die is left behind: it may sit in a system call that nobody answers.
 */
#include <signal.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/keeper_private.h"

#define LEAVE_MS 10000
#define DIE_MS 2000

static int patience_ms(const struct keeper *k)
{
        return k->options.leave_ms > 0 ? k->options.leave_ms : LEAVE_MS;
}

void keeper_leave(struct keeper *k)
{
        k->leaving = true;
        keeper_upgrade_failed(k, -ESHUTDOWN, "the keeper is told to end");
        keeper_worker_drop(&k->next);
        k->swap_by = 0;
        if (!k->leave_by) {
                int64_t patience = patience_ms(k);
                k->leave_by = monotonic_ms() + patience;
                k->leave_limit = k->leave_by + 1 + (int64_t)k->n_volumes * patience / 2;
        }
        k->worker.start_at = 0; /* no successor for one that has just died */
}

void keeper_leave_progress(struct keeper *k)
{
        if (k->leave_by && !k->killed)
                k->leave_by = MIN(monotonic_ms() + patience_ms(k), k->leave_limit);
}

int keeper_leave_timeout(const struct keeper *k)
{
        return k->leave_by ? (int)MAX(k->leave_by - monotonic_ms(), (int64_t)0) : -1;
}

bool keeper_leave_late(struct keeper *k)
{
        if (k->killed) {
                log_error("the worker (pid %d) does not even die: it is left behind",
                        (int)k->worker.pid);
                return false;
        }
        if (k->leave_by >= k->leave_limit)
                log_error("the worker (pid %d) did not end in all the time that its mounts give "
                          "it: it is killed",
                        (int)k->worker.pid);
        else
                log_error("the worker (pid %d) did not end, and took nothing away for %d ms: it is "
                          "killed",
                        (int)k->worker.pid, patience_ms(k));
        keeper_worker_kill(&k->worker, SIGKILL);
        k->killed = true;
        k->leave_by = monotonic_ms() + DIE_MS;
        return true;
}

/* What it left mounted would hang its readers. The connection ends first, so that no unmount can
 * wait for an answer that nobody gives: aborted where the kernel lets us, else by letting go of it,
 * which is as good when no worker holds it any more. */
void keeper_unmount_all(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];
                char detail[KEEPER_NAME_SIZE] = "";

                (void)keeper_mount_abort(&v->mount);
                v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
                int r = keeper_mount_unmount(&v->mount, k->options.below, true, detail);
                if (r < 0)
                        log_error("%s is still mounted: %s", v->mount.mountpoint, detail);
                else if (!v->gone)
                        log_warning("%s unmounted: its worker is gone", v->mount.mountpoint);
        }
        /* What umount2(2) said is one thing, what is there another. */
        keeper_look(k);
        for (size_t i = 0; i < k->n_volumes; i++) {
                if (k->volumes[i].seen)
                        log_error("%s is still in the mount table; run: umount -l %s",
                                k->volumes[i].mount.mountpoint, k->volumes[i].mount.mountpoint);
                keeper_store_forget(&k->store, k->volumes[i].id);
                keeper_mount_done(&k->volumes[i].mount);
        }
        k->n_volumes = 0;
}
