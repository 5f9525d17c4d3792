/* Workers that come from elsewhere: from another container, which no fork of the keeper's reaches.
 *
 * A keeper that is `gated` (fs/keeper.h) starts no worker. It listens at its gate, and whoever
 * comes becomes the next worker, as one that was forked for an upgrade: it is given what a worker
 * inherits, says READY, the one before is told to make way (fs/keeper_swap.c), and it is told what
 * any new worker is told. From then on nothing tells it from a child but that its end shows on a
 * pidfd and that nobody waits for it.
 *
 *   BACK     with the other end of the heir that the worker before had, when a keeper was killed:
 *            what that worker held comes back through it, as to a guardian (fs/keeper_heir.c)
 *   COME     with an heir of its own, for the keeper to hand on (HEIR). With AGAIN nobody's place
 *            is taken: while a worker serves it is told STAY, and comes another time
 *   <- PASS, PREPARE: it becomes a worker (keeper_worker_exec), and the socket its KEEPER_WORKER_FD
 *
 * The heir's other end stays with the process that started the worker (cli/csi_pod.c) and outlives
 * a keeper with all its children, guardians too, as the end of a container is.
 *
 * Who comes is root or the keeper's own user, in the kernel's words (SO_PEERCRED), before anything
 * is read. A worker that has given up root cannot come back. Which process it is says the sender of
 * COME (SCM_CREDENTIALS); the keeper has to see that process, for it has to be able to end it: its
 * pid namespace is the keeper's, or below that. Whoever waits for the process holds the socket too,
 * and closes it before it does, so that the number is its own as long as nobody has hung up.
 *
 * Without a worker, what asks for a name or a byte waits ABSENT_MS, and is then answered EIO by the
 * spare (fs/keeper_spare.h) until one has come.
 */
#pragma once

#include "fs/keeper_worker.h"

struct keeper;

/* A container is started again within a second or so, unless it ends again and again. */
#define ABSENT_MS 10000

/* --- the keeper's side --- */

/* Whether somebody may come in now. */
bool keeper_gate_is_open(const struct keeper *k);
void keeper_on_gate(struct keeper *k);               /* somebody knocks */
void keeper_gate_hear(struct keeper *k);             /* who has come in speaks */
void keeper_gate_lost(struct keeper *k, int status); /* the worker ended */
int keeper_gate_timeout(const struct keeper *k);     /* milliseconds; -1: never */
void keeper_gate_late(struct keeper *k);             /* nobody has come */
/* A keeper that was told to end and holds nothing any more: whoever is being answered is answered
 * first, and the worker makes way for nobody. */
void keeper_gate_end(struct keeper *k);
/* What was adopted from another keeper goes on with this one. */
void keeper_gate_keep(struct keeper *k);

/* --- the worker's side --- */

/* What the keeper passed. */
struct keeper_passed {
        int fds[KEEPER_PASS_MAX];
        size_t n;
};

/* Says BACK (back >= 0) and COME on a socket that blocks, and waits for what is passed. Both
 * descriptors stay the caller's. 0; -EALREADY: another worker serves; -EPROTONOSUPPORT,
 * -ECONNRESET, and detail (KEEPER_NAME_SIZE bytes) for people. */
int keeper_come(
        int socket, int heir, int back, bool again, struct keeper_passed *ret, char *detail);
