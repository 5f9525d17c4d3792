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
#include "base/mountinfo.h"
#include "fs/keeper_mount.h"
#include "fs/keeper_proto.h"
#include "fs/keeper_rename.h"

#define VOLUMES_MAX 4096
#define RENAMERS_MAX 64 /* at once, hanging ones included */

struct volume {
        uint64_t id;
        struct keeper_mount mount;
        bool gone; /* from the namespace; told to the worker */
        bool seen; /* in the mountinfo being read */
};

struct keeper {
        int worker_fd, signal_fd, mountinfo_fd;
        pid_t worker;
        int worker_status;
        struct volume *volumes;
        size_t n_volumes;
        struct renamer renamers[RENAMERS_MAX];
        size_t n_renamers;
};

static struct volume *find(struct keeper *k, uint64_t id)
{
        for (size_t i = 0; i < k->n_volumes; i++)
                if (k->volumes[i].id == id)
                        return &k->volumes[i];
        return NULL;
}

static void answer(struct keeper *k, const struct keeper_msg *request, enum keeper_op op,
        int result, const char *detail, int fd)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, request->mount);
        m.seq = request->seq;
        m.result = result;
        if (result < 0)
                snprintf(m.detail, sizeof m.detail, "%s", detail);
        int r = keeper_send(k->worker_fd, &m, fd);
        if (r < 0 && r != -EPIPE) /* EPIPE: it is leaving, and has no more questions */
                log_warning("an answer to the worker was not sent: %s", strerror(-r));
}

/* --- requests --- */

/* A descriptor that does not reach the worker leaves a mount that nobody serves: away with it. */
static void answer_mounted(struct keeper *k, const struct keeper_msg *request)
{
        struct volume *v = &k->volumes[k->n_volumes - 1];
        char detail[KEEPER_NAME_SIZE] = "";
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_MOUNTED, request->mount);
        int r = keeper_send(k->worker_fd, &m, v->mount.fuse_fd);
        if (r == 0)
                return;
        v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
        (void)keeper_mount_unmount(&v->mount, true, detail);
        keeper_mount_done(&v->mount);
        k->n_volumes--;
        answer(k, request, KEEPER_MOUNTED, r, strerror(-r), -EBADF);
}

static void on_mount(struct keeper *k, const struct keeper_msg *request)
{
        char detail[KEEPER_NAME_SIZE] = "";
        struct keeper_mount mount;

        if (find(k, request->mount) || k->n_volumes >= VOLUMES_MAX) {
                answer(k, request, KEEPER_MOUNTED, -EEXIST, "too many mounts, or one twice",
                        -EBADF);
                return;
        }
        struct volume *bigger = realloc(k->volumes, (k->n_volumes + 1) * sizeof *bigger);
        if (!bigger) {
                answer(k, request, KEEPER_MOUNTED, -ENOMEM, "out of memory", -EBADF);
                return;
        }
        k->volumes = bigger;

        int r = keeper_mount_make(request, &mount, detail);
        if (r < 0) {
                answer(k, request, KEEPER_MOUNTED, r, detail, -EBADF);
                return;
        }
        k->volumes[k->n_volumes++] = (struct volume){.id = request->mount, .mount = mount};
        answer_mounted(k, request);
}

static struct renamer *free_renamer(struct keeper *k)
{
        for (size_t i = 0; i < k->n_renamers; i++)
                if (!k->renamers[i].busy)
                        return &k->renamers[i];
        if (k->n_renamers == RENAMERS_MAX || renamer_start(&k->renamers[k->n_renamers]) < 0)
                return NULL;
        return &k->renamers[k->n_renamers++];
}

static void on_renamer(struct keeper *k, struct renamer *r)
{
        struct keeper_msg m = {.mount = r->mount, .seq = r->seq};
        int result = -EINTR;
        bool busy = r->busy;

        int e = renamer_receive(r, &result);
        if (e == -EAGAIN)
                return;
        if (busy)
                answer(k, &m, KEEPER_RENAMED, result, result < 0 ? strerror(-result) : "", -EBADF);
        if (e == 0) {
                renamer_done(r);
                *r = k->renamers[--k->n_renamers];
        }
}

