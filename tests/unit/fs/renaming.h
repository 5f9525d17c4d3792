/* A real mount that this process serves, and a renamer for it. "f" and "d/g" are there, both "old".
 */
#pragma once

#include "fs/keeper_mount.h"
#include "fs/keeper_rename.h"
#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

extern char at[];      /* the mount point */
extern bool have_root; /* else nothing can be mounted */
extern struct renamer renamer;
extern struct keeper_mount mount_made;
extern struct rig mount_rig;

/* .init and .fini of a suite. */
void renaming_init(void);
void renaming_fini(void);

void begin(uint32_t flags); /* of MOUNT */
void serve(void);
void end(void);

void start_rename(const struct keeper_mount *m, const struct keeper_msg *request);
int end_rename(void);
/* A planned rename, as the worker asks for it. */
struct keeper_msg plan(const char *path, const char *text);
void send_plan(const struct tree_plan *p, uint32_t flags, int expected);

int open_below(const char *name);
bool is_there(const char *name);
void expect_text(int fd, const char *text);
void expect_file(const char *name, const char *text);
