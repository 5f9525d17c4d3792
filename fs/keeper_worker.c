#include "fs/keeper_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "fs/keeper_drop.h"

/* Four times as long each time: the second death in a row may be bad luck, and readers wait. */
#define PAUSE_FIRST_MS 25
#define PAUSE_MAX_MS 10000

void keeper_worker_init(struct keeper_worker *w, const struct keeper_options *o)
{
        *w = (struct keeper_worker){
                .options = o, .fd = -EBADF, .pidfd = -EBADF, .heir_fd = -EBADF, .program = -EBADF};
        keeper_queue_init(&w->out);
}

/* All from `first` on but for one. */
static int close_others(unsigned first, int but)
{
        if (but < 0)
                return close_range(first, ~0U, 0);
        if ((unsigned)but > first && close_range(first, (unsigned)but - 1, 0) < 0)
                return -1;
        return close_range((unsigned)but + 1, ~0U, 0);
}

_Noreturn void keeper_worker_exec(const struct keeper_options *o, int socket, int program)
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
        if (program >= 0 && (program = fcntl(program, F_DUPFD_CLOEXEC, 64)) < 0)
                _exit(127);
        for (size_t i = 0; i < n; i++)
                if (dup2(fds[i], KEEPER_WORKER_FD + (int)i) < 0)
                        _exit(127);
        if (close_others(KEEPER_WORKER_FD + (unsigned)n, program) < 0)
                _exit(127);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        int r = o->unconfined ? 0
                : o->drop     ? keeper_drop(o->worker_uid, o->worker_gid)
                              : keeper_drop((uid_t)-1, (gid_t)-1);
        if (r < 0)
                log_error("the worker cannot give up its privileges: %s", strerror(-r));
        else {
                char *const *argv = (char *const *)(uintptr_t)o->worker_argv;
                if (program >= 0)
                        fexecve(program, argv, environ);
                else
                        execv("/proc/self/exe", argv);
                log_error("the worker cannot be executed as uid %u: %s", (unsigned)geteuid(),
                        strerror(errno));
        }
        _exit(127);
}

int keeper_worker_fork(const struct keeper_options *o, int program, pid_t *ret_pid, int *ret_fd)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
        pid_t pid = fork();
        if (pid == 0)
                keeper_worker_exec(o, pair[1], program);
        safe_close(pair[1]);
        if (pid < 0) {
                safe_close(pair[0]);
                return -errno;
        }
        *ret_pid = pid;
        *ret_fd = pair[0];
        return 0;
}

void keeper_worker_began(struct keeper_worker *w, pid_t pid, int fd)
{
        w->fd = fd;
        w->pid = pid;
        w->starts++;
        w->start_at = w->serving_at = 0;
        w->serve_by = monotonic_ms() + TAKEOVER_MS;
        w->ready = false;
}

int keeper_worker_start(struct keeper_worker *w)
{
        pid_t pid;
        int fd;

        int r = keeper_worker_fork(w->options, w->program, &pid, &fd);
        if (r == 0)
                keeper_worker_began(w, pid, fd);
        return r;
}

void keeper_worker_came(struct keeper_worker *w, pid_t pid, int pidfd, int fd)
{
        w->pid = pid;
        w->pidfd = pidfd;
        w->fd = fd;
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
}

int keeper_worker_adopt(struct keeper_worker *w, pid_t pid, int pidfd, int socket, unsigned starts)
{
        struct pollfd p = {.fd = socket, .events = POLLIN};

        if (pidfd < 0)
                pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0) {
                safe_close(socket);
                return -errno;
        }
        /* Its end is open, so it lives, so the number is still its own. */
        if (poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLERR))) {
                safe_close(pidfd);
                safe_close(socket);
                return -ESRCH;
        }
        (void)fcntl(socket, F_SETFL, O_NONBLOCK);
        w->pid = pid;
        w->pidfd = pidfd;
        w->fd = socket;
        w->starts = starts;
        w->start_at = 0;
        w->serving_at = monotonic_ms();
        return 0;
}

