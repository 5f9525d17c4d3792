/* Shared by fs/fs.c (the process's one file-system side) and fs/mount.c (one mount). */
#pragma once

#include "fs/dialect.h"
#include "fs/fs.h"
#include "fs/keeper_client.h"
#include "fs/notifier.h"
#include "fs/rotation.h"
#include "fs/server.h"

struct fs {
        struct loop *loop;
        struct keeper_client *keeper;
        struct dialects *dialects;
        struct server *server;
        struct notifier *notifier;
        struct fs_mount *mounts;
        uint64_t last_id;
        uint32_t epoch; /* in node ids and in the numbers of renames: differs between workers */
        uint64_t worker_starts; /* which one this worker is, as the keeper counts */
        unsigned n_warming;     /* looks under way: fs/mount_warm.c */
        uint32_t last_warm;
        bool keeper_gone;
        bool resend;
        struct snapshot *snapshot;
        struct fs_clearing *clearings; /* asked of the keeper */
        uint64_t last_clearing;
        void (*leave)(void *userdata);
        void *leave_userdata;
        /* The snapshot is written anew, without what is over, some time after outdated_fd said so.
         */
        int outdated_fd;
        struct loop_io *outdated;
        struct loop_timer *tidy;
};

struct fs_mount *fs_mount_next(struct fs_mount *m);
uint64_t fs_mount_id(const struct fs_mount *m);
bool fs_mount_is_adopted(const struct fs_mount *m); /* and nobody has attached to it yet */
void fs_mount_on_answer(struct fs_mount *m, const struct keeper_msg *answer, int fd);
/* The keeper died, and its heir has taken over what fs_mount_give_back() gave it. What was asked of
 * the dead one is asked again. */
void fs_mount_on_heir(struct fs_mount *m);
/* Tells the heir of this mount; 1 when there is something to tell, 0, or negative errno. */
int fs_mount_give_back(struct fs_mount *m);
/* No request of it is read any more. */
void fs_mount_leave(struct fs_mount *m);
/* Nobody is left who could unmount on our behalf. */
void fs_mount_on_keeper_gone(struct fs_mount *m);

/* --- for fs/adopt.c --- */

/* An earlier worker's mount, from its MOUNT record; not on the list yet. */
int fs_mount_restore(
        struct fs *fs, uint64_t id, const struct journal_record *record, struct fs_mount **ret);
/* Any other record of it. */
int fs_mount_replay(struct fs_mount *m, const struct journal_record *record);
/* Takes fd over and puts the mount on the list, written down anew. On failure it is still the
 * caller's to drop. -ENODATA when it was never ready. 1: it is on the list but ends by itself, and
 * the keeper has to unmount it. */
int fs_mount_resume(struct fs_mount *m, int fd);
/* Answers the kernel from now on, what the last worker left unanswered included. */
void fs_mount_serve(struct fs_mount *m);
void fs_mount_drop(struct fs_mount *m); /* one that was not resumed */

/* --- fs/adopt.c --- */

struct adoption;
/* Reads what the keeper hands over at the start. */
int fs_adopt(struct fs *fs, int keeper_fd, struct adoption **ret, struct err *e);
/* Takes the mounts over; frees the adoption. */
void fs_adopt_serve(struct fs *fs, struct adoption *a);
void fs_adoption_free(struct adoption *a);
/* The heir of the keeper that started this worker; the caller's now. */
int fs_adopt_heir(struct adoption *a);
