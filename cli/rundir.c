#include "cli/rundir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SOCKETS_MAX 256
#define BACKLOG 128

void rundir_done(struct rundir *d)
{
        free(d->path);
        d->fd = safe_close(d->fd);
        d->path = NULL;
}

static bool own_folder(const char *path)
{
        struct stat st;

        return path[0] == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
               st.st_uid == geteuid();
}

static int choose(char **ret)
{
        const char *xdg = getenv("XDG_RUNTIME_DIR");

        if (geteuid() == 0)
                return xasprintf(ret, "/run/akvfs");
        /* after su(1) the variable may name somebody else's */
        if (!isempty(xdg) && own_folder(xdg))
                return xasprintf(ret, "%s/akvfs", xdg);
        return xasprintf(ret, "/tmp/akvfs-%u", (unsigned)geteuid());
}

int rundir_open_at(const char *path, bool create, struct rundir *ret, struct err *e)
{
        if (create && mkdir(path, 0700) < 0 && errno != EEXIST) {
                int r = -errno;
                return err_set_cause(e, ERR_LOCAL, r, "could not make the control directory %s: %s",
                        path, strerror(-r));
        }

        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0) {
                int r = -errno;
                return err_set_cause(e, ERR_LOCAL, r, "could not open the control directory %s: %s",
                        path, strerror(-r));
        }
        if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
                err_set_cause(e, ERR_LOCAL, -EPERM,
                        "the control directory %s is not safe: owner %u, mode %04o", path,
                        (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
                err_hint(e, "it must belong to you and have mode 0700; remove it and try again");
                return -EPERM;
        }

        char *copy = strdup(path);
        if (!copy)
                return err_set(e, -ENOMEM, "out of memory");
        *ret = (struct rundir){.path = copy, .fd = TAKE_FD(fd)};
        return 0;
}

int rundir_open(bool create, struct rundir *ret, struct err *e)
{
        _cleanup_free_ char *path = NULL;

        if (choose(&path) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        return rundir_open_at(path, create, ret, e);
}

int rundir_lock(const struct rundir *d, int *ret_fd, struct err *e)
{
        _cleanup_close_ int fd =
                openat(d->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : 0;

        while (r == 0 && flock(fd, LOCK_EX) < 0)
                if (errno != EINTR)
                        r = -errno;
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not lock %s/lock: %s", d->path, strerror(-r));
        *ret_fd = TAKE_FD(fd);
        return 0;
}

void rundir_names_free(char **names)
{
        for (size_t i = 0; names && names[i]; i++)
                free(names[i]);
        free(names);
}

static bool is_socket_name(const char *name)
{
        size_t len = strlen(name);

        return startswith(name, "w-") && len > 7 && streq(name + len - 5, ".sock");
}

int rundir_sockets(const struct rundir *d, char ***ret)
{
        char **names = calloc(SOCKETS_MAX + 1, sizeof *names);
        size_t n = 0;
        int r = names ? 0 : -ENOMEM;

        int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                if (r == 0)
                        r = -errno;
                safe_close(fd);
        }
        while (r == 0 && n < SOCKETS_MAX) {
                const struct dirent *de = readdir(dir);

                if (!de)
                        break;
                if (!is_socket_name(de->d_name))
                        continue;
                names[n] = strdup(de->d_name);
                if (!names[n])
                        r = -ENOMEM;
                n++;
        }
        if (dir)
                closedir(dir);
        if (r < 0) {
                rundir_names_free(names);
                return r;
        }
        *ret = names;
        return 0;
}

/* Through the directory's descriptor: sun_path is short, and what was checked is what is used. */
static int address(int dir_fd, const char *name, struct sockaddr_un *ret)
{
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir_fd, name);

        return n < 0 || (size_t)n >= sizeof ret->sun_path ? -ENAMETOOLONG : 0;
}

int rundir_door_name(const char *socket, char **ret)
{
        const char *slash = strrchr(socket, '/');
        size_t folder = slash ? (size_t)(slash + 1 - socket) : 0;

        if (!is_socket_name(socket + folder))
                return -EINVAL;
        return xasprintf(ret, "%.*sk%s", (int)folder, socket, socket + folder + 1);
}

int socket_listen_at(int dir_fd, const char *name, int type, int *ret_fd)
{
        struct sockaddr_un sa;
        int r = address(dir_fd, name, &sa);

        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (r == 0 && fd < 0)
                r = -errno;
        mode_t mask = umask(0177);
        if (r == 0 && bind(fd, (const struct sockaddr *)&sa, sizeof sa) < 0)
                r = -errno;
        umask(mask);
        /* A connection inherits it, of who connects before it is accepted too: nobody can speak
         * before it is set (Linux 6.18 net/unix/af_unix.c; fs/keeper_gate.c wants it). */
        if (r == 0 && type == SOCK_SEQPACKET &&
                setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0)
                r = -errno;
        if (r == 0 && listen(fd, BACKLOG) < 0)
                r = -errno;
        if (r == 0)
                *ret_fd = TAKE_FD(fd);
        return r;
}

