#include "fs/keeper_takeover.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "fs/keeper_private.h"

#define PREPARE_MS 20000 /* for our worker to start */

struct taking {
        struct keeper *k;
        int socket;
        int32_t count;    /* descriptors so far */
        int private_fd;   /* of the GIVE that comes next; -EBADF */
        uint64_t private; /* its mount */
        int worker_fd, worker_pidfd;
        unsigned starts;
        bool ends; /* the other side, which is our parent then when it is a process of ours */
        char detail[KEEPER_NAME_SIZE];
};

static int fail(struct taking *t, int r, const char *what)
{
        (void)snprintf(t->detail, sizeof t->detail, "%s: %s", what, strerror(-r));
        return r;
}

static int hear(struct taking *t, struct keeper_msg *m, int *ret_fd)
{
        int r = keeper_recv(t->socket, m, ret_fd);

        return r == 1 && keeper_visit_valid(m) < 0 ? -EPROTO : r;
}

/* --- before: a worker is prepared --- */

static int inherit(struct keeper *k, const struct keeper_msg *m, int *fd)
{
        if (*fd < 0 || m->seq != k->options.n_pass_fds || m->seq >= KEEPER_PASS_MAX)
                return -EPROTO;
        /* Away from the numbers that a worker finds its own at. */
        int high = fcntl(*fd, F_DUPFD_CLOEXEC, 64);
        if (high < 0)
                return -errno;
        k->pass_fds[k->options.n_pass_fds++] = high;
        return 0;
}

static int hear_what_is_inherited(struct taking *t)
{
        struct keeper *k = t->k;

        k->options.pass_fds = k->pass_fds;
        k->options.n_pass_fds = 0;
        for (;;) {
                struct keeper_msg m;
                _cleanup_close_ int fd = -EBADF;

                int r = hear(t, &m, &fd);
                if (r == 1 && m.op == KEEPER_PASS)
                        r = inherit(k, &m, &fd);
                else if (r == 1 && m.op == KEEPER_DOOR && fd >= 0) {
                        safe_close(k->upgrade.door);
                        k->upgrade.door = TAKE_FD(fd);
                        r = 0;
                } else if (r == 1 && m.op == KEEPER_PREPARE)
                        return 0;
                else if (r >= 0)
                        r = r == 0 ? -ECONNRESET : -EPROTO;
                if (r < 0)
                        return fail(t, r, "what a worker inherits did not come");
        }
}

static int prepare_worker(struct taking *t)
{
        struct keeper_worker *next = &t->k->next;
        int64_t end = monotonic_ms() + PREPARE_MS;

        keeper_worker_init(next, &t->k->options);
        int r = keeper_worker_start(next);
        if (r < 0)
                return fail(t, r, "the new worker cannot be started");
        while (!next->ready) {
                struct pollfd p = {.fd = next->fd, .events = POLLIN};
                int64_t left = end - monotonic_ms();
                if (left <= 0 || poll(&p, 1, (int)left) == 0)
                        return fail(t, -ETIMEDOUT, "the new worker is not ready");
                r = keeper_hear_next(next, t->detail);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- everything --- */

static int take_mount(struct taking *t, const struct keeper_msg *m, int *fd)
{
        struct keeper *k = t->k;
        struct keeper_mount mount;

        bool privileged = m->flags & KEEPER_PRIVILEGED;
        if (*fd < 0 || keeper_find(k, m->mount) || k->n_volumes >= KEEPER_MOUNTS_MAX ||
                (t->private_fd >= 0 && (!privileged || t->private != m->mount)))
                return -EPROTO;
        struct volume *bigger = reallocarray(k->volumes, k->n_volumes + 1, sizeof(struct volume));
        if (!bigger)
                return -ENOMEM;
        k->volumes = bigger;
        int r = keeper_mount_recover(m, *fd, t->private_fd, &mount, t->detail);
        if (r < 0)
                return r;
        *fd = t->private_fd = -EBADF;
        k->volumes[k->n_volumes++] = (struct volume){.id = m->mount, .mount = mount};
        return 0;
}

static void move_fd(int *to, int *from)
{
        safe_close(*to);
        *to = TAKE_FD(*from);
}

/* 1: that was the last one. */
static int take_one(struct taking *t, const struct keeper_msg *m, int *fd)
{
        struct keeper *k = t->k;

        t->count += *fd >= 0;
        switch (m->op) {
        case KEEPER_HELLO:
                t->starts = (unsigned)MIN(m->seq, (uint64_t)UINT32_MAX);
                return 0;
        case KEEPER_PRIVATE:
                t->private = m->mount;
                move_fd(&t->private_fd, fd);
                return 0;
        case KEEPER_GIVE:
                return take_mount(t, m, fd);
        case KEEPER_AREA:
                k->area_version = (uint32_t)m->seq;
                move_fd(&k->area_fd, fd);
                return 0;
        case KEEPER_STORE:
                memcpy(k->store.area, m->name, sizeof m->name);
                move_fd(&k->store.record, fd);
                return 0;
        case KEEPER_WORKER:
                move_fd(&t->worker_fd, fd);
                return 0;
        case KEEPER_PROCESS:
                move_fd(&t->worker_pidfd, fd);
                return 0;
        case KEEPER_CLIENT:
                move_fd(&k->upgrade.client, fd);
                return 0;
        case KEEPER_GIVEN:
                return m->result == t->count && t->private_fd < 0 ? 1 : -EPROTO;
        default:
                return -EPROTO;
        }
}

/* proc(5): the pid as this process's namespace has it, -1 for a process that is gone. */
static pid_t pid_of(int pidfd)
{
        char path[64], line[128];
        pid_t pid = -1;

        (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f)) {
                const char *value = startswith(line, "Pid:");
                if (value)
                        pid = (pid_t)strtol(value, NULL, 10);
        }
        if (f)
                (void)fclose(f);
        return pid;
}

static int take_worker(struct taking *t)
{
        struct keeper *k = t->k;

        keeper_worker_init(&k->worker, &k->options);
        k->worker.starts = t->starts;
        if (t->worker_fd < 0 || t->worker_pidfd < 0)
                return 0;
        pid_t pid = pid_of(t->worker_pidfd);
        if (pid == 0)
                return fail(t, -ESRCH, "the worker is in another pid namespace");
        if (pid < 0)
                return 0; /* dead by now: what it had still said is in its journal */
        int r = keeper_worker_adopt(
                &k->worker, pid, TAKE_FD(t->worker_pidfd), TAKE_FD(t->worker_fd), t->starts);
        return r == -ESRCH ? 0 : r;
}

static int take_everything(struct taking *t)
{
        int r;

        do {
                struct keeper_msg m;
                _cleanup_close_ int fd = -EBADF;

                r = hear(t, &m, &fd);
                if (r == 1)
                        r = take_one(t, &m, &fd);
                else if (r == 0)
                        r = -ECONNRESET;
        } while (r == 0);
        if (r < 0)
                return t->detail[0] ? r : fail(t, r, "what is mounted cannot be taken over");
        r = keeper_check_next(&t->k->next, t->k->area_version, t->k->area_fd >= 0, t->detail);
        return r < 0 ? r : take_worker(t);
}

static int tell(struct taking *t, enum keeper_op op, int32_t result)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, 0);
        m.result = result;
        int r = keeper_msg_set(m.name, sizeof m.name, AKVFS_VERSION);
        if (r == 0)
                r = keeper_msg_set(m.detail, sizeof m.detail, result < 0 ? t->detail : "");
        return r < 0 ? r : keeper_send(t->socket, &m, -EBADF);
}