void keeper_worker_succeed(struct keeper_worker *w, struct keeper_worker *next)
{
        const struct keeper_options *o = next->options;

        keeper_worker_done(w);
        w->pid = next->pid;
        w->pidfd = next->pidfd;
        w->fd = next->fd;
        w->heir_fd = next->heir_fd;
        w->program = next->program;
        w->ready = next->ready;
        w->journal = next->journal;
        w->starts++;
        w->deaths = 0;
        w->serving_at = w->start_at = 0;
        w->serve_by = monotonic_ms() + TAKEOVER_MS;
        keeper_queue_init(&w->out);
        keeper_queue_done(&next->out);
        keeper_worker_init(next, o);
}

void keeper_worker_drop(struct keeper_worker *w)
{
        if (w->pid > 0) {
                keeper_worker_kill(w, SIGKILL);
                while (w->pidfd < 0 && waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        keeper_worker_done(w);
        safe_close(w->program);
        keeper_worker_init(w, w->options);
}

void keeper_worker_kill(const struct keeper_worker *w, int sig)
{
        if (w->pid <= 0)
                return;
        if (w->pidfd >= 0)
                (void)syscall(SYS_pidfd_send_signal, w->pidfd, sig, NULL, 0);
        else
                (void)kill(w->pid, sig);
}

void keeper_worker_died(struct keeper_worker *w, int status, bool restart)
{
        w->pid = 0;
        w->serve_by = 0;
        w->pidfd = safe_close(w->pidfd);
        w->heir_fd = safe_close(w->heir_fd);
        w->status = status;
        w->fd = safe_close(w->fd);
        keeper_queue_done(&w->out);
        if (!restart)
                return;

        int64_t now = monotonic_ms(), pause = 0;
        if (w->serving_at && now - w->serving_at >= HEALTHY_MS)
                w->deaths = 0;
        else if (w->deaths++ > 0)
                pause = MIN((int64_t)PAUSE_FIRST_MS << 2 * MIN(w->deaths - 2, 5U),
                        (int64_t)PAUSE_MAX_MS);
        if (WIFSIGNALED(status))
                log_error("the worker was killed by signal %d; its successor takes over in %lld ms",
                        WTERMSIG(status), (long long)pause);
        else
                log_error("the worker exited with status %d; its successor takes over in %lld ms",
                        WEXITSTATUS(status), (long long)pause);
        w->start_at = now + pause;
}

void keeper_worker_serves(struct keeper_worker *w)
{
        w->serving_at = monotonic_ms();
        w->serve_by = 0;
}

int keeper_worker_timeout(const struct keeper_worker *w)
{
        int64_t at = w->start_at ? w->start_at : w->serve_by; /* never both */

        return at ? (int)MAX(at - monotonic_ms(), (int64_t)0) : -1;
}

void keeper_worker_hurry(struct keeper_worker *w)
{
        if (!w->serve_by || monotonic_ms() < w->serve_by)
                return;
        w->serve_by = 0;
        log_error("the worker (pid %d) did not take over within %d s: it is killed", (int)w->pid,
                TAKEOVER_MS / 1000);
        keeper_worker_kill(w, SIGKILL);
}

void keeper_worker_done(struct keeper_worker *w)
{
        w->pidfd = safe_close(w->pidfd);
        w->heir_fd = safe_close(w->heir_fd);
        w->fd = safe_close(w->fd);
        keeper_queue_done(&w->out);
}

void keeper_worker_tell(struct keeper_worker *w, const struct keeper_msg *m, int fd)
{
        if (w->fd < 0)
                return;
        int r = keeper_queue_push(&w->out, m, fd);
        if (r == 0)
                r = keeper_queue_flush(&w->out, w->fd);
        if (r < 0 && r != -EAGAIN && r != -EPIPE && r != -ECONNRESET)
                log_warning("the worker could not be told: %s", strerror(-r));
}
