#include "cli/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "auth/helper.h"
#include "cli/hygiene.h"
#include "cli/log_target.h"
#include "cli/worker_user.h"

/* --- words --- */

enum {
        WORD_SOCKET = 1,
        WORD_LOG,
        WORD_LEVEL,
        WORD_JSON,
        WORD_FOREGROUND,
        WORD_RUN_AS,
        WORD_PRIVILEGED,
        WORD_TAKE,
        WORD_STORE,
        WORD_CSI
};

static const struct word table[] = {
        {"socket", 0, true, WORD_SOCKET},
        {"log", 0, true, WORD_LOG},
        {"log-level", 0, true, WORD_LEVEL},
        {"log-json", 0, false, WORD_JSON},
        {"foreground", 0, false, WORD_FOREGROUND},
        {"run-as", 0, true, WORD_RUN_AS},
        {"privileged", 0, false, WORD_PRIVILEGED},
        {"take", 0, false, WORD_TAKE},
        {"store", 0, true, WORD_STORE},
        {"csi", 0, false, WORD_CSI},
};

int daemon_words_parse(int argc, char **argv, struct daemon_words *ret, struct err *e)
{
        struct daemon_words w = {.log = "stderr", .log_level = LOG_INFO};
        struct words words;
        const char *value = NULL;
        uint64_t level;
        int id = 0, r;

        words_init(&words, argc, argv);
        while (!w.csi && (r = words_next(&words, table, ELEMENTSOF(table), &id, &value, e)) > 0) {
                switch (id) {
                case WORD_SOCKET:
                        w.socket = value;
                        break;
                case WORD_LOG:
                        w.log = value;
                        break;
                case WORD_LEVEL:
                        if (parse_u64(value, LOG_DEBUG, &level) < 0)
                                return err_set_cause(
                                        e, ERR_USAGE, -EINVAL, "unknown log level %s", value);
                        w.log_level = (int)level;
                        break;
                case WORD_JSON:
                        w.log_json = true;
                        break;
                case WORD_FOREGROUND:
                        w.foreground = true;
                        break;
                case WORD_RUN_AS:
                        w.run_as = value;
                        break;
                case WORD_PRIVILEGED:
                        w.privileged = true;
                        break;
                case WORD_STORE:
                        w.store = value;
                        break;
                case WORD_TAKE:
                        w.take = true;
                        break;
                case WORD_CSI:
                        w.csi = true;
                        w.argc = argc - words.next + 1;
                        w.argv = argv + words.next - 1;
                        break;
                default:
                        return err_set_cause(
                                e, ERR_USAGE, -EINVAL, "word %s was not expected", value);
                }
        }
        if (r < 0)
                return r;
        if (!w.socket)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "this command is started by akvfs mount, not by people");
        *ret = w;
        return 0;
}

void daemon_words_format(const struct daemon_words *w, const char *command, char level[static 2],
        const char *argv[static DAEMON_ARGC_MAX])
{
        size_t n = 0;

        level[0] = (char)('0' + w->log_level);
        level[1] = '\0';
        argv[n++] = "akvfs";
        argv[n++] = command;
        argv[n++] = "--socket";
        argv[n++] = w->socket;
        argv[n++] = "--log";
        argv[n++] = w->log;
        argv[n++] = "--log-level";
        argv[n++] = level;
        if (w->log_json)
                argv[n++] = "--log-json";
        if (w->foreground)
                argv[n++] = "--foreground";
        if (w->run_as) {
                argv[n++] = "--run-as";
                argv[n++] = w->run_as;
        }
        if (w->privileged)
                argv[n++] = "--privileged";
        if (w->store) {
                argv[n++] = "--store";
                argv[n++] = w->store;
        }
        if (w->take)
                argv[n++] = "--take";
        if (w->csi)
                argv[n++] = "--csi"; /* the last */
        argv[n] = NULL;
}

/* --- starting --- */

/* In the child: between fork and exec, so nothing that allocates. death_signal: in the foreground,
 * what the end of the command means; with a store, that somebody will go on. */
