#include "fs/keeper_rename.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/mountinfo.h"

#define SOCKET_FD 3

/* dir is the private mount's root, or -EBADF: an ordinary user's mount is reached by its path. */
static int rename_in(int dir, const char *mountpoint, const struct keeper_msg *request)
{
        _cleanup_close_ int root = -EBADF, sub = -EBADF;

        if (dir < 0) {
                root = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (root < 0)
                        return errno;
                /* What is mounted on top, or was mounted there before, is none of ours. */
                if (mountinfo_id_of_fd(root) != request->result)
                        return ENODEV;
                dir = root;
        }
        if (request->path[0]) {
                /* What a folder is, the worker tells: tests/unit/fs/keeper_rename.c,
                 * a_symlink_inside_leads_nowhere. */
                sub = keeper_mount_folder(dir, request->path);
                if (sub < 0)
                        return -sub;
                dir = sub;
        }
        const char *from = request->staged, *to = request->name;
        if (request->flags & KEEPER_AWAY) {
                from = request->name;
                to = request->staged;
        }
        return renameat(dir, from, dir, to) < 0 ? errno : 0;
}

static _Noreturn void renamer_main(int socket)
{
        char mountpoint[KEEPER_PATH_SIZE] = "";
        struct keeper_msg m;
        sigset_t none;

        /* First of all: no other descriptor survives, a connection's least of all. */
        if (socket != SOCKET_FD && dup2(socket, SOCKET_FD) < 0)
                _exit(1);
        if (close_range(SOCKET_FD + 1, ~0U, 0) < 0)
                _exit(1);
        (void)fcntl(SOCKET_FD, F_SETFL, 0);
        (void)prctl(PR_SET_NAME, "akvfs-renamer");
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        for (;;) {
                int dir = -EBADF;
                if (keeper_recv(SOCKET_FD, &m, &dir) <= 0)
                        _exit(0);
                if (m.op == KEEPER_MOUNT) {
                        memcpy(mountpoint, m.path, sizeof mountpoint);
                        continue;
                }
                m.result = -rename_in(dir, mountpoint, &m);
                safe_close(dir); /* before the answer: an idle renamer pins no mount */
                if (keeper_send(SOCKET_FD, &m, -EBADF) < 0)
                        _exit(0);
        }
}

int renamer_start(struct renamer *ret)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0)
                renamer_main(pair[1]);
        safe_close(pair[1]);
        if (pid < 0) {
                safe_close(pair[0]);
                return -errno;
        }
        *ret = (struct renamer){.fd = pair[0], .pid = pid};
        return 0;
}

int renamer_send(struct renamer *r, const struct keeper_mount *m, const struct keeper_msg *request)
{
        struct keeper_msg msg;
        int e = 0;

        if (!m->privileged) {
                /* Both may be as long as a path gets: a message of its own. */
                keeper_msg_init(&msg, KEEPER_MOUNT, request->mount);
                e = keeper_msg_set(msg.path, sizeof msg.path, m->mountpoint);
                if (e == 0)
                        e = keeper_send(r->fd, &msg, -EBADF);
        }
        msg = *request;
        msg.result = m->mnt_id; /* a field that a request has no use for */
        if (e == 0)
                e = keeper_send(r->fd, &msg, m->private_fd);
        if (e < 0)
                return e;
        r->busy = true;
        r->mount = request->mount;
        r->seq = request->seq;
        return 0;
}

int renamer_receive(struct renamer *r, int *ret_result)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int e = keeper_recv(r->fd, &m, &fd);
        if (e == 1) {
                r->busy = false;
                *ret_result = m.result;
        }
        return e == -EAGAIN ? e : e == 1;
}

void renamer_done(struct renamer *r)
{
        r->fd = safe_close(r->fd);
}
