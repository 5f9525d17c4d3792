/* gRPC on unix sockets: unary calls come in on the loop, answers go out.
 *
 * libgrpc's C core has its own threads and completion queue; this file is the border. One thread
 * takes events from the queue and hands each call to the loop, where every handler runs. Whoever
 * may connect is decided when the connection is accepted, by its peer credentials: gRPC on a unix
 * socket has no authentication of its own (gRPC core 1.51, grpc_server_add_channel_from_fd).
 *
 * A method nobody listed is answered UNIMPLEMENTED, a request of more than RPC_MESSAGE_MAX bytes
 * RESOURCE_EXHAUSTED by libgrpc itself, and a call beyond RPC_CALLS_MAX at once RESOURCE_EXHAUSTED.
 * Requests are never compressed: what is announced so is refused by libgrpc.
 *
 * Everything here is called on the loop's thread.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/loop.h"

/* An API server's object is at most 1.5 MiB; gRPC's own default, which kubelet keeps to. */
#define RPC_MESSAGE_MAX ((size_t)4 << 20)
#define RPC_CALLS_MAX 4096

/* Codes as numbered by gRPC (grpc/status.h). */
enum rpc_code {
        RPC_OK = 0,
        RPC_UNKNOWN = 2,
        RPC_INVALID_ARGUMENT = 3,
        RPC_DEADLINE_EXCEEDED = 4,
        RPC_NOT_FOUND = 5,
        RPC_ALREADY_EXISTS = 6,
        RPC_PERMISSION_DENIED = 7,
        RPC_RESOURCE_EXHAUSTED = 8,
        RPC_FAILED_PRECONDITION = 9,
        RPC_ABORTED = 10,
        RPC_UNIMPLEMENTED = 12,
        RPC_INTERNAL = 13,
        RPC_UNAVAILABLE = 14,
};
const char *rpc_code_name(enum rpc_code code); /* "InvalidArgument", as Go's clients print it */

struct rpc_server;
struct rpc_call;

/* The handler owns the call and ends it with rpc_reply() or rpc_fail(), now or at some later turn
 * of the loop. */
typedef void (*rpc_handler)(void *userdata, struct rpc_call *call);

struct rpc_method {
        const char *path; /* "/csi.v1.Identity/Probe" */
        rpc_handler fn;
        /* Optional: how a call of it was answered, once for each, whoever answered it. */
        void (*ended)(void *userdata, enum rpc_code code);
};

/* Reads what rpc_server_new() needs from files, for a process that is closed off from them before
 * that; else it does so itself (csi/grpc_core.h). */
int rpc_load(struct err *e);

/* The methods and what userdata points to are borrowed and outlive the server and its calls.
 * -ENOMEM, what thread creation says, or grpc_core_load(). */
int rpc_server_new(struct loop *l, const struct rpc_method *methods, size_t n, void *userdata,
        struct rpc_server **ret, struct err *e);
/* Cancels every call, also those that handlers still own: those are answered to nobody, and must
 * be ended all the same. Joins the thread. */
void rpc_server_free(struct rpc_server *s);
DEFINE_CLEANUP(struct rpc_server *, rpc_server_free)

/* Serves connections of a listening unix socket, which is taken over. Only peers of uid 0 and of
 * this process's own are let in. Any number of sockets, all with the same methods. */
int rpc_server_listen(struct rpc_server *s, int fd, struct err *e);

/* Who connects from now on waits in the sockets' backlogs, for whoever else serves them. Calls that
 * are under way go on, and so do connections. */
void rpc_server_stop_listening(struct rpc_server *s);
/* No call is under way, and every answer has left. */
bool rpc_server_is_quiet(const struct rpc_server *s);

/* The request as a message of that type, or NULL when the bytes are none or memory is short; then
 * the call has been answered and is gone. rpc_message_free() wipes what it held. */
void *rpc_call_message(struct rpc_call *call, const ProtobufCMessageDescriptor *type);
void rpc_message_free(void *message);

usec_t rpc_call_deadline(const struct rpc_call *call); /* CLOCK_MONOTONIC; USEC_INFINITY: none */
/* The caller has given up, or its connection is gone. It has to be answered all the same. */
bool rpc_call_cancelled(const struct rpc_call *call);
/* Called once when the caller gives up before it is answered; NULL takes it back. */
void rpc_call_on_cancel(struct rpc_call *call, rpc_handler fn, void *userdata);

/* protobuf-c's answers hold `char *`, and packing only reads them. */
static inline char *rpc_borrow(const char *s)
{
        return (char *)(uintptr_t)s;
}

/* Both end the call. The text is cut to RPC_TEXT_MAX bytes: it travels in a header. */
#define RPC_TEXT_MAX 4096
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message);
void rpc_fail(struct rpc_call *call, enum rpc_code code, const char *text);
