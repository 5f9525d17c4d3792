#include "fs/keeper_handover.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "fs/keeper_gate.h"
#include "fs/keeper_private.h"

#define ASK_MS 10000   /* from the knock to the first message */
#define START_MS 30000 /* for a new program to have a worker that is ready */
#define SETTLE_MS 1000 /* for renames; one that hangs is planned again */
#define TELL_MS 5000   /* for the worker to read what is meant for it */
#define TAKE_MS 15000  /* for the next keeper to look at everything */

void keeper_upgrade_init(struct keeper_upgrade *u, int door)
{
        *u = (struct keeper_upgrade){
                .door = door, .client = -EBADF, .peer = -EBADF, .state = UPGRADE_NONE};
}

void keeper_upgrade_release(struct keeper_upgrade *u)
{
        safe_close(u->client);
        safe_close(u->peer);
        keeper_upgrade_init(u, u->door);
}

static void answer(struct keeper_upgrade *u, int result, const char *detail)
{
        struct keeper_msg m;

        if (u->client >= 0) {
                keeper_msg_init(&m, KEEPER_UPGRADED, 0);
                m.result = result;
                (void)snprintf(m.detail, sizeof m.detail, "%s", detail);
                int r = keeper_send(u->client, &m, -EBADF);
                if (r < 0)
                        log_warning("who asked for the upgrade is not there any more: %s",
                                strerror(-r));
        }
        keeper_upgrade_release(u);
}

void keeper_upgrade_failed(struct keeper *k, int result, const char *detail)
{
        struct keeper_upgrade *u = &k->upgrade;
        struct keeper_msg m;

        if (u->state > UPGRADE_ASKED)
                log_error("no upgrade: %s", detail);
        if (u->peer >= 0) {
                keeper_msg_init(&m, KEEPER_STAY, 0);
                (void)keeper_send(u->peer, &m, -EBADF);
        }
        if (u->pid > 0)
                (void)kill(u->pid, SIGKILL); /* reaped as any child */
        /* One that was told to leave does: whatever comes after it is started as after a crash. */
        if (k->swap_by == 0)
                keeper_worker_drop(&k->next);
        answer(u, result, detail);
}

static int hear(int socket, struct keeper_msg *m, int *ret_fd)
{
        int r = keeper_recv(socket, m, ret_fd);

        return r == 1 && keeper_visit_valid(m) < 0 ? -EPROTO : r;
}

int keeper_program_check(int fd, char *detail)
{
        struct stat st;
        const char *why = NULL;

        if (fd < 0 || fstat(fd, &st) < 0)
                why = "no program was passed";
        else if (!S_ISREG(st.st_mode))
                why = "it is no regular file";
        else if (st.st_uid != 0 && st.st_uid != geteuid())
                why = "it belongs to somebody else than root and the user who mounted";
        else if (st.st_mode & (S_IWGRP | S_IWOTH))
                why = "others can write to it";
        else if (!(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
                why = "it is not executable";
        if (!why)
                return 0;
        (void)snprintf(detail, KEEPER_NAME_SIZE, "the new program is refused: %s", why);
        return -EPERM;
}

/* --- the next keeper's process --- */

static _Noreturn void exec_keeper(const struct keeper_options *o, int socket, int program)
{
        sigset_t none;

        int high = fcntl(socket, F_DUPFD_CLOEXEC, 64);
        program = fcntl(program, F_DUPFD_CLOEXEC, 64);
        if (high < 0 || program < 0 || dup2(high, KEEPER_TAKE_FD) < 0 ||
                close_range(KEEPER_TAKE_FD + 1, (unsigned)program - 1, 0) < 0 ||
                close_range((unsigned)program + 1, ~0U, 0) < 0)
                _exit(127);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        fexecve(program, (char *const *)(uintptr_t)o->keeper_argv, environ);
        _exit(127);
}

static int start_keeper(struct keeper *k, int program, char *detail)
{
        struct keeper_upgrade *u = &k->upgrade;
        int pair[2];

        if (!k->options.keeper_argv) {
                (void)snprintf(detail, KEEPER_NAME_SIZE, "this keeper does not make way");
                return -EOPNOTSUPP;
        }
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                (void)snprintf(detail, KEEPER_NAME_SIZE, "socketpair: %s", strerror(errno));
                return -errno;
        }
        pid_t pid = fork();
        if (pid == 0)
                exec_keeper(&k->options, pair[1], program);
        safe_close(pair[1]);
        if (pid < 0) {
                (void)snprintf(detail, KEEPER_NAME_SIZE, "fork: %s", strerror(errno));
                safe_close(pair[0]);
                return -errno;
        }
        u->peer = pair[0];
        u->pid = pid;
        return 0;
}

static int start_next_worker(struct keeper *k, int program, char *detail)
{
        keeper_worker_init(&k->next, &k->options);
        int copy = fcntl(program, F_DUPFD_CLOEXEC, 3);
        int r = copy < 0 ? -errno : 0;
        k->next.program = copy;
        if (r == 0)
                r = keeper_worker_start(&k->next);
        if (r < 0)
                (void)snprintf(detail, KEEPER_NAME_SIZE, "%s", strerror(-r));
        return r;
}

/* --- handing over --- */

static int timeouts(int socket, int ms)
{
        const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

        return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) < 0 ||
                               setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) < 0
                       ? -errno
                       : 0;
}

