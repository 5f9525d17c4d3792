#include "fs/keeper_gate.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "fs/keeper_private.h"

#define ASK_MS 10000   /* from the knock to COME */
#define START_MS 30000 /* from there until the worker is ready */

/* --- the keeper's side --- */

bool keeper_gate_is_open(const struct keeper *k)
{
        return k->gate >= 0 && k->upgrade.state == UPGRADE_NONE && !k->leaving;
}

void keeper_on_gate(struct keeper *k)
{
        struct keeper_upgrade *u = &k->upgrade;
        struct ucred peer;
        socklen_t len = sizeof peer;

        _cleanup_close_ int fd = accept4(k->gate, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
                (peer.uid != 0 && peer.uid != geteuid())) {
                log_warning("security: uid %u (pid %d) came to be the worker, and was turned away",
                        (unsigned)peer.uid, (int)peer.pid);
                return;
        }
        u->client = TAKE_FD(fd);
        u->gated = true;
        u->state = UPGRADE_ASKED;
        u->by = monotonic_ms() + ASK_MS;
}

static void refuse(struct keeper *k, int result, const char *detail)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_STAY, 0);
        m.result = result;
        (void)snprintf(m.detail, sizeof m.detail, "%s", detail);
        if (result != -EALREADY)
                log_error("a worker that came is sent away: %s", detail);
        int r = keeper_send(k->upgrade.client, &m, -EBADF);
        if (r < 0)
                log_warning("it could not be told: %s", strerror(-r));
        keeper_upgrade_release(&k->upgrade);
}

/* It may be dead by now, and its end not yet seen. */
static bool worker_lives(const struct keeper *k)
{
        struct pollfd p = {.fd = k->worker.pidfd, .events = POLLIN};

        return k->worker.pid > 0 && poll(&p, 1, 0) == 0;
}

static int as_next(struct keeper *k, pid_t pid, const char *version, int *heir, char *detail)
{
        struct keeper_upgrade *u = &k->upgrade;
        struct pollfd p = {.fd = u->client};
        int off = 0;

        if (pid <= 0) {
                (void)snprintf(detail, KEEPER_NAME_SIZE,
                        "its process cannot be seen from here: the keeper's container needs "
                        "hostPID: true");
                return -ESRCH;
        }
        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        int r = pidfd < 0 ? -errno : 0;
        if (r == 0 && (poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLERR))))
                r = -ESRCH;
        if (r == 0 && setsockopt(u->client, SOL_SOCKET, SO_PASSCRED, &off, sizeof off) < 0)
                r = -errno;
        if (r == 0)
                r = keeper_pass(k, u->client);
        if (r == 0) {
                struct keeper_msg m;
                keeper_msg_init(&m, KEEPER_PREPARE, 0);
                r = keeper_send(u->client, &m, -EBADF);
        }
        if (r < 0) {
                (void)snprintf(detail, KEEPER_NAME_SIZE, "%s", strerror(-r));
                return r;
        }
        keeper_worker_init(&k->next, &k->options);
        keeper_worker_came(&k->next, pid, TAKE_FD(pidfd), TAKE_FD(u->client));
        k->next.heir_fd = TAKE_FD(*heir);
        log_info("a worker of akvfs %s has come, pid %d", version, (int)pid);
        u->state = UPGRADE_STARTING;
        u->by = monotonic_ms() + START_MS;
        return 0;
}

static void on_come(struct keeper *k, const struct keeper_msg *m, int *heir, pid_t pid)
{
        char detail[KEEPER_NAME_SIZE] = "";
        int r;

        if ((m->flags & KEEPER_AGAIN) && worker_lives(k)) {
                r = -EALREADY;
                (void)snprintf(detail, sizeof detail, "another worker serves");
        } else if (*heir < 0) {
                r = -EPROTO;
                (void)snprintf(detail, sizeof detail, "it has brought no heir");
        } else
                r = as_next(k, pid, m->name, heir, detail);
        if (r < 0)
                refuse(k, r, detail);
}

/* A keeper that serves mounts has not been killed: what comes back is another one's, and ends when
 * its other end is closed. A worker that has none yet can as well be the next one. */
static void on_back(struct keeper *k, int *channel)
{
        if (*channel < 0 || k->n_volumes > 0) {
                log_warning("what a worker gives back is not wanted: %zu mounts are served",
                        k->n_volumes);
                return;
        }
        if (k->worker.pid > 0) {
                log_warning("the worker (pid %d), which serves nothing, is ended: another one has "
                            "mounts to give back",
                        (int)k->worker.pid);
                keeper_worker_drop(&k->worker);
        }
        safe_close(k->guardian.channel);
        k->guardian.channel = TAKE_FD(*channel);
        int r = keeper_take_back(k);
        k->guardian.channel = safe_close(k->guardian.channel);
        if (r < 0)
                log_error("nothing is given back by the worker: %s", strerror(-r));
        if (k->worker.pid <= 0 && k->n_volumes > 0)
                k->absent_by = monotonic_ms() + ABSENT_MS;
        k->upgrade.by = monotonic_ms() + ASK_MS;
}

