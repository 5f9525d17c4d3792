/* The keeper: the small privileged process that mounts and renames for the worker.
 *
 * It parses nothing but the fixed-size messages of fs/keeper_proto.h, holds no secret, and uses
 * nothing of this tree but base/.
 */
#pragma once

#include "base/util.h"

struct keeper_options {
        const char *const
                *worker_argv; /* the worker's command line, executed from /proc/self/exe */
        const int *pass_fds;  /* descriptors the worker inherits as 4, 5, ... (3 is the
                                 socket to the keeper) */
        size_t n_pass_fds;
        bool drop;        /* the worker runs as worker_uid and worker_gid (fs/keeper_drop.h), */
        uid_t worker_uid; /* else as who runs the keeper */
        gid_t worker_gid;
        bool unconfined;         /* the worker keeps every privilege: for one that plays other parts
                                    than a worker's, in tests */
        bool guarded;            /* a guardian takes over when the keeper is killed */
        bool standby;            /* the next worker is held ready (fs/keeper_standby.h) */
        int parent_death_signal; /* for that next keeper too; 0: none */
        /* For a keeper that makes way for another one (fs/keeper_handover.h): */
        const char *const *keeper_argv; /* the next keeper's command line; NULL: it never does */
        int door_fd;       /* where it is asked to, a listening SOCK_SEQPACKET socket; 0: nowhere */
        const char *store; /* where a service manager keeps descriptors ($NOTIFY_SOCKET), so that
                              mounts outlive all of us (fs/keeper_store.h); NULL: nowhere */
        const char *below; /* volumes are mounted in folders below this one only, which the keeper
                              makes and removes (fs/keeper_folder.h); NULL: anywhere */
        bool lasting; /* a worker is wanted also when nothing is mounted, and the first SIGTERM is
                         the worker's alone: what is mounted stays until it is unmounted */
        bool gated;   /* no worker is started: they come from elsewhere (fs/keeper_gate.h), and the
                         first SIGTERM is none of theirs */
        int gate_fd;  /* to this listening SOCK_SEQPACKET socket, whose SO_PASSCRED was set before
                         anybody could connect; 0: the one that take_fd brings */
        int leave_ms; /* patience with a worker that was told to end and takes nothing away; 0: ten
                         seconds (fs/keeper_leave.c) */
        int take_fd; /* where another keeper hands everything over to this one, which has nothing of
                        its own to begin with, pass_fds and door_fd neither; 0: nobody does */
};

#define KEEPER_WORKER_FD 3
#define KEEPER_TAKE_FD 3 /* where keeper_argv finds take_fd */
#define KEEPER_PASS_MAX 8

/* What keeper_run() returns when another keeper has taken everything over. */
#define KEEPER_HANDED_OVER 75

/* What a keeper's process is called, an heir's too (PR_SET_NAME(2const), at most 15 bytes). */
#define KEEPER_COMM "akvfs-keeper"

/* Readers wait for these processes: a busy machine should not make them wait in line behind whoever
 * keeps it busy. And each mount is a descriptor or two, of which the usual limit allows 1,024. What
 * is not allowed is left as it is. keeper_run() does it by itself, and workers inherit it. */
void keeper_raise_limits(void);

/* Runs until the worker has ended and nothing is mounted any more. SIGTERM and SIGINT are passed on
 * to the worker, SIGHUP too. SIGUSR1, where there is a store, ends worker and keeper and leaves the
 * mounts to whoever gets what is stored: KEEPER_HANDED_OVER. Returns the exit status for main();
 * when guarded, perhaps in a child of the caller's process, long after that was killed. */
int keeper_run(const struct keeper_options *o);
