/* A file system whose keeper and kernel are played by the test.
 *
 * The test's thread turns the loop while it waits, and has the kernel told whatever of inodes the
 * keeper is asked to; requests of the kernel are answered by the real serving threads.
 */
#pragma once

#include "fs/fs.h"
#include "fs/keeper_queue.h"
#include "tests/unit/fs/support.h"

struct stage {
        struct loop *loop;
        struct fs *fs;
        int keeper;               /* the keeper's end; -EBADF once it died */
        struct keeper_queue said; /* to it, and not taken yet */
        int area;                 /* the newest journal that the keeper was handed, or -EBADF */
        int kernel;               /* the kernel's end of the connection, -EBADF before MOUNTED */
        struct fs_mount *mount;
        _Atomic unsigned mounted, gone;
        int mounted_code, gone_code; /* of the events' errors, 0 for none */
        char text[512];              /* of the last error, with its hint */
        bool warm;                   /* mounts are kept warm */
        bool stop_in_event;          /* fs_stop() from within the event */
};

void stage_new(struct stage *s);
/* The same in two steps, with a hello of the test's own in between: its messages are sent to
 * s->keeper, the last of them START. stage_start() returns what fs_start() did. */
int stage_socket(struct stage *s);
int stage_start(struct stage *s, int worker_end, struct err *e);
/* A hello with epoch `seq`, `area` (or -EBADF) and one volume, whose kernel s->kernel is from then
 * on, and START. */
void stage_hand_over(struct stage *s, uint64_t seq, uint32_t flags, int area, uint64_t mount);
void stage_done(struct stage *s);

/* Shows "f" ("old") and "d/g" ("deep") at /mnt/stage. */
void stage_mount(struct stage *s);
/* And on to the event: MOUNTED with a connection, INIT asked and answered. */
void stage_ready(struct stage *s);

/* The next request of the worker to the keeper, which must be op. */
struct keeper_msg stage_take(struct stage *s, enum keeper_op op);
void stage_answer(
        struct stage *s, enum keeper_op op, const struct keeper_msg *request, int result, int fd);
/* Hands a new connection to the worker as the answer to its MOUNT. */
void stage_connect(struct stage *s);
/* A mount that ends: both of its UNMOUNTs succeed. */
void stage_unmount(struct stage *s);
/* It is told to end, and does. */
void stage_leave(struct stage *s);
/* Nothing was asked of the keeper. */
bool stage_quiet(struct stage *s);

/* The kernel's side: what a request is answered with, notifications in between passed over. */
int stage_call(struct stage *s, struct answer *a, uint32_t opcode, uint64_t node, const void *arg,
        size_t len, const char *x, const char *y);
uint64_t stage_lookup(struct stage *s, uint64_t parent, const char *name);
/* The next answer or notification. */
void stage_hear(struct stage *s, struct answer *a);
/* The next notification: its code. Turns the loop meanwhile. */
int stage_notification(struct stage *s, struct answer *a);
/* Reads notifications until the connection is closed by the other side; how many INVAL_INODE. */
unsigned stage_drain(struct stage *s);
