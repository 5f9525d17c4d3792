/* Inside the inode table: fs/tree.c answers the kernel and rotates, fs/tree_journal.c writes the
 * table down and reads it back. */
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
        uint64_t generation;   /* that TREE_DATA points to; 0: there is none yet */
        uint64_t made;         /* number of the newest generation folder */
        struct shared *shared; /* while the table is written down: see fs/tree_journal.c */
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

/* Walks to the folder of path; see fs/tree.c. Under the lock. */
int tree_walk(struct tree *t, const char *path, bool make, struct node **ret_dir,
        const char **ret_name, uint64_t *ret_deepest);
/* Is this name, which has no entry, one to be refused? Under the lock. */
bool tree_is_denied(const struct tree *t, const struct node *dir, const char *name);
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
/* Does the planned rename in the table; the staged entry is there. Under the lock. */
void tree_apply_plan(struct tree *t, struct node *dir, struct entry *staged);
/* Takes the staged entry away again. Returns its node, which may be freed by now, for its id. */
uint64_t tree_drop_plan(struct tree *t);

/* Number of a generation's folder from its name, 0 when it is none. Pure. */
uint64_t tree_generation_of(const char *name);

/* Under the lock; nothing happens without a snapshot. */
void tree_record_node(struct tree *t, enum record_type type, const struct node *parent,
        const char *name, const struct node *node);
/* A file whose bytes are those of the node `source`, which has been recorded. */
void tree_record_shared(struct tree *t, const struct node *parent, const char *name,
        const struct node *node, uint64_t source);
void tree_record_event(struct tree *t, enum record_type type, uint64_t id);
/* Without the lock, on the loop's thread: the records of this file fit afterwards. */
void tree_record_room(struct tree *t, const struct view_file *file);