int keeper_pass(const struct keeper *k, int socket)
{
        const struct keeper_options *o = &k->options;
        int r = timeouts(socket, TELL_MS);

        for (size_t i = 0; r == 0 && i < o->n_pass_fds; i++) {
                struct keeper_msg m;
                keeper_msg_init(&m, KEEPER_PASS, 0);
                m.seq = i;
                r = keeper_send(socket, &m, o->pass_fds[i]);
        }
        return r;
}

/* What the next keeper's worker inherits. Nothing is lost when it comes to nothing. */
static int pass(struct keeper *k)
{
        struct keeper_msg m;

        int r = keeper_pass(k, k->upgrade.peer);
        keeper_msg_init(&m, KEEPER_DOOR, 0);
        if (r == 0 && k->upgrade.door >= 0)
                r = keeper_send(k->upgrade.peer, &m, k->upgrade.door);
        keeper_msg_init(&m, KEEPER_GATE, 0);
        if (r == 0 && k->gate >= 0)
                r = keeper_send(k->upgrade.peer, &m, k->gate);
        keeper_msg_init(&m, KEEPER_PREPARE, 0);
        return r < 0 ? r : keeper_send(k->upgrade.peer, &m, -EBADF);
}

static int give(struct keeper *k, struct keeper_msg *m, int fd, int32_t *count)
{
        int r = keeper_send(k->upgrade.peer, m, fd);

        *count += r == 0;
        return r;
}

static int give_volume(struct keeper *k, const struct volume *v, int32_t *count)
{
        struct keeper_msg m;
        int r = 0;

        if (v->mount.private_fd >= 0) {
                keeper_msg_init(&m, KEEPER_PRIVATE, v->id);
                r = give(k, &m, v->mount.private_fd, count);
        }
        keeper_msg_init(&m, KEEPER_GIVE, v->id);
        m.flags = v->mount.privileged ? (uint32_t)KEEPER_PRIVILEGED : 0;
        m.seq = v->mount.dev_minor;
        m.result = v->mount.mnt_id;
        if (r == 0)
                r = keeper_msg_set(m.path, sizeof m.path, v->mount.mountpoint);
        return r < 0 ? r : give(k, &m, v->mount.fuse_fd, count);
}

static int give_worker(struct keeper *k, int32_t *count)
{
        const struct keeper_worker *w = &k->worker;
        struct keeper_msg m;

        if (w->pid <= 0 || w->fd < 0)
                return 0; /* the next one starts where that one ended */
        _cleanup_close_ int opened =
                w->pidfd >= 0 ? -EBADF : (int)syscall(SYS_pidfd_open, w->pid, 0);
        int pidfd = w->pidfd >= 0 ? w->pidfd : opened;
        if (pidfd < 0)
                return -errno;
        keeper_msg_init(&m, KEEPER_WORKER, 0);
        int r = give(k, &m, w->fd, count);
        keeper_msg_init(&m, KEEPER_PROCESS, 0);
        return r < 0 ? r : give(k, &m, pidfd, count);
}

