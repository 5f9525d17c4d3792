/* One keeper makes way for another, started from a new program, and nobody who reads can tell.
 *
 * The keeper listens on a socket of its own, the door. Root and the keeper's own user may knock,
 * which the kernel vouches for (SO_PEERCRED), and nobody else is read from; the worker of root's
 * mounts is neither. Two kinds of visitors come:
 *
 *   UPGRADE  from `akvfs upgrade`, with the new program as a descriptor. The keeper looks at what
 *            that is (keeper_program_check), executes it as the next keeper, and then goes on with
 *            this one as if it had come by itself.
 *   TAKE     from the next keeper, wherever that was started: it may live in another container. No
 *            process id and no path but of mount points is exchanged.
 *
 * From TAKE on, in the order of fs/keeper_proto.h: the next keeper is given what a worker inherits,
 * and starts one from its own program. Until that has said READY the old keeper does all that it
 * ever does. Then it stops: renames that are under way are waited for (SETTLE_MS), what the worker
 * was still to be told is told, and every descriptor is handed over, one a message, so that no
 * limit on descriptors in flight is met. Nothing is closed before the other side has said how many
 * it has (TAKEN) and was told LEAVE. Up to there whatever goes wrong (a program that ends, another
 * version of protocol or journal, silence) leaves the old keeper serving, and whoever asked is
 * told why.
 *
 * A next keeper that has said TAKEN and finds the other end closed without STAY goes on: the old
 * one is dead. Its guardian, if it lives, is made harmless by the next HEIR message to the worker.
 *
 * The worker's socket is among the descriptors, so what the worker says meanwhile waits in it. Only
 * then is the worker itself replaced (fs/keeper_swap.c).
 */
#pragma once

#include <poll.h>

#include "fs/keeper_proto.h"

struct keeper;

enum keeper_upgrade_state {
        UPGRADE_NONE,
        UPGRADE_ASKED,    /* somebody is at the door and has not spoken yet */
        UPGRADE_STARTING, /* the next keeper, or with WORKER_ALONE the next worker, is */
        UPGRADE_SWAPPING, /* the old worker is to make way for the new one */
};

struct keeper_upgrade {
        enum keeper_upgrade_state state;
        int door;   /* -EBADF: nobody may ask */
        int client; /* waits for UPGRADED; -EBADF when nobody does */
        int peer;   /* the next keeper; -EBADF */
        pid_t pid;  /* of the next keeper, when it is a child; else 0 */
        int64_t by; /* monotonic_ms() at which patience ends; 0: no limit */
        bool gated; /* it is a worker's (fs/keeper_gate.h); new keepers wait at the door */
        bool over;  /* handed over: this keeper leaves */
};

void keeper_upgrade_init(struct keeper_upgrade *u, int door);
/* Closes what belongs to a visit. The door stays. */
void keeper_upgrade_release(struct keeper_upgrade *u);

/* 0, or a negative errno and detail (KEEPER_NAME_SIZE bytes): a regular file that can be executed,
 * belongs to root or to the keeper's own user, and that nobody else can write to. Looked at on the
 * descriptor, and the same descriptor is executed, so nothing can be exchanged in between. */
int keeper_program_check(int fd, char *detail);

/* Descriptors for poll(2), -1 where there is nothing to wait for, and what they brought. */
#define KEEPER_UPGRADE_FDS 4
void keeper_upgrade_poll(const struct keeper *k, struct pollfd p[static KEEPER_UPGRADE_FDS]);
void keeper_upgrade_receive(struct keeper *k, const struct pollfd p[static KEEPER_UPGRADE_FDS]);
/* Milliseconds until patience ends, -1: never; and when it has ended. */
int keeper_upgrade_timeout(const struct keeper *k);
void keeper_upgrade_late(struct keeper *k);
/* A child of that pid is dead. True when it was one of ours. */
bool keeper_upgrade_child(struct keeper *k, pid_t pid, int status);
/* The new worker serves. */
void keeper_upgrade_served(struct keeper *k);
/* What a worker inherits, to whoever will start one; the socket is left with time limits. */
int keeper_pass(const struct keeper *k, int socket);
/* Ends what is under way; `detail` is told to who asked. The old keeper and worker go on. */
void keeper_upgrade_failed(struct keeper *k, int result, const char *detail);
