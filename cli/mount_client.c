#include "cli/mount_client.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/daemon.h"
#include "cli/identity_find.h"
#include "cli/log_target.h"
#include "cli/notify.h"
#include "cli/service.h"
#include "fs/keeper.h"

/* A worker that ends just when we knock is no reason to fail. */
#define ATTEMPTS 5

/* How long another keeper is looked for, after one was killed or has made way: a worker that makes
 * way too may take half of it. */
#define HEIR_TRIES 1500
#define HEIR_PAUSE_MS 20

#define CHILDREN_MAX 65536

#define SYSLOG_HINT "syslog (journalctl -t akvfs)"

/* --- asking --- */

static void show_progress(const cJSON *message)
{
        int64_t have, of;

        if (!isatty(STDERR_FILENO) || json_int64(message, "have", &have) < 0 ||
                json_int64(message, "of", &of) < 0)
                return;
        fprintf(stderr, "\rfetched %lld of %lld", (long long)have, (long long)of);
        fflush(stderr);
}

static void end_progress(void)
{
        if (isatty(STDERR_FILENO))
                fputs("\r\033[K", stderr);
}

/* Sends the request and waits until the worker has taken it. 1 accepted, 0 refused (printed), or a
 * negative errno. */
static int submit(
        struct control_client *c, const struct mount_request *q, int wake_fd, struct err *e)
{
        _cleanup_json_ cJSON *message = mount_request_format(q), *answer = NULL;

        if (!message)
                return err_set(e, -ENOMEM, "out of memory");
        int r = control_client_ask(c, message, CONTROL_HELLO_TIMEOUT_MS, wake_fd, &answer, e);
        if (r < 0)
                return r;
        if (streq(control_type(answer), "accepted"))
                return 1;
        if (client_print_errors("mount", answer) == 0)
                return err_set(e, -EBADMSG, "the worker gave an answer that makes no sense");
        return 0;
}

/* Until the mount stands (1) or has failed (0, printed); or a negative errno. */
static int wait_until_mounted(struct control_client *c, int wake_fd, struct err *e)
{
        for (;;) {
                _cleanup_json_ cJSON *answer = NULL;

                int r = control_client_receive(c, CONTROL_NO_TIMEOUT, wake_fd, &answer, e);
                if (r == 0 && streq(control_type(answer), "progress")) {
                        show_progress(answer);
                        continue;
                }
                end_progress();
                if (r < 0)
                        return r;
                if (streq(control_type(answer), "done"))
                        return 1;
                if (client_print_errors("mount", answer) == 0)
                        return err_set(
                                e, -EBADMSG, "the worker gave an answer that makes no sense");
                return 0;
        }
}

static int lost_worker(const char *log, struct err *e)
{
        err_hint(e, "its log: %s", streq(log, "syslog") ? SYSLOG_HINT : log);
        return cli_fail("mount", e);
}

/* The credential as the worker's helper finds it; taken back should the helper not have. */
struct registration {
        const struct identity *identity;
        int dir_fd;
        bool made;
};

static int registration_make(struct registration *g, const struct identity *identity,
        const struct rundir *d, struct err *e)
{
        int r = identity_register(identity, d->fd, e);

        *g = (struct registration){.identity = identity, .dir_fd = d->fd, .made = r > 0};
        return MIN(r, 0);
}

static void registration_done(struct registration *g)
{
        if (g->made)
                identity_unregister(g->identity, g->dir_fd);
        g->made = false;
}

/* --- in the background --- */

struct search {
        struct control_client *found;
        struct control_place here;
};

static int on_worker(void *userdata, struct control_client **client)
{
        struct search *s = userdata;
        const struct control_hello *h = control_client_hello(*client);

        if (!h->accepts || h->uid != geteuid() || !control_place_equal(&h->place, &s->here))
                return 0;
        s->found = TAKE_PTR(*client);
        return 1;
}

static void on_problem(void *userdata, const struct err *problem)
{
        cli_warn("mount", "%s; starting another worker", err_text(problem));
}

