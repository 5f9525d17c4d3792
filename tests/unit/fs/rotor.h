/* A rotation whose keeper and kernel the test is: it is told what was asked for, and does it or
 * not. The table's files are all "old" at first, as generation one. Time is simulated. */
#pragma once

#include "fs/rotation.h"
#include "tests/unit/fs/trees.h"

#define GRACE (60 * USEC_PER_SEC) /* of the generation before */

extern struct rig rig;
extern struct loop *loop;
extern struct rotation *rotation;

/* The keeper, as far as a rotation sees it. */
extern struct rotor {
        unsigned asked, away, unlinked, forgotten, idle; /* away: names of generations */
        uint64_t forgotten_in;
        int forget_fails; /* what asking that answers */
        uint64_t seq;
        struct tree_plan plan;
        char name[256];
        int fail; /* what asking answers */
} keeper;

/* With these files. */
void rotor_start(const char *const *paths, size_t n);
/* .init and .fini of a suite with the files f and g. */
void rotor_init(void);
void rotor_fini(void);

void add(const char *path, const char *text);
/* What the kernel does with the child's renameat; its error. */
int kernel_renames(void);
/* The same for `..data`, which must be what was asked for. */
void rename_data(void);

/* A generation is taken away, the table's word first; and its name is renamed away, to the child's
 * end. */
void generation_goes(const char *name);

bool shows(const char *name, const char *text);
/* Through `..data`, as a reader walks. */
bool data_shows(const char *name, const char *text);
uint64_t generation(void);

/* Until the next timer has run. */
void next_timer(void);
/* The next thing the kernel was told is that this folder's listing has changed. */
bool listing_goes(uint64_t parent);
/* The kernel has been made to forget this name, which is the end of a change without a rename. */
void forgets(uint64_t parent, const char *name);
