#include "fs/keeper_rename.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mountinfo.h"
#include "fs/keeper_warm.h"

#define SOCKET_FD 3

/* After an exchange the old file or folder is under the staged name, which the table does not have:
 * a file can be unlinked; a folder must not be removed from under those who are in it, so the
 * kernel is only made to forget it, as with KEEPER_AWAY. */
static void put_away(int dir, const char *staged)
{
        char other[KEEPER_STAGE_LEN + 1];

        if (unlinkat(dir, staged, 0) == 0 || errno != EISDIR)
                return;
        memcpy(other, staged, sizeof other);
        char *last = &other[KEEPER_STAGE_LEN - 1];
        *last = *last == '0' ? '1' : '0';
        (void)renameat(dir, staged, dir, other); /* EINTR */
}

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
        if (request->flags & KEEPER_UNLINK)
                return unlinkat(dir, to, 0) < 0 ? errno : 0;
        if (request->flags & KEEPER_KEEP_WARM)
                (void)keeper_warm_name(dir, from);
        if (request->flags & KEEPER_EXCHANGE) {
                if (renameat2(dir, from, dir, to, RENAME_EXCHANGE) < 0)
                        return errno;
                put_away(dir, from);
        } else if (renameat(dir, from, dir, to) < 0)
                return (request->flags & KEEPER_AWAY) && errno == EINTR ? 0 : errno;
        if (request->flags & KEEPER_KEEP_WARM)
                keeper_warm_stat(dir, to);
        return 0;
}

/* The kernel's own look-ups of the folder, listings too, have to end first: in a child like this
 * one, not in the worker that answers them. Linux fs/fuse/dev.c, fuse_notify_inval_entry. */
static int forget(int fuse_fd, const struct keeper_msg *request)
{
        struct fuse_notify_inval_entry_out entry = {
                .parent = request->node, .namelen = (uint32_t)strlen(request->name)};
        struct fuse_out_header out = {.error = FUSE_NOTIFY_INVAL_ENTRY};
        struct iovec parts[] = {{&out, sizeof out}, {&entry, sizeof entry},
                {(void *)(uintptr_t)request->name, entry.namelen + 1}};

        out.len = (uint32_t)(sizeof out + sizeof entry + entry.namelen + 1);
        return writev(fuse_fd, parts, ELEMENTSOF(parts)) < 0 ? errno : 0;
}

/* Pages that are being read are waited for. Linux fs/fuse/inode.c, fuse_reverse_inval_inode. */
static int invalidate(int fuse_fd, const struct keeper_msg *request)
{
        struct fuse_notify_inval_inode_out inode = {
                .ino = request->node, .off = request->flags & KEEPER_ATTRIBUTES ? -1 : 0};
        struct fuse_out_header out = {.error = FUSE_NOTIFY_INVAL_INODE};
        struct iovec parts[] = {{&out, sizeof out}, {&inode, sizeof inode}};

        out.len = (uint32_t)(sizeof out + sizeof inode);
        return writev(fuse_fd, parts, ELEMENTSOF(parts)) < 0 ? errno : 0;
}

static int do_request(int fd, const char *mountpoint, const struct keeper_msg *request)
{
        switch (request->op) {
        case KEEPER_FORGET:
                return forget(fd, request);
        case KEEPER_INVALIDATE:
                return invalidate(fd, request);
        case KEEPER_WARM:
                return -keeper_warm_all(fd);
        default:
                return rename_in(fd, mountpoint, request);
        }
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
                m.result = -do_request(dir, mountpoint, &m);
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
        bool notifies = request->op == KEEPER_FORGET || request->op == KEEPER_INVALIDATE;
        int e = 0, fd = notifies ? m->fuse_fd : m->private_fd;

        if (request->op != KEEPER_RENAME && fd < 0)
                return -EBADF;
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
                e = keeper_send(r->fd, &msg, fd);
        if (e < 0)
                return e;
        r->busy = true;
        r->op = (enum keeper_op)request->op;
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
