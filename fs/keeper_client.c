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
        int heir_fd;
        struct loop *loop;
        struct keeper_queue out;
        struct keeper_queue in; /* what a dead keeper had still said */
        keeper_answer_fn fn;
        keeper_back_fn back;
        void *userdata;
        pid_t pid;
};

static void on_socket(void *userdata, int fd, uint32_t revents);

static void flush(struct keeper_client *c)
{
        if (c->fd < 0)
                return;
        int r = keeper_queue_flush(&c->out, c->fd);
        if (c->io)
                (void)loop_io_set(c->io, EPOLLIN | (r == -EAGAIN ? (uint32_t)EPOLLOUT : 0));
}

/* For the client itself: true when nobody else needs to hear of it. */
static bool is_ours(struct keeper_client *c, const struct keeper_msg *m, int *fd)
{
        if (m->op == KEEPER_ATTACHED)
                c->pid = (pid_t)m->seq;
        if (m->op != KEEPER_HEIR)
                return false;
        keeper_client_set_heir(c, TAKE_FD(*fd));
        return true;
}

/* What it said before it died is kept: a newer heir, a mount that was made. */
static void hear_the_rest(struct keeper_client *c)
{
        struct keeper_msg m;
        int fd = -EBADF;

        while (keeper_recv(c->fd, &m, &fd) == 1) {
                if (!is_ours(c, &m, &fd))
                        (void)keeper_queue_push(&c->in, &m, fd);
                fd = safe_close(fd);
        }
}

/* False: there is none, or none that lives. */
static bool turn_to_heir(struct keeper_client *c)
{
        struct pollfd p = {.fd = c->heir_fd, .events = POLLOUT};

        if (c->heir_fd < 0 || !c->back || poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLERR)))
                return false;
        c->io = loop_io_free(c->io);
        safe_close(c->fd);
        c->fd = TAKE_FD(c->heir_fd);
        keeper_queue_done(&c->out);
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
                loop_io_new(c->loop, c->fd, EPOLLIN, on_socket, c, &c->io) < 0)
                return false;
        c->back(c->userdata);
        return true;
}

static void gone(struct keeper_client *c)
{
        c->io = loop_io_free(c->io);
        c->fd = safe_close(c->fd);
        c->fn(c->userdata, NULL, -EBADF);
}

static void on_socket(void *userdata, int fd, uint32_t revents)
{
        struct keeper_client *c = userdata;

        if (revents & EPOLLOUT)
                flush(c);
        for (;;) {
                struct keeper_msg m;
                int passed = -EBADF;
                int r = keeper_queue_take(&c->in, &m, &passed) ? 1
                                                               : keeper_recv(c->fd, &m, &passed);
                if (r == -EAGAIN)
                        return;
                if (r < 0)
                        log_error("the keeper cannot be understood: %s", strerror(-r));
                /* Only a dead one: the heir of a keeper that lives is asleep. */
                if (r == 0 && turn_to_heir(c))
                        return; /* comes again with its first message */
                if (r <= 0) {
                        gone(c);
                        return;
                }
                if (is_ours(c, &m, &passed))
                        continue;
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
        c->heir_fd = -EBADF;
        c->loop = l;
        keeper_queue_init(&c->out);
        keeper_queue_init(&c->in);
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
        safe_close(c->heir_fd);
        keeper_queue_done(&c->out);
        keeper_queue_done(&c->in);
        free(c);
}

void keeper_client_on_heir(struct keeper_client *c, keeper_back_fn fn)
{
        c->back = fn;
}

void keeper_client_set_heir(struct keeper_client *c, int fd)
{
        safe_close(c->heir_fd);
        c->heir_fd = fd;
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
                if (r == -EPIPE || r == -ECONNRESET) {
                        hear_the_rest(c);
                        return turn_to_heir(c) ? -ESTALE : r;
                }
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
