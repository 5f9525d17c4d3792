/* `akvfs keeper --socket ...`, which akvfs mount starts: opens its log and hands over to
 * fs/keeper.h. Without that word it is a CSI driver's: cli/csi_keeper.c. */
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "auth/helper.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/hygiene.h"
#include "cli/log_target.h"
#include "cli/worker_user.h"
#include "fs/keeper.h"

/* In the background, what libraries print goes where the log goes, or nowhere beside syslog; the
 * worker inherits it. */
static int open_log(const struct daemon_words *words, int *ret_fd, struct err *e)
{
        int fd = -EBADF;

        int r = log_target_open(words->log, &fd, e);
        if (r < 0)
                return r;
        *ret_fd = fd;
        if (words->foreground)
                return 0;
        _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (dup2(fd >= 0 ? fd : null_fd, STDERR_FILENO) < 0)
                return err_set(e, -errno, "could not redirect standard error: %s", strerror(errno));
        return 0;
}

/* With the keeper's own account: what it may read, who mounts may read too. */
static int start_helper(const char *socket, int *ret_fd, struct err *e)
{
        _cleanup_free_ char *copy = strdup(socket);
        int fd = -EBADF;

        if (!copy)
                return err_set(e, -ENOMEM, "out of memory");
        _cleanup_close_ int dir_fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = dir_fd < 0 ? -errno : helper_start(dir_fd, NULL, &fd);
        if (r == 0) {
                /* away from the numbers that keeper.h wants */
                *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 16);
                if (*ret_fd < 0)
                        r = -errno;
                close(fd);
        }
        return r < 0 ? err_set_cause(e, ERR_LOCAL, r, "could not start the credential helper: %s",
                               strerror(-r))
                     : 0;
}

int cli_keeper(int argc, char **argv)
{
        _cleanup_err_ struct err e = {0};
        struct daemon_words words;
        const char *worker[DAEMON_ARGC_MAX], *next[DAEMON_ARGC_MAX];
        char level[2];

        (void)prctl(PR_SET_NAME, KEEPER_COMM);
        if (argc < 2 || !streq(argv[1], "--socket"))
                return cli_csi_keeper(argc, argv);
        int r = daemon_words_parse(argc, argv, &words, &e);
        if (r < 0)
                return cli_fail("keeper", &e);
        log_set_level((enum log_level)words.log_level);
        log_set_json(words.log_json);
        r = hygiene_protect();
        if (r < 0)
                return cli_fail("keeper", (err_set(&e, r, "could not protect memory"), &e));

        _cleanup_free_ char *door = NULL;
        r = rundir_door_name(words.socket, &door);
        if (r < 0)
                return cli_fail(
                        "keeper", (err_set(&e, r, "%s is no control socket", words.socket), &e));

        /* away from the number that keeper.h wants for the worker's socket; of these one that takes
         * over has the first alone */
        int listen_fd = fcntl(KEEPER_LISTEN_FD, F_DUPFD_CLOEXEC, 16), door_fd = -EBADF;
        close(KEEPER_LISTEN_FD);
        if (!words.take) {
                door_fd = fcntl(KEEPER_DOOR_FD, F_DUPFD_CLOEXEC, 16);
                close(KEEPER_DOOR_FD);
        }
        if (listen_fd < 0 || (!words.take && door_fd < 0))
                return cli_fail("keeper", (err_set(&e, -errno, "no control socket"), &e));
        int log_fd = -EBADF;
        r = open_log(&words, &log_fd, &e);
        if (r < 0)
                return cli_fail("keeper", &e);

        int helper_fd = -EBADF;
        if (!words.take) /* else it comes with all that a worker inherits */
                r = start_helper(words.socket, &helper_fd, &e);
        if (r < 0)
                return cli_fail("keeper", &e);

        const int pass_fds[] = {listen_fd, helper_fd, log_fd};
        struct keeper_options options = {
                .worker_argv = worker,
                .pass_fds = pass_fds,
                .n_pass_fds = log_fd >= 0 ? 3 : 2,
                .drop = words.run_as,
                .guarded = true,
                .standby = true,
                .parent_death_signal = !words.foreground ? 0
                                       : words.store     ? SIGUSR1
                                                         : SIGTERM,
                .keeper_argv = next,
                .store = words.store,
                .door_fd = words.take ? 0 : door_fd,
                .take_fd = words.take ? listen_fd : 0,
        };
        if (words.run_as &&
                worker_user_parse(words.run_as, &options.worker_uid, &options.worker_gid) < 0)
                return cli_fail("keeper",
                        (err_set(&e, -EINVAL, "%s is no account for a worker", words.run_as), &e));
        words.take = true;
        daemon_words_format(&words, "keeper", level, next);
        words.take = false;
        words.store = NULL;
        words.run_as = NULL;
        words.privileged = geteuid() == 0;
        daemon_words_format(&words, "worker", level, worker);
        int status = keeper_run(&options);
        if (status == KEEPER_HANDED_OVER)
                return status;
        /* a worker that was killed could not, nor could one with an account of its own */
        (void)unlink(words.socket);
        (void)unlink(door);
        return status;
}
