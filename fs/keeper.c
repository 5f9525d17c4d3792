#include "fs/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "fs/keeper_bind.h"
#include "fs/keeper_private.h"
#include "fs/keeper_proto.h"
#include "fs/keeper_resend.h"
#include "fs/keeper_spare.h"
#include "fs/keeper_takeover.h"

/* That wait for the worker; beyond that it is not listened to. Room for an answer about every
 * volume, and more: a worker that hands over a journal does not read meanwhile. */
#define ANSWERS_MAX ((size_t)2 * KEEPER_MOUNTS_MAX)
#define FIXED_FDS (5 + KEEPER_UPGRADE_FDS) /* that the loop looks at, beside renamers */
#define PART_MS 1000 /* for renames that are under way when the service is restarted */

struct volume *keeper_find(struct keeper *k, uint64_t id)
{
        for (size_t i = 0; i < k->n_volumes; i++)
                if (k->volumes[i].id == id)
                        return &k->volumes[i];
        return NULL;
}

void keeper_answer(struct keeper *k, const struct keeper_msg *request, enum keeper_op op,
        int result, const char *detail, int fd)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, request->mount);
        m.seq = request->seq;
        m.result = result;
        if (result < 0)
                snprintf(m.detail, sizeof m.detail, "%s", detail);
        keeper_worker_tell(&k->worker, &m, fd);
}

/* --- requests --- */

/* A descriptor that does not reach the worker leaves a mount that nobody serves: away with it. */
static void answer_mounted(struct keeper *k, const struct keeper_msg *request)
{
        struct volume *v = &k->volumes[k->n_volumes - 1];
        char detail[KEEPER_NAME_SIZE] = "";
        struct keeper_msg m;

        _cleanup_close_ int fd = keeper_worker_end(k, &v->mount);
        keeper_msg_init(&m, KEEPER_MOUNTED, request->mount);
        m.flags = v->mount.replaced ? KEEPER_REPLACED : 0;
        int r = fd < 0 ? fd : keeper_queue_push(&k->worker.out, &m, fd);
        if (r == 0) {
                (void)keeper_queue_flush(&k->worker.out, k->worker.fd);
                keeper_store_changed(&k->store, false);
                return;
        }
        v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
        (void)keeper_mount_unmount(&v->mount, k->options.below, true, detail);
        keeper_mount_done(&v->mount);
        k->n_volumes--;
        keeper_answer(k, request, KEEPER_MOUNTED, r, strerror(-r), -EBADF);
}

static void on_mount(struct keeper *k, const struct keeper_msg *request)
{
        char detail[KEEPER_NAME_SIZE] = "";
        struct keeper_mount mount;

        if (keeper_find(k, request->mount)) {
                keeper_answer(k, request, KEEPER_MOUNTED, -EEXIST, "it is there", -EBADF);
                return;
        }
        if (k->n_volumes >= KEEPER_MOUNTS_MAX) {
                keeper_answer(k, request, KEEPER_MOUNTED, -ENOSPC,
                        "there are as many mounts as a keeper has", -EBADF);
                return;
        }
        if (k->options.below && keeper_is_taken(k, request->path)) {
                keeper_answer(k, request, KEEPER_MOUNTED, -EBUSY, "it is mounted already", -EBADF);
                return;
        }
        struct volume *bigger = realloc(k->volumes, (k->n_volumes + 1) * sizeof *bigger);
        if (!bigger) {
                keeper_answer(k, request, KEEPER_MOUNTED, -ENOMEM, "out of memory", -EBADF);
                return;
        }
        k->volumes = bigger;

        int r = keeper_mount_make(request, k->options.below, &mount, detail);
        if (r < 0) {
                keeper_answer(k, request, KEEPER_MOUNTED, r, detail, -EBADF);
                return;
        }
        k->volumes[k->n_volumes++] = (struct volume){.id = request->mount, .mount = mount};
        answer_mounted(k, request);
}

