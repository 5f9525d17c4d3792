/* Putting new versions in place, one mount's at a time, one rename at a time.
 *
 * A file is staged in the inode table, the keeper's child renames it over its name, the table
 * accepts that one request, and the kernel moves its caches in the same step; watchers see
 * MOVED_TO. What waits is overtaken by a later version of the same file. When a rename fails or
 * does not come (a child that hangs, a keeper that is gone), it is tried again, and in the end the
 * change is made in the table alone and the kernel is made to forget the name: readers are never
 * left on an old version, only watchers then see nothing. A name that is removed goes from the
 * table at once; then the child unlinks it, which watchers see as well.
 *
 * When all plain names of a set of changes are in place, a generation is made of everything and
 * `..data` is moved to it by the same kind of rename: at the latest after as many files as waited
 * when the set came, so that changes which never end cannot hold it up. A generation has each set
 * whole, also of what still waits for its plain name.
 *
 * The generation before stays for who has resolved `..data` and not yet opened what is there. It
 * goes a grace time after `..data` has moved, or with the next move if that is sooner: then the one
 * between is the one before. A worker that takes over begins the grace time anew. Loop thread.
 */
#pragma once

#include "base/loop.h"
#include "fs/notifier.h"
#include "fs/tree.h"

struct rotation;

struct rotation_config {
        struct loop *loop;
        struct tree *tree;
        struct session *session;
        struct notifier *notifier;
        const char *label;
        /* Asks the keeper for the rename; its end comes back through rotation_ended(). */
        int (*rename)(void *userdata, uint64_t seq, const struct tree_plan *plan);
        /* Asks it to have the kernel forget a name; ends in the same way. */
        int (*forget)(void *userdata, uint64_t seq, uint64_t parent, const char *name);
        /* Nothing is left to do, after something was done, and the kernel is done with it too. */
        void (*idle)(void *userdata);
        void *userdata;
        usec_t grace;       /* of the generation before */
        uint64_t first_seq; /* numbers renames from here: no two workers use the same */
};

/* Everything in cfg is borrowed. */
int rotation_new(const struct rotation_config *cfg, struct rotation **ret);
void rotation_free(struct rotation *r);

void rotation_add(struct rotation *r, struct view_file *const *files, size_t n);
/* Files that are no longer wanted are taken out of the table, and what waits of them is dropped.
 * Their names are refused from then on, or not any more: see tree_deny(). */
void rotation_remove(struct rotation *r, const char *const *paths, size_t n, bool deny);
/* Bind mounts of superseded versions show what their names show now: done after each change. */
void rotation_adopt(struct rotation *r);
/* Goes on for an earlier worker: it planned this file's rename (or that of `..data`, or none). It
 * may have asked for it or not, so it is asked for (again) at once: see tree_pending_plan(). */
void rotation_resume(struct rotation *r, struct view_file *file);
/* The table applied the planned rename. */
void rotation_applied(struct rotation *r);
/* How the child ended: result 0 or a negative errno. */
void rotation_ended(struct rotation *r, uint64_t seq, int result, const char *detail);

/* The keeper died, and nobody knows what became of the rename: it is asked for again. */
void rotation_lost(struct rotation *r);

/* Something is waiting, or a rename has not come back yet: until then its caller's kernel may still
 * be moving its caches. A child that hangs keeps it busy for 10 s. */
bool rotation_busy(const struct rotation *r);

/* Files put in place since the start; what could not be shown is not one. */
uint64_t rotation_count(const struct rotation *r);
