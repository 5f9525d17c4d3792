/* Bind mounts of files of ours (kubelet's `subPath`), as mountinfo shows them.
 *
 * Which inode a bind shows is learned by statx(2) with AT_STATX_DONT_SYNC, which asks its file
 * system nothing. But the way to the mount point may lead through anything, so a disposable child
 * does it, without any descriptor of a connection; nobody waits for it. One that hangs is given up
 * after BINDS_PATIENCE_MS together with the bind that it hangs at; the others are looked at again.
 * Only mounts of this process's own mount namespace are seen.
 */
#pragma once

#include "base/util.h"

/* The volume that this mount shows a part of, 0 for none (or when it is the volume's own mount). */
typedef uint64_t (*keeper_binds_volume_fn)(
        void *userdata, int mnt_id, unsigned dev_minor, const char *fstype);
typedef void (*keeper_binds_tell_fn)(void *userdata, uint64_t volume, uint64_t ino, bool bound);

/* The inode at path when that is a file of mount mnt_id, else 0; in the child. */
typedef uint64_t (*keeper_binds_look_fn)(const char *path, int mnt_id);

#define BINDS_PATIENCE_MS 5000
#define BINDS_MAX 4096 /* beyond that they do not follow, and the log says so, once */

struct keeper_bind;
struct keeper_binds {
        int fd; /* what the child has learned, while there is one; else -EBADF */
        pid_t child;
        int looking;        /* the mount that it is at, -1 when it has seen all */
        unsigned deaths;    /* of children that had not */
        int64_t give_up_at; /* monotonic_ms(), while there is a child */
        int patience_ms;
        struct keeper_bind *list;
        size_t n, max;
        bool full;                 /* said in the log; again when half of them have gone since */
        keeper_binds_look_fn look; /* statx(2) */
        keeper_binds_volume_fn volume;
        keeper_binds_tell_fn tell;
        void *userdata;
};

void keeper_binds_init(struct keeper_binds *b, keeper_binds_volume_fn volume,
        keeper_binds_tell_fn tell, void *userdata);
void keeper_binds_read(struct keeper_binds *b);    /* mountinfo has changed */
void keeper_binds_receive(struct keeper_binds *b); /* fd is readable */
/* Milliseconds until patience with the child ends, -1 when there is none; and what to do then. */
int keeper_binds_timeout(const struct keeper_binds *b);
void keeper_binds_give_up(struct keeper_binds *b);
void keeper_binds_tell(struct keeper_binds *b); /* everything, to a new worker */
/* The child is not wanted any more. */
void keeper_binds_stop(struct keeper_binds *b);
/* Forgets everything; the child goes on, for this may be the copy that a guardian was forked with.
 */
void keeper_binds_done(struct keeper_binds *b);
