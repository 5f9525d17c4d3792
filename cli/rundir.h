/* The control directory: where workers of one user listen.
 *
 * Root's is /run/akvfs; others have $XDG_RUNTIME_DIR/akvfs (when that folder is theirs), else
 * /tmp/akvfs-UID. It belongs to the user with mode 0700, and that is checked on the opened
 * directory: in /tmp anybody could have made it first. A worker's socket is w-<random>.sock, and
 * its keeper's door (fs/keeper_handover.h) k-<random>.sock with the same random part; `lock` is
 * held (flock) by whoever looks for a worker to share or starts one, so that two first mounts do
 * not start two.
 */
#pragma once

#include "base/err.h"

struct rundir {
        char *path;
        int fd; /* O_PATH-like directory descriptor */
};

/* Opens it; with `create` makes it first. -ENOENT when it is not there: no worker has run. */
int rundir_open(bool create, struct rundir *ret, struct err *e);
/* The same below a given folder, for tests. */
int rundir_open_at(const char *path, bool create, struct rundir *ret, struct err *e);
void rundir_done(struct rundir *d);
#define _cleanup_rundir_ _cleanup_(rundir_done)

/* A listening socket of that name in any folder, for its owner alone; SOCK_STREAM or
 * SOCK_SEQPACKET, which has the kernel say who speaks (SO_PASSCRED), non-blocking. The umask is
 * changed meanwhile, so: before there are threads. -EADDRINUSE: the name is taken. */
int socket_listen_at(int dir_fd, const char *name, int type, int *ret_fd);

/* Waits for the lock; closing *ret_fd releases it. */
int rundir_lock(const struct rundir *d, int *ret_fd, struct err *e);

/* Names of the sockets in it, NULL-terminated; free with rundir_names_free(). */
int rundir_sockets(const struct rundir *d, char ***ret);
void rundir_names_free(char **names);

/* A new listening socket and its full path, and the door beside it. Hold the lock. */
int rundir_listen(
        const struct rundir *d, int *ret_fd, int *ret_door, char **ret_path, struct err *e);
/* The same with a name of the caller's own, "w-NAME.sock", that nobody listens on. */
int rundir_listen_as(const struct rundir *d, const char *name, int *ret_fd, int *ret_door,
        char **ret_path, struct err *e);
/* The door that belongs to a worker's socket, by the name or path of that. -EINVAL, -ENOMEM. */
int rundir_door_name(const char *socket, char **ret);
/* A listening SOCK_SEQPACKET socket of that name, root's or the user's alone, in the place of one
 * that nobody listens on. -EADDRINUSE: somebody does. */
int rundir_listen_gate(const struct rundir *d, const char *name, int *ret_fd, struct err *e);
/* Removes such a one that nobody listens on. */
void rundir_sweep_gate(const struct rundir *d, const char *name);
/* A connection to such a one, that blocks. -EPERM as below; -EAGAIN: too many wait there. */
int rundir_dial(const struct rundir *d, const char *name, int *ret_fd);
/* A connection to it; blocks. -ECONNREFUSED, -ENOENT: that keeper is gone. -EPERM: who listens is
 * neither root nor this user. */
int rundir_knock(const struct rundir *d, const char *socket, int *ret_fd);

/* A connection to a socket of the directory, made non-blocking. -ECONNREFUSED: nobody listens any
 * more, and it may be removed (under the lock). */
int rundir_connect(const struct rundir *d, const char *name, int *ret_fd);
/* Removes the sockets that nobody listens on, left by processes that were killed. Hold the lock. */
void rundir_sweep(const struct rundir *d);
void rundir_remove(const struct rundir *d, const char *name); /* and the door beside it */
