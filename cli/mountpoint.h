/* Is this a place to mount on? Everything that can be known before anything is fetched, each with
 * its own message. */
#pragma once

#include "base/err.h"

/* The name as the kernel lists it: absolute, without symlinks. Works for a dead FUSE mount too,
 * whose own folder cannot be looked at; nothing inside a mount at `dir` is touched. */
int mountpoint_resolve(const char *dir, char **ret, struct err *e);

/* The class that akvfs shows there, dead or alive: 1 with its name (caller frees), 0 when nothing
 * or something else is mounted on top, negative errno. `path` as mountpoint_resolve() gave it. */
int mountpoint_class(const char *path, char **ret);

int mountpoint_check(const char *path, struct err *e);

/* What mounting needs of this machine and user: /dev/fuse, CAP_SYS_ADMIN for root, fusermount3 and
 * (for allow_other) /etc/fuse.conf for others. */
int mountpoint_check_machine(bool allow_other, struct err *e);

/* Full name of fusermount3. -ENOENT. Caller frees. */
int mountpoint_fusermount(char **ret);
/* `user_allow_other` stands in the text of fuse.conf. */
bool mountpoint_fuse_conf_allows(const char *text);
