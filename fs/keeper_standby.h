/* The standby: the next worker, started before it is needed.
 *
 * What a worker does before it can serve (the dynamic linker, libraries, confinement, secret
 * memory) takes many times what taking over does, and readers would wait for it. So while something
 * is mounted one more worker stands ready and waits for the keeper's first message: it holds no
 * connection, no journal and no secret. When the worker dies this one is told what any new worker
 * is told, and serves. It is of the program that the worker is of: when that is replaced by plan
 * (fs/keeper_swap.c) the standby of the program before is ended. What a takeover costs with and
 * without it: tests/integration/stress/crash.c,
 * --no-standby.
 *
 * It is never spoken to otherwise; that it is ready (READY) is read once it is the worker. Its
 * socket ends with the keeper, and it with that.
 */
#pragma once

#include "fs/keeper_worker.h"

struct keeper_standby {
        const struct keeper_options *options;
        pid_t pid; /* 0: none */
        int fd;
        int64_t start_at; /* monotonic_ms(): not before */
        unsigned deaths;  /* of standbys in a row */
};

void keeper_standby_init(struct keeper_standby *s, const struct keeper_options *o);

/* Starts one of the worker's program (keeper_worker_fork()) when there is none and its time has
 * come. Failures are logged, and tried again later: a worker can always be started without. */
void keeper_standby_start(struct keeper_standby *s, int program);
/* Milliseconds until it may be started; -1 when there is one. */
int keeper_standby_timeout(const struct keeper_standby *s);

/* It becomes the worker, as keeper_worker_start() would make one. False when there is none. */
bool keeper_standby_promote(struct keeper_standby *s, struct keeper_worker *w);

/* waitpid(2) had its pid. Those that keep dying are started with growing pauses. */
void keeper_standby_died(struct keeper_standby *s);

/* Ends it and waits for that: it holds nothing that could keep it. */
void keeper_standby_end(struct keeper_standby *s);
/* In a process that was forked from its keeper: only the descriptor goes. */
void keeper_standby_forget(struct keeper_standby *s);