_Noreturn static void run_keeper(int listen_fd, int door_fd, pid_t parent, int death_signal,
        const char *const *argv, char *const *envp)
{
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (death_signal) {
                /* Ctrl-C is for the command, which passes it on once; its end is ours. Writing to
                 * the terminal from another process group must not stop us. */
                setpgid(0, 0);
                signal(SIGTTOU, SIG_IGN);
                prctl(PR_SET_PDEATHSIG, death_signal);
                if (getppid() != parent)
                        _exit(1);
        } else
                setsid();

        /* Standard error stays the command's until the keeper has opened its log: what goes wrong
         * before that is seen by whoever typed the command. */
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        /* high first: what is moved may lie on 3 */
        int high = fcntl(listen_fd, F_DUPFD_CLOEXEC, 16);
        int high_door = fcntl(door_fd, F_DUPFD_CLOEXEC, 16);
        if (null_fd < 0 || high < 0 || high_door < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
                (!death_signal && dup2(null_fd, STDOUT_FILENO) < 0) ||
                dup2(high, KEEPER_LISTEN_FD) < 0 || dup2(high_door, KEEPER_DOOR_FD) < 0 ||
                hygiene_close_from(KEEPER_DOOR_FD + 1) < 0 || (!death_signal && chdir("/") < 0))
                _exit(126);
        execve("/proc/self/exe", (char *const *)(uintptr_t)argv, envp);
        _exit(127);
}

/* What a keeper starts for its worker, one that takes over is given: the credential helper too, and
 * nobody will register with it what is mounted already. */
static int hand_over(const struct rundir *d, const struct daemon_options *o, int socket,
        int listen_fd, int door_fd, struct err *e)
{
        _cleanup_close_ int log_fd = -EBADF, helper_fd = -EBADF;

        int r = log_target_is_file(o->log) ? log_target_append(o->log, &log_fd, e) : 0;
        if (r < 0)
                return r;
        r = helper_start(d->fd, o->source, &helper_fd);
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not start the credential helper: %s", strerror(-r));
        const int pass_fds[] = {listen_fd, helper_fd, log_fd};
        return restore_hand_over(o->restore, socket, pass_fds, log_fd >= 0 ? 3 : 2, door_fd, e);
}

int daemon_start(const struct rundir *d, const struct daemon_options *o, char **ret_name,
        pid_t *ret_pid, struct err *e)
{
        _cleanup_close_ int listen_fd = -EBADF, door_fd = -EBADF;
        _cleanup_free_ char *path = NULL;
        _cleanup_free_ char **envp = hygiene_environment(environ);
        const char *argv[DAEMON_ARGC_MAX];
        char level[2];

        if (!envp)
                return err_set(e, -ENOMEM, "out of memory");
        int r = rundir_listen(d, &listen_fd, &door_fd, &path, e);
        if (r < 0)
                return r;
        _cleanup_free_ char *name = strdup(path + strlen(d->path) + 1);
        if (!name)
                return err_set(e, -ENOMEM, "out of memory");

        char run_as[WORKER_USER_SIZE];
        const struct daemon_words words = {
                .run_as = worker_user_find(run_as) ? run_as : NULL,
                .socket = path,
                .log = o->log,
                .log_level = o->log_level,
                .log_json = o->log_json,
                .foreground = o->foreground,
                .store = o->store,
                .take = o->restore,
        };
        daemon_words_format(&words, "keeper", level, argv);
        /* One that goes on gets both sockets as any keeper that takes over does. */
        int pair[2] = {-EBADF, -EBADF};
        if (o->restore && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                r = -errno;
                rundir_remove(d, name);
                return err_set(e, r, "socketpair: %s", strerror(-r));
        }
        _cleanup_close_ int ours = pair[0], theirs = pair[1];
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                /* once more in the background: nobody there waits for the keeper, init does */
                if (!o->foreground) {
                        pid_t keeper = fork();
                        if (keeper != 0)
                                _exit(keeper < 0 ? 125 : 0);
                }
                run_keeper(o->restore ? theirs : listen_fd, door_fd, parent,
                        !o->foreground ? 0
                        : o->store     ? SIGUSR1
                                       : SIGTERM,
                        argv, envp);
        }
        r = pid < 0 ? -errno : 0;
        if (r == 0 && !o->foreground) {
                int status = 0;
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        r = -EAGAIN;
        }
        if (r < 0) {
                rundir_remove(d, name);
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not start the keeper: %s", strerror(-r));
        }
        theirs = safe_close(theirs);
        if (o->restore)
                r = hand_over(d, o, ours, listen_fd, door_fd, e);
        if (r < 0) {
                (void)kill(pid, SIGKILL);
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                rundir_remove(d, name);
                return r;
        }
        if (ret_pid)
                *ret_pid = pid;
        *ret_name = TAKE_PTR(name);
        return 0;
}
