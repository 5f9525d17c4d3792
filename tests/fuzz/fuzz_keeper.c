/* What the keeper reads of a worker and of who comes to its door or gate: any message over the
 * socket, and any content of a whole one.
 *
 * Of a message that passes, everything the keeper relies upon is checked here once more.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "fs/keeper_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool one_name(const char *s)
{
        return *s && !strchr(s, '/') && !streq(s, ".") && !streq(s, "..");
}

/* From the volume's top downwards, by names alone. */
static bool stays_inside(const char *path)
{
        char *copy = strdup(path), *rest = copy, *name;
        bool good = copy;

        while (good && *path && (name = strsep(&rest, "/")))
                good = one_name(name);
        free(copy);
        return good;
}

static void check_valid(const struct keeper_msg *m)
{
        if (strnlen(m->path, sizeof m->path) == sizeof m->path ||
                strnlen(m->name, sizeof m->name) == sizeof m->name ||
                strnlen(m->staged, sizeof m->staged) == sizeof m->staged ||
                strnlen(m->detail, sizeof m->detail) == sizeof m->detail)
                abort();
        if (m->op == KEEPER_MOUNT &&
                (m->path[0] != '/' || strpbrk(m->name, ",\\\n") || !m->name[0]))
                abort();
        if (m->op == KEEPER_RENAME &&
                (!stays_inside(m->path) || !one_name(m->name) || !one_name(m->staged) ||
                        strlen(m->staged) != KEEPER_STAGE_LEN))
                abort();
        /* One change, and one that puts nothing in place reads nothing first. */
        const uint32_t change = m->flags & ~(uint32_t)KEEPER_KEEP_WARM;
        if (m->op == KEEPER_RENAME && (change & (change - 1)) != 0)
                abort();
        if (m->op == KEEPER_RENAME && (m->flags & KEEPER_KEEP_WARM) &&
                (m->flags & (KEEPER_AWAY | KEEPER_UNLINK)))
                abort();
        if (m->op == KEEPER_CLEAR && m->path[0] != '/')
                abort();
        if (m->op == KEEPER_FORGET && (!one_name(m->name) || m->node == 0))
                abort();
        if (m->op == KEEPER_INVALIDATE &&
                (m->node == 0 || (m->flags & ~(uint32_t)KEEPER_ATTRIBUTES)))
                abort();
        if (m->op == KEEPER_RETURN && (m->path[0] != '/' || m->mount == 0))
                abort();
}

/* As it comes: wrong sizes, with and without a descriptor. */
static void over_the_socket(const uint8_t *data, size_t size)
{
        int pair[2], fd = -EBADF;
        struct keeper_msg m;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                abort();
        if (size > 0 && send(pair[0], data, size, MSG_NOSIGNAL) == (ssize_t)size) {
                int r = keeper_recv(pair[1], &m, &fd);
                if (r == 1 && (size != sizeof m || m.magic != KEEPER_MAGIC || fd != -EBADF))
                        abort();
                if (r == 1 && keeper_msg_valid(&m) == 0)
                        check_valid(&m);
        }
        safe_close(pair[0]);
        safe_close(pair[1]);
}

/* Op and numbers, flags, then strings separated by 0xff into their fields. */
static void shaped(const uint8_t *data, size_t size)
{
        struct keeper_msg m;
        char *const fields[] = {m.path, m.name, m.staged, m.detail};
        const size_t sizes[] = {sizeof m.path, sizeof m.name, sizeof m.staged, sizeof m.detail};

        if (size < 2)
                return;
        keeper_msg_init(&m, (enum keeper_op)(data[0] % 16), 1);
        m.node = m.seq = data[0] / 16;
        m.flags = data[1];
        size_t field = 0, at = 0;
        for (size_t i = 2; i < size && field < ELEMENTSOF(fields); i++) {
                if (data[i] == 0xff) {
                        field++;
                        at = 0;
                } else if (at < sizes[field])
                        fields[field][at++] = (char)data[i];
        }
        if (keeper_msg_valid(&m) == 0)
                check_valid(&m);
        struct keeper_msg visit = m;
        visit.op = KEEPER_UPGRADE + data[0] % 20;
        visit.flags = data[1] == 0x7f  ? KEEPER_AGAIN
                      : data[1] & 0x80 ? KEEPER_WORKER_ALONE
                                       : data[1];
        if (keeper_visit_valid(&visit) == 0) {
                check_valid(&visit);
                if (keeper_msg_valid(&visit) == 0 || visit.op > KEEPER_GATE ||
                        (visit.op == KEEPER_GIVE && visit.path[0] != '/') ||
                        ((visit.flags & KEEPER_AGAIN) && visit.op != KEEPER_COME))
                        abort();
        }
        int pair[2], fd = -EBADF;
        struct keeper_msg got;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                abort();
        if (keeper_send(pair[0], &m, data[1] & 1 ? pair[0] : -EBADF) < 0 ||
                keeper_recv(pair[1], &got, &fd) != 1 || memcmp(&m, &got, sizeof m) != 0 ||
                (fd >= 0) != (data[1] & 1))
                abort();
        safe_close(fd);
        safe_close(pair[0]);
        safe_close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        over_the_socket(data, size);
        shaped(data, size);
        return 0;
}
