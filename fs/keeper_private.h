/* Inside the keeper: fs/keeper.c has its loop, fs/keeper_heir.c how a guardian becomes one,
 * fs/keeper_handover.h how one follows another. */
#pragma once

#include "fs/keeper_bind.h"
#include "fs/keeper_guardian.h"
#include "fs/keeper_handover.h"
#include "fs/keeper_mount.h"
#include "fs/keeper_rename.h"
#include "fs/keeper_standby.h"
#include "fs/keeper_store.h"

#define RENAMERS_MAX 64 /* at once, hanging ones included */

/* What a worker that is to make way has for it; then it is killed. Longer than it takes itself for
 * who still waits for an answer (cli/worker.c). */
#define SWAP_MS 15000

struct volume {
        uint64_t id;
        struct keeper_mount mount;
        bool stored; /* its connection is with the service manager */
        bool gone;   /* from the namespace; told to the worker */
        bool seen;   /* in the mountinfo being read */
};

struct keeper {
        int signal_fd, mountinfo_fd;
        int area_fd;            /* the journal: held, never mapped */
        int64_t mountinfo_at;   /* when to look at it again; 0: nothing has changed */
        int64_t mountinfo_next; /* and not before that */
        bool resend, leaving;
        int64_t leave_by;    /* when patience with the worker ends; 0: it was not told to end */
        int64_t leave_limit; /* and whatever it does meanwhile */
        bool killed;         /* that time has come once */
        bool bidden;         /* `lasting`, and told to end by SIGTERM */
        pid_t spare;
        struct guardian guardian;
        bool is_guardian;   /* this process has become the guardian: see keeper_succeed() */
        int64_t started_at; /* monotonic_ms() */
        unsigned deaths;    /* of keepers in a row that lived for less than HEALTHY_MS */
        struct keeper_options
                options; /* as the caller of keeper_run() has them, or as taken over */
        int pass_fds[KEEPER_PASS_MAX]; /* those of a keeper that has taken over */
        struct keeper_worker worker;
        struct keeper_standby standby;
        struct keeper_worker next; /* started, and waits for the one before to make way */
        int previous;              /* the program of the worker before; -EBADF: this very one */
        int64_t swap_by;           /* when patience with that ends; 0: it was not told to */
        uint32_t area_version;     /* of the journal */
        struct keeper_upgrade upgrade;
        struct keeper_store store;
        bool parting; /* leaves its mounts to what is stored, as soon as the worker has ended */
        struct volume *volumes;
        size_t n_volumes;
        struct volume **index; /* of them by device, while mountinfo is being read */
        size_t n_indexed;
        struct renamer renamers[RENAMERS_MAX];
        size_t n_renamers;
        struct keeper_binds binds;
};

/* Signals and mountinfo. 0 or negative errno. */
int keeper_open_sources(struct keeper *k);
struct volume *keeper_find(struct keeper *k, uint64_t id); /* NULL: there is none */
void keeper_answer(struct keeper *k, const struct keeper_msg *request, enum keeper_op op,
        int result, const char *detail, int fd);
void keeper_end_spare(struct keeper *k);

/* --- fs/keeper_clear.c --- */

bool keeper_is_taken(const struct keeper *k, const char *path); /* a volume's mount point */
void keeper_on_clear(struct keeper *k, const struct keeper_msg *request);

/* --- fs/keeper_leave.c --- */

void keeper_leave(struct keeper *k);              /* the worker was told to end */
void keeper_leave_progress(struct keeper *k);     /* something has been taken away */
int keeper_leave_timeout(const struct keeper *k); /* milliseconds; -1: never */
/* Its time has come. False when the worker is to be left behind. */
bool keeper_leave_late(struct keeper *k);
/* Of a worker that is gone. */
void keeper_unmount_all(struct keeper *k);

/* --- fs/keeper_renames.c --- */

void keeper_on_rename(struct keeper *k, const struct keeper_msg *request);
void keeper_on_invalidate(struct keeper *k, const struct keeper_msg *request, int fuse_fd);
void keeper_on_renamer(struct keeper *k, struct renamer *r);
/* Waits for all that are under way. Those that take longer are answered with EINTR, after which the
 * worker plans them again, and their renamers are left to themselves. */
void keeper_settle_renames(struct keeper *k, int timeout_ms);

/* --- fs/keeper_swap.c --- */

/* What a worker gets to serve with: a descriptor, or negative errno (fs/keeper_resend.h). */
int keeper_worker_end(const struct keeper *k, const struct keeper_mount *m);
void keeper_tell_heir(struct keeper *k);
int keeper_start_worker(struct keeper *k);
void keeper_restart_worker(struct keeper *k); /* after its pause */
/* next->fd is readable. 1 when it has said READY, 0 not yet, negative errno and detail when it
 * never will. */
int keeper_hear_next(struct keeper_worker *next, char *detail);
/* Whether it can read a journal of that version, if one is held. 0, or -EPROTONOSUPPORT. */
int keeper_check_next(const struct keeper_worker *next, uint32_t journal, bool held, char *detail);
/* k->next is ready: the worker is told to make way, or has. */
void keeper_swap(struct keeper *k);
void keeper_promote(struct keeper *k); /* it has: k->next becomes the worker, and serves */
/* The new worker died before it served: whoever comes next is of the program before. */
void keeper_revert(struct keeper *k);
int keeper_swap_timeout(const struct keeper *k); /* milliseconds; -1: never */
void keeper_swap_late(struct keeper *k);

/* --- fs/keeper_watch.c --- */

void keeper_mountinfo_changed(struct keeper *k);
/* Reads mountinfo, and tells the worker of mounts that somebody else took away. */
void keeper_on_mountinfo(struct keeper *k);
void keeper_look(struct keeper *k); /* marks the volumes in it as seen, and no others */
/* The volume that a bind mount shows a part of, or 0, while mountinfo is being read; and what is
 * said of it to the worker. For keeper_binds_init(). */
uint64_t keeper_volume_of(void *userdata, int mnt_id, unsigned dev_minor, const char *fstype);
void keeper_tell_bound(void *userdata, uint64_t volume, uint64_t ino, bool bound);

/* --- fs/keeper_heir.c --- */

/* Closes everything but what the guardian lives on; nothing is unmounted. */
void keeper_release(struct keeper *k);
/* In a process that has become the guardian: waits for the keeper's death and takes its place. 0,
 * or negative errno when nothing can be taken over. */
int keeper_succeed(struct keeper *k);