static void on_unmount(struct keeper *k, const struct keeper_msg *request)
{
        char detail[KEEPER_NAME_SIZE] = "";
        struct volume *v = keeper_find(k, request->mount);
        int r = 0;

        if (v) {
                r = keeper_mount_unmount(
                        &v->mount, k->options.below, request->flags & KEEPER_DETACH, detail);
                if (r == 0) {
                        keeper_store_forget(&k->store, v->id);
                        keeper_mount_done(&v->mount);
                        *v = k->volumes[--k->n_volumes];
                } else if (request->flags & KEEPER_DETACH)
                        /* Still in the namespace, served by nobody from now on: without our hold
                         * on the connection those who read get an error, else they would hang. */
                        v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
        }
        keeper_answer(k, request, KEEPER_UNMOUNTED, r, detail, -EBADF);
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

/* False when the conversation is over: the worker is leaving, or it sent what it never sends. */
static bool on_worker(struct keeper *k)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = keeper_recv(k->worker.fd, &m, &fd);
        if (r == -EAGAIN)
                return true;
        if (r == 0)
                return false;
        if (r < 0 || keeper_msg_valid(&m) < 0) {
                log_error("the worker sent what is no request: it is ended");
                keeper_worker_kill(&k->worker, SIGKILL);
                return false;
        }
        switch (m.op) {
        case KEEPER_MOUNT:
                on_mount(k, &m);
                break;
        case KEEPER_RENAME:
        case KEEPER_FORGET:
        case KEEPER_WARM:
                keeper_on_rename(k, &m);
                break;
        case KEEPER_INVALIDATE:
                keeper_on_invalidate(k, &m, fd);
                keeper_leave_progress(k);
                break;
        case KEEPER_UNMOUNT:
                on_unmount(k, &m);
                keeper_leave_progress(k);
                break;
        case KEEPER_CLEAR:
                keeper_on_clear(k, &m);
                break;
        case KEEPER_AREA:
                if (fd >= 0) {
                        safe_close(k->area_fd);
                        k->area_fd = TAKE_FD(fd);
                        k->area_version = (uint32_t)m.seq;
                        keeper_store_changed(&k->store, true);
                }
                break;
        case KEEPER_SERVING:
                keeper_worker_serves(&k->worker);
                keeper_store_changed(&k->store, false);
                keeper_binds_tell(&k->binds);
                keeper_end_spare(k);
                keeper_upgrade_served(k);
                break;
        default:
                break;
        }
        return true;
}

/* --- what happens outside --- */

/* It is no other than a worker: where nothing can be sent again it gets clones, so that what it
 * leaves unanswered (renames) fails when it ends. */
static void start_spare(struct keeper *k)
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
        log_error("%u workers died in a row: until one serves, readers get EIO", k->worker.deaths);
}

/* A worker is. */
static bool is_wanted(const struct keeper *k)
{
        return k->n_volumes > 0 || (k->options.lasting && !k->bidden);
}

/* It has made way. With its last mount it may have ended for good. */
static void on_swapped(struct keeper *k, int status)
{
        if (is_wanted(k)) {
                keeper_promote(k);
                return;
        }
        keeper_worker_drop(&k->next);
        k->swap_by = 0;
        keeper_worker_died(&k->worker, status, false);
        keeper_upgrade_served(k);
}

/* What it sent before it died still counts: the newest journal above all. */
static void on_worker_died(struct keeper *k, int status)
{
        bool asked = WIFEXITED(status) && WEXITSTATUS(status) == 0;

        struct pollfd p = {.fd = k->worker.fd, .events = POLLIN};
        while (p.fd >= 0 && poll(&p, 1, 0) > 0 && on_worker(k))
                ;
        if (k->parting) {
                keeper_worker_died(&k->worker, status, false);
                k->swap_by = 0;
                keeper_store_sync(k);
                k->upgrade.over = true;
                return;
        }
        if (k->swap_by && k->next.ready && !k->leaving) {
                on_swapped(k, status);
                return;
        }
        if (k->upgrade.state == UPGRADE_SWAPPING && !k->leaving && k->worker.serving_at == 0)
                keeper_revert(k);
        keeper_worker_died(&k->worker, status, !asked && !k->leaving && is_wanted(k));
        if (k->worker.start_at && k->worker.deaths >= DEATHS_MAX && k->spare == 0)
                start_spare(k);
}

static void on_child(struct keeper *k)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == k->worker.pid)
                        on_worker_died(k, status);
                else if (pid == k->standby.pid)
                        keeper_standby_died(&k->standby);
                else if (pid == k->guardian.pid)
                        k->guardian.pid = 0;
                else if (pid == k->spare)
                        k->spare = 0;
                else
                        (void)keeper_upgrade_child(k, pid, status);
        }
}

/* The service is started again soon. What is stored is all that is needed; what is not, is asked
 * for again. */
