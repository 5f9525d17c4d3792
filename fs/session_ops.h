/* The request handlers: fs/session.c hands them to libfuse. */
#pragma once

#include "fs/fuse.h"
#include "fs/tree.h"

/* What a handler needs of its session; userdata of the libfuse session. */
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

/* The serving thread's bounce buffer while it handles a request: libfuse's handlers carry no more
 * than the session, which all threads share. */
extern _Thread_local void *session_bounce;

void session_ops_fill(struct fuse_lowlevel_ops *ops, bool xattr);
