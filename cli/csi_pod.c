#include "cli/csi_pod.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "cli/csi_start.h"
#include "cli/daemon.h"
#include "cli/rundir.h"
#include "cli/worker_user.h"
#include "fs/keeper_gate.h"

#define CONNECT_MS 250 /* between two looks whether there is a keeper */
#define ASK_MS 2000    /* between two questions whether a worker is wanted */
/* After a death, four times as long each time; one that lived for HEALTHY is the first again. */
#define PAUSE_FIRST_MS 25
#define PAUSE_MAX_MS 10000
#define HEALTHY 10000

/* Exit statuses of a child that has not become a worker. */
#define NOT_WANTED 76
#define NOT_TAKEN 77

/* What the keeper passes: commands, driver, registration. */
#define PASSED (WORKER_CA_FD - WORKER_LISTEN_FD)

struct pod {
        const char *gate;
        struct keeper_options worker; /* but for what is passed */
        int ca;                       /* -EBADF: none */
        int signals;
        pid_t pid;   /* of the worker, or of the child that will be; 0: none */
        pid_t given; /* of one whose keeper was killed, until it has made way; 0: none */
        int socket;  /* the worker's, so that it is seen when the keeper hangs up */
        int channel; /* the other end of its heir */
        int becomes; /* ends when the child has executed, or says that it will not */
        int back; /* the channel of one whose keeper was killed, until it is brought to the next */
        bool again;         /* no worker's place is taken */
        bool ending, waits; /* waits: has said so */
        bool served;        /* a worker of this process has; it is of use */
        bool useless;
        unsigned deaths;
        int64_t started_at, start_at; /* monotonic_ms() */
};

/* --- the child --- */

static _Noreturn void become_worker(const struct pod *p, int socket, int heir, int says)
{
        struct keeper_options o = p->worker;
        struct keeper_passed passed;
        char detail[KEEPER_NAME_SIZE] = "";
        int fds[PASSED + 1];
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        int r = keeper_come(socket, heir, p->back, p->again, &passed, detail);
        if (r == 0 && passed.n < PASSED) {
                (void)snprintf(detail, sizeof detail, "the keeper has no sockets of kubelet's");
                r = -EPROTO;
        }
        if (r < 0) {
                if (r != -EALREADY)
                        log_error("the keeper at %s takes no worker: %s", p->gate, detail);
                (void)write_all(says, "", 1);
                _exit(r == -EALREADY ? NOT_WANTED : NOT_TAKEN);
        }
        memcpy(fds, passed.fds, PASSED * sizeof *fds);
        fds[PASSED] = p->ca;
        o.pass_fds = fds;
        o.n_pass_fds = PASSED + (p->ca >= 0);
        keeper_worker_exec(&o, socket, -EBADF);
}

/* --- the first process --- */

static int dial(const struct pod *p, int *ret, struct err *e)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        _cleanup_free_ char *copy = strdup(p->gate);

        if (!copy)
                return err_set(e, -ENOMEM, "out of memory");
        int r = rundir_open_at(dirname(copy), false, &d, e);
        if (r < 0)
                return r;
        r = rundir_dial(&d, strrchr(p->gate, '/') + 1, ret);
        return r < 0 ? err_set_cause(e, ERR_LOCAL, r, "could not reach the keeper at %s: %s",
                               p->gate, strerror(-r))
                     : 0;
}

