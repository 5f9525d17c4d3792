/* The thread of libgrpc's completion queue: calls are accepted, received and handed to the loop.
 *
 * Each operation given to libgrpc holds a reference to its call until it comes back from the queue.
 * RPC_ACCEPT_AHEAD calls are asked for in advance, so that a burst is taken without a turn each.
 */
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/wipe.h"
#include "csi/rpc_private.h"

/* --- references --- */

struct rpc_call *rpc_call_ref(struct rpc_call *call)
{
        atomic_fetch_add(&call->refs, 1);
        return call;
}

void rpc_server_unref(struct rpc_server *s)
{
        void (*shut_down)(void) = s->core.grpc_shutdown;

        if (atomic_fetch_sub(&s->refs, 1) != 1)
                return;
        if (s->insecure)
                s->core.grpc_server_credentials_release(s->insecure);
        safe_close(s->event_fd);
        pthread_mutex_destroy(&s->lock);
        free(s->events);
        free(s);
        shut_down();
}

/* Received bytes may hold tokens, and libgrpc frees its slices as they are. The range is ours
 * alone: a slice of the transport's buffer ends where its frame does. */
static void wipe_payload(const struct grpc_core *g, grpc_byte_buffer *b)
{
        grpc_byte_buffer_reader reader;
        grpc_slice *slice;

        if (!g->grpc_byte_buffer_reader_init(&reader, b))
                return;
        while (g->grpc_byte_buffer_reader_peek(&reader, &slice))
                explicit_bzero(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
        g->grpc_byte_buffer_reader_destroy(&reader);
}

static void drop_payload(struct rpc_call *call)
{
        const struct grpc_core *g = &call->server->core;

        if (!call->payload)
                return;
        wipe_payload(g, call->payload);
        g->grpc_byte_buffer_destroy(TAKE_PTR(call->payload));
}

void rpc_call_release(struct rpc_call *call)
{
        if (call->call)
                call->server->core.grpc_call_unref(TAKE_PTR(call->call));
}

void rpc_call_unref(struct rpc_call *call)
{
        if (atomic_fetch_sub(&call->refs, 1) != 1)
                return;
        const struct grpc_core *g = &call->server->core;
        rpc_call_release(call);
        drop_payload(call);
        g->grpc_call_details_destroy(&call->details);
        g->grpc_metadata_array_destroy(&call->metadata);
        g->grpc_slice_unref(call->status_text);
        erase_and_free(call->body);
        rpc_server_unref(call->server);
        free(call);
}

/* --- to the loop --- */

static int grow_events(struct rpc_server *s)
{
        size_t size = MAX(2 * s->events_size, (size_t)64);
        struct rpc_event *bigger = reallocarray(NULL, size, sizeof *bigger);

        if (!bigger)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_events; i++)
                bigger[i] = s->events[(s->first_event + i) % s->events_size];
        free(s->events);
        s->events = bigger;
        s->events_size = size;
        s->first_event = 0;
        return 0;
}

static int put_event(struct rpc_server *s, struct rpc_call *call, bool cancelled)
{
        const uint64_t one = 1;

        pthread_mutex_lock(&s->lock);
        int r = s->down ? -ESHUTDOWN : 0;
        if (r == 0 && s->n_events == s->events_size)
                r = grow_events(s);
        if (r == 0) {
                s->events[(s->first_event + s->n_events++) % s->events_size] =
                        (struct rpc_event){.call = rpc_call_ref(call), .cancelled = cancelled};
                /* Fails only when it is full, and then the loop has been woken. */
                (void)!write(s->event_fd, &one, sizeof one);
        }
        pthread_mutex_unlock(&s->lock);
        return r;
}

bool rpc_queue_take(struct rpc_server *s, struct rpc_event *ret)
{
        bool any;

        pthread_mutex_lock(&s->lock);
        any = s->n_events > 0;
        if (any) {
                *ret = s->events[s->first_event];
                s->first_event = (s->first_event + 1) % s->events_size;
                s->n_events--;
        }
        pthread_mutex_unlock(&s->lock);
        return any;
}

/* --- operations --- */

/* libgrpc hands what it is given to the thread that takes it back; it is not instrumented, so the
 * thread sanitizer does not see how. */
#if defined __SANITIZE_THREAD__
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define HANDED_OVER(op) __tsan_release(op)
#define HANDED_BACK(op) __tsan_acquire(op)
#else
#define HANDED_OVER(op) ((void)(op))
#define HANDED_BACK(op) ((void)(op))
#endif