static void on_rename(struct keeper *k, const struct keeper_msg *request)
{
        struct volume *v = find(k, request->mount);
        if (!v) {
                answer(k, request, KEEPER_RENAMED, -ENOENT, "no such mount", -EBADF);
                return;
        }
        struct renamer *r = free_renamer(k);
        int e = r ? renamer_send(r, &v->mount, request) : -EAGAIN;
        if (e < 0)
                answer(k, request, KEEPER_RENAMED, e, strerror(-e), -EBADF);
}

static void on_unmount(struct keeper *k, const struct keeper_msg *request)
{
        char detail[KEEPER_NAME_SIZE] = "";
        struct volume *v = find(k, request->mount);
        int r = 0;

        if (v) {
                r = keeper_mount_unmount(&v->mount, request->flags & KEEPER_DETACH, detail);
                if (r == 0) {
                        keeper_mount_done(&v->mount);
                        *v = k->volumes[--k->n_volumes];
                } else if (request->flags & KEEPER_DETACH)
                        /* Still in the namespace, served by nobody from now on: without our hold
                         * on the connection those who read get an error, else they would hang. */
                        v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
        }
        answer(k, request, KEEPER_UNMOUNTED, r, detail, -EBADF);
}

/* False when the conversation is over: the worker is leaving, or it sent what it never sends. */
static bool on_worker(struct keeper *k)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = keeper_recv(k->worker_fd, &m, &fd);
        if (r == -EAGAIN)
                return true;
        if (r == 0)
                return false;
        if (r < 0 || keeper_msg_valid(&m) < 0) {
                log_error("the worker sent what is no request: it is ended");
                (void)kill(k->worker, SIGKILL);
                return false;
        }
        switch (m.op) {
        case KEEPER_MOUNT:
                on_mount(k, &m);
                break;
        case KEEPER_RENAME:
                on_rename(k, &m);
                break;
        case KEEPER_UNMOUNT:
                on_unmount(k, &m);
                break;
        default:
                break;
        }
        return true;
}

/* --- what happens outside --- */

static int mark_seen(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct keeper *k = userdata;

        for (size_t i = 0; i < k->n_volumes; i++)
                if (keeper_mount_is(&k->volumes[i].mount, mnt_id, dev_minor, fstype))
                        k->volumes[i].seen = true;
        return 0;
}

static void on_mountinfo(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++)
                k->volumes[i].seen = false;
        /* Once for all of them: with a thousand mounts each reading takes milliseconds. */
        int r = mountinfo_walk(mark_seen, k);
        if (r < 0) {
                log_error("mountinfo cannot be read: %s", strerror(-r));
                return;
        }
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];

                if (v->gone || v->seen)
                        continue;
                v->gone = true;
                struct keeper_msg m = {.mount = v->id};
                answer(k, &m, KEEPER_GONE, 0, "", -EBADF);
        }
}

static void on_child(struct keeper *k)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == k->worker) {
                        k->worker = 0;
                        k->worker_status = status;
                }
        }
}

static void on_signal(struct keeper *k)
{
        struct signalfd_siginfo info;

        while (read(k->signal_fd, &info, sizeof info) == sizeof info) {
                if (info.ssi_signo == SIGCHLD)
                        on_child(k);
                else if (k->worker > 0)
                        (void)kill(k->worker, (int)info.ssi_signo);
        }
}

/* The worker is gone: what it left mounted would hang its readers. The connection ends first, so
 * that no unmount can wait for an answer that nobody gives. */
static void unmount_all(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];
                char detail[KEEPER_NAME_SIZE] = "";

                v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
                int r = keeper_mount_unmount(&v->mount, true, detail);
                if (r < 0)
                        log_error("%s is still mounted: %s", v->mount.mountpoint, detail);
                else if (!v->gone)
                        log_warning("%s unmounted: its worker is gone", v->mount.mountpoint);
                keeper_mount_done(&v->mount);
        }
        k->n_volumes = 0;
}

