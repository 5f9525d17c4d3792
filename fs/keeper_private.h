/* Inside the keeper: fs/keeper.c has its loop, fs/keeper_heir.c how a guardian becomes one. */
#pragma once

#include "fs/keeper_bind.h"
#include "fs/keeper_guardian.h"
#include "fs/keeper_mount.h"
#include "fs/keeper_rename.h"
#include "fs/keeper_standby.h"

#define RENAMERS_MAX 64 /* at once, hanging ones included */

struct volume {
        uint64_t id;
        struct keeper_mount mount;
        bool gone; /* from the namespace; told to the worker */
        bool seen; /* in the mountinfo being read */
};

struct keeper {
        int signal_fd, mountinfo_fd;
        int area_fd;          /* the journal: held, never mapped */
        int64_t mountinfo_at; /* when to look at it again; 0: nothing has changed */
        int64_t mountinfo_last;
        bool resend, leaving;
        int64_t leave_by; /* when patience with the worker ends; 0: it was not told to end */
        bool killed;      /* that time has come once */
        pid_t spare;
        struct guardian guardian;
        bool is_guardian;   /* this process has become the guardian: see keeper_succeed() */
        int64_t started_at; /* keeper_now_ms() */
        unsigned deaths;    /* of keepers in a row that lived for less than HEALTHY_MS */
        struct keeper_worker worker;
        struct keeper_standby standby;
        struct volume *volumes;
        size_t n_volumes;
        struct renamer renamers[RENAMERS_MAX];
        size_t n_renamers;
        struct keeper_binds binds;
};

/* Signals and mountinfo. 0 or negative errno. */
int keeper_open_sources(struct keeper *k);

/* --- fs/keeper_watch.c --- */

/* Reads mountinfo, and tells the worker of mounts that somebody else took away. */
void keeper_on_mountinfo(struct keeper *k);
/* Marks the volume that a line of mountinfo is as seen: a mountinfo_fn. */
int keeper_mark_seen(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source);
/* The volume that a bind mount shows a part of, or 0; and what is said of it to the worker. For
 * keeper_binds_init(). */
uint64_t keeper_volume_of(void *userdata, int mnt_id, unsigned dev_minor, const char *fstype);
void keeper_tell_bound(void *userdata, uint64_t volume, uint64_t ino, bool bound);

/* --- fs/keeper_heir.c --- */

/* Closes everything but what the guardian lives on; nothing is unmounted. */
void keeper_release(struct keeper *k);
/* In a process that has become the guardian: waits for the keeper's death and takes its place. 0,
 * or negative errno when nothing can be taken over. */
int keeper_succeed(struct keeper *k);
