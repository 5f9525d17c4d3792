/* Inode tables as tests make them, look into them and change them. Each look ends the test when
 * what it looks for is not there. */
#pragma once

#include "tests/unit/fs/support.h"

/* Empty: owner 1000:1001, folders of 2000:2001, mode 0640. */
struct tree *make_tree(void);
struct tree *make_tree_of(uint32_t epoch);

/* .init and .fini of a suite about one table. */
extern struct tree *tree;
void trees_init(void);
void trees_fini(void);

/* Puts a file there and gives the caller's reference up. */
void put_text(struct tree *t, const char *path, const char *text);
/* Plans a version. */
struct tree_plan stage(struct tree *t, const char *path, const char *text);
/* As the kernel's RENAME2 would; its error. */
int apply(struct tree *t, const struct tree_plan *plan);

/* One LOOKUP, which counts. */
uint64_t find(struct tree *t, uint64_t parent, const char *name);
/* The error of a look-up that ends in one. */
int absent(struct tree *t, uint64_t parent, const char *name);
/* Whether the node has these bytes, and says so in its size. */
bool holds(struct tree *t, uint64_t id, const char *text);

/* --- of the suite's table --- */

/* A version is planned, and the plan carried out. */
void rotate(const char *path, const char *text);
nlink_t links(uint64_t id);

/* A listing from `offset` on: each name with a blank behind it, and where it goes on behind that
 * name. It ends after `stop_after` names; 0: when there are no more. */
struct names {
        char text[4096];
        off_t cookies[64];
        size_t n, stop_after;
};
void list(uint64_t id, off_t offset, size_t stop_after, struct names *ret);
/* What it gives to tree_readdir(), for a listing that is to fail. */
bool add_name(void *names, const char *name, const struct stat *st, off_t next);

/* --- by chance --- */

/* The next of a row of random numbers, below n. */
unsigned roll(uint64_t *random, unsigned n);
/* A path for each number: at the top, one folder down, two folders down. */
void path_of(unsigned number, char *out, size_t size);
