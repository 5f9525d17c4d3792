/* Shared by rpc.c (the loop's thread) and rpc_queue.c (the thread of libgrpc's completion queue).
 *
 * Who holds a struct rpc_call: the loop, from its dispatch until it is answered; each operation
 * that libgrpc has under way; each event that waits for the loop. The last one frees it. A call
 * holds the server, and the server libgrpc's own initialisation.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "csi/grpc_core.h"
#include "csi/rpc.h"

/* Calls that are asked of libgrpc in advance. */
#define RPC_ACCEPT_AHEAD 16

enum rpc_step { STEP_ACCEPT, STEP_RECEIVE, STEP_CLOSE, STEP_SEND, STEP_DOWN, N_STEPS };

/* What libgrpc gives back as the tag of a finished operation. */
struct rpc_op {
        enum rpc_step step;
        struct rpc_call *call;
};

struct rpc_call {
        atomic_uint refs;
        struct rpc_server *server;
        grpc_call *call; /* NULL once released */
        grpc_call_details details;
        grpc_metadata_array metadata;
        grpc_byte_buffer *payload;
        grpc_slice status_text;
        int closed_early; /* libgrpc writes it when the call is over */
        struct rpc_op ops[N_STEPS];
        /* the loop's: */
        struct rpc_call *next;
        const struct rpc_method *method; /* NULL: unknown */
        char *body;                      /* the request's bytes, wiped; NULL: there are none */
        size_t body_len;
        bool no_memory;
        usec_t deadline;
        bool cancelled;
        rpc_handler on_cancel;
        void *on_cancel_data;
};

struct rpc_event {
        struct rpc_call *call; /* a reference */
        bool cancelled;        /* else: new */
};

struct rpc_server {
        atomic_uint refs;
        struct grpc_core core;
        grpc_server *grpc;
        grpc_server_credentials *insecure;
        grpc_completion_queue *queue;
        struct rpc_op down_op;
        pthread_t thread;
        bool thread_runs;
        /* the loop's: */
        struct loop *loop;
        struct loop_io *io;
        const struct rpc_method *methods;
        size_t n_methods;
        void *userdata;
        struct rpc_listener *listeners;
        struct rpc_call *calls; /* not answered yet */
        size_t n_calls;
        /* from the queue's thread to the loop: */
        int event_fd;
        pthread_mutex_t lock;
        bool down;                /* no event any more */
        struct rpc_event *events; /* a ring of n_events from first_event */
        size_t first_event, n_events, events_size;
};

struct rpc_call *rpc_call_ref(struct rpc_call *call);
void rpc_call_unref(struct rpc_call *call);
void rpc_call_release(struct rpc_call *call); /* libgrpc's handle alone */
void rpc_server_unref(struct rpc_server *s);

int rpc_queue_new(struct rpc_server **ret, struct err *e);
int rpc_queue_start(struct rpc_server *s);
/* Cancels what is under way and waits until libgrpc has let go of all of it. */
void rpc_queue_stop(struct rpc_server *s);
/* The next event; false: none. Its reference goes to the caller. */
bool rpc_queue_take(struct rpc_server *s, struct rpc_event *ret);
/* The answer; message NULL unless code is RPC_OK; borrowed. */
void rpc_queue_send(
        struct rpc_call *call, grpc_byte_buffer *message, enum rpc_code code, const char *text);
