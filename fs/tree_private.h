/* Inside the inode table: fs/tree.c answers the kernel, fs/tree_plan.c rotates, fs/tree_journal.c
 * writes the table down and reads it back. */
#pragma once

#include <pthread.h>

#include "fs/node.h"
#include "fs/snapshot.h"
#include "fs/tree.h"

struct tree {
        pthread_mutex_t lock;
        struct tree_config cfg;
        struct node_table nodes;
        struct node *root;
        bool withdrawn;
        unsigned n_bound; /* bind mounts */
        bool suspects;    /* an earlier worker's nodes may be here that the kernel does not hold */
        uint64_t generation;      /* that TREE_DATA points to; 0: there is none yet */
        uint64_t made;            /* number of the newest generation folder */
        struct shared *shared;    /* while the table is written down: see fs/tree_journal.c */
        struct removal *removals; /* oldest first: see fs/tree_removal.c */
        struct snapshot_mount *snapshot; /* NULL: nothing is written down */
        struct denied *denied;           /* names without an entry that are refused: tree_deny.c */
        size_t n_denied;

        struct {
                bool pending, applied;
                uint64_t parent;
                char staged[KEEPER_STAGE_LEN + 1];
                char name[KEEPER_NAME_SIZE];
        } plan;
};

#define LOCKED(t)                                                              \
        _cleanup_(tree_unlockp) pthread_mutex_t *locked _unused_ = &(t)->lock; \
        pthread_mutex_lock(&(t)->lock)

static inline void tree_unlockp(pthread_mutex_t **m)
{
        pthread_mutex_unlock(*m);
}

/* Names with a '/' between them, none of which could be a generation's. */
bool tree_path_is_valid(const char *path);
/* Walks to the folder of path; see fs/tree.c. Under the lock. */
int tree_walk(struct tree *t, const char *path, bool make, struct node **ret_dir,
        const char **ret_name, uint64_t *ret_deepest);
/* Is this name, which has no entry, one to be refused? Under the lock. */
bool tree_is_denied(const struct tree *t, const struct node *dir, const char *name);
void tree_deny_forget(struct tree *t, uint64_t parent); /* the folder is no more */
void tree_deny_done(struct tree *t);
/* Frees a node that neither a name nor the kernel holds, and tells a successor. Under the lock. */
void tree_release(struct tree *t, struct node *n);
/* A name is chosen and a plan made for a node that nothing holds yet. Under the lock. On failure
 * the node is the caller's. */
int tree_plan_node(struct tree *t, struct node *dir, struct node *fresh, const char *name,
        const char staged[KEEPER_STAGE_LEN + 1]);
/* A staged name: 128 random bits. */
int tree_staged_name(char ret[KEEPER_STAGE_LEN + 1]);
/* Puts a node under a name at once, over what is there. Under the lock. -ENOMEM: the node is the
 * caller's. */
int tree_set_entry(struct tree *t, struct node *dir, const char *name, struct node *fresh);
/* Does the planned rename in the table; the staged entry is there, and the folder's time is the new
 * one. Under the lock. */
void tree_apply_plan(struct tree *t, struct node *dir, struct entry *staged);
/* When the vault was last asked, and what went wrong, is told of the name, not of a version. */
void tree_inherit_state(struct node *fresh, struct node *superseded);
/* A new file, or folder (file NULL), under a name that is free. source: a node that shows the same
 * bytes and has been recorded, or 0. ret is optional. Under the lock. */
int tree_add(struct tree *t, struct node *parent, const char *name, struct view_file *file,
        uint64_t source, bool frozen, struct node **ret);
/* Takes a name away that is there, and all below it; recorded, with the time that the folder has by
 * now. Under the lock. */
void tree_unlink_entry(struct tree *t, struct node *dir, const char *name);
/* Takes the staged entry away again. Returns its node, which may be freed by now, for its id. */
uint64_t tree_drop_plan(struct tree *t);

/* fs/tree_removal.c, under the lock. LEAVING and LEFT are its records, for which there is room. */
#define TREE_REMOVAL_SIZE ((size_t)(2 * RECORD_REMOVED_SIZE + SPC_PATH_MAX))
/* absent: the name was not there. A successor takes it for one that was, which is harmless. */
int tree_add_removal(struct tree *t, const char *path, uint64_t parent, bool absent);
void tree_dump_removals(struct tree *t);
void tree_drop_removals(struct tree *t);
int tree_restore_removal(struct tree *t, const struct journal_record *record);

/* Number of a generation's folder from its name, 0 when it is none. Pure. */
uint64_t tree_generation_of(const char *name);

/* Under the lock; nothing happens without a snapshot. */
void tree_record_node(struct tree *t, enum record_type type, const struct node *parent,
        const char *name, const struct node *node);
/* A file whose bytes are those of the node `source`, which has been recorded. */
void tree_record_shared(struct tree *t, const struct node *parent, const char *name,
        const struct node *node, uint64_t source);
/* dir: the folder that it changes, which has its new time already; or NULL. */
void tree_record_event(struct tree *t, enum record_type type, uint64_t id, const struct node *dir);
void tree_record_adopted(struct tree *t, uint64_t id, uint64_t source);
#define TREE_ADOPTED_SIZE ((size_t)64) /* room for one */
/* Without the lock, on the loop's thread: the records of this file fit afterwards. */
void tree_record_room(struct tree *t, const struct view_file *file);
