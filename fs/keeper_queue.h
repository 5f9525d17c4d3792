/* Messages that wait until the other end has room: two peers that both block on a full socket would
 * wait for each other for ever. Used at both ends. */
#pragma once

#include "fs/keeper_proto.h"

struct keeper_item;
struct keeper_queue {
        struct keeper_item *first, **last;
        size_t n;
};

void keeper_queue_init(struct keeper_queue *q);
void keeper_queue_done(struct keeper_queue *q); /* drops what waits */

/* fd (or -EBADF) is duplicated. -ENOMEM, -EMFILE. */
int keeper_queue_push(struct keeper_queue *q, const struct keeper_msg *m, int fd);

/* Sends what the socket (non-blocking) takes. 0: nothing waits any more; -EAGAIN: wait for
 * writability; else the conversation is over. */
int keeper_queue_flush(struct keeper_queue *q, int socket);
/* Takes the first one out; *ret_fd is then the caller's. False when nothing waits. */
bool keeper_queue_take(struct keeper_queue *q, struct keeper_msg *ret, int *ret_fd);
static inline size_t keeper_queue_length(const struct keeper_queue *q)
{
        return q->n;
}
static inline bool keeper_queue_waits(const struct keeper_queue *q)
{
        return q->first != NULL;
}