void keeper_gate_hear(struct keeper *k)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;
        char detail[KEEPER_NAME_SIZE];
        pid_t sender = 0;

        int r = keeper_recv_from(k->upgrade.client, &m, &fd, &sender);
        if (r == -EAGAIN)
                return;
        if (r == -EPROTONOSUPPORT) {
                (void)snprintf(detail, sizeof detail,
                        "it speaks version %u of the keeper's protocol, this keeper version %u",
                        m.version, KEEPER_VERSION);
                refuse(k, r, detail);
        } else if (r == 0)
                keeper_upgrade_release(&k->upgrade);
        else if (r == 1 && keeper_visit_valid(&m) == 0 && m.op == KEEPER_BACK)
                on_back(k, &fd);
        else if (r == 1 && keeper_visit_valid(&m) == 0 && m.op == KEEPER_COME)
                on_come(k, &m, &fd, sender);
        else
                refuse(k, -EPROTO, "what it said makes no sense");
}

void keeper_gate_lost(struct keeper *k, int status)
{
        bool promoted = k->upgrade.state == UPGRADE_SWAPPING && k->worker.serving_at == 0;

        k->swap_by = 0;
        keeper_worker_died(&k->worker, status, false);
        if (promoted)
                keeper_upgrade_failed(k, -ECHILD, "the new worker ended before it served");
        if (k->leaving || k->n_volumes == 0)
                return;
        log_warning("the worker is gone: %zu mounts wait for the next one", k->n_volumes);
        k->absent_by = monotonic_ms() + ABSENT_MS;
}

int keeper_gate_timeout(const struct keeper *k)
{
        return k->absent_by ? (int)MAX(k->absent_by - monotonic_ms(), (int64_t)0) : -1;
}

void keeper_gate_late(struct keeper *k)
{
        k->absent_by = 0;
        if (k->worker.pid <= 0 && k->spare == 0 && k->n_volumes > 0)
                keeper_begin_spare(k);
}

void keeper_gate_end(struct keeper *k)
{
        if (k->options.gated && k->bidden && !k->leaving && k->n_volumes == 0 &&
                k->worker.pid > 0 && k->swap_by == 0)
                keeper_swap(k);
}

/* What it knows of bind mounts it knows from the keeper before, and this one counts anew. */
void keeper_gate_keep(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct keeper_msg m;
                keeper_msg_init(&m, KEEPER_BOUND, k->volumes[i].id);
                keeper_worker_tell(&k->worker, &m, -EBADF);
        }
        if (k->worker.pid <= 0 && k->n_volumes > 0)
                k->absent_by = monotonic_ms() + ABSENT_MS;
}

/* --- the worker's side --- */

static int hear_passed(int socket, struct keeper_passed *passed, char *detail)
{
        for (;;) {
                struct keeper_msg m;
                _cleanup_close_ int fd = -EBADF;

                int r = keeper_recv(socket, &m, &fd);
                if (r == -EPROTONOSUPPORT)
                        (void)snprintf(detail, KEEPER_NAME_SIZE,
                                "the keeper speaks version %u of its protocol, this program "
                                "version %u",
                                m.version, KEEPER_VERSION);
                else if (r <= 0)
                        (void)snprintf(detail, KEEPER_NAME_SIZE, "the keeper hung up: %s",
                                r == 0 ? "it has ended" : strerror(-r));
                if (r <= 0)
                        return r == 0 ? -ECONNRESET : r;
                bool valid = keeper_visit_valid(&m) == 0;
                if (valid && m.op == KEEPER_PREPARE)
                        return 0;
                if (valid && m.op == KEEPER_STAY && m.result < 0) {
                        (void)snprintf(detail, KEEPER_NAME_SIZE, "%s", m.detail);
                        return m.result;
                }
                if (!valid || m.op != KEEPER_PASS || fd < 0 || passed->n == KEEPER_PASS_MAX) {
                        (void)snprintf(
                                detail, KEEPER_NAME_SIZE, "what the keeper said makes no sense");
                        return -EPROTO;
                }
                passed->fds[passed->n++] = TAKE_FD(fd);
        }
}

int keeper_come(int socket, int heir, int back, bool again, struct keeper_passed *ret, char *detail)
{
        struct keeper_passed passed = {.n = 0};
        struct keeper_msg m;
        int r = 0;

        if (back >= 0) {
                keeper_msg_init(&m, KEEPER_BACK, 0);
                r = keeper_send(socket, &m, back);
        }
        keeper_msg_init(&m, KEEPER_COME, 0);
        m.flags = again ? (uint32_t)KEEPER_AGAIN : 0;
        if (r == 0)
                r = keeper_msg_set(m.name, sizeof m.name, AKVFS_VERSION);
        if (r == 0)
                r = keeper_send(socket, &m, heir);
        if (r < 0) {
                (void)snprintf(
                        detail, KEEPER_NAME_SIZE, "the keeper cannot be told: %s", strerror(-r));
                return r;
        }
        r = hear_passed(socket, &passed, detail);
        if (r < 0) {
                while (passed.n > 0)
                        safe_close(passed.fds[--passed.n]);
                return r;
        }
        *ret = passed;
        return 0;
}