static int start_worker(
        const struct rundir *d, const struct options *o, struct control_client **ret, struct err *e)
{
        _cleanup_free_ char *log = NULL, *name = NULL;

        int r = o->log ? xasprintf(&log, "%s", o->log) : log_target_default(d->path, &log);
        if (r < 0)
                return err_set(e, r, "out of memory");
        const struct daemon_options options = {
                .log = log,
                .log_level = o->log_level < 0 ? LOG_INFO : o->log_level,
                .log_json = o->log_json,
        };
        r = daemon_start(d, &options, &name, NULL, e);
        if (r < 0)
                return r;
        r = control_client_new(d, name, ret, e);
        if (r < 0) {
                rundir_remove(d, name);
                err_set(e, r, "the worker ended as soon as it was started");
                err_hint(e, "its log: %s", streq(log, "syslog") ? SYSLOG_HINT : log);
        }
        return r;
}

static int find_or_start(const struct rundir *d, const struct options *o, bool locked,
        struct control_client **ret, struct err *e)
{
        struct search s = {0};

        int r = control_place_here(&s.here);
        if (r < 0)
                return err_set(e, r, "could not read /proc/self/ns: %s", strerror(-r));
        r = control_each(d, locked, on_worker, on_problem, &s, e);
        if (r < 0)
                return r;
        if (!s.found)
                return start_worker(d, o, ret, e);
        const char *log = control_client_hello(s.found)->log;
        if (o->log && !streq(o->log, log))
                cli_warn("mount", "the running worker logs to %s; log=%s is passed over", log,
                        o->log);
        *ret = s.found;
        return 0;
}

int mount_in_background(const struct mount_request *q, const struct options *o)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        _cleanup_close_ int lock = -EBADF;
        _cleanup_(registration_done) struct registration registration = {0};
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        _cleanup_err_ struct err e = {0};

        int r = rundir_open(true, &d, &e);
        if (r == 0)
                r = rundir_lock(&d, &lock, &e);
        if (r == 0)
                r = registration_make(&registration, &q->identity, &d, &e);
        for (unsigned i = 0; r == 0 && i < ATTEMPTS; i++) {
                control_client_free(TAKE_PTR(c));
                r = find_or_start(&d, o, true, &c, &e);
                if (r < 0)
                        break;
                r = submit(c, q, -1, &e);
                bool ended = r == -ENODATA || r == -ECONNRESET || r == -EPIPE;
                if (ended && i + 1 < ATTEMPTS)
                        r = 0; /* it ended with its last mount; look again */
                else if (r == 0)
                        return CLI_FAILED; /* refused, and said why */
        }
        if (r < 0)
                return cli_fail("mount", &e);
        /* Others may find this worker now: it stays as long as we are connected. */
        lock = safe_close(lock);

        r = wait_until_mounted(c, -1, &e);
        if (r < 0)
                return lost_worker(control_client_hello(c)->log, &e);
        return r > 0 ? CLI_DONE : CLI_FAILED;
}

/* --- in the foreground --- */

struct foreground {
        const struct rundir *dir;
        const char *socket; /* the worker's, below dir */
        pid_t keeper;
        int signal_fd;
        bool stopping;
        bool keep;    /* the service manager keeps what a restart needs */
        bool keeping; /* and this is one */
};

static int block_signals(void)
{
        static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};

        return signals_fd(signals, ELEMENTSOF(signals));
}

/* The keeper among our children: as their subreaper we are the parent of whom a keeper leaves
 * behind. A dead one has its name until we have waited for it. */
