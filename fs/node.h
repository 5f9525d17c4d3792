/* Inodes and the names in folders: the data structure under fs/tree.c, which holds the lock. */
#pragma once

#include "cache/view.h"

struct node;

struct entry {
        char *name;
        uint32_t hash;
        bool staged;  /* not listed: waits for its rename */
        off_t cookie; /* its place in listings: grows within a folder, never changes */
        struct node *node;
};

struct node {
        struct node *next; /* in its bucket */
        uint64_t id;
        uint32_t ino;
        bool dir;
        bool frozen;      /* in a generation, or a generation's folder */
        bool linked;      /* under a name */
        uint64_t nlookup; /* what the kernel holds */
        bool inherited;   /* and it may hold more, from an earlier worker's time */

        struct view_file *file; /* a reference; NULL for folders and symlinks */
        char *target;           /* of a symlink, else NULL */
        unsigned bound;         /* bind mounts that have it as their root */
        int64_t refreshed_at;
        char *error;

        struct node *parent; /* folders; NULL for the root */
        int64_t mtime;
        size_t subdirs;
        struct entry *entries; /* by cookie */
        size_t n_entries, entries_size;
        off_t last_cookie;
};

struct node_table {
        struct node **buckets;
        size_t n_buckets, n_nodes;
        uint32_t epoch;
        uint64_t last; /* counts node ids within the epoch, and inode numbers */
};

int node_table_init(struct node_table *t, uint32_t epoch);
void node_table_done(struct node_table *t); /* frees every node */

/* A file (takes a reference) or a folder (file NULL), with no name and no look-up yet. The first
 * one has the root's id. */
int node_new(struct node_table *t, struct view_file *file, struct node **ret);
/* One with the id and number that an earlier worker gave it. */
int node_restore(
        struct node_table *t, uint64_t id, uint32_t ino, struct view_file *file, struct node **ret);
/* Makes a symlink of a new folder that has nothing in it. -ENOMEM. */
int node_set_target(struct node *n, const char *target);
/* Takes the name away that leads to it, wherever that is. The folder, or NULL when there is none.
 */
struct node *node_unlink(struct node_table *t, struct node *n);
struct node *node_find(const struct node_table *t, uint64_t id);
/* A name may lead to it, or the kernel hold it. */
bool node_is_held(const struct node *n);
/* Frees it when it is not held; then what was under names in it, too, if nothing else holds that.
 */
void node_release(struct node_table *t, struct node *n);
/* Takes the last name in a folder away; returns what was under it, or NULL when it is empty. */
struct node *node_pop_entry(struct node *dir);

struct entry *node_entry(const struct node *dir, const char *name);
/* -ENOMEM. Pointers to entries of this folder are void afterwards, also after node_remove_entry. */
int node_add_entry(struct node *dir, const char *name, struct node *n, bool staged);
void node_remove_entry(struct node *dir, const char *name);
/* A staged entry becomes a listed one. No allocation: the staged name is the longer buffer, or the
 * new name fits (node_add_entry reserves SPC_NAME_MAX for staged ones). */
void node_rename_entry(struct entry *e, const char *name);
