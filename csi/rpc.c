/* The loop's side: connections let in, calls handed to their methods. The queue's side is
 * rpc_queue.c. */
#include "csi/rpc.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/wipe.h"
#include "csi/rpc_private.h"

/* A connection is a descriptor and some 100 KiB; kubelet keeps two. */
#define ACCEPT_AT_ONCE 16

const char *rpc_code_name(enum rpc_code code)
{
        switch (code) {
        case RPC_OK:
                return "OK";
        case RPC_UNKNOWN:
                return "Unknown";
        case RPC_INVALID_ARGUMENT:
                return "InvalidArgument";
        case RPC_DEADLINE_EXCEEDED:
                return "DeadlineExceeded";
        case RPC_NOT_FOUND:
                return "NotFound";
        case RPC_ALREADY_EXISTS:
                return "AlreadyExists";
        case RPC_PERMISSION_DENIED:
                return "PermissionDenied";
        case RPC_RESOURCE_EXHAUSTED:
                return "ResourceExhausted";
        case RPC_FAILED_PRECONDITION:
                return "FailedPrecondition";
        case RPC_ABORTED:
                return "Aborted";
        case RPC_UNIMPLEMENTED:
                return "Unimplemented";
        case RPC_INTERNAL:
                return "Internal";
        case RPC_UNAVAILABLE:
                return "Unavailable";
        }
        return "Unknown";
}

/* --- messages --- */

static void *message_alloc(void *userdata, size_t n)
{
        return wipe_malloc(n);
}

static void message_release(void *userdata, void *p)
{
        erase_and_free(p);
}

/* protobuf-c wants it writable, and never writes to it. */
static ProtobufCAllocator message_allocator = {.alloc = message_alloc, .free = message_release};

void *rpc_call_message(struct rpc_call *call, const ProtobufCMessageDescriptor *type)
{
        void *m = protobuf_c_message_unpack(
                type, &message_allocator, call->body_len, (const uint8_t *)call->body);

        erase_and_free(TAKE_PTR(call->body));
        call->body_len = 0;
        if (!m)
                rpc_fail(call, RPC_INVALID_ARGUMENT, "the request is no message of its type");
        return m;
}

void rpc_message_free(void *message)
{
        if (message)
                protobuf_c_message_free_unpacked(message, &message_allocator);
}

/* --- calls --- */

usec_t rpc_call_deadline(const struct rpc_call *call)
{
        return call->deadline;
}

bool rpc_call_cancelled(const struct rpc_call *call)
{
        return call->cancelled;
}

void rpc_call_on_cancel(struct rpc_call *call, rpc_handler fn, void *userdata)
{
        call->on_cancel = fn;
        call->on_cancel_data = userdata;
}

static void unlink_call(struct rpc_call *call)
{
        struct rpc_server *s = call->server;

        for (struct rpc_call **p = &s->calls; *p; p = &(*p)->next)
                if (*p == call) {
                        *p = call->next;
                        s->n_calls--;
                        return;
                }
}

/* The handler's part in it ends here. */
static void end_call(
        struct rpc_call *call, grpc_byte_buffer *message, enum rpc_code code, const char *text)
{
        const struct rpc_method *method = call->method;

        call->on_cancel = NULL;
        unlink_call(call);
        if (method && method->ended)
                method->ended(call->server->userdata, code);
        rpc_queue_send(call, message, code, text);
        rpc_call_unref(call);
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
        const struct grpc_core *g = &call->server->core;
        grpc_slice slice = g->grpc_slice_malloc(protobuf_c_message_get_packed_size(message));

        protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
        grpc_byte_buffer *bytes = g->grpc_raw_byte_buffer_create(&slice, 1);
        g->grpc_slice_unref(slice);
        rpc_call_ref(call); /* and with it the server and libgrpc */
        end_call(call, bytes, RPC_OK, "");
        g->grpc_byte_buffer_destroy(bytes);
        rpc_call_unref(call);
}

void rpc_fail(struct rpc_call *call, enum rpc_code code, const char *text)
{
        end_call(call, NULL, code, text);
}

static const struct rpc_method *find_method(const struct rpc_server *s, const struct rpc_call *call)
{
        for (size_t i = 0; i < s->n_methods; i++)
                if (s->core.grpc_slice_str_cmp(call->details.method, s->methods[i].path) == 0)
                        return &s->methods[i];
        return NULL;
}

static void dispatch(struct rpc_server *s, struct rpc_call *call)
{
        call->method = find_method(s, call);
        call->next = s->calls;
        s->calls = call;
        s->n_calls++;
        if (!call->body) {
                rpc_fail(call, call->no_memory ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL,
                        call->no_memory ? "out of memory" : "the call has no message");
                return;
        }
        if (s->n_calls > RPC_CALLS_MAX) {
                rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "too many calls at once");
                return;
        }
        if (call->method)
                call->method->fn(s->userdata, call);
        else
                rpc_fail(call, RPC_UNIMPLEMENTED, "unknown method");
}

