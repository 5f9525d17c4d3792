/* Bind mounts of files of ours (kubelet's `subPath`), as mountinfo shows them.
 *
 * Which inode a bind shows is learned by statx(2) with AT_STATX_DONT_SYNC, which asks its file
 * system nothing. But the way to the mount point may lead through anything, so a disposable child
 * does it, without any descriptor of a connection; nobody waits for it. Only mounts of this
 * process's own mount namespace are seen.
 */
#pragma once

#include "base/util.h"

/* The volume that this mount shows a part of, 0 for none (or when it is the volume's own mount). */
typedef uint64_t (*keeper_binds_volume_fn)(
        void *userdata, int mnt_id, unsigned dev_minor, const char *fstype);
typedef void (*keeper_binds_tell_fn)(void *userdata, uint64_t volume, uint64_t ino, bool bound);

struct keeper_bind;
struct keeper_binds {
        int fd; /* what the child has learned, while there is one; else -EBADF */
        struct keeper_bind *list;
        size_t n;
        keeper_binds_volume_fn volume;
        keeper_binds_tell_fn tell;
        void *userdata;
};

void keeper_binds_init(struct keeper_binds *b, keeper_binds_volume_fn volume,
        keeper_binds_tell_fn tell, void *userdata);
void keeper_binds_read(struct keeper_binds *b);    /* mountinfo has changed */
void keeper_binds_receive(struct keeper_binds *b); /* fd is readable */
void keeper_binds_tell(struct keeper_binds *b);    /* everything, to a new worker */
void keeper_binds_done(struct keeper_binds *b);
