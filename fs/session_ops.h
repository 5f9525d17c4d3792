/* The request handlers: fs/session.c hands them to libfuse. */
#pragma once

#include "fs/fuse.h"
#include "fs/tree.h"

/* What a handler needs of its connection. */
struct session_core {
        struct tree *tree;
        bool no_open, xattr, audit;
        const char *label;
        _Atomic uint64_t refused;
        _Atomic int64_t refused_logged; /* second of the last line about it */
        void (*on_init)(struct session_core *core, struct fuse_conn_info *conn);
        void (*on_renamed)(struct session_core *core);
        void (*on_refused)(struct session_core *core, uint64_t id);
};

/* What this thread is at: libfuse's handlers carry no more than the libfuse session, which all
 * connections share (fs/dialect.h). */
struct session_turn {
        struct session_core *core; /* whose request is handled, or who is notified */
        void *bounce;              /* the serving thread's (fs/session.h) */
};
extern _Thread_local struct session_turn session_turn;

void session_ops_fill(struct fuse_lowlevel_ops *ops);
