/* The one thread that tells the kernel to forget things.
 *
 * A notification takes kernel locks that a request under way may hold until we answer it
 * (INVAL_INODE waits for a locked page), so it is never sent by a thread that serves, nor under a
 * lock of ours. None that is about a name is sent from here at all: it would wait for the folder,
 * and a worker that is killed while it waits for what only it would have answered neither dies nor
 * answers. Names are a child of the keeper's (fs/keeper_rename.h). Notifications are sent in the
 * order they were queued; an inode that already waits is not queued twice.
 */
#pragma once

#include "base/loop.h"
#include "fs/session.h"

struct notifier;

int notifier_new(struct loop *l, struct notifier **ret);
void notifier_free(struct notifier *n); /* sends nothing more, joins the thread */

/* Queue; each takes a reference to the session until it is sent. -ENOMEM. */
int notifier_inval_inode(struct notifier *n, struct session *s, uint64_t id);
/* Asks whether the kernel knows a node, and tells the table when it does not: see session_probe().
 */
int notifier_probe(struct notifier *n, struct session *s, uint64_t id);
/* fn(userdata) on the loop's thread when all that was queued before has been sent, and before
 * `freed` of the session (optional) can come: what that is told to outlives it. */
int notifier_flush(struct notifier *n, struct session *s, loop_fn fn, void *userdata);
