/* What the tests of this folder share: files made of bytes, and the kernel's side of a connection.
 *
 * The kernel is played over a SOCK_SEQPACKET pair: one message is one request or one answer, as on
 * /dev/fuse, and nothing needs root. Waiting has a limit, so that a lost answer fails a test
 * instead of hanging it.
 */
#pragma once

#include <linux/fuse.h>

#include "base/loop.h"
#include "cache/view.h"
#include "fs/session.h"
#include "fs/tree.h"

/* --- files --- */

/* One version of a file, as cache/ makes them. Ends the test when memory is short. */
struct view_file *make_file(const char *path, const char *text);
struct view_file *make_file_bytes(const char *path, const void *bytes, size_t len);

/* --- the kernel --- */

#define ANSWER_MAX ((size_t)128 << 10)

struct answer {
        struct fuse_out_header h;
        char body[ANSWER_MAX];
        size_t len; /* of body */
};

/* Both ends close on exec; the daemon's is non-blocking, the kernel's gives up after 20 s. */
void fuse_pair(int *ret_kernel, int *ret_daemon);

/* arg may be NULL; strings are sent with their NUL, a NULL ends them. Returns the request's unique.
 */
uint64_t ask(int kernel, uint32_t opcode, uint64_t node, const void *arg, size_t len, const char *a,
        const char *b);
/* Reads one message; false on end of file. */
bool get_answer(int kernel, struct answer *ret);
/* INIT as Linux 6.x sends it, everything offered; fills the answer. */
void ask_init(int kernel);
const struct fuse_init_out *init_answer(const struct answer *a);

/* --- a session over it --- */

struct dialects *test_dialects(void); /* this process's */

struct rig {
        struct tree *tree;
        struct session *session;
        int kernel;
        _Atomic unsigned ready, renamed, refused, dead, freed;
        _Atomic uint64_t refused_id;
};

void rig_new(struct rig *r, bool no_open, bool xattr);
/* With -o audit: opens are answered. */
void rig_new_audited(struct rig *r);
/* rig_new() and INIT answered. */
void rig_start(struct rig *r, bool no_open, bool xattr);
void rig_done(struct rig *r);

/* Sends a request, has the session handle it, reads the answer; returns its error. */
int call(struct rig *r, struct answer *ret, uint32_t opcode, uint64_t node, const void *arg,
        size_t len, const char *a, const char *b);
/* The same without an answer: FORGET. */
void tell(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len);
/* LOOKUP; the node id, 0 for an absence that may be remembered, or a negative errno. */
int64_t lookup(struct rig *r, uint64_t parent, const char *name);
/* READ of at most size bytes; the answer's error. */
int read_node(struct rig *r, struct answer *ret, uint64_t node, uint64_t offset, uint32_t size);

/* --- waiting --- */

/* Until *counter is at least n, in turns of the loop when there is one. Ends the test after 20 s.
 */
void wait_for_count(struct loop *l, const _Atomic unsigned *counter, unsigned n);

/* --- root --- */

/* A private mount namespace of this process's own. False when not root (the test then ends, saying
 * so); with CI in the environment that is a failure. */
bool private_namespace(void);