static int new_heir(int *ret_heir, int *ret_channel)
{
        int pair[2], on = 1;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int channel = pair[0], heir = pair[1];
        /* Before anything is sent, so that the kernel says to the next keeper who sent it. */
        if (setsockopt(channel, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return -errno;
        *ret_heir = TAKE_FD(heir);
        *ret_channel = TAKE_FD(channel);
        return 0;
}

static int start(struct pod *p, int socket)
{
        _cleanup_close_ int heir = -EBADF, channel = -EBADF;
        int pair[2];

        int r = new_heir(&heir, &channel);
        if (r < 0)
                return r;
        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int becomes = pair[0], says = pair[1];
        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                become_worker(p, socket, heir, says);
        p->pid = pid;
        p->channel = TAKE_FD(channel);
        p->becomes = TAKE_FD(becomes);
        p->started_at = monotonic_ms();
        return 0;
}

static void begin(struct pod *p)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_close_ int socket = -EBADF;

        int r = dial(p, &socket, &e);
        if (r == 0)
                r = start(p, socket);
        if (r == 0) {
                p->socket = TAKE_FD(socket);
                p->waits = false;
                return;
        }
        if (!p->waits)
                log_warning("waiting for the keeper: %s", e.code ? err_text(&e) : strerror(-r));
        p->waits = true;
        p->start_at = monotonic_ms() + CONNECT_MS;
}

/* The socket is closed before the number is given back: fs/keeper_gate.h. */
static int reap(struct pod *p)
{
        int status = 0;

        p->socket = safe_close(p->socket);
        p->channel = safe_close(p->channel);
        p->becomes = safe_close(p->becomes);
        while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
                ;
        p->pid = 0;
        return status;
}

static void on_end(struct pod *p, int status)
{
        int64_t now = monotonic_ms(), pause = ASK_MS;

        if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NOT_WANTED)) {
                if (!p->ending && WEXITSTATUS(status) == 0)
                        log_info("another worker serves: nothing is left to do here");
                p->again = true;
        } else {
                p->deaths = now - p->started_at < HEALTHY ? p->deaths + 1 : 1;
                pause = p->deaths == 1 ? 0
                                       : MIN((int64_t)PAUSE_FIRST_MS << 2 * MIN(p->deaths - 2, 5U),
                                                 (int64_t)PAUSE_MAX_MS);
                if (WIFSIGNALED(status))
                        log_error("the worker was killed by signal %d; the next one is started in "
                                  "%lld ms",
                                WTERMSIG(status), (long long)pause);
                else
                        log_error("the worker exited with status %d; the next one is started in "
                                  "%lld ms",
                                WEXITSTATUS(status), (long long)pause);
                /* One that was not taken still has what it came for. */
                p->again |= !WIFEXITED(status) || WEXITSTATUS(status) != NOT_TAKEN;
        }
        p->start_at = now + pause;
}

/* Workers are called otherwise until they have taken everything over (cli/worker.c); the name of a
 * dead one stays until it is reaped. */
static bool has_served(pid_t pid)
{
        _cleanup_free_ char *path = NULL, *name = NULL;
        size_t len = 0;

        return xasprintf(&path, "/proc/%d/comm", (int)pid) == 0 &&
               read_whole_file(path, 64, &name, &len) == 0 && streq(name, "akvfs-worker\n");
}

static void on_worker_dead(struct pod *p)
{
        p->served |= has_served(p->pid);
        int status = reap(p);
        bool fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!p->served && !fine && !p->ending && p->back < 0)
                p->useless = true;
        else
                on_end(p, status);
}

static bool is_dead(pid_t pid)
{
        siginfo_t info = {0};

        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == pid;
}

static void on_child(struct pod *p)
{
        for (;;) {
                siginfo_t info = {0};

                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                        return;
                if (info.si_pid == p->pid) {
                        on_worker_dead(p);
                        continue;
                }
                (void)waitpid(info.si_pid, NULL, WNOHANG);
                if (info.si_pid == p->given)
                        p->given = 0;
        }
}

/* The keeper was killed, unless it hung up because the worker is dead, which comes as a signal. */
static void on_hangup(struct pod *p)
{
        if (is_dead(p->pid))
                return;
        log_warning("the keeper has hung up: its next one is waited for");
        p->socket = safe_close(p->socket);
        p->given = p->pid;
        p->pid = 0;
        safe_close(p->back);
        p->back = TAKE_FD(p->channel);
        p->again = false;
        p->start_at = monotonic_ms();
}

