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
        uint64_t generation;
        struct snapshot_mount *snapshot; /* NULL: nothing is written down */

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
/* Does the planned rename in the table; the staged entry is there. Under the lock. */
void tree_apply_plan(struct tree *t, struct node *dir, struct entry *staged);
/* Takes the staged entry away again. Returns its node, which may be freed by now, for its id. */
uint64_t tree_drop_plan(struct tree *t);

/* Under the lock; nothing happens without a snapshot. */
void tree_record_node(struct tree *t, enum record_type type, const struct node *parent,
        const char *name, const struct node *node);
void tree_record_event(struct tree *t, enum record_type type, uint64_t id);
/* Without the lock, on the loop's thread: the records of this file fit afterwards. */
void tree_record_room(struct tree *t, const struct view_file *file);
