#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "base/mountinfo.h"
#include "fs/keeper_mount.h"

#define DIR_FD 3

static _Noreturn void rename_child(const struct keeper_mount *m, const struct keeper_msg *request)
{
        int root = m->private_fd;
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        /* First of all: no other descriptor survives, the connection's least of all. */
        if (root >= 0 && root != DIR_FD && dup2(root, DIR_FD) < 0)
                _exit(errno);
        if (close_range(root >= 0 ? DIR_FD + 1 : DIR_FD, ~0U, 0) < 0)
                _exit(errno);

        if (root < 0) {
                root = open(m->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (root < 0)
                        _exit(errno);
                if (mountinfo_id_of_fd(root) != m->mnt_id)
                        _exit(ENODEV); /* mounted over, or gone */
        } else
                root = DIR_FD;

        int dir = root;
        if (request->path[0]) {
                dir = openat(root, request->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (dir < 0)
                        _exit(errno);
        }
        if (renameat(dir, request->staged, dir, request->name) < 0)
                _exit(errno);
        _exit(0);
}

pid_t keeper_rename_start(const struct keeper_mount *m, const struct keeper_msg *request)
{
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0)
                rename_child(m, request);
        return pid;
}