static void part(struct keeper *k)
{
        if (!k->store.address || k->leaving || k->parting)
                return;
        keeper_upgrade_failed(k, -ESHUTDOWN, "the service is being restarted");
        keeper_worker_drop(&k->next);
        keeper_settle_renames(k, PART_MS);
        keeper_end_spare(k);
        k->parting = true;
        keeper_swap(k);
}

static void on_signal(struct keeper *k)
{
        struct signalfd_siginfo info;

        while (read(k->signal_fd, &info, sizeof info) == sizeof info) {
                if (info.ssi_signo == SIGCHLD)
                        on_child(k);
                else if (info.ssi_signo == SIGUSR1)
                        part(k);
                else {
                        bool first = k->options.lasting && !k->bidden && info.ssi_signo == SIGTERM;
                        k->bidden |= first;
                        if (info.ssi_signo != SIGHUP && !first)
                                keeper_leave(k);
                        keeper_worker_kill(&k->worker, (int)info.ssi_signo);
                }
        }
}

/* --- start and loop --- */

int keeper_open_sources(struct keeper *k)
{
        static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
        int null;

        /* 0, 1 and 2 are what children keep: no connection must ever stand there. */
        do
                null = open("/dev/null", O_RDWR);
        while (null >= 0 && null <= STDERR_FILENO);
        safe_close(null);

        (void)signal(SIGPIPE, SIG_IGN);
        k->signal_fd = signals_fd(signals, ELEMENTSOF(signals));
        if (k->signal_fd < 0)
                return k->signal_fd;
        k->mountinfo_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        return k->mountinfo_fd < 0 ? -errno : 0;
}

/* The sooner of two, either -1 for never. */
static int sooner(int a, int b)
{
        return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static int mountinfo_timeout(const struct keeper *k)
{
        return k->mountinfo_at ? (int)MAX(k->mountinfo_at - monotonic_ms(), (int64_t)0) : -1;
}

static void guard(struct keeper *k)
{
        if (!k->worker.options->guarded || k->guardian.pid > 0 || k->n_volumes == 0)
                return;
        int r = guardian_fork(&k->guardian);
        if (r == 1)
                k->is_guardian = true;
        else if (r == 0)
                keeper_tell_heir(k);
        else
                log_warning("no guardian can be started: %s", strerror(-r));
}

/* A successor is wanted for what is mounted, and not while a worker is busy taking over. */
static bool wants_standby(const struct keeper *k)
{
        return k->worker.options->standby && !k->leaving && !k->parting && k->n_volumes > 0 &&
               k->worker.pid > 0 && k->worker.serving_at > 0 && k->swap_by == 0;
}

/* Until nothing is left to do, or until this process has become the guardian. */
static void serve(struct keeper *k)
{
        while (!k->upgrade.over && (k->worker.pid > 0 || k->worker.start_at)) {
                struct keeper_worker *w = &k->worker;

                guard(k);
                if (k->is_guardian)
                        return;
                if (wants_standby(k))
                        keeper_standby_start(&k->standby, k->worker.program);
                /* A worker that asks and does not listen is not listened to either. */
                bool crowded = keeper_queue_length(&w->out) > ANSWERS_MAX;
                short talk = (short)((crowded ? 0 : POLLIN) |
                                     (keeper_queue_waits(&w->out) ? POLLOUT : 0));
                struct pollfd p[FIXED_FDS + RENAMERS_MAX] = {
                        {.fd = k->signal_fd, .events = POLLIN},
                        {.fd = k->mountinfo_fd, .events = POLLPRI},
                        {.fd = w->fd, .events = talk},
                        {.fd = w->pidfd, .events = POLLIN},
                        {.fd = k->binds.fd, .events = POLLIN},
                };
                keeper_upgrade_poll(k, p + 5);
                size_t n = k->n_renamers;
                for (size_t i = 0; i < n; i++)
                        p[FIXED_FDS + i] =
                                (struct pollfd){.fd = k->renamers[i].fd, .events = POLLIN};
                int timeout = sooner(keeper_worker_timeout(w), mountinfo_timeout(k));
                timeout = sooner(timeout, keeper_leave_timeout(k));
                timeout = sooner(timeout, keeper_binds_timeout(&k->binds));
                timeout = sooner(timeout, keeper_store_timeout(k));
                timeout =
                        sooner(timeout, sooner(keeper_swap_timeout(k), keeper_upgrade_timeout(k)));
                if (wants_standby(k))
                        timeout = sooner(timeout, keeper_standby_timeout(&k->standby));
                if (poll(p, FIXED_FDS + n, timeout) < 0) {
                        if (errno == EINTR)
                                continue;
                        return;
                }
                /* From the last: a renamer that is gone gives its place to the one behind. */
                while (n-- > 0)
                        if (p[FIXED_FDS + n].revents)
                                keeper_on_renamer(k, &k->renamers[n]);
                if (p[4].revents)
                        keeper_binds_receive(&k->binds);
                if (keeper_binds_timeout(&k->binds) == 0)
                        keeper_binds_give_up(&k->binds);
                if (p[2].revents & POLLOUT)
                        (void)keeper_queue_flush(&w->out, w->fd);
                if (p[2].revents & ~POLLOUT && !on_worker(k))
                        w->fd = safe_close(w->fd);
                if (p[1].revents)
                        keeper_mountinfo_changed(k);
                if (mountinfo_timeout(k) == 0)
                        keeper_on_mountinfo(k);
                /* How it ended only its parent is told; one that leaves by its own will unmounts.
                 */
                if (p[3].revents)
                        on_worker_died(k, k->n_volumes > 0 ? SIGKILL : 0);
                if (p[0].revents)
                        on_signal(k);
                if (keeper_swap_timeout(k) == 0)
                        keeper_swap_late(k);
                if (keeper_upgrade_timeout(k) == 0)
                        keeper_upgrade_late(k);
                /* Last: it may give away all that the others look at. */
                keeper_upgrade_receive(k, p + 5);
                keeper_store_sync(k);
                keeper_worker_hurry(w);
                if (w->start_at && keeper_worker_timeout(w) == 0)
                        keeper_restart_worker(k);
                if (w->pid > 0 && keeper_leave_timeout(k) == 0 && !keeper_leave_late(k))
                        return;
        }
}

static int finish(struct keeper *k)
{
        guardian_end(&k->guardian);
        keeper_standby_end(&k->standby);
        keeper_binds_stop(&k->binds);
        if (k->upgrade.over) {
                keeper_release(k);
                return KEEPER_HANDED_OVER;
        }
        keeper_end_spare(k);
        keeper_unmount_all(k);
        keeper_store_clear(&k->store);
        keeper_release(k);
        if (k->worker.pid > 0)
                return 1; /* left behind */
        if (WIFEXITED(k->worker.status))
                return WEXITSTATUS(k->worker.status);
        log_error("the worker was killed by signal %d", WTERMSIG(k->worker.status));
        return 1;
}

/* Two descriptors a mount here, one in the worker, which inherits the limit. Nothing of ours uses
 * select(2), for whose sake the usual limit is as low as it is. */
static void raise_descriptor_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_warning("the limit on descriptors cannot be raised: %s", strerror(errno));
}

