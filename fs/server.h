/* The few threads that answer the kernel, for all mounts of the process.
 *
 * One epoll set over all connections, one-shot: a request wakes exactly one thread, which reads it,
 * arms the connection again and answers, so that several requests of one mount are served at once
 * and no mount can hold a thread. Sessions are found by number, never by pointer: an event that was
 * already fetched when a session left finds nothing.
 */
#pragma once

#include "fs/session.h"

#define SERVER_THREADS 2

struct server;

int server_new(unsigned threads, struct server **ret);
void server_free(struct server *s); /* joins the threads; the sessions must have been removed */

/* Takes a reference until it is removed. */
int server_add(struct server *s, struct session *session);
/* No new request of this session is taken up afterwards. One may still be under way: its reference
 * keeps the session until it is answered. */
void server_remove(struct server *s, struct session *session);