static void *tag(struct rpc_call *call, enum rpc_step step)
{
        call->ops[step] = (struct rpc_op){.step = step, .call = rpc_call_ref(call)};
        HANDED_OVER(&call->ops[step]);
        return &call->ops[step];
}

static void start(struct rpc_call *call, enum rpc_step step, const grpc_op *ops, size_t n)
{
        const struct grpc_core *g = &call->server->core;
        grpc_call_error r = g->grpc_call_start_batch(call->call, ops, n, tag(call, step), NULL);

        if (r == GRPC_CALL_OK)
                return;
        log_error("gRPC does not take an operation: %s", g->grpc_call_error_to_string(r));
        rpc_call_unref(call);
}

void rpc_queue_send(
        struct rpc_call *call, grpc_byte_buffer *message, enum rpc_code code, const char *text)
{
        grpc_op ops[3] = {
                {.op = GRPC_OP_SEND_INITIAL_METADATA},
                {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                {.op = GRPC_OP_SEND_MESSAGE},
        };

        if (!call->call)
                return;
        call->status_text =
                call->server->core.grpc_slice_from_copied_buffer(text, strnlen(text, RPC_TEXT_MAX));
        ops[1].data.send_status_from_server.status = (grpc_status_code)code;
        ops[1].data.send_status_from_server.status_details = &call->status_text;
        ops[2].data.send_message.send_message = message;
        start(call, STEP_SEND, ops, message ? 3 : 2);
}

static void accept_next(struct rpc_server *s)
{
        const struct grpc_core *g = &s->core;
        struct rpc_call *call = calloc(1, sizeof *call);
        if (!call) {
                log_error("out of memory: fewer gRPC calls are taken at once");
                return;
        }
        atomic_init(&call->refs, 1);
        call->server = s;
        atomic_fetch_add(&s->refs, 1);
        call->status_text = g->grpc_empty_slice();
        g->grpc_call_details_init(&call->details);
        g->grpc_metadata_array_init(&call->metadata);
        grpc_call_error r = g->grpc_server_request_call(s->grpc, &call->call, &call->details,
                &call->metadata, s->queue, s->queue, tag(call, STEP_ACCEPT));
        if (r != GRPC_CALL_OK) {
                /* the server is going down */
                rpc_call_unref(call);
        }
        rpc_call_unref(call);
}

/* --- what comes back --- */

static usec_t deadline_of(const struct rpc_call *call)
{
        const struct grpc_core *g = &call->server->core;
        gpr_timespec t = g->gpr_convert_clock_type(call->details.deadline, GPR_CLOCK_MONOTONIC);

        if (g->gpr_time_cmp(t, g->gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
                return USEC_INFINITY;
        if (t.tv_sec < 0)
                return 0;
        return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void accepted(struct rpc_call *call)
{
        const grpc_op receive = {
                .op = GRPC_OP_RECV_MESSAGE,
                .data.recv_message.recv_message = &call->payload,
        };
        const grpc_op closed = {
                .op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                .data.recv_close_on_server.cancelled = &call->closed_early,
        };

        accept_next(call->server);
        call->deadline = deadline_of(call);
        start(call, STEP_RECEIVE, &receive, 1);
        start(call, STEP_CLOSE, &closed, 1);
}

static void received(struct rpc_call *call)
{
        const struct grpc_core *g = &call->server->core;

        if (call->payload) {
                grpc_byte_buffer_reader reader;
                grpc_slice *slice;
                size_t len = g->grpc_byte_buffer_length(call->payload);

                call->body = len <= RPC_MESSAGE_MAX ? wipe_malloc(len + 1) : NULL;
                call->no_memory = !call->body;
                if (call->body && g->grpc_byte_buffer_reader_init(&reader, call->payload)) {
                        while (g->grpc_byte_buffer_reader_peek(&reader, &slice)) {
                                memcpy(call->body + call->body_len, GRPC_SLICE_START_PTR(*slice),
                                        GRPC_SLICE_LENGTH(*slice));
                                call->body_len += GRPC_SLICE_LENGTH(*slice);
                        }
                        g->grpc_byte_buffer_reader_destroy(&reader);
                }
                drop_payload(call);
        }
        if (put_event(call->server, call, false) == -ENOMEM)
                rpc_queue_send(call, NULL, RPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void closed(struct rpc_call *call)
{
        /* Told in the order of things: the loop hears of the call first. */
        if (call->closed_early && put_event(call->server, call, true) == -ENOMEM)
                log_warning("out of memory: a caller that gave up is not told to its handler");
}

static void *serve_queue(void *userdata)
{
        struct rpc_server *s = userdata;
        const struct grpc_core *g = &s->core;

        pthread_setname_np(pthread_self(), "grpc");
        for (;;) {
                grpc_event e = g->grpc_completion_queue_next(
                        s->queue, g->gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
                if (e.type == GRPC_QUEUE_SHUTDOWN)
                        return NULL;
                if (e.type != GRPC_OP_COMPLETE)
                        continue;
                HANDED_BACK(e.tag);
                const struct rpc_op *op = e.tag;
                struct rpc_call *call = op->call;
                switch (op->step) {
                case STEP_ACCEPT:
                        if (e.success)
                                accepted(call);
                        break;
                case STEP_RECEIVE:
                        received(call);
                        break;
                case STEP_CLOSE:
                        closed(call);
                        break;
                case STEP_SEND:
                        break;
                case STEP_DOWN:
                        g->grpc_completion_queue_shutdown(s->queue);
                        continue;
                case N_STEPS:
                        break;
                }
                rpc_call_unref(call);
        }
}

/* --- the server --- */

static void on_grpc_log(gpr_log_func_args *args)
{
        switch (args->severity) {
        case GPR_LOG_SEVERITY_ERROR:
                log_warning("gRPC: %s", args->message);
                break;
        case GPR_LOG_SEVERITY_INFO:
        case GPR_LOG_SEVERITY_DEBUG:
                log_debug("gRPC: %s", args->message);
                break;
        }
}

int rpc_queue_new(struct rpc_server **ret, struct err *e)
{
        struct rpc_server *s = calloc(1, sizeof *s);

        if (!s)
                return err_set(e, -ENOMEM, "out of memory");
        int r = grpc_core_load(GRPC_CORE_LIBRARY, &s->core, e);
        if (r < 0) {
                free(s);
                return r;
        }
        s->core.grpc_init();
        s->core.gpr_set_log_function(on_grpc_log);
        atomic_init(&s->refs, 1);
        pthread_mutex_init(&s->lock, NULL);
        s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s->event_fd < 0) {
                r = -errno;
                rpc_server_unref(s);
                return err_set(e, r, "the gRPC server cannot be started: %s", strerror(-r));
        }
        *ret = s;
        return 0;
}

int rpc_queue_start(struct rpc_server *s)
{
        const struct grpc_core *g = &s->core;
        grpc_arg args[] = {
                {.type = GRPC_ARG_INTEGER,
                        .key = (char[]){GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH},
                        .value.integer = RPC_MESSAGE_MAX},
                {.type = GRPC_ARG_INTEGER,
                        .key = (char[]){GRPC_ARG_MAX_CONCURRENT_STREAMS},
                        .value.integer = RPC_CALLS_MAX},
                {.type = GRPC_ARG_INTEGER,
                        .key = (char[]){GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET},
                        .value.integer = 1 << GRPC_COMPRESS_NONE},
        };
        const grpc_channel_args list = {.num_args = ELEMENTSOF(args), .args = args};

        s->insecure = g->grpc_insecure_server_credentials_create();
        s->queue = g->grpc_completion_queue_create_for_next(NULL);
        s->grpc = g->grpc_server_create(&list, NULL);
        g->grpc_server_register_completion_queue(s->grpc, s->queue, NULL);
        g->grpc_server_start(s->grpc);
        for (unsigned i = 0; i < RPC_ACCEPT_AHEAD; i++)
                accept_next(s);
        int r = -pthread_create(&s->thread, NULL, serve_queue, s);
        s->thread_runs = r == 0;
        return r;
}

void rpc_queue_stop(struct rpc_server *s)
{
        const struct grpc_core *g = &s->core;

        pthread_mutex_lock(&s->lock);
        s->down = true;
        pthread_mutex_unlock(&s->lock);
        /* What waits for the loop holds its connection, and that the server's end. */
        for (struct rpc_event e; rpc_queue_take(s, &e);)
                rpc_call_unref(e.call);
        if (!s->grpc)
                return;
        s->down_op = (struct rpc_op){.step = STEP_DOWN};
        HANDED_OVER(&s->down_op);
        g->grpc_server_shutdown_and_notify(s->grpc, s->queue, &s->down_op);
        g->grpc_server_cancel_all_calls(s->grpc);
        if (s->thread_runs)
                pthread_join(s->thread, NULL);
        else
                (void)serve_queue(s);
        g->grpc_server_destroy(TAKE_PTR(s->grpc));
        g->grpc_completion_queue_destroy(TAKE_PTR(s->queue));
}
