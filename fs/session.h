/* One live FUSE connection: requests in, answers out, notifications.
 *
 * libfuse does the protocol, in sessions that connections share (fs/dialect.h); reading and writing
 * are ours (fuse_session_custom_io), so that the INIT answer can say what libfuse 3.14 does not
 * know how to, and so that a later worker can take a live connection over. Nothing a handler does
 * waits for anything but the table's lock: everything served is in memory.
 *
 * Reference-counted: the mount, the serving threads and queued notifications each hold one. The
 * descriptor is closed with the last, and `freed` is called then, on whatever thread that is.
 */
#pragma once

#include "fs/tree.h"

struct dialects;
struct session;

struct session_events {
        void (*ready)(void *userdata);   /* INIT has been answered; a serving thread */
        void (*renamed)(void *userdata); /* the planned rename was applied; a serving thread */
        /* A request to change node id was refused: what it left in the page cache has to go. */
        void (*refused)(void *userdata, struct session *s, uint64_t id);
        void (*dead)(void *userdata);  /* unmounted or aborted; a serving thread, once */
        void (*freed)(void *userdata); /* the last reference is gone */
};

struct session_config {
        struct tree *tree;         /* borrowed until freed() */
        struct dialects *dialects; /* the process's (fs/dialect.h); borrowed until freed() */
        const char *label;         /* for the log: the mount point; copied */
        bool no_open; /* answer OPEN with ENOSYS: zero requests when warm. Only under a mount
                         that is read-only, for the kernel then never asks again */
        bool xattr;
        bool audit; /* each open is answered and logged with who did it (fs/audit.h), reads bypass
                       the page cache, and the mount cannot be id-mapped; no_open must be false */
        /* The INIT request that an earlier worker answered on this connection, or NULL: the kernel
         * sends it once only, so the session is shown it again and its answer is swallowed. */
        const void *init;
        size_t init_len;
        const struct session_events *events;
        void *userdata;
};
#define SESSION_INIT_MAX 256 /* bytes of an INIT request, header included */

/* fd is taken over, also on failure; it is non-blocking. */
int session_new(int fd, const struct session_config *cfg, struct session **ret);
struct session *session_ref(struct session *s);
struct session *session_unref(struct session *s);

/* What a serving thread brings along: room for any request (max_write is negotiated down to one
 * page) and for the longest answer to READ (max_pages). The kernel cannot take an answer from the
 * secret memory itself (base/sec.h), so bytes pass through `bounce`, which is wiped each time. */
#define SESSION_BUFFER ((size_t)16 << 10)
#define SESSION_READ_MAX ((size_t)128 << 10)
struct session_scratch {
        void *request; /* SESSION_BUFFER bytes */
        void *bounce;  /* SESSION_READ_MAX bytes of sec_bounce_new() */
};

/* Reads one request and answers it. 1 done, 0 nothing there, -ENODEV when the connection is over.
 * rearm is called once, when the next request may be taken up by another thread. */
int session_handle(
        struct session *s, const struct session_scratch *scratch, void (*rearm)(struct session *));
int session_fd(const struct session *s);

/* The INIT request that was answered, for a successor; 0 before `ready`. At most size bytes. */
size_t session_init_request(const struct session *s, void *buf, size_t size);

/* Asks the kernel for the requests that an earlier worker read and did not answer. The session must
 * be served already. */
int session_resend(struct session *s);

/* The kernel is to forget an inode's attributes and pages, or the attributes alone: for
 * fs/notifier.h, which says who may call this. -ENOENT: the kernel does not know it. */
int session_inval_inode(struct session *s, uint64_t id, bool attributes);
/* That was the answer: the table is told. */
void session_unknown(struct session *s, uint64_t id);
/* Unmounted or aborted: nobody reads there any more. */
bool session_is_over(const struct session *s);

uint64_t session_requests(const struct session *s);
uint64_t session_refused(const struct session *s);

/* For fs/server.c, which finds a session by its number. */
uint64_t session_number(const struct session *s);
void session_set_number(struct session *s, uint64_t number);