static int give_all(struct keeper *k, int32_t *count)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_HELLO, 0);
        m.seq = k->worker.starts;
        int r = keeper_send(k->upgrade.peer, &m, -EBADF);
        for (size_t i = 0; r == 0 && i < k->n_volumes; i++)
                if (k->volumes[i].mount.fuse_fd >= 0)
                        r = give_volume(k, &k->volumes[i], count);
        keeper_msg_init(&m, KEEPER_AREA, 0);
        m.seq = k->area_version;
        if (r == 0 && k->area_fd >= 0)
                r = give(k, &m, k->area_fd, count);
        keeper_msg_init(&m, KEEPER_STORE, 0);
        memcpy(m.name, k->store.area, sizeof m.name);
        if (r == 0 && k->store.record >= 0)
                r = give(k, &m, k->store.record, count);
        if (r == 0)
                r = give_worker(k, count);
        keeper_msg_init(&m, KEEPER_CLIENT, 0);
        if (r == 0 && k->upgrade.client >= 0)
                r = give(k, &m, k->upgrade.client, count);
        keeper_msg_init(&m, KEEPER_GIVEN, 0);
        m.result = *count;
        return r < 0 ? r : keeper_send(k->upgrade.peer, &m, -EBADF);
}

/* Before anything is given: what is under way ends, and nothing new is begun. */
static int settle(struct keeper *k)
{
        struct keeper_worker *w = &k->worker;
        int64_t end = monotonic_ms() + TELL_MS;

        keeper_settle_renames(k, SETTLE_MS);
        keeper_end_spare(k);
        while (w->fd >= 0) {
                int r = keeper_queue_flush(&w->out, w->fd);
                if (r != -EAGAIN)
                        return 0; /* a worker that is dead is found to be so by the next keeper */
                struct pollfd p = {.fd = w->fd, .events = POLLOUT};
                if (monotonic_ms() >= end || poll(&p, 1, (int)(end - monotonic_ms())) == 0)
                        return -ETIMEDOUT;
        }
        return 0;
}

static int await_taken(struct keeper *k, int32_t count, char *detail)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = timeouts(k->upgrade.peer, TAKE_MS);
        if (r == 0)
                r = hear(k->upgrade.peer, &m, &fd);
        if (r == 1 && m.op == KEEPER_TAKEN && m.result == count)
                return 0;
        if (r == 1 && m.op == KEEPER_TAKEN && m.result < 0) {
                (void)snprintf(detail, KEEPER_NAME_SIZE, "%s", m.detail);
                return m.result;
        }
        (void)snprintf(detail, KEEPER_NAME_SIZE, "the new keeper did not take everything: %s",
                r == 1         ? "it counts otherwise"
                : r == 0       ? "it ended"
                : r == -EAGAIN ? "it does not answer"
                               : strerror(-r));
        return r < 0 ? r : -EPROTO;
}

/* True: everything is the next keeper's, and this one leaves. */
static bool hand_over(struct keeper *k)
{
        char detail[KEEPER_NAME_SIZE] = "";
        struct keeper_msg m;
        int32_t count = 0;

        int r = settle(k);
        if (r == 0)
                r = give_all(k, &count);
        if (r < 0)
                (void)snprintf(detail, sizeof detail, "the hand-over failed: %s", strerror(-r));
        else
                r = await_taken(k, count, detail);
        if (r == 0) {
                /* Before the other one begins: two that believe themselves the heir are one too
                 * many. Should it be gone at this very moment, a new guardian is started. */
                guardian_end(&k->guardian);
                keeper_msg_init(&m, KEEPER_LEAVE, 0);
                m.result = 1;
                r = keeper_send(k->upgrade.peer, &m, -EBADF);
                if (r < 0)
                        (void)snprintf(detail, sizeof detail, "the new keeper ended");
        }
        if (r < 0) {
                keeper_upgrade_failed(k, r, detail);
                return false;
        }
        log_info("%zu mounts were handed over to a new keeper", k->n_volumes);
        k->upgrade.over = true;
        return true;
}

