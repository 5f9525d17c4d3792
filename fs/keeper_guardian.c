#include "fs/keeper_guardian.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

void guardian_init(struct guardian *g)
{
        *g = (struct guardian){.heir_fd = -EBADF, .channel = -EBADF, .keeper = -EBADF};
}

int guardian_fork(struct guardian *g)
{
        int pair[2], on = 1;

        /* Of ourselves, before the fork: a keeper that dies at once cannot be missed, and its
         * number cannot be somebody else's by then. */
        _cleanup_close_ int keeper = (int)syscall(SYS_pidfd_open, getpid(), 0);
        if (keeper < 0)
                return -errno;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int channel = pair[0], heir = pair[1];
        /* Set before anything is sent: which process is the worker is then the kernel's word. */
        if (setsockopt(channel, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return -errno;

        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        safe_close(g->heir_fd);
        g->heir_fd = -EBADF;
        if (pid == 0) {
                safe_close(g->channel);
                safe_close(g->keeper);
                g->pid = 0;
                g->channel = TAKE_FD(channel);
                g->keeper = TAKE_FD(keeper);
                return 1;
        }
        g->pid = pid;
        g->heir_fd = TAKE_FD(heir);
        return 0;
}

void guardian_wait(struct guardian *g)
{
        struct pollfd p = {.fd = g->keeper, .events = POLLIN};

        (void)prctl(PR_SET_NAME, "akvfs-guardian");
        while (poll(&p, 1, -1) < 1)
                ;
        g->keeper = safe_close(g->keeper);
}

void guardian_end(struct guardian *g)
{
        if (g->pid > 0) {
                (void)kill(g->pid, SIGKILL);
                while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        g->pid = 0;
        g->heir_fd = safe_close(g->heir_fd);
        g->channel = safe_close(g->channel);
        g->keeper = safe_close(g->keeper);
}
