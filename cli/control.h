/* The control protocol: how commands speak to a running worker.
 *
 * A unix stream socket; each message is one JSON object behind its length (four bytes, big-endian),
 * at most CONTROL_MESSAGE_MAX. Streams, because a class of a mebibyte does not fit a SEQPACKET
 * message. Messages may hold a client secret: every buffer that held one is wiped.
 *
 * The client speaks first, and the worker looks at the peer's credentials before it reads a byte:
 * its own user and root only. The client in turn looks at who listens before it sends a secret.
 *
 *   client                                     worker
 *   {"type":"hello","protocol":1,...}          {"type":"hello","protocol":1,...}
 *   {"type":"mount",...}                       {"type":"accepted"}
 *                                              {"type":"progress","have":37,"of":100} ...
 *                                              {"type":"done"} or {"type":"failed","errors":[...]}
 *   {"type":"resume",...} as mount             {"type":"done"}: mounted just so already;
 *                                              {"type":"different"} or {"type":"unknown"}
 *   {"type":"unmount","mountpoint":DIR}        {"type":"done"}, "failed" or {"type":"unknown"}
 *   {"type":"refresh"[,"mountpoint":DIR]}      {"type":"refreshed","mounts":[...]}
 *   {"type":"status"[,"mountpoint":DIR]}       {"type":"status","mounts":[...]}
 *
 * A client that goes away before its mount is done takes the mount back. Members that are not known
 * are ignored; CONTROL_PROTOCOL changes when that is not enough.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#define CONTROL_PROTOCOL 1
#define CONTROL_MESSAGE_MAX ((size_t)4 << 20)

/* One message at a time from a descriptor, blocking or not. Zero is empty. */
struct control_reader {
        unsigned char head[4];
        size_t have; /* of head and body together */
        char *body;
        size_t body_len;
};

/* Reads what is there. 1 with a message, 0 when the rest has not come yet (EAGAIN), -ENODATA when
 * the other side closed between two messages, -ECONNRESET within one, -EMSGSIZE, -EBADMSG (no JSON
 * object with a "type"), -ENOMEM. After an error the stream cannot be used. */
int control_read(struct control_reader *r, int fd, cJSON **ret);
void control_reader_done(struct control_reader *r);

/* The message as it goes over the wire; free with erase_and_free(). -EMSGSIZE, -ENOMEM. */
int control_encode(const cJSON *message, char **ret, size_t *ret_len);

/* {"type": type}; NULL without memory. */
cJSON *control_message(const char *type);
/* "type" of a message that control_read() gave. */
const char *control_type(const cJSON *message);

/* Errors on the wire: {"code","cause","text","hint"}. */
cJSON *control_error(const struct err *e);
void control_error_parse(const cJSON *j, struct err *ret);
/* Appends to the array "errors" of a message. 0 or -ENOMEM. */
int control_add_error(cJSON *message, const struct err *e);

/* Where a process is: two that differ do not see the same mounts, or reach the same network. */
struct control_place {
        uint64_t mount_ns, net_ns, user_ns; /* inode numbers */
        char proxies[65]; /* SHA-256 of the proxy variables, which may hold passwords */
};
int control_place_here(struct control_place *ret);
bool control_place_equal(const struct control_place *a, const struct control_place *b);

struct control_hello {
        int64_t protocol;
        char *version;
        uid_t uid;
        pid_t worker_pid, keeper_pid;
        bool accepts; /* takes more mounts: neither ending nor `mount -f`'s own */
        char *log;    /* where it logs */
        struct control_place place;
};
cJSON *control_hello_format(const struct control_hello *h);
int control_hello_parse(const cJSON *j, struct control_hello *ret);
void control_hello_done(struct control_hello *h);
