/* A guardian becomes the keeper. tests/unit/fs/keeper_guardian.c and keeper_recover.c have its
 * parts, tests/integration/test_keeper.py the whole. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "fs/keeper_private.h"
#include "fs/keeper_recover.h"

void keeper_release(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++)
                keeper_mount_done(&k->volumes[i].mount);
        free(k->volumes);
        k->volumes = NULL;
        k->n_volumes = 0;
        keeper_worker_done(&k->worker);
        keeper_worker_done(&k->next);
        keeper_standby_forget(&k->standby);
        keeper_upgrade_release(&k->upgrade);
        k->swap_by = 0;
        for (size_t i = 0; i < k->n_renamers; i++)
                renamer_done(&k->renamers[i]);
        k->n_renamers = 0;
        keeper_binds_done(&k->binds);
        keeper_binds_init(&k->binds, keeper_volume_of, keeper_tell_bound, k);
        k->signal_fd = safe_close(k->signal_fd);
        k->mountinfo_fd = safe_close(k->mountinfo_fd);
        k->area_fd = safe_close(k->area_fd);
        k->gate = safe_close(k->gate);
        k->spare = 0;
        k->leaving = k->killed = false;
        k->leave_by = k->leave_limit = k->mountinfo_at = 0;
}

/* Keepers that die as soon as they start must not keep the machine busy. */
static void pause_after_death(struct keeper *k)
{
        k->deaths = monotonic_ms() - k->started_at < HEALTHY_MS ? k->deaths + 1 : 0;
        if (k->deaths >= DEATHS_MAX)
                (void)poll(NULL, 0, 100 << MIN(k->deaths - DEATHS_MAX, 6U));
}

int keeper_take_back(struct keeper *k)
{
        struct keeper_returned back;
        struct keeper_msg m;
        int off = 0;

        int r = keeper_recover(k->guardian.channel, !k->resend, KEEPER_RECOVER_PATIENCE_MS, &back);
        if (r == -ETIMEDOUT)
                log_error("the worker has not answered for %d s (is it stopped?): without a keeper "
                          "its mounts end when it runs again",
                        KEEPER_RECOVER_PATIENCE_MS / 1000);
        if (r < 0)
                return r;
        free(k->volumes);
        k->volumes = calloc(back.n + 1, sizeof *k->volumes);
        if (!k->volumes) {
                keeper_returned_done(&back);
                return -ENOMEM;
        }
        for (size_t i = 0; i < back.n; i++)
                k->volumes[k->n_volumes++] =
                        (struct volume){.id = back.mounts[i].id, .mount = back.mounts[i].mount};
        back.n = 0;
        safe_close(k->area_fd);
        k->area_fd = TAKE_FD(back.area_fd);
        k->area_version = back.area_version;
        (void)setsockopt(k->guardian.channel, SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
        r = keeper_worker_adopt(
                &k->worker, back.worker, -EBADF, TAKE_FD(k->guardian.channel), back.starts);
        keeper_returned_done(&back);
        if (r < 0) {
                /* It died after it had given everything back: as any worker that dies. */
                k->worker.starts = MAX(k->worker.starts, back.starts);
                keeper_worker_died(&k->worker, SIGKILL, k->n_volumes > 0 && !k->options.gated);
                return 0;
        }
        keeper_msg_init(&m, KEEPER_ATTACHED, 0);
        m.seq = (uint64_t)getpid();
        keeper_worker_tell(&k->worker, &m, -EBADF);
        keeper_store_inherit(&k->store);
        log_warning("the keeper was killed; this one took %zu mounts over", k->n_volumes);
        keeper_on_mountinfo(k);
        return 0;
}

/* The guardian's life. The next guardian comes first: should this process be killed while it takes
 * over, the worker knows already where to turn to. */
int keeper_succeed(struct keeper *k)
{
        const struct keeper_options *o = &k->options;
        int r;

        do {
                k->is_guardian = false;
                keeper_release(k);
                guardian_wait(&k->guardian);
                pause_after_death(k);
                k->started_at = monotonic_ms();
                (void)prctl(PR_SET_NAME, KEEPER_COMM);
                if (o->parent_death_signal)
                        (void)prctl(PR_SET_PDEATHSIG, o->parent_death_signal);
                int program = k->worker.program; /* what a worker was replaced by stays */
                keeper_worker_init(&k->worker, o);
                k->worker.program = program;
                keeper_worker_init(&k->next, o);
                keeper_standby_init(&k->standby, o);

                struct guardian next;
                guardian_init(&next);
                r = guardian_fork(&next);
                if (r == 1) {
                        safe_close(k->guardian.channel);
                        k->guardian = next;
                        continue;
                }
                next.channel = TAKE_FD(k->guardian.channel);
                k->guardian = next;
                if (r == 0) {
                        struct keeper_msg m;
                        keeper_msg_init(&m, KEEPER_HEIR, 0);
                        (void)keeper_send(k->guardian.channel, &m, k->guardian.heir_fd);
                }
                r = keeper_open_sources(k);
                if (r == 0)
                        r = keeper_take_back(k);
        } while (r == 1);
        return r;
}
