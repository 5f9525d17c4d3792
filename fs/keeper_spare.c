#include "fs/keeper_spare.h"

#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "fs/keeper_resend.h"

#define REQUEST_SIZE ((size_t)16 << 10)

int keeper_spare_answer(uint32_t opcode)
{
        switch (opcode) {
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
        case FUSE_NOTIFY_REPLY:
        case FUSE_RENAME:
        case FUSE_RENAME2:
                return SPARE_SILENCE;
        case FUSE_STATFS:
                return SPARE_STATFS;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR:
                return 0;
        case FUSE_IOCTL:
                return ENOTTY;
        case FUSE_GETXATTR:
        case FUSE_LISTXATTR:
                return EOPNOTSUPP;
        case FUSE_SETXATTR:
        case FUSE_REMOVEXATTR:
        case FUSE_WRITE:
        case FUSE_SETATTR:
        case FUSE_UNLINK:
        case FUSE_MKDIR:
        case FUSE_RMDIR:
        case FUSE_MKNOD:
        case FUSE_SYMLINK:
        case FUSE_LINK:
        case FUSE_CREATE:
        case FUSE_FALLOCATE:
                return EROFS;
        default:
                return EIO;
        }
}

static void answer_one(int fd)
{
        _Alignas(8) char buf[REQUEST_SIZE];
        const struct fuse_in_header *in = (const void *)buf;

        ssize_t n = read(fd, buf, sizeof buf);
        if (n < (ssize_t)sizeof *in)
                return;
        int answer = keeper_spare_answer(in->opcode);
        if (answer == SPARE_SILENCE)
                return;
        struct {
                struct fuse_out_header head;
                struct fuse_statfs_out statfs;
        } out = {.statfs.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
        out.head.len = sizeof out.head + (answer == SPARE_STATFS ? sizeof out.statfs : 0);
        out.head.error = answer == SPARE_STATFS ? 0 : -answer;
        out.head.unique = in->unique;
        n = write(fd, &out, out.head.len);
        (void)n; /* ENOENT: the caller has gone */
}

static _Noreturn void spare_main(const int *fds, size_t n)
{
        sigset_t none;
        struct pollfd *p = calloc(n, sizeof *p);

        (void)prctl(PR_SET_NAME, "akvfs-spare");
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (!p)
                _exit(1);
        for (size_t i = 0; i < n; i++) {
                p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
                (void)keeper_resend(fds[i]);
        }
        for (;;) {
                if (poll(p, n, -1) < 0)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        if (p[i].revents & (POLLERR | POLLHUP | POLLNVAL))
                                p[i].fd = -1; /* unmounted */
                        else if (p[i].revents)
                                answer_one(p[i].fd);
                }
        }
}

pid_t keeper_spare_start(const int *fuse_fds, size_t n)
{
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0)
                spare_main(fuse_fds, n);
        return pid;
}
