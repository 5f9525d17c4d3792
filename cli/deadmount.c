#include "cli/deadmount.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/mountpoint.h"

/* So many on top of each other; more are somebody's play. */
#define STACKED_MAX 16

static int fusermount(const char *path, bool lazy, struct err *e)
{
        _cleanup_free_ char *program = NULL;
        const char *const words[] = {"fusermount3", "-u", lazy ? "-z" : "-u", "--", path, NULL};
        pid_t pid;
        int status;

        int r = mountpoint_fusermount(&program);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "fusermount3 is not installed");
        r = -posix_spawn(&pid, program, NULL, NULL, (char *const *)(uintptr_t)words, environ);
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not run %s: %s", program, strerror(-r));
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return err_set(e, -errno, "waitpid: %s", strerror(errno));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                err_set_cause(e, ERR_LOCAL, -EBUSY, "fusermount3 could not unmount %s", path);
                err_hint(e, "if another user mounted it, unmount it as that user or as root");
                return -EBUSY;
        }
        return 0;
}

int deadmount_remove(const char *path, struct err *e)
{
        if (geteuid() != 0)
                return fusermount(path, false, NULL) == 0 ? 0 : fusermount(path, true, e);
        if (umount2(path, UMOUNT_NOFOLLOW) == 0 ||
                (errno == EBUSY && umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) == 0))
                return 0;
        int r = -errno;
        return err_set_cause(e, ERR_LOCAL, r, "could not unmount %s: %s", path, strerror(-r));
}

/* statfs(2) is always asked of the file system itself. */
static bool is_dead(const char *path)
{
        struct statfs fs;
        siginfo_t info = {0};

        pid_t pid = fork();
        if (pid == 0)
                _exit(statfs(path, &fs) < 0 && errno == ENOTCONN ? 0 : 1);
        if (pid < 0)
                return false;
        _cleanup_close_ int fd = pidfd_open(pid, 0);
        struct pollfd ended = {.fd = fd, .events = POLLIN};
        if (fd < 0 || poll(&ended, 1, DEADMOUNT_PATIENCE_MS) <= 0) {
                /* It may be held up until the mount ends; init has it then. */
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, WNOHANG);
                return false;
        }
        return waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_code == CLD_EXITED &&
               info.si_status == 0;
}

int deadmount_clear(const char *path, struct err *e)
{
        for (unsigned i = 0; i < STACKED_MAX; i++) {
                _cleanup_free_ char *class = NULL;

                int r = mountpoint_class(path, &class);
                if (r < 0)
                        return err_set(
                                e, r, "could not read /proc/self/mountinfo: %s", strerror(-r));
                if (r == 0 || !is_dead(path))
                        return 0;
                cli_warn("mount",
                        "%s was mounted by akvfs, and nobody serves it any more: removing that mount",
                        path);
                r = deadmount_remove(path, e);
                if (r < 0)
                        return r;
        }
        return 0;
}
