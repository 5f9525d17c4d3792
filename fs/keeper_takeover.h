/* The other side of a hand-over: a keeper that begins with what another one gives it
 * (fs/keeper_handover.h has the order of messages).
 *
 * The one that gives is the keeper before, or at a restart of a service the command, which got
 * everything back from the service manager's store (cli/restore.h); then there is no worker to take
 * over. It is of our own user or root, and looked at all the same: descriptors must be of
 * /dev/fuse, superblocks are looked up from descriptors, a worker's pid is the kernel's word.
 */
#pragma once

#include "fs/keeper_proto.h"

struct keeper;

/* In a keeper that has nothing yet: waits for everything, and takes it over. On success a worker of
 * our own program is ready (k->next) and the old one, if any, is still at work (k->worker); call
 * keeper_swap(). On failure the other side has been told why and goes on. */
int keeper_take(struct keeper *k, int socket);
