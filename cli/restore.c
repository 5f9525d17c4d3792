#include "cli/restore.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "cli/mountpoint.h"
#include "cli/notify.h"

#define WAIT_S 30 /* for a keeper to have its worker ready */

static int find_fd(const struct restore *r, const char *name)
{
        for (size_t i = 0; i < r->n; i++)
                if (*name && streq(r->names[i], name))
                        return r->fds[i];
        return -EBADF;
}

static bool read_record(struct restore *r, int fd)
{
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
                pread(fd, &r->hello, sizeof r->hello, 0) != (ssize_t)sizeof r->hello ||
                r->hello.magic != KEEPER_MAGIC || r->hello.version != KEEPER_VERSION ||
                r->hello.op != KEEPER_HELLO || !memchr(r->hello.name, '\0', KEEPER_NAME_SIZE) ||
                r->hello.result <= 0 || r->hello.result > KEEPER_STORE_MOUNTS_MAX)
                return false;
        r->mounts = calloc((size_t)r->hello.result, sizeof *r->mounts);
        for (int32_t i = 0; r->mounts && i < r->hello.result; i++) {
                struct keeper_msg *m = &r->mounts[r->n_mounts];
                if (pread(fd, m, sizeof *m, (off_t)sizeof *m * (i + 1)) != (ssize_t)sizeof *m ||
                        m->magic != KEEPER_MAGIC || m->version != KEEPER_VERSION ||
                        m->op != KEEPER_GIVE || keeper_visit_valid(m) < 0)
                        return false;
                /* The manager drops a connection that is over. */
                r->n_mounts += find_fd(r, m->name) >= 0;
        }
        return r->n_mounts > 0;
}

bool restore_find(struct restore *ret)
{
        char **names = NULL;

        *ret = (struct restore){0};
        int n = sd_listen_fds_with_names(1, &names);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                if (names && startswith(names[i], "akvfs-") && strlen(names[i]) < 64 &&
                        ret->n < RESTORE_FDS_MAX) {
                        (void)snprintf(ret->names[ret->n], 64, "%s", names[i]);
                        ret->fds[ret->n++] = fd;
                } else
                        safe_close(fd);
        }
        for (int i = 0; names && i < n; i++)
                free(names[i]);
        free(names);
        if (read_record(ret, find_fd(ret, KEEPER_STORE_RECORD)))
                return true;
        if (ret->n > 0)
                restore_abandon(ret);
        return false;
}

void restore_done(struct restore *r)
{
        for (size_t i = 0; i < r->n; i++)
                safe_close(r->fds[i]);
        free(r->mounts);
        *r = (struct restore){0};
}

bool restore_has(const struct restore *r, const char *path)
{
        for (size_t i = 0; i < r->n_mounts; i++)
                if (streq(r->mounts[i].path, path))
                        return true;
        return false;
}

void restore_abandon(struct restore *r)
{
        for (size_t i = 0; i < r->n_mounts; i++) {
                _cleanup_free_ char *class = NULL;
                if (mountpoint_class(r->mounts[i].path, &class) == 1)
                        (void)umount2(r->mounts[i].path, MNT_DETACH | UMOUNT_NOFOLLOW);
        }
        for (size_t i = 0; i < r->n; i++) {
                char message[128];
                (void)snprintf(message, sizeof message, "FDSTOREREMOVE=1\nFDNAME=%s", r->names[i]);
                notify_service_manager(message);
        }
        restore_done(r);
}

/* --- handing over --- */

static int give(int socket, struct keeper_msg *m, int fd, int32_t *count)
{
        *count += fd >= 0;
        return keeper_send(socket, m, fd);
}

static int give_what_is_inherited(int socket, const int *pass_fds, size_t n_pass_fds, int door_fd)
{
        struct keeper_msg m;
        int r = 0;

        keeper_msg_init(&m, KEEPER_PASS, 0);
        for (size_t i = 0; r == 0 && i < n_pass_fds; i++) {
                m.seq = i;
                r = keeper_send(socket, &m, pass_fds[i]);
        }
        keeper_msg_init(&m, KEEPER_DOOR, 0);
        if (r == 0)
                r = keeper_send(socket, &m, door_fd);
        keeper_msg_init(&m, KEEPER_PREPARE, 0);
        return r < 0 ? r : keeper_send(socket, &m, -EBADF);
}

static int give_all(const struct restore *r, int socket)
{
        struct keeper_msg m = r->hello;
        int area = find_fd(r, r->hello.name), e;
        int32_t count = 0;

        m.result = 0;
        m.mount = 0;
        e = keeper_send(socket, &m, -EBADF);
        for (size_t i = 0; e == 0 && i < r->n_mounts; i++) {
                m = r->mounts[i];
                e = give(socket, &m, find_fd(r, m.name), &count);
        }
        keeper_msg_init(&m, KEEPER_AREA, 0);
        m.seq = r->hello.mount;
        if (e == 0 && area >= 0)
                e = give(socket, &m, area, &count);
        keeper_msg_init(&m, KEEPER_STORE, 0);
        memcpy(m.name, r->hello.name, sizeof m.name);
        if (e == 0)
                e = give(socket, &m, find_fd(r, KEEPER_STORE_RECORD), &count);
        keeper_msg_init(&m, KEEPER_GIVEN, 0);
        m.result = count;
        return e < 0 ? e : keeper_send(socket, &m, -EBADF);
}

static int hear(int socket, enum keeper_op op, struct err *e)
{
        struct keeper_msg m;
        _cleanup_close_ int fd = -EBADF;

        int r = keeper_recv(socket, &m, &fd);
        if (r == 1 && m.op == (uint32_t)op && keeper_visit_valid(&m) == 0 && m.result >= 0)
                return 0;
        if (r == 1 && keeper_visit_valid(&m) == 0 && m.result < 0)
                return err_set_cause(e, ERR_LOCAL, m.result, "%s", m.detail);
        return err_set_cause(e, ERR_LOCAL, -EPROTO, "the new keeper %s",
                r == 0         ? "ended"
                : r == -EAGAIN ? "does not answer"
                               : "says what makes no sense");
}

int restore_hand_over(const struct restore *r, int socket, const int *pass_fds, size_t n_pass_fds,
        int door_fd, struct err *e)
{
        const struct timeval wait = {.tv_sec = WAIT_S};
        struct keeper_msg m;

        if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ||
                setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0)
                return err_set(e, -errno, "setsockopt: %s", strerror(errno));
        int k = hear(socket, KEEPER_TAKE, e);
        if (k < 0)
                return k;
        k = give_what_is_inherited(socket, pass_fds, n_pass_fds, door_fd);
        if (k == 0)
                k = hear(socket, KEEPER_READY, e);
        else
                err_set(e, k, "the new keeper cannot be told: %s", strerror(-k));
        if (k < 0)
                return k;
        k = give_all(r, socket);
        if (k < 0)
                return err_set(e, k, "the new keeper cannot be given the mounts: %s", strerror(-k));
        k = hear(socket, KEEPER_TAKEN, e);
        if (k < 0)
                return k;
        keeper_msg_init(&m, KEEPER_LEAVE, 0);
        k = keeper_send(socket, &m, -EBADF);
        return k < 0 ? err_set(e, k, "the new keeper cannot be told: %s", strerror(-k)) : 0;
}
