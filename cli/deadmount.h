/* Mounts whose processes are gone: kill -9 of all of them at once, or a machine out of memory. The
 * kernel keeps such a mount, answers ENOTCONN to whoever looks, and nothing can be mounted in its
 * place by mistake, for our own check refuses a folder that is taken. */
#pragma once

#include "base/err.h"

/* Takes away the topmost mount at `path`, by umount2(2) or, for ordinary users, by fusermount3;
 * lazily when it is in use. `path` as mountpoint_resolve() gave it. */
int deadmount_remove(const char *path, struct err *e);

/* Removes what is mounted on `path` as long as it is a mount of ours that nobody will ever answer
 * for, and says so on standard error. 0 when nothing (more) was to be done, also when a mount there
 * is alive, or stands still: that is for whoever looks next to say.
 *
 * Whether it is dead is asked of the mount itself, by a child: a live one whose worker does not
 * answer would hold up the caller. It is given DEADMOUNT_PATIENCE_MS. */
int deadmount_clear(const char *path, struct err *e);

#define DEADMOUNT_PATIENCE_MS 2000
