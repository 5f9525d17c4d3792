/* What libfuse and a kernel have agreed on: one libfuse session for all connections that began
 * alike.
 *
 * A process can have about a thousand libfuse sessions and no more: fuse_session_new() of
 * libfuse 3.14 (lib/fuse_lowlevel.c) makes a thread-specific key for each, for pipes that only
 * splice() needs, and glibc has PTHREAD_KEYS_MAX, 1,024, of them. But all that a session remembers
 * of a connection beyond one request is its INIT: the protocol's version and flags, by which it
 * forms answers. These are the kernel's, and so the same for every mount of a machine. So a session
 * is made to answer an INIT; when there is one already that has answered the same, that one serves
 * this connection too. Which connection a request came from, and where its answer goes, the serving
 * thread knows (fs/session_ops.h), for every request is answered before the next one is taken up.
 *
 * Threads: any may call anything. References are counted.
 */
#pragma once

#include <sys/uio.h>

#include "base/util.h"

struct dialects; /* those in use */
struct dialect;

int dialects_new(struct dialects **ret);
void dialects_leave(struct dialects *all); /* it goes when none is in use any more */

/* Takes what libfuse answers, on the thread that processes: as writev(2). */
typedef ssize_t (*dialect_answer_fn)(struct iovec *iov, int count);

/* One that has not heard an INIT yet. -ENOMEM also when there is no key left: as many INITs are
 * being answered at this moment. */
int dialect_new(dialect_answer_fn answer, struct dialect **ret);
/* d has answered an INIT of that protocol 7.`minor` with these flags. Returns it, or in exchange
 * for it the one that was there already; the reference is the caller's. */
struct dialect *dialect_share(
        struct dialects *all, struct dialect *d, uint32_t minor, uint64_t flags);
struct dialect *dialect_unref(struct dialect *d);

/* A request that was checked (fs/request.h); it is answered when this returns. */
void dialect_process(struct dialect *d, void *request, size_t n);
/* Sends a notification: FUSE_NOTIFY_INVAL_INODE, as fuse_lowlevel.h has it. */
int dialect_inval_inode(struct dialect *d, uint64_t id, off_t offset, off_t len);
