/* The guardian: a child of the keeper that becomes the next keeper when this one is killed.
 *
 * It is a fork that does nothing but wait for the keeper's end. It holds no descriptor of a mount
 * or of a connection, only one end of a socket whose other end the worker has had from the start
 * (HEIR): through that the worker gives everything back (fs/keeper_recover.h). When the guardian
 * itself is killed the keeper starts another; when the keeper ends by its own will it ends the
 * guardian first.
 */
#pragma once

#include "base/util.h"

struct guardian {
        pid_t pid;   /* in the keeper: 0 when there is none */
        int heir_fd; /* in the keeper: the worker's end, for every worker that is started */
        int channel; /* in the guardian: its end */
        int keeper;  /* in the guardian: pidfd */
};

void guardian_init(struct guardian *g);

/* 0 in the keeper, 1 in the new guardian, negative errno. */
int guardian_fork(struct guardian *g);

/* In the guardian: returns when the keeper is dead, by whatever cause. */
void guardian_wait(struct guardian *g);

/* Ends it, in the keeper. */
void guardian_end(struct guardian *g);
