/* What the kernel is told to forget of inodes, one after the other.
 *
 * Such a notification waits for every page of the inode that a READ has locked, and for an inode
 * that the kernel is about to drop, which may wait for the same (Linux fs/fuse/inode.c,
 * fuse_reverse_inval_inode; fs/inode.c, find_inode). In a worker that is killed meanwhile the READ
 * is answered by nobody, and the thread that waits keeps all its descriptors: the worker would
 * neither die nor answer, and the keeper not even hear of it. So it is a child of the keeper that
 * waits (KEEPER_INVALIDATE), and what the next worker answers ends that. Only where there is no
 * keeper any more, and so no next worker, or where that has no /dev/fuse, it is sent from here.
 * Proven by tests/unit/fs/keeper_rename_forget.c, what_is_being_read_is_waited_for_by_the_child.
 *
 * Names are a child of the keeper's as well (fs/keeper_rename.h).
 *
 * Everything is asked for in the order in which it was queued; an inode that already waits is not
 * queued twice.
 */
#pragma once

#include "base/loop.h"
#include "fs/session.h"

struct notifier;

struct notifier_config {
        struct loop *loop;
        /* Asks the keeper, on the loop's thread; its answer comes through notifier_answered().
         * -ENODEV: the connection is over. -ENOTCONN: there is no keeper. */
        int (*ask)(void *userdata, struct session *s, uint64_t seq, uint64_t id, bool attributes);
        void *userdata;
        uint64_t first_seq; /* numbers what is asked for from here: no two workers use the same */
};
int notifier_new(const struct notifier_config *cfg, struct notifier **ret);
void notifier_free(struct notifier *n); /* asks for nothing more */

/* --- any thread --- */

/* Queue; each takes a reference to the session until it is done. -ENOMEM. */
int notifier_inval_inode(struct notifier *n, struct session *s, uint64_t id);
/* Whether the kernel knows a node, which an invalidation of attributes tells; the table learns when
 * it does not (session_unknown). */
int notifier_probe(struct notifier *n, struct session *s, uint64_t id);
/* fn(userdata) on the loop's thread when all that was queued before is done, and before `freed` of
 * the session (optional) can come: what that is told to outlives it. */
int notifier_flush(struct notifier *n, struct session *s, loop_fn fn, void *userdata);

/* --- the loop's thread --- */

void notifier_answered(struct notifier *n, uint64_t seq, int result);
/* What was asked for has gone with its keeper: the next one is asked, if there is one. */
void notifier_lost(struct notifier *n);
