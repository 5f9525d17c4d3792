/* Mounting and unmounting for one volume, in the keeper.
 *
 * As root: users see a mount that is read-only, nosuid, nodev, noexec; beside it the keeper holds a
 * private, writable mount of the same superblock that is attached nowhere, through which a rotation
 * is renamed in. The visible mount is attached first and then cloned, for kernels before about 6.15
 * cannot clone a detached one.
 *
 * As an ordinary user: fusermount3 makes the one mount there is. Its superblock stays writable.
 *
 * Nothing here walks into a mount: a worker that hangs must not hang the keeper.
 */
#pragma once

#include "fs/keeper_proto.h"

struct keeper_mount {
        char *mountpoint;
        bool privileged;
        int fuse_fd;        /* the connection's; a duplicate goes to the worker */
        int private_fd;     /* the private mount (O_PATH); -EBADF for ordinary users */
        int mnt_id;         /* of the mount that users see */
        unsigned dev_minor; /* its superblock's: the kernel gives a mount's id to the next one */
        bool replaced;      /* what a driver that has ended had mounted there */
};

/* Fills *ret, which the caller empties with keeper_mount_done(). On failure nothing is left mounted
 * and detail (KEEPER_NAME_SIZE bytes) says what failed. below: NULL, or the one folder that may be
 * mounted in, as root; the mount point is made there, and removed again by keeper_mount_unmount()
 * (fs/keeper_folder.h). */
int keeper_mount_make(const struct keeper_msg *request, const char *below, struct keeper_mount *ret,
        char *detail);

/* A mount that another keeper made, from the descriptor of its connection and that of its private
 * mount; both are taken over on success. Where there is none (-EBADF) the private mount is made
 * once more. The visible one is what is on top at its place, else it is found in mountinfo (it may
 * be gone: mnt_id is then one that no mount has). No request is sent to whoever serves it. */
int keeper_mount_recover(const struct keeper_msg *returned, int fuse_fd, int private_fd,
        struct keeper_mount *ret, char *detail);

/* Takes the visible mount away: as umount(8) does (-EBUSY while files are open), or detached. 0
 * also when it is gone already. Descriptors stay open. */
int keeper_mount_unmount(
        const struct keeper_mount *m, const char *below, bool detach, char *detail);

/* Ends the connection whoever holds it: every request gets an error at once, also one that a worker
 * has read and does not answer. Needs the control file system of FUSE, at its usual place; -ENOENT
 * where that is not mounted or the connection is over, -ESTALE when this mount may be gone and its
 * number another's. */
int keeper_mount_abort(const struct keeper_mount *m);

/* Whether a line of mountinfo is this mount, and not a later one that was given its id. */
bool keeper_mount_is(
        const struct keeper_mount *m, int mnt_id, unsigned dev_minor, const char *fstype);

/* Opens (O_PATH) a folder below the root of a mount, "" for the root itself, without following a
 * symlink or leaving the mount: what is inside is told by the worker, which could point a root
 * process anywhere. A descriptor or negative errno. */
int keeper_mount_folder(int root, const char *path);

/* Closes the descriptors; with the worker's closed too, that ends the connection. */
void keeper_mount_done(struct keeper_mount *m);