static void give_up(struct rpc_call *call)
{
        rpc_handler fn = call->on_cancel;

        call->cancelled = true;
        call->on_cancel = NULL;
        if (fn)
                fn(call->on_cancel_data, call);
}

static void on_events(void *userdata, int fd, uint32_t revents)
{
        struct rpc_server *s = userdata;
        uint64_t n;

        if (read(fd, &n, sizeof n) < 0)
                return; /* another turn took it */
        for (struct rpc_event e; rpc_queue_take(s, &e);) {
                if (e.cancelled)
                        give_up(e.call);
                else
                        dispatch(s, rpc_call_ref(e.call));
                rpc_call_unref(e.call);
        }
}

/* --- connections --- */

struct rpc_listener {
        struct rpc_listener *next;
        struct rpc_server *server;
        struct loop_io *io;
        int fd;
};

static bool may_connect(int fd)
{
        struct ucred peer = {.uid = (uid_t)-1};
        socklen_t len = sizeof peer;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return false;
        if (peer.uid == 0 || peer.uid == geteuid())
                return true;
        log_warning("a connection of uid %u (pid %d) was refused: kubelet runs as root",
                (unsigned)peer.uid, peer.pid);
        return false;
}

static void on_connection(void *userdata, int listening, uint32_t revents)
{
        struct rpc_listener *w = userdata;

        for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
                _cleanup_close_ int fd =
                        accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0) {
                        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                                log_error("no connection could be accepted: %s", strerror(errno));
                        return;
                }
                if (!may_connect(fd))
                        continue;
                w->server->core.grpc_server_add_channel_from_fd(
                        w->server->grpc, TAKE_FD(fd), w->server->insecure);
        }
}

static struct rpc_listener *listener_free(struct rpc_listener *w)
{
        struct rpc_listener *next = w->next;

        loop_io_free(w->io);
        safe_close(w->fd);
        free(w);
        return next;
}

int rpc_server_listen(struct rpc_server *s, int fd, struct err *e)
{
        struct rpc_listener *w = calloc(1, sizeof *w);
        if (!w) {
                safe_close(fd);
                return err_set(e, -ENOMEM, "out of memory");
        }
        *w = (struct rpc_listener){.server = s, .fd = fd};
        int r = loop_io_new(s->loop, fd, EPOLLIN, on_connection, w, &w->io);
        if (r < 0) {
                listener_free(w);
                return err_set(e, r, "a socket cannot be watched: %s", strerror(-r));
        }
        w->next = s->listeners;
        s->listeners = w;
        return 0;
}

/* --- the server --- */

int rpc_load(struct err *e)
{
        struct grpc_core core;

        return grpc_core_load(GRPC_CORE_LIBRARY, &core, e);
}

int rpc_server_new(struct loop *l, const struct rpc_method *methods, size_t n, void *userdata,
        struct rpc_server **ret, struct err *e)
{
        struct rpc_server *s = NULL;

        int r = rpc_queue_new(&s, e);
        if (r < 0)
                return r;
        s->loop = l;
        s->methods = methods;
        s->n_methods = n;
        s->userdata = userdata;
        r = loop_io_new(l, s->event_fd, EPOLLIN, on_events, s, &s->io);
        if (r == 0)
                r = rpc_queue_start(s);
        if (r < 0) {
                rpc_server_free(s);
                return err_set(e, r, "the gRPC server cannot be started: %s", strerror(-r));
        }
        *ret = s;
        return 0;
}

void rpc_server_stop_listening(struct rpc_server *s)
{
        while (s->listeners)
                s->listeners = listener_free(s->listeners);
}

bool rpc_server_is_quiet(const struct rpc_server *s)
{
        /* its owner's, and those of calls that nobody has made yet */
        return s->n_calls == 0 && atomic_load(&s->refs) <= 1 + RPC_ACCEPT_AHEAD;
}

void rpc_server_free(struct rpc_server *s)
{
        if (!s)
                return;
        rpc_server_stop_listening(s);
        /* A call that is held keeps its connection, and that the server's end. */
        for (struct rpc_call *c = s->calls; c; c = c->next)
                rpc_call_release(c);
        /* Each may end its call, and others with it. */
        for (struct rpc_call *c = s->calls; c; c = s->calls) {
                unlink_call(c);
                give_up(c);
        }
        rpc_queue_stop(s);
        s->io = loop_io_free(s->io);
        rpc_server_unref(s);
}
