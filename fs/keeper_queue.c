#include "fs/keeper_queue.h"

#include <fcntl.h>

struct keeper_item {
        struct keeper_item *next;
        int fd;
        struct keeper_msg m;
};

void keeper_queue_init(struct keeper_queue *q)
{
        q->first = NULL;
        q->last = &q->first;
        q->n = 0;
}

static void pop(struct keeper_queue *q)
{
        struct keeper_item *i = q->first;

        q->first = i->next;
        if (!q->first)
                q->last = &q->first;
        q->n--;
        safe_close(i->fd);
        free(i);
}

bool keeper_queue_take(struct keeper_queue *q, struct keeper_msg *ret, int *ret_fd)
{
        if (!q->first)
                return false;
        *ret = q->first->m;
        *ret_fd = TAKE_FD(q->first->fd);
        pop(q);
        return true;
}

void keeper_queue_done(struct keeper_queue *q)
{
        while (q->first)
                pop(q);
}

int keeper_queue_push(struct keeper_queue *q, const struct keeper_msg *m, int fd)
{
        struct keeper_item *i = malloc(sizeof *i);
        if (!i)
                return -ENOMEM;
        i->next = NULL;
        i->m = *m;
        i->fd = -EBADF;
        if (fd >= 0 && (i->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
                int r = -errno;
                free(i);
                return r;
        }
        *q->last = i;
        q->last = &i->next;
        q->n++;
        return 0;
}

int keeper_queue_flush(struct keeper_queue *q, int socket)
{
        while (q->first) {
                int r = keeper_send(socket, &q->first->m, q->first->fd);
                if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
                        return -EAGAIN;
                if (r < 0)
                        return r;
                pop(q);
        }
        return 0;
}
