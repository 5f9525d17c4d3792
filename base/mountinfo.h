/* /proc/self/mountinfo and the ids in it, read without touching any mounted file system.
 *
 * Used by the keeper, which must never walk into a mount of its own worker. Format: proc(5).
 */
#pragma once

#include "base/util.h"

/* Called for each line; path is unescaped. Return non-zero to stop: passed through. */
typedef int (*mountinfo_fn)(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source);
int mountinfo_walk(mountinfo_fn fn, void *userdata);

/* The same with the path inside the file system that is mounted there: "/" but for bind mounts. */
typedef int (*mountinfo_root_fn)(void *userdata, int mnt_id, unsigned dev_minor, const char *root,
        const char *path, const char *fstype);
int mountinfo_walk_roots(mountinfo_root_fn fn, void *userdata);

/* The mount a descriptor stands on, from /proc/self/fdinfo: sends no request to its file system. */
int mountinfo_id_of_fd(int fd);

/* Whether that mount is attached in this namespace: 1, 0 or negative errno. */
int mountinfo_attached(int mnt_id);