/* --- visitors --- */

static void on_door(struct keeper *k)
{
        struct keeper_upgrade *u = &k->upgrade;
        struct ucred peer;
        socklen_t len = sizeof peer;

        _cleanup_close_ int fd = accept4(u->door, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return;
        /* An ordinary user's worker has that user's account, and is no visitor all the same: it has
         * given up what a program of its choice would have. It cannot fork. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
                (peer.uid != 0 && peer.uid != geteuid()) || peer.pid == k->worker.pid) {
                log_warning("security: uid %u (pid %d) asked the keeper for its mounts, and was "
                            "turned away",
                        (unsigned)peer.uid, (int)peer.pid);
                return;
        }
        if (u->state != UPGRADE_NONE || k->leaving) {
                struct keeper_upgrade other;
                keeper_upgrade_init(&other, -EBADF);
                other.client = TAKE_FD(fd);
                answer(&other, -EBUSY,
                        k->leaving ? "the keeper is ending" : "an upgrade is under way");
                return;
        }
        u->client = TAKE_FD(fd);
        u->state = UPGRADE_ASKED;
        u->by = monotonic_ms() + ASK_MS;
}

static void other_version(struct keeper *k, const struct keeper_msg *m, const char *who)
{
        char detail[KEEPER_NAME_SIZE];

        (void)snprintf(detail, sizeof detail,
                "%s speaks version %u of the keeper's protocol, the running keeper version %u: "
                "unmount, and mount with the new program",
                who, m->version, KEEPER_VERSION);
        keeper_upgrade_failed(k, -EPROTONOSUPPORT, detail);
}

static void on_asked(struct keeper *k, const struct keeper_msg *m, int fd)
{
        struct keeper_upgrade *u = &k->upgrade;
        char detail[KEEPER_NAME_SIZE] = "";
        int r;

        u->state = UPGRADE_STARTING;
        u->by = monotonic_ms() + START_MS;
        if (m->op == KEEPER_TAKE) {
                u->peer = TAKE_FD(u->client);
                r = pass(k);
                if (r < 0)
                        (void)snprintf(detail, sizeof detail, "%s", strerror(-r));
        } else if (m->op == KEEPER_UPGRADE) {
                r = keeper_program_check(fd, detail);
                if (r == 0 && k->options.gated) {
                        r = -EOPNOTSUPP;
                        (void)snprintf(detail, sizeof detail,
                                "this keeper's worker comes from another container");
                } else if (r == 0)
                        r = m->flags & KEEPER_WORKER_ALONE ? start_next_worker(k, fd, detail)
                                                           : start_keeper(k, fd, detail);
        } else {
                r = -EPROTO;
                (void)snprintf(detail, sizeof detail, "that is no request");
        }
        if (r < 0)
                keeper_upgrade_failed(k, r, detail);
}

static void on_client(struct keeper *k)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = hear(k->upgrade.client, &m, &fd);
        if (r == 1)
                on_asked(k, &m, fd);
        else if (r == -EPROTONOSUPPORT)
                other_version(k, &m, "the command");
        else if (r != -EAGAIN)
                keeper_upgrade_failed(k, -EPROTO, "that is no request");
}

/* The next keeper says TAKE, then READY or why not. */
static void on_peer(struct keeper *k)
{
        struct keeper_upgrade *u = &k->upgrade;
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = hear(u->peer, &m, &fd);
        if (r == 1 && m.op == KEEPER_TAKE)
                r = pass(k);
        else if (r == 1 && m.op == KEEPER_READY && m.result == 0) {
                (void)hand_over(k);
                return;
        } else if (r == 1 && m.op == KEEPER_READY) {
                keeper_upgrade_failed(k, m.result < 0 ? m.result : -EPROTO, m.detail);
                return;
        } else if (r == -EPROTONOSUPPORT) {
                other_version(k, &m, "the new program");
                return;
        } else if (r == 1)
                r = -EPROTO;
        else if (r == 0) {
                u->peer = safe_close(u->peer);
                if (u->pid > 0)
                        return; /* how it ended is told by its status */
                r = -ECONNRESET;
        }
        if (r < 0 && r != -EAGAIN)
                keeper_upgrade_failed(k, r, "the new keeper cannot be understood");
}

static void on_next(struct keeper *k)
{
        char detail[KEEPER_NAME_SIZE] = "";

        int r = keeper_hear_next(&k->next, detail);
        if (r == 1) {
                r = keeper_check_next(&k->next, k->area_version, k->area_fd >= 0, detail);
                if (r == 0) {
                        k->upgrade.state = UPGRADE_SWAPPING;
                        k->upgrade.by = 0;
                        keeper_swap(k);
                }
        }
        if (r < 0)
                keeper_upgrade_failed(k, r, detail);
}

void keeper_upgrade_poll(const struct keeper *k, struct pollfd p[static KEEPER_UPGRADE_FDS])
{
        const struct keeper_upgrade *u = &k->upgrade;
        const int fds[KEEPER_UPGRADE_FDS] = {
                u->gated ? -EBADF : u->door,
                u->state == UPGRADE_ASKED ? u->client : u->peer,
                k->next.ready ? -EBADF : k->next.fd,
                keeper_gate_is_open(k) ? k->gate : -EBADF,
        };

        for (size_t i = 0; i < KEEPER_UPGRADE_FDS; i++)
                p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

void keeper_upgrade_receive(struct keeper *k, const struct pollfd p[static KEEPER_UPGRADE_FDS])
{
        const struct keeper_upgrade *u = &k->upgrade;

        if (p[2].revents && p[2].fd == k->next.fd)
                on_next(k);
        if (p[1].revents && k->upgrade.state == UPGRADE_ASKED && p[1].fd == k->upgrade.client)
                (u->gated ? keeper_gate_hear : on_client)(k);
        else if (p[1].revents && p[1].fd == k->upgrade.peer)
                on_peer(k);
        if (p[0].revents && !u->gated)
                on_door(k);
        if (p[3].revents && keeper_gate_is_open(k))
                keeper_on_gate(k);
}

int keeper_upgrade_timeout(const struct keeper *k)
{
        return k->upgrade.by ? (int)MAX(k->upgrade.by - monotonic_ms(), (int64_t)0) : -1;
}

void keeper_upgrade_late(struct keeper *k)
{
        keeper_upgrade_failed(k, -ETIMEDOUT,
                k->upgrade.state == UPGRADE_ASKED ? "nothing was asked"
                                                  : "the new program is not ready after 30 s");
}

bool keeper_upgrade_child(struct keeper *k, pid_t pid, int status)
{
        struct keeper_upgrade *u = &k->upgrade;
        char detail[KEEPER_NAME_SIZE];

        if (k->next.pid == pid) {
                k->next.pid = 0;
                keeper_upgrade_failed(
                        k, -ECHILD, "the new worker ended before it was ready; the log says why");
                return true;
        }
        if (u->pid != pid)
                return false;
        u->pid = 0;
        if (WIFEXITED(status))
                (void)snprintf(detail, sizeof detail,
                        "the new program ended with status %d before it was ready",
                        WEXITSTATUS(status));
        else
                (void)snprintf(detail, sizeof detail,
                        "the new program was killed by signal %d before it was ready",
                        WTERMSIG(status));
        keeper_upgrade_failed(k, -ECHILD, detail);
        return true;
}

void keeper_upgrade_served(struct keeper *k)
{
        if (k->upgrade.state != UPGRADE_SWAPPING)
                return;
        k->previous = safe_close(k->previous);
        answer(&k->upgrade, 0, "");
}
