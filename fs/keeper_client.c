#include "fs/keeper_client.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"

struct outgoing {
        struct outgoing *next;
        struct keeper_msg m;
};

struct keeper_client {
        int fd;
        struct loop_io *io;
        struct outgoing *first, **last;
        keeper_answer_fn fn;
        void *userdata;
        pid_t pid;
};

static void gone(struct keeper_client *c)
{
        c->io = loop_io_free(c->io);
        c->fd = safe_close(c->fd);
        c->fn(c->userdata, NULL, -EBADF);
}

/* Two peers that both block on a full socket would wait for each other for ever. */
static void flush(struct keeper_client *c)
{
        while (c->first && c->fd >= 0) {
                struct outgoing *o = c->first;
                int r = keeper_send(c->fd, &o->m, -EBADF);
                if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
                        break;
                c->first = o->next;
                if (!c->first)
                        c->last = &c->first;
                free(o);
        }
        if (c->io)
                (void)loop_io_set(c->io, EPOLLIN | (c->first ? (uint32_t)EPOLLOUT : 0));
}

static void on_socket(void *userdata, int fd, uint32_t revents)
{
        struct keeper_client *c = userdata;

        if (revents & EPOLLOUT)
                flush(c);
        for (;;) {
                struct keeper_msg m;
                int passed = -EBADF;
                int r = keeper_recv(c->fd, &m, &passed);
                if (r == -EAGAIN)
                        return;
                if (r <= 0) {
                        if (r < 0)
                                log_error("the keeper cannot be understood: %s", strerror(-r));
                        gone(c);
                        return;
                }
                m.detail[sizeof m.detail - 1] = '\0';
                c->fn(c->userdata, &m, passed);
        }
}

int keeper_client_new(
        struct loop *l, int socket, keeper_answer_fn fn, void *userdata, struct keeper_client **ret)
{
        struct keeper_client *c = calloc(1, sizeof *c);
        if (!c) {
                safe_close(socket);
                return -ENOMEM;
        }
        c->fd = socket;
        c->last = &c->first;
        c->fn = fn;
        c->userdata = userdata;

        struct ucred peer;
        socklen_t len = sizeof peer;
        if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
                c->pid = peer.pid;
        int r = fcntl(socket, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
        if (r == 0)
                r = loop_io_new(l, socket, EPOLLIN, on_socket, c, &c->io);
        if (r < 0) {
                keeper_client_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void keeper_client_free(struct keeper_client *c)
{
        if (!c)
                return;
        loop_io_free(c->io);
        safe_close(c->fd);
        for (struct outgoing *o = c->first, *next; o; o = next) {
                next = o->next;
                free(o);
        }
        free(c);
}

int keeper_client_send(struct keeper_client *c, const struct keeper_msg *m)
{
        if (c->fd < 0)
                return -ENOTCONN;
        /* The keeper ends a worker that sends it something else. */
        if (keeper_msg_valid(m) < 0)
                return -EINVAL;
        struct outgoing *o = malloc(sizeof *o);
        if (!o)
                return -ENOMEM;
        o->next = NULL;
        o->m = *m;
        *c->last = o;
        c->last = &o->next;
        flush(c);
        return 0;
}

pid_t keeper_client_pid(const struct keeper_client *c)
{
        return c->pid;
}