/* What was to be given back has been, once the keeper has let the child become a worker; and who is
 * none, from whatever cause, is no worker that the keeper could hang up on. */
static void on_becomes(struct pod *p)
{
        char byte;

        bool refused = read(p->becomes, &byte, 1) != 0;
        p->becomes = safe_close(p->becomes);
        if (refused)
                p->socket = safe_close(p->socket);
        else if (!is_dead(p->pid))
                p->back = safe_close(p->back);
}

static void on_signal(struct pod *p)
{
        struct signalfd_siginfo info;

        while (read(p->signals, &info, sizeof info) == (ssize_t)sizeof info) {
                const pid_t pids[] = {p->pid, p->given};

                if (info.ssi_signo == SIGCHLD) {
                        on_child(p);
                        continue;
                }
                p->ending |= info.ssi_signo != SIGHUP;
                for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                        if (pids[i] > 0 && kill(pids[i], (int)info.ssi_signo) < 0)
                                log_error("signal %u cannot be passed on to the worker: %s",
                                        info.ssi_signo, strerror(errno));
        }
}

static int timeout_of(const struct pod *p)
{
        if (p->pid > 0 || p->ending)
                return -1;
        return (int)MAX(p->start_at - monotonic_ms(), (int64_t)0);
}

static void serve(struct pod *p)
{
        while (!p->useless && (!p->ending || p->pid > 0 || p->given > 0)) {
                if (timeout_of(p) == 0)
                        begin(p);
                struct pollfd fds[] = {
                        {.fd = p->signals, .events = POLLIN},
                        {.fd = p->becomes, .events = POLLIN},
                        /* Of a child that is no worker yet it says nothing. */
                        {.fd = p->becomes >= 0 ? -EBADF : p->socket},
                };

                if (poll(fds, ELEMENTSOF(fds), timeout_of(p)) < 0)
                        continue; /* EINTR: signals come as messages, but it may be stopped */
                if (fds[2].revents && p->pid > 0)
                        on_hangup(p);
                if (fds[1].revents && p->becomes >= 0)
                        on_becomes(p);
                if (fds[0].revents)
                        on_signal(p);
        }
}

int csi_pod_run(const struct csi_options *o, int argc, char **argv, struct err *e)
{
        static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
        _cleanup_csi_words_ struct csi_words words = {0};
        _cleanup_free_ char *copy = strdup(o->gate), *socket = NULL;
        char run_as[WORKER_USER_SIZE];
        _cleanup_close_ int ca = -EBADF, signal_fd = -EBADF;

        if (!copy || xasprintf(&socket, "%s/w-%s.sock", dirname(copy), o->driver_name) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        int r = csi_check_cluster(o, e);
        if (r == 0)
                r = csi_open_ca(o, &ca, e);
        if (r == 0)
                r = csi_words_make(o, socket, argc, argv, &words, e);
        if (r < 0)
                return r;
        struct pod p = {.gate = o->gate,
                .worker = {.worker_argv = words.argv, .drop = worker_user_find(run_as)},
                .ca = ca,
                .socket = -EBADF,
                .channel = -EBADF,
                .becomes = -EBADF,
                .back = -EBADF};
        if (p.worker.drop &&
                worker_user_parse(run_as, &p.worker.worker_uid, &p.worker.worker_gid) < 0)
                return err_set(e, -EINVAL, "%s is no account for a worker", run_as);
        signal_fd = signals_fd(signals, ELEMENTSOF(signals));
        if (signal_fd < 0)
                return err_set(e, signal_fd, "no signals: %s", strerror(-signal_fd));
        p.signals = signal_fd;
        keeper_raise_limits();
        (void)prctl(PR_SET_NAME, "akvfs-pod");
        serve(&p);
        safe_close(p.back);
        if (!p.useless)
                return 0;
        err_set(e, -ECHILD, "no worker of this program could begin to serve");
        err_hint(e, "this log, or that of the keeper, says why");
        return -ECHILD;
}
