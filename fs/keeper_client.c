#include "fs/keeper_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "fs/keeper_queue.h"

struct keeper_client {
        int fd;
        struct loop_io *io;
        struct keeper_queue out;
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

static void flush(struct keeper_client *c)
{
        if (c->fd < 0)
                return;
        int r = keeper_queue_flush(&c->out, c->fd);
        if (c->io)
                (void)loop_io_set(c->io, EPOLLIN | (r == -EAGAIN ? (uint32_t)EPOLLOUT : 0));
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
        keeper_queue_init(&c->out);
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
        keeper_queue_done(&c->out);
        free(c);
}

int keeper_client_send(struct keeper_client *c, const struct keeper_msg *m, int fd)
{
        if (c->fd < 0)
                return -ENOTCONN;
        /* The keeper ends a worker that sends it something else. */
        if (keeper_msg_valid(m) < 0)
                return -EINVAL;
        int r = keeper_queue_push(&c->out, m, fd);
        if (r == 0)
                flush(c);
        return r;
}

pid_t keeper_client_pid(const struct keeper_client *c)
{
        return c->pid;
}

#define DRAIN_TIMEOUT_MS 5000

int keeper_client_drain(struct keeper_client *c)
{
        for (;;) {
                if (c->fd < 0)
                        return -ENOTCONN;
                int r = keeper_queue_flush(&c->out, c->fd);
                if (r != -EAGAIN)
                        return r;
                struct pollfd p = {.fd = c->fd, .events = POLLOUT};
                r = poll(&p, 1, DRAIN_TIMEOUT_MS);
                if (r == 0)
                        return -ETIMEDOUT;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}