int rundir_listen(
        const struct rundir *d, int *ret_fd, int *ret_door, char **ret_path, struct err *e)
{
        unsigned char random[8];
        char hex[2 * sizeof random + 1], name[32];

        int r = random_bytes(random, sizeof random);
        if (r < 0)
                return err_set(e, r, "no random numbers: %s", strerror(-r));
        hex_encode(random, sizeof random, hex);
        snprintf(name, sizeof name, "w-%s.sock", hex);
        return rundir_listen_as(d, name, ret_fd, ret_door, ret_path, e);
}

int rundir_listen_as(const struct rundir *d, const char *name, int *ret_fd, int *ret_door,
        char **ret_path, struct err *e)
{
        _cleanup_close_ int fd = -EBADF, door_fd = -EBADF;
        _cleanup_free_ char *path = NULL, *door = NULL;
        int r;

        if (xasprintf(&path, "%s/%s", d->path, name) < 0 || rundir_door_name(name, &door) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        r = socket_listen_at(d->fd, name, SOCK_STREAM, &fd);
        if (r == 0)
                r = socket_listen_at(d->fd, door, SOCK_SEQPACKET, &door_fd);
        if (r < 0) {
                rundir_remove(d, name);
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not listen on %s: %s", path, strerror(-r));
        }
        *ret_fd = TAKE_FD(fd);
        *ret_door = TAKE_FD(door_fd);
        *ret_path = TAKE_PTR(path);
        return 0;
}

/* A socket of another type refuses the connection before who listens hears of it: unix(7). */
static bool is_alive(const struct rundir *d, const char *name)
{
        struct sockaddr_un sa;

        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && address(d->fd, name, &sa) == 0 &&
               connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0 && errno == EPROTOTYPE;
}

int rundir_listen_gate(const struct rundir *d, const char *name, int *ret_fd, struct err *e)
{
        _cleanup_close_ int lock = -EBADF;

        int r = rundir_lock(d, &lock, e);
        if (r < 0)
                return r;
        if (is_alive(d, name))
                return err_set_cause(e, ERR_LOCAL, -EADDRINUSE, "another keeper listens on %s/%s",
                        d->path, name);
        (void)unlinkat(d->fd, name, 0);
        r = socket_listen_at(d->fd, name, SOCK_SEQPACKET, ret_fd);
        return r < 0 ? err_set_cause(e, ERR_LOCAL, r, "could not listen on %s/%s: %s", d->path,
                               name, strerror(-r))
                     : 0;
}

void rundir_sweep_gate(const struct rundir *d, const char *name)
{
        _cleanup_close_ int lock = -EBADF;
        _cleanup_err_ struct err e = {0};

        if (rundir_lock(d, &lock, &e) == 0 && !is_alive(d, name))
                (void)unlinkat(d->fd, name, 0);
}

/* type: with SOCK_NONBLOCK, who finds no room in the backlog does not wait for it. */
static int dial(const struct rundir *d, const char *name, int type, int *ret_fd)
{
        struct sockaddr_un sa;
        struct ucred peer;
        socklen_t len = sizeof peer;

        int r = address(d->fd, name, &sa);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0 ||
                getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        if (peer.uid != 0 && peer.uid != geteuid())
                return -EPERM;
        if (fcntl(fd, F_SETFL, 0) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int rundir_dial(const struct rundir *d, const char *name, int *ret_fd)
{
        return dial(d, name, SOCK_SEQPACKET | SOCK_NONBLOCK, ret_fd);
}

int rundir_knock(const struct rundir *d, const char *socket_name, int *ret_fd)
{
        _cleanup_free_ char *door = NULL;

        int r = rundir_door_name(socket_name, &door);
        return r < 0 ? r : dial(d, door, SOCK_SEQPACKET, ret_fd);
}

int rundir_connect(const struct rundir *d, const char *name, int *ret_fd)
{
        struct sockaddr_un sa;

        int r = address(d->fd, name, &sa);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

void rundir_remove(const struct rundir *d, const char *name)
{
        _cleanup_free_ char *door = NULL;

        (void)unlinkat(d->fd, name, 0);
        if (rundir_door_name(name, &door) == 0)
                (void)unlinkat(d->fd, door, 0);
}

void rundir_sweep(const struct rundir *d)
{
        char **names = NULL;

        if (rundir_sockets(d, &names) < 0)
                return;
        for (size_t i = 0; names[i]; i++) {
                _cleanup_close_ int fd = -EBADF;
                if (rundir_connect(d, names[i], &fd) == -ECONNREFUSED)
                        rundir_remove(d, names[i]);
        }
        rundir_names_free(names);
}