int keeper_run(const struct keeper_options *o)
{
        struct keeper k = {.signal_fd = -EBADF,
                .mountinfo_fd = -EBADF,
                .area_fd = -EBADF,
                .previous = -EBADF,
                .resend = keeper_can_resend(),
                .options = *o,
                .started_at = monotonic_ms()};

        /* Readers wait for these processes: a busy machine should not make them wait in line behind
         * whoever keeps it busy. Inherited by the worker; where it is not allowed, so be it. */
        (void)setpriority(PRIO_PROCESS, 0, -10);
        raise_descriptor_limit();
        keeper_worker_init(&k.worker, &k.options);
        keeper_worker_init(&k.next, &k.options);
        keeper_standby_init(&k.standby, &k.options);
        keeper_upgrade_init(&k.upgrade, o->door_fd > 0 ? o->door_fd : -EBADF);
        keeper_store_init(&k.store, o->store);
        guardian_init(&k.guardian);
        keeper_binds_init(&k.binds, keeper_volume_of, keeper_tell_bound, &k);
        int r = keeper_open_sources(&k);
        if (r == 0)
                r = o->take_fd > 0 ? keeper_take(&k, o->take_fd) : keeper_start_worker(&k);
        if (r < 0) {
                log_error("the keeper cannot start: %s", strerror(-r));
                return 1;
        }
        if (o->take_fd > 0) {
                keeper_swap(&k);
                keeper_on_mountinfo(&k);
        }
        serve(&k);
        while (k.is_guardian) {
                r = keeper_succeed(&k);
                if (r < 0) {
                        log_error("the keeper was killed, and nothing can be taken over: %s",
                                strerror(-r));
                        (void)finish(&k);
                        return 1;
                }
                serve(&k);
        }
        return finish(&k);
}
