/* The worker's end of the conversation with the keeper: requests go out without ever blocking the
 * loop, answers come back by mount. Loop thread only.
 *
 * A keeper that is killed has an heir (fs/keeper_guardian.h), which the worker knows beforehand.
 * What was asked of the dead keeper is forgotten, what it had answered is still delivered, and the
 * conversation goes on with the heir: first of all what `back` sends, then whatever is asked next,
 * until it says ATTACHED. */
#pragma once

#include "base/loop.h"
#include "fs/keeper_proto.h"

struct keeper_client;

/* m is borrowed during the call, fd is the callee's to close. m NULL: the keeper is gone. */
typedef void (*keeper_answer_fn)(void *userdata, const struct keeper_msg *m, int fd);

/* The keeper is dead: send the heir everything back. May come from within keeper_client_drain(). */
typedef void (*keeper_back_fn)(void *userdata);
void keeper_client_on_heir(struct keeper_client *c, keeper_back_fn fn);
/* Where the heir is; taken over. HEIR messages do the same by themselves. */
void keeper_client_set_heir(struct keeper_client *c, int fd);

/* socket is taken over. */
int keeper_client_new(struct loop *l, int socket, keeper_answer_fn fn, void *userdata,
        struct keeper_client **ret);
void keeper_client_free(struct keeper_client *c);

/* Queues it, with a duplicate of fd (or -EBADF). -EINVAL for what the keeper would not accept,
 * -ENOTCONN once it is gone, -ENOMEM. */
int keeper_client_send(struct keeper_client *c, const struct keeper_msg *m, int fd);
pid_t keeper_client_pid(const struct keeper_client *c); /* 0 when unknown */
/* Waits until all that was queued has been sent: for what has to be with the keeper before anything
 * else happens. -ETIMEDOUT when it does not read; -ESTALE when it was found dead and its heir has
 * been given everything that `back` sends, and nothing else. */
int keeper_client_drain(struct keeper_client *c);