/* --- start and loop --- */

static _Noreturn void exec_worker(const struct keeper_options *o, int socket)
{
        int fds[16] = {socket};
        size_t n = 1;
        sigset_t none;

        /* Out of the way first: a descriptor to be moved may stand where another has to go. */
        for (size_t i = 0; i < o->n_pass_fds && n < ELEMENTSOF(fds); i++)
                fds[n++] = o->pass_fds[i];
        for (size_t i = 0; i < n; i++)
                if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64)) < 0)
                        _exit(127);
        for (size_t i = 0; i < n; i++)
                if (dup2(fds[i], KEEPER_WORKER_FD + (int)i) < 0)
                        _exit(127);
        if (close_range(KEEPER_WORKER_FD + (unsigned)n, ~0U, 0) < 0)
                _exit(127);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv("/proc/self/exe", (char *const *)(uintptr_t)o->worker_argv);
        _exit(127);
}

static int start_worker(struct keeper *k, const struct keeper_options *o)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0)
                exec_worker(o, pair[1]);
        safe_close(pair[1]);
        if (pid < 0) {
                safe_close(pair[0]);
                return -errno;
        }
        k->worker_fd = pair[0];
        k->worker = pid;
        return 0;
}

static int open_sources(struct keeper *k)
{
        sigset_t set;
        int null;

        /* 0, 1 and 2 are what children keep: no connection must ever stand there. */
        do
                null = open("/dev/null", O_RDWR);
        while (null >= 0 && null <= STDERR_FILENO);
        safe_close(null);

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
        k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        k->mountinfo_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        return k->signal_fd < 0 || k->mountinfo_fd < 0 ? -errno : 0;
}

static void serve(struct keeper *k)
{
        bool talking = true;

        while (k->worker > 0) {
                struct pollfd p[3 + RENAMERS_MAX] = {
                        {.fd = k->signal_fd, .events = POLLIN},
                        {.fd = k->mountinfo_fd, .events = POLLPRI},
                        {.fd = talking ? k->worker_fd : -1, .events = POLLIN},
                };
                size_t n = k->n_renamers;
                for (size_t i = 0; i < n; i++)
                        p[3 + i] = (struct pollfd){.fd = k->renamers[i].fd, .events = POLLIN};
                if (poll(p, 3 + n, -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return;
                }
                /* From the last: a renamer that is gone gives its place to the one behind. */
                while (n-- > 0)
                        if (p[3 + n].revents)
                                on_renamer(k, &k->renamers[n]);
                if (p[2].revents)
                        talking = on_worker(k);
                if (p[1].revents)
                        on_mountinfo(k);
                if (p[0].revents)
                        on_signal(k);
        }
}

int keeper_run(const struct keeper_options *o)
{
        struct keeper k = {.worker_fd = -EBADF, .signal_fd = -EBADF, .mountinfo_fd = -EBADF};

        /* Readers wait for these processes: a busy machine should not make them wait in line behind
         * whoever keeps it busy. Inherited by the worker; where it is not allowed, so be it. */
        (void)setpriority(PRIO_PROCESS, 0, -10);
        int r = open_sources(&k);
        if (r == 0)
                r = start_worker(&k, o);
        if (r < 0) {
                log_error("the keeper cannot start: %s", strerror(-r));
                return 1;
        }
        serve(&k);
        unmount_all(&k);
        safe_close(k.worker_fd);
        safe_close(k.signal_fd);
        safe_close(k.mountinfo_fd);
        for (size_t i = 0; i < k.n_renamers; i++)
                renamer_done(&k.renamers[i]);
        free(k.volumes);
        if (WIFEXITED(k.worker_status))
                return WEXITSTATUS(k.worker_status);
        log_error("the worker was killed by signal %d", WTERMSIG(k.worker_status));
        return 1;
}
