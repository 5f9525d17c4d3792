/* The client's side of the control protocol (cli/control.h): one connection to one worker. */
#pragma once

#include "base/loop.h"
#include "cli/control.h"
#include "cli/rundir.h"

struct control_client;

/* A worker that is busy answers within a turn of its loop; one that has just been started also has
 * to start. Beyond this it is taken for hung. */
#define CONTROL_HELLO_TIMEOUT_MS 15000
#define CONTROL_NO_TIMEOUT (-1)

/* Connects and exchanges hellos. -ECONNREFUSED: nobody listens. -EPERM: somebody else does. */
int control_client_new(
        const struct rundir *d, const char *name, struct control_client **ret, struct err *e);
void control_client_free(struct control_client *c);
DEFINE_CLEANUP(struct control_client *, control_client_free)

/* The name of the socket it knocked at, in the control directory. */
const char *control_client_name(const struct control_client *c);
const struct control_hello *control_client_hello(const struct control_client *c);

/* Sends; wipes what it built from the message. */
int control_client_send(struct control_client *c, const cJSON *message, struct err *e);

/* The next message. wake_fd (or -1) ends the wait with -EINTR when it becomes readable. -ETIMEDOUT,
 * -ENODATA and -ECONNRESET when the worker went away. */
int control_client_receive(
        struct control_client *c, int timeout_ms, int wake_fd, cJSON **ret, struct err *e);

/* Both: sends, and gives what comes next. */
int control_client_ask(struct control_client *c, const cJSON *message, int timeout_ms, int wake_fd,
        cJSON **ret, struct err *e);

/* Every worker of this user in this mount namespace, each greeted; those that nobody serves any
 * more are removed when the caller holds the lock (`locked`). What went wrong with one (hung, other
 * protocol) is told through `problem` and does not end the search. fn returns > 0 to stop (and to
 * keep *client: set it to NULL). Returns fn's last result, 0 when there was none, or an error. */
typedef int (*control_each_fn)(void *userdata, struct control_client **client);
typedef void (*control_problem_fn)(void *userdata, const struct err *problem);
int control_each(const struct rundir *d, bool locked, control_each_fn fn,
        control_problem_fn problem, void *userdata, struct err *e);
