/* Renamers: children of the keeper that put staged names in place, and do whatever else has to be
 * done inside a mount or may wait for its worker: unlink what is no more, have the kernel forget a
 * name or what it has of an inode, look at everything (fs/keeper_warm.h).
 *
 * A rename through a mount waits until the worker answers it, in D state, where not even SIGKILL
 * helps; so the keeper never does it itself and never waits for one that does. A renamer that has
 * answered is used again, for a fork costs more than the rename; one that hangs is left to itself
 * and another is started. A renamer holds the descriptor of a mount only while it renames in it.
 * One of a connection would keep a dead connection alive: only FORGET and INVALIDATE bring one, and
 * that is closed as soon as the kernel has taken the notification.
 */
#pragma once

#include <stddef.h>

#include "fs/keeper_mount.h"

struct renamer {
        int fd; /* requests out, results in; non-blocking */
        pid_t pid;
        bool busy;
        enum keeper_op op; /* while busy */
        uint64_t mount, seq;
};

/* Forks one. 0 or negative errno. */
int renamer_start(struct renamer *ret);

/* Hands it a rename; the result is readable from fd when it is done. */
int renamer_send(struct renamer *r, const struct keeper_mount *m, const struct keeper_msg *request);

/* 1 and *ret_result (0 or negative errno) when it has ended, -EAGAIN not yet, 0 when the renamer is
 * gone. */
int renamer_receive(struct renamer *r, int *ret_result);

/* Closes our end; an idle renamer exits then. It is reaped as any child. */
void renamer_done(struct renamer *r);
