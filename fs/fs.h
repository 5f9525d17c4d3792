/* Mounted classes: what cli/ and csi/ use of this folder.
 *
 * fs_start() takes the socket to the keeper (fs/keeper.h), which mounts, renames and unmounts on
 * the worker's behalf, and starts the few threads that answer the kernel for all mounts. A struct
 * fs_mount shows one view at one mount point. Everything here is called on the loop's thread.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "cache/view.h"

struct fs;
struct fs_mount;

/* Waits for the keeper's word, which a worker that is held ready may never get. keeper_fd is taken
 * over. -ECANCELED: the keeper ended, and no worker was wanted. */
int fs_start(struct loop *l, int keeper_fd, struct fs **ret, struct err *e);
pid_t fs_keeper_pid(const struct fs *fs); /* now: another one after a keeper was killed */
void fs_stop(struct fs *fs);              /* after the last mount is gone; joins the threads */

/* A worker that is to take over by plan waits. fn finishes what it has promised to anybody, calls
 * fs_leave() and ends the process; it is killed when that takes too long. Without fn nothing is
 * done about it. */
void fs_on_leave(struct fs *fs, void (*fn)(void *userdata), void *userdata);
/* Answers every request that was read and reads no more; nothing is unmounted, and the journal says
 * all that is needed. Nothing of this header may be called afterwards. */
void fs_leave(struct fs *fs);

#define FS_GRACE_MAX (60 * USEC_PER_SEC)
#define FS_MOUNTS_MAX \
        4096 /* at once, those on their way out included; beyond it `mounted` says so */

struct fs_mount_config {
        const char *mountpoint; /* absolute; an empty directory */
        const char *fsname;     /* first field of mountinfo's source: "akvfs:CLASS" */
        uid_t uid;
        gid_t gid;
        mode_t mode;                 /* of files without filePermission: 0644 */
        bool allow_other;            /* root's default */
        bool privileged;             /* mount(2) and a private mount; else fusermount3 */
        const char *selinux_context; /* the label of all of it (base/selinux.h), or NULL; only with
                                        `privileged` */
        bool xattr;                  /* user.akvfs.* attributes */
        bool warm;    /* names, attributes and pages are brought into the kernel's caches after
                         the mount and each change, so that no process is needed to read; only
                         with `privileged` and without `audit`, which answer each open */
        bool audit;   /* each open is logged, no byte stays in the page cache (fs/audit.h) */
        usec_t grace; /* how long a generation outlives a rotation (fs/rotation.h); FS_GRACE_MAX
                         when it is 0 or more than that */
        struct sec *state; /* what the caller needs to go on with this mount in a later worker; its
                              own business, may be secret; a reference is taken. NULL for none */
};

struct fs_mount_events {
        /* Once, after fs_mount_new(): error NULL when readers can use it. On error the mount is
         * already gone and must not be used any more (it frees itself after the call). */
        void (*mounted)(void *userdata, const struct err *error);
        /* Once, after fs_mount_end() or when somebody else unmounted it: nothing is left, it frees
         * itself after the call. error says what had to be forced, or NULL. Both come from the loop
         * itself, never from within a function of this header; fs_stop() may be called in them. */
        void (*gone)(void *userdata, const struct err *error);
};

/* Shows the view's files (all there: view is ready). cfg's strings are copied. */
int fs_mount_new(struct fs *fs, const struct fs_mount_config *cfg, struct view_file *const *files,
        size_t n_files, const struct fs_mount_events *events, void *userdata, struct fs_mount **ret,
        struct err *e);

/* New versions of files; each is put in place by a rename that watchers see. Later versions of a
 * file overtake earlier ones that are still waiting. */
void fs_mount_update(struct fs_mount *m, struct view_file *const *files, size_t n_files);

/* What was handed over is not all in place, or not all warm, yet. A rename that hangs keeps it so:
 * bound the wait. */
bool fs_mount_busy(const struct fs_mount *m);

/* Files that are no longer part of the class: gone for the next look-up, open descriptors keep
 * theirs. */
void fs_mount_remove(struct fs_mount *m, const char *const *paths, size_t n);

/* The same, but from now on these names are refused (EACCES) instead of not there, until they are
 * updated or removed. */
void fs_mount_deny(struct fs_mount *m, const char *const *paths, size_t n);

/* What -o xattr tells of a file's last poll; error NULL when it succeeded. */
void fs_mount_set_state(
        struct fs_mount *m, const char *path, int64_t refreshed_at, const char *error);

/* Unmounts: tried as umount(8) does, then detached, so that it always ends also with readers. */
void fs_mount_end(struct fs_mount *m);

/* What an akvfs that has died left at a volume's path is taken away: its mount, and the folder. For
 * a keeper that mounts below one folder (keeper_options.below). done is called once, never from
 * within, with NULL also when there was nothing; before fs_stop() is called all are to be over. */
typedef void (*fs_cleared_fn)(void *userdata, const struct err *error);
int fs_clear(struct fs *fs, const char *path, fs_cleared_fn done, void *userdata);

struct fs_mount_stats {
        uint64_t requests;   /* that the kernel sent for this mount */
        uint64_t refused;    /* of them, attempts to change something */
        uint64_t generation; /* rotations applied, 1 for the first content */
        pid_t keeper_pid;
        uint64_t worker_starts; /* 1 for a worker that had to take nothing over */
        bool replaced;          /* mounted in the place of what a driver that has ended had mounted
                                   at the path of a volume; known to the worker that did it */
};
void fs_mount_get_stats(const struct fs_mount *m, struct fs_mount_stats *ret);

/* --- taking over --- */

/* Mounts that an earlier worker left, which are being served since fs_start(); at most n of them
 * are written to ret. Returns how many there are. Each has to be attached or ended at once. */
size_t fs_adopted(struct fs *fs, struct fs_mount **ret, size_t n);
const struct sec *fs_mount_state(const struct fs_mount *m); /* borrowed; NULL when there was none */
/* From now on `gone` is told to this owner; `mounted` never is, for the mount is there. */
void fs_mount_attach(struct fs_mount *m, const struct fs_mount_events *events, void *userdata);
/* Brings what is shown up to date: only files that differ are rotated, and those that are not among
 * these are removed. Whether there was anything to do. */
bool fs_mount_sync(struct fs_mount *m, struct view_file *const *files, size_t n_files);
/* What is shown now: *ret is a list that the caller frees, of references that it drops. */
size_t fs_mount_files(const struct fs_mount *m, struct view_file ***ret);
