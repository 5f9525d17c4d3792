/* The worker's side of the control protocol (cli/control.h): connections on the loop.
 *
 * Peers other than root and the user whose mounts these are, are turned away before a byte of
 * theirs is read. Everything is called on the loop's thread.
 */
#pragma once

#include "base/loop.h"
#include "cli/control.h"

#define CONTROL_CONNECTIONS_MAX 64

struct control_server;
struct control_conn;

struct control_handler {
        /* A message; it is freed (and wiped) after the call. The connection may be closed in it. */
        void (*message)(void *userdata, struct control_conn *c, const cJSON *message);
        /* The connection is gone, for whatever reason; once, before it is freed. */
        void (*closed)(void *userdata, struct control_conn *c);
};

/* listen_fd is taken over, also on failure. */
int control_server_new(struct loop *l, int listen_fd, const struct control_handler *handler,
        void *userdata, struct control_server **ret);
/* Closes all connections (with the callback), unanswered ones too. */
void control_server_free(struct control_server *s);
DEFINE_CLEANUP(struct control_server *, control_server_free)

/* Whose commands are taken beside root's; until it is called, those of this process's own user. */
void control_server_serve(struct control_server *s, uid_t uid);

/* No new connections from now on; those that are there go on. */
void control_server_stop_listening(struct control_server *s);
size_t control_server_connections(const struct control_server *s);

/* Queues a message. Takes `message` over (NULL, from a lack of memory, closes the connection: the
 * client then knows that something failed). The connection may be gone afterwards only in later
 * turns of the loop, never within the call. */
void control_conn_send(struct control_conn *c, cJSON *message);
/* Once what is queued is sent. */
void control_conn_close(struct control_conn *c);
