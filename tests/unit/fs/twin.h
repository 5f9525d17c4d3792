/* A table that is written down, and the table that a successor would make of it at this moment. */
#pragma once

#include "tests/unit/fs/support.h"

struct twin {
        struct tree *tree;
        struct snapshot *snapshot;
        int area;       /* what the keeper holds */
        unsigned areas; /* how many it got */
        uint32_t epoch;
};
#define TWIN_MOUNT ((uint64_t)7)

void twin_new(struct twin *w);
void twin_done(struct twin *w);

/* The journal as it is now; to be freed. */
struct journal *twin_journal(struct twin *w);
/* How many records of that type it has. */
unsigned twin_records(struct twin *w, enum record_type type);
/* A new table from it, of the next epoch. */
struct tree *twin_restore(struct twin *w);
struct tree *twin_restore_from(const struct journal *j);
/* Goes on with such a table in the first one's stead, as the next worker does. */
void twin_take_over(struct twin *w);

/* All that matters of a table: names, node ids, numbers, owners, bytes, plan, and versions without
 * a name. To be freed. */
char *twin_text(struct tree *t);
/* Fails the test when the successor's table would be another one. */
void twin_compare(struct twin *w);

void twin_area(struct twin *w); /* a new area, now */
/* The same, where every folder and symlink is of long ago: what is done next has its time. */
void twin_age(struct twin *w);
void twin_fill(struct twin *w); /* until the area has no more room than has to be set aside */