static bool find_child(pid_t *ret)
{
        _cleanup_free_ char *children = NULL;
        char path[64];
        size_t len;

        (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        if (read_whole_file(path, CHILDREN_MAX, &children, &len) < 0)
                return false;
        for (char *end, *p = children;; p = end) {
                _cleanup_free_ char *name = NULL;
                pid_t pid = (pid_t)strtol(p, &end, 10);

                if (end == p)
                        return false;
                (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
                if (read_whole_file(path, sizeof path, &name, &len) == 0 &&
                        streq(name, KEEPER_COMM "\n")) {
                        *ret = pid;
                        return true;
                }
        }
}

/* A keeper that was killed has an heir (fs/keeper_guardian.h), and one that made way has somebody
 * it made way for. The worker knows its pid once it has taken over; one that has just made way
 * itself may close the door on us. Where no worker answers, the heir is about to start the next
 * one, or has ended before we came to look: tests/integration/test_keeper.py has both. */
static bool find_heir(struct foreground *f)
{
        for (int i = 0; i < HEIR_TRIES; i++) {
                _cleanup_(control_client_freep) struct control_client *c = NULL;
                _cleanup_err_ struct err e = {0};

                int r = control_client_new(f->dir, f->socket, &c, &e);
                if (r == -ECONNREFUSED || r == -ENOENT)
                        return find_child(&f->keeper);
                pid_t pid = r < 0 ? 0 : control_client_hello(c)->keeper_pid;
                if (pid > 0 && pid != f->keeper) {
                        f->keeper = pid;
                        return true;
                }
                (void)poll(NULL, 0, HEIR_PAUSE_MS);
        }
        return false;
}

static bool has_heir(int status)
{
        return WIFSIGNALED(status) ||
               (WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_HANDED_OVER);
}

/* Passes on what came. 1 when the keeper has ended, with its wait status. */
static int handle_signals(struct foreground *f, int *ret_status)
{
        struct signalfd_siginfo info;

        while (read(f->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
                if (info.ssi_signo == SIGCHLD)
                        continue;
                int sig = (int)info.ssi_signo;
                if (sig != SIGHUP && !f->stopping) {
                        f->stopping = true;
                        notify_service_manager("STOPPING=1");
                        f->keeping = f->keep && service_is_restarting();
                }
                kill(f->keeper, sig != SIGHUP && f->keeping ? SIGUSR1 : sig);
        }
        pid_t pid;
        while ((pid = waitpid(-1, ret_status, WNOHANG)) > 0)
                if (pid == f->keeper && (f->keeping || !has_heir(*ret_status) || !find_heir(f)))
                        return 1;
        return 0;
}

static int exit_status(const struct foreground *f, int status)
{
        if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 ||
                                         (f->keeping && WEXITSTATUS(status) == KEEPER_HANDED_OVER)))
                return CLI_DONE;
        if (WIFSIGNALED(status))
                fprintf(stderr, "akvfs mount: the keeper was killed by signal %d\n",
                        WTERMSIG(status));
        else
                fprintf(stderr, "akvfs mount: the keeper ended with status %d\n",
                        WEXITSTATUS(status));
        return CLI_FAILED;
}

static int wait_for_keeper(struct foreground *f)
{
        int status = 0;

        for (;;) {
                struct pollfd p = {.fd = f->signal_fd, .events = POLLIN};

                if (handle_signals(f, &status) > 0)
                        return exit_status(f, status);
                if (poll(&p, 1, -1) < 0 && errno != EINTR)
                        return CLI_FAILED;
        }
}

/* A call that a signal interrupted goes on after the signal was passed on; the worker then answers
 * or ends. */
static int talk(struct foreground *f, struct control_client *c, const struct mount_request *q,
        struct err *e)
{
        int status = 0;

        int r = submit(c, q, -1, e);
        if (r <= 0)
                return r;
        while ((r = wait_until_mounted(c, f->signal_fd, e)) == -EINTR)
                if (handle_signals(f, &status) > 0)
                        return err_set_cause(
                                e, ERR_LOCAL, -ECONNRESET, "the keeper ended before it was ready");
        return r;
}

/* 1: what was restored is what is asked for. 0: the place is free. */
static int resume(struct control_client *c, const struct mount_request *q, struct err *e)
{
        _cleanup_json_ cJSON *message = mount_request_format(q), *away = control_message("unmount");
        _cleanup_json_ cJSON *resumed = NULL, *unmounted = NULL;

        if (!message || !away ||
                !cJSON_SetValuestring(cJSON_GetObjectItem(message, "type"), "resume") ||
                !cJSON_AddStringToObject(away, "mountpoint", q->mountpoint))
                return err_set(e, -ENOMEM, "out of memory");
        int r = control_client_ask(c, message, CONTROL_HELLO_TIMEOUT_MS, -1, &resumed, e);
        if (r < 0)
                return r;
        if (streq(control_type(resumed), "done"))
                return 1;
        fprintf(stderr,
                "akvfs mount: class, options or credentials are others than before: %s is "
                "mounted anew\n",
                q->mountpoint);
        r = control_client_ask(c, away, CONTROL_NO_TIMEOUT, -1, &unmounted, e);
        /* It is not in the way of mounting anew, or that will say so itself. */
        if (r == 0 && !streq(control_type(unmounted), "done"))
                (void)client_print_errors("mount", unmounted);
        return r;
}

/* The keeper, with what the last life of the service left, if that can be used. */
static int start_own(struct foreground *f, struct daemon_options *options, struct restore *restore,
        char **ret_name, struct err *e)
{
        if (restore) {
                options->restore = restore;
                if (daemon_start(f->dir, options, ret_name, &f->keeper, e) == 0)
                        return 0;
                cli_warn("mount", "the mounts of the last start cannot be gone on with: %s",
                        err_text(e));
                restore_abandon(restore);
                options->restore = NULL;
        }
        return daemon_start(f->dir, options, ret_name, &f->keeper, e);
}

int mount_in_foreground(
        struct mount_request *q, const struct options *o, const struct foreground_options *fo)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        _cleanup_close_ int lock = -EBADF, signal_fd = block_signals();
        _cleanup_(control_client_freep) struct control_client *c = NULL;
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *name = NULL;
        _cleanup_(registration_done) struct registration registration = {0};
        struct foreground f = {.signal_fd = signal_fd, .keep = fo->keep};
        struct daemon_options options = {
                .log = o->log ? o->log : "stderr",
                .log_level = o->log_level < 0 ? LOG_INFO : o->log_level,
                .log_json = o->log_json,
                .foreground = true,
                .store = fo->keep ? getenv("NOTIFY_SOCKET") : NULL,
                .source = q->identity.source,
        };

        int r = signal_fd < 0 ? err_set(&e, signal_fd, "signalfd: %s", strerror(-signal_fd)) : 0;
        if (r == 0)
                r = rundir_open(true, &d, &e);
        if (r == 0)
                r = rundir_lock(&d, &lock, &e);
        f.dir = &d;
        if (r == 0)
                rundir_sweep(&d);
        if (r == 0)
                r = registration_make(&registration, &q->identity, &d, &e);
        if (r == 0)
                r = prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0
                            ? err_set(&e, -errno, "prctl: %s", strerror(errno))
                            : start_own(&f, &options, fo->restore, &name, &e);
        f.socket = name;
        if (r < 0)
                return cli_fail("mount", &e);

        r = control_client_new(&d, name, &c, &e);
        lock = safe_close(lock);
        if (r == 0 && options.restore) {
                restore_done(fo->restore);
                r = resume(c, q, &e);
        }
        if (r == 0)
                r = talk(&f, c, q, &e);
        registration_done(&registration);
        mount_request_done(q);
        control_client_free(TAKE_PTR(c));
        if (r < 0 && !f.stopping)
                cli_print_error("mount", &e);
        if (r <= 0) {
                /* the worker has nothing left to do and ends; this makes sure of it */
                kill(f.keeper, SIGTERM);
                bool stopped = f.stopping;
                int status = wait_for_keeper(&f);
                return stopped ? status : CLI_FAILED;
        }
        notify_service_manager("READY=1");
        int ended = wait_for_keeper(&f);
        if (f.keeping)
                rundir_remove(&d, name); /* the next start makes its own */
        return ended;
}
