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
};

#define KEEPER_WORKER_FD 3

/* Runs until the worker has ended and nothing is mounted any more. SIGTERM and SIGINT are passed on
 * to the worker, SIGHUP too. Returns the exit status for main(); when guarded, perhaps in a child
 * of the caller's process, long after that was killed. */
int keeper_run(const struct keeper_options *o);