/* STAY, or what nobody says, means that the other side goes on. Its death means that we do. */
static int await_leave(struct taking *t)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = hear(t, &m, &fd);
        t->ends = r == 0 || m.result == 1;
        return r == 0 || (r == 1 && m.op == KEEPER_LEAVE) ? 0
               : r < 0                                    ? fail(t, r, "the old keeper")
                                                          : fail(t, -ECANCELED, "the old keeper");
}

/* The signal of a parent's death is for that of the next parent. */
static void leave_parent(const struct taking *t, int parent)
{
        struct pollfd p = {.fd = parent, .events = POLLIN};
        int sig = t->k->options.parent_death_signal;

        if (!sig)
                return;
        while (t->ends && parent >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR)
                ;
        (void)prctl(PR_SET_PDEATHSIG, sig);
}

/* All that is named in the record is with the service manager. */
static void mark_stored(struct keeper *k)
{
        k->store.record_stored = k->store.area_stored = k->store.record >= 0;
        for (size_t i = 0; i < k->n_volumes; i++)
                k->volumes[i].stored = k->store.record >= 0;
        keeper_store_changed(&k->store, false);
}

/* For workers, should ours be of no use. A keeper from elsewhere has no program that we could run.
 */
static int program_of_parent(void)
{
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)getppid());
        return open(path, O_RDONLY | O_CLOEXEC);
}

int keeper_take(struct keeper *k, int socket)
{
        struct taking t = {.k = k,
                .socket = socket,
                .private_fd = -EBADF,
                .worker_fd = -EBADF,
                .worker_pidfd = -EBADF};
        _cleanup_close_ int parent = (int)syscall(SYS_pidfd_open, getppid(), 0);
        /* One that lasts is started by anybody, and finds the other one by its door. */
        _cleanup_close_ int previous = k->options.lasting ? -EBADF : program_of_parent();

        int r = tell(&t, KEEPER_TAKE, 0);
        if (r == 0)
                r = hear_what_is_inherited(&t);
        if (r == 0)
                r = prepare_worker(&t);
        if (r == 0)
                r = tell(&t, KEEPER_READY, 0);
        else
                (void)tell(&t, KEEPER_READY, r);
        if (r == 0) {
                r = take_everything(&t);
                (void)tell(&t, KEEPER_TAKEN, r < 0 ? r : t.count);
        }
        if (r == 0)
                r = await_leave(&t);
        safe_close(t.private_fd);
        safe_close(t.worker_fd);
        safe_close(t.worker_pidfd);
        safe_close(t.socket);
        if (r < 0) {
                log_error("nothing is taken over: %s", t.detail);
                keeper_worker_drop(&k->next);
                return r;
        }
        k->previous = TAKE_FD(previous);
        mark_stored(k);
        leave_parent(&t, parent);
        log_info("%zu mounts were taken over from another keeper", k->n_volumes);
        k->upgrade.state = UPGRADE_SWAPPING;
        return 0;
}
