#include "cli/csi_sockets.h"

#include <fcntl.h>
#include <libgen.h>
#include <sys/socket.h>

#include "base/log.h"

/* Whoever is there already is dead, or about to be: kubelet speaks to who came last. */
static int listen_at(const char *path, int *ret, struct err *e)
{
        _cleanup_free_ char *copy = strdup(path);
        const char *name = strrchr(path, '/') + 1;

        if (!copy)
                return err_set(e, -ENOMEM, "out of memory");
        _cleanup_close_ int dir = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = dir < 0 || (unlinkat(dir, name, 0) < 0 && errno != ENOENT) ? -errno : 0;
        if (r == 0)
                r = socket_listen_at(dir, name, SOCK_STREAM, ret);
        if (r < 0) {
                err_set_cause(e, ERR_LOCAL, r, "could not listen on %s: %s", path, strerror(-r));
                if (r == -ENOENT)
                        err_hint(e, "the folder has to be there: in a pod, a hostPath volume");
                return r;
        }
        return 0;
}

static int registration_socket(const struct csi_options *o, char **ret)
{
        return xasprintf(ret, "%s/%s-reg.sock", o->registration_dir, o->driver_name);
}

void csi_sockets_init(struct csi_sockets *s)
{
        *s = (struct csi_sockets){
                .rundir = {.fd = -EBADF}, .door = -EBADF, .take = -EBADF, .gate = -EBADF};
}

void csi_sockets_done(struct csi_sockets *s)
{
        for (size_t i = 0; i < s->n_fds; i++)
                safe_close(s->fds[i]);
        safe_close(s->door);
        safe_close(s->take);
        safe_close(s->gate);
        rundir_done(&s->rundir);
        free(s->socket);
        free(s->registration);
        csi_sockets_init(s);
}

static int move_up(int *fd)
{
        int high = fcntl(*fd, F_DUPFD_CLOEXEC, 16);

        if (high < 0)
                return -errno;
        close(*fd);
        *fd = high;
        return 0;
}

/* Those are for what the worker finds its own at. */
static int away_from_low_numbers(struct csi_sockets *s, struct err *e)
{
        int *const others[] = {&s->door, &s->take, &s->gate};
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n_fds; i++)
                r = move_up(&s->fds[i]);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(others); i++)
                if (*others[i] >= 0)
                        r = move_up(others[i]);
        return r < 0 ? err_set(e, r, "no descriptors: %s", strerror(-r)) : 0;
}

int csi_sockets_add(struct csi_sockets *s, int fd)
{
        if (s->n_fds == ELEMENTSOF(s->fds)) {
                safe_close(fd);
                return -ENOBUFS;
        }
        s->fds[s->n_fds++] = fd;
        return move_up(&s->fds[s->n_fds - 1]);
}

static int gate_folder(const char *path, struct rundir *ret, struct err *e)
{
        _cleanup_free_ char *copy = strdup(path);

        return copy ? rundir_open_at(dirname(copy), true, ret, e)
                    : err_set(e, -ENOMEM, "out of memory");
}

static int bind_gate(const char *path, int *ret, struct err *e)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};

        int r = gate_folder(path, &d, e);
        return r < 0 ? r : rundir_listen_gate(&d, strrchr(path, '/') + 1, ret, e);
}

void csi_sockets_sweep_gate(const struct csi_options *o)
{
        _cleanup_rundir_ struct rundir d = {.fd = -EBADF};
        _cleanup_err_ struct err e = {0};

        if (gate_folder(o->gate, &d, &e) == 0)
                rundir_sweep_gate(&d, strrchr(o->gate, '/') + 1);
}

/* One that serves the driver has the gate as well, unless it starts its workers itself. */
static int take_over(const struct csi_options *o, bool gated, struct csi_sockets *s, struct err *e)
{
        _cleanup_err_ struct err why = {0};

        log_info("another akvfs serves %s: taking over from it", o->driver_name);
        int r = gated ? bind_gate(o->gate, &s->gate, &why) : 0;
        if (r < 0 && r != -EADDRINUSE) {
                err_move(e, &why);
                return r;
        }
        return away_from_low_numbers(s, e);
}

int csi_sockets_bind(const struct csi_options *o, bool gated, struct csi_sockets *s, struct err *e)
{
        _cleanup_close_ int lock = -EBADF;
        _cleanup_free_ char *name = NULL;

        int r = rundir_open(true, &s->rundir, e);
        if (r == 0)
                r = rundir_lock(&s->rundir, &lock, e);
        if (r < 0)
                return r;
        if (xasprintf(&name, "w-%s.sock", o->driver_name) < 0 ||
                xasprintf(&s->socket, "%s/%s", s->rundir.path, name) < 0 ||
                registration_socket(o, &s->registration) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        r = rundir_knock(&s->rundir, name, &s->take);
        if (r == 0) {
                lock = safe_close(lock); /* the gate may be in the same folder */
                return take_over(o, gated, s, e);
        }
        if (r == -EPERM) {
                err_set_cause(
                        e, ERR_LOCAL, r, "who serves %s is neither root nor this user", s->socket);
                err_hint(e, "end that process: whatever is at this path is no driver's");
                return r;
        }
        rundir_remove(&s->rundir, name);
        rundir_sweep(&s->rundir);
        free(s->socket);
        s->socket = NULL;
        r = rundir_listen_as(&s->rundir, name, &s->fds[0], &s->door, &s->socket, e);
        if (r < 0)
                return r;
        s->n_fds = 1;
        lock = safe_close(lock);
        r = gated ? bind_gate(o->gate, &s->gate, e) : 0;
        if (r == 0)
                r = listen_at(o->endpoint, &s->fds[1], e);
        s->n_fds += r == 0;
        /* Last: kubelet calls as soon as it sees it. */
        if (r == 0)
                r = listen_at(s->registration, &s->fds[2], e);
        s->n_fds += r == 0;
        return r < 0 ? r : away_from_low_numbers(s, e);
}

void csi_sockets_remove(const struct csi_options *o, const struct csi_sockets *s)
{
        const char *name = s->socket ? strrchr(s->socket, '/') + 1 : NULL;

        if (s->registration)
                (void)unlink(s->registration);
        (void)unlink(o->endpoint);
        if (name)
                rundir_remove(&s->rundir, name);
}
