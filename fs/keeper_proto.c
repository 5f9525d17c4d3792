#include "fs/keeper_proto.h"

#include <sys/uio.h>

#include "base/passfd.h"

void keeper_msg_init(struct keeper_msg *m, enum keeper_op op, uint64_t mount)
{
        memset(m, 0, sizeof *m);
        m->magic = KEEPER_MAGIC;
        m->version = KEEPER_VERSION;
        m->op = op;
        m->mount = mount;
}

int keeper_msg_set(char *field, size_t size, const char *value)
{
        size_t n = strlen(value);

        if (n >= size)
                return -ENAMETOOLONG;
        memcpy(field, value, n + 1);
        return 0;
}

static bool terminated(const char *s, size_t size)
{
        return memchr(s, '\0', size) != NULL;
}

static bool plain_name(const char *s)
{
        return *s && !strchr(s, '/') && !streq(s, ".") && !streq(s, "..");
}

/* "", "a", "a/b": no empty, "." or ".." component. */
static bool plain_folder(const char *s)
{
        if (!*s)
                return true;
        for (;;) {
                size_t n = strcspn(s, "/");
                if (n == 0 || n > 255 || (n == 1 && s[0] == '.') ||
                        (n == 2 && s[0] == '.' && s[1] == '.'))
                        return false;
                if (!s[n])
                        return true;
                s += n + 1;
        }
}

static bool staged_name(const char *s)
{
        const char *hex = startswith(s, KEEPER_STAGE_PREFIX);

        return hex && strlen(hex) == 32 && strspn(hex, "0123456789abcdef") == 32;
}

static bool all_terminated(const struct keeper_msg *m)
{
        return terminated(m->path, sizeof m->path) && terminated(m->name, sizeof m->name) &&
               terminated(m->staged, sizeof m->staged) &&
               terminated(m->context, sizeof m->context) && terminated(m->detail, sizeof m->detail);
}

int keeper_visit_valid(const struct keeper_msg *m)
{
        if (!all_terminated(m))
                return -EINVAL;
        switch (m->op) {
        case KEEPER_GIVE:
                if (m->path[0] != '/' || m->mount == 0)
                        return -EINVAL;
                return m->flags & ~(uint32_t)KEEPER_PRIVILEGED ? -EINVAL : 0;
        case KEEPER_UPGRADE:
                return m->flags & ~(uint32_t)KEEPER_WORKER_ALONE ? -EINVAL : 0;
        case KEEPER_READY:
        case KEEPER_HELLO:
        case KEEPER_AREA:
        case KEEPER_LEAVE:
                return m->flags ? -EINVAL : 0;
        default:
                return m->op < KEEPER_UPGRADE || m->op > KEEPER_STAY || m->flags ? -EINVAL : 0;
        }
}

/* One thing at a time, and only what is put in place can be read first. */
static bool rename_flags(uint32_t flags)
{
        switch (flags) {
        case 0:
        case KEEPER_KEEP_WARM:
        case KEEPER_EXCHANGE:
        case KEEPER_EXCHANGE | KEEPER_KEEP_WARM:
        case KEEPER_AWAY:
        case KEEPER_UNLINK:
                return true;
        default:
                return false;
        }
}

int keeper_msg_valid(const struct keeper_msg *m)
{
        if (!all_terminated(m))
                return -EINVAL;

        switch (m->op) {
        case KEEPER_MOUNT:
                if (m->path[0] != '/' || !m->name[0] || strpbrk(m->name, ",\\\n"))
                        return -EINVAL;
                if (m->context[0] &&
                        (!(m->flags & KEEPER_PRIVILEGED) || !selinux_context_is_plain(m->context)))
                        return -EINVAL;
                return m->flags & ~(uint32_t)(KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER) ? -EINVAL : 0;
        case KEEPER_RENAME:
                if (!plain_folder(m->path) || !plain_name(m->name) || !staged_name(m->staged))
                        return -EINVAL;
                return rename_flags(m->flags) ? 0 : -EINVAL;
        case KEEPER_FORGET:
                if (!plain_name(m->name) || m->node == 0)
                        return -EINVAL;
                return m->flags ? -EINVAL : 0;
        case KEEPER_INVALIDATE:
                if (m->node == 0)
                        return -EINVAL;
                return m->flags & ~(uint32_t)KEEPER_ATTRIBUTES ? -EINVAL : 0;
        case KEEPER_UNMOUNT:
                return m->flags & ~(uint32_t)KEEPER_DETACH ? -EINVAL : 0;
        case KEEPER_RETURN:
                if (m->path[0] != '/' || m->mount == 0)
                        return -EINVAL;
                return m->flags & ~(uint32_t)KEEPER_PRIVILEGED ? -EINVAL : 0;
        case KEEPER_CLEAR:
                return m->path[0] != '/' || m->flags ? -EINVAL : 0;
        case KEEPER_RETURNED:
                if (m->result < 0 || m->seq == 0 || m->seq > UINT32_MAX)
                        return -EINVAL;
                return m->flags ? -EINVAL : 0;
        case KEEPER_AREA:
        case KEEPER_SERVING:
        case KEEPER_READY:
        case KEEPER_WARM:
                return m->flags ? -EINVAL : 0;
        default:
                return -EINVAL;
        }
}

int keeper_send(int socket, const struct keeper_msg *m, int fd)
{
        union passfd control;
        struct iovec iov = {(void *)(uintptr_t)m, sizeof *m};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

        passfd_set(&msg, &control, fd);
        for (;;) {
                if (sendmsg(socket, &msg, MSG_NOSIGNAL) >= 0)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

int keeper_recv(int socket, struct keeper_msg *m, int *ret_fd)
{
        pid_t ignored;

        return keeper_recv_from(socket, m, ret_fd, &ignored);
}

int keeper_recv_from(int socket, struct keeper_msg *m, int *ret_fd, pid_t *ret_sender)
{
        /* Room for two: a second descriptor is a malformed message, and must be seen to be closed.
         */
        union {
                char buf[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
                struct cmsghdr align;
        } control;
        struct iovec iov = {m, sizeof *m};
        struct msghdr msg = {.msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buf,
                .msg_controllen = sizeof control.buf};
        _cleanup_close_ int fd = -EBADF;
        bool bad = false, reset = false;
        pid_t sender = 0;
        ssize_t n;

        /* A peer that died with our messages unread leaves ECONNRESET, and behind it what it had
         * sent: the newest journal, perhaps. */
        do
                n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
        while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset && (reset = true))));
        if (n < 0)
                return errno == ECONNRESET ? 0 : -errno;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
                        c->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
                        struct ucred cred;
                        memcpy(&cred, CMSG_DATA(c), sizeof cred);
                        sender = cred.pid;
                }
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count; i++) {
                        int got;
                        memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof got);
                        if (fd >= 0) {
                                bad = true;
                                safe_close(got);
                        } else
                                fd = got;
                }
        }
        if (n == 0)
                return 0;
        /* Magic and version stand in front whatever the rest of a message is. */
        if (!bad && n >= (ssize_t)offsetof(struct keeper_msg, op) && m->magic == KEEPER_MAGIC &&
                m->version != KEEPER_VERSION)
                return -EPROTONOSUPPORT;
        if (bad || n != (ssize_t)sizeof *m || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
                m->magic != KEEPER_MAGIC)
                return -EPROTO;
        *ret_fd = TAKE_FD(fd);
        *ret_sender = sender;
        return 1;
}
