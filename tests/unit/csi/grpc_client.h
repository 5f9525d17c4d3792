/* A gRPC client for tests of csi/: libgrpc's own, on its C surface, over a unix socket. One call is
 * driven to its end while the server's loop turns on the same thread. */
#pragma once

#include <grpc/grpc.h>

#include "csi/rpc.h"

struct client;
struct client_call;

struct answer {
        int code;   /* as gRPC numbers them */
        char *text; /* of the status */
        char *body; /* of the message; NULL: none */
        size_t length;
};
void answer_done(struct answer *a);
#define _cleanup_answer_ _cleanup_(answer_done)

struct client *client_new(struct loop *server, const char *socket_path);
void client_free(struct client *c);

struct client_call *client_start(
        struct client *c, const char *method, const void *body, size_t len, usec_t timeout);
void client_cancel(struct client_call *call);
/* Turns the loop until the call is over, and frees it. */
struct answer client_finish(struct client_call *call);
struct answer client_ask(struct client *c, const char *method, const void *body, size_t len);

/* A socket in a fresh folder below /tmp, listening; path is freed by the caller. */
int listening_socket(char **ret_path);
void remove_socket(const char *path);

/* A server of these methods on a loop and a socket of its own, and who asks it. */
struct rpc_pair {
        struct loop *loop;
        struct rpc_server *server;
        struct client *client;
        char *path;
};
void rpc_pair_open(struct rpc_pair *p, const struct rpc_method *methods, size_t n, void *userdata);
void rpc_pair_close(struct rpc_pair *p);
