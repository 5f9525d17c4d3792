#include "cli/control_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/wipe.h"

struct frame {
        struct frame *next;
        size_t len, sent;
        char *bytes;
};

struct control_conn {
        struct control_server *server;
        struct control_conn *next;
        int fd;
        struct loop_io *io;
        struct loop_timer *reaper; /* frees the connection in a turn of its own */
        struct control_reader reader;
        struct frame *first, **last;
        bool closing; /* when everything is sent */
        bool dead;
};

struct control_server {
        struct loop *loop;
        int fd;
        struct loop_io *io;
        struct control_handler handler;
        void *userdata;
        struct control_conn *conns;
        size_t n_conns;
        uid_t uid; /* served beside root */
};

static void conn_free(struct control_conn *c)
{
        struct control_server *s = c->server;

        s->handler.closed(s->userdata, c);
        for (struct control_conn **p = &s->conns; *p; p = &(*p)->next)
                if (*p == c) {
                        *p = c->next;
                        s->n_conns--;
                        break;
                }
        while (c->first) {
                struct frame *f = c->first;
                c->first = f->next;
                erase_and_free(f->bytes);
                free(f);
        }
        c->io = loop_io_free(c->io);
        c->reaper = loop_timer_free(c->reaper);
        safe_close(c->fd);
        control_reader_done(&c->reader);
        free(c);
}

static void on_reap(void *userdata)
{
        conn_free(userdata);
}

/* Whoever is on the stack may still use the connection. */
static void conn_kill(struct control_conn *c)
{
        if (c->dead)
                return;
        c->dead = true;
        c->io = loop_io_free(c->io);
        loop_timer_in(c->reaper, 0);
}

static void conn_flush(struct control_conn *c)
{
        while (c->first) {
                struct frame *f = c->first;
                ssize_t n = send(c->fd, f->bytes + f->sent, f->len - f->sent, MSG_NOSIGNAL);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno != EAGAIN) {
                                conn_kill(c);
                                return;
                        }
                        if (loop_io_set(c->io, EPOLLIN | EPOLLOUT) < 0)
                                conn_kill(c);
                        return;
                }
                f->sent += (size_t)n;
                if (f->sent < f->len)
                        continue;
                c->first = f->next;
                if (!c->first)
                        c->last = &c->first;
                erase_and_free(f->bytes);
                free(f);
        }
        if (c->closing || loop_io_set(c->io, EPOLLIN) < 0)
                conn_kill(c);
}

static void on_conn(void *userdata, int fd, uint32_t revents)
{
        struct control_conn *c = userdata;

        if (revents & EPOLLOUT)
                conn_flush(c);
        while (!c->dead && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
                _cleanup_json_ cJSON *message = NULL;

                int r = control_read(&c->reader, fd, &message);
                if (r == 0)
                        return;
                if (r < 0) {
                        if (r != -ENODATA && r != -ECONNRESET)
                                log_warning("control connection closed: %s", strerror(-r));
                        conn_kill(c);
                        return;
                }
                c->server->handler.message(c->server->userdata, c, message);
        }
}

void control_conn_send(struct control_conn *c, cJSON *message)
{
        _cleanup_json_ cJSON *owned = message;
        struct frame *f = NULL;

        if (c->dead || c->closing)
                return;
        int r = owned ? 0 : -ENOMEM;
        if (r == 0 && !(f = calloc(1, sizeof *f)))
                r = -ENOMEM;
        if (r == 0)
                r = control_encode(owned, &f->bytes, &f->len);
        if (r < 0) {
                log_error("could not answer a command: %s", strerror(-r));
                free(f);
                conn_kill(c);
                return;
        }
        *c->last = f;
        c->last = &f->next;
        conn_flush(c);
}

void control_conn_close(struct control_conn *c)
{
        if (c->dead)
                return;
        c->closing = true;
        if (!c->first)
                conn_kill(c);
}

/* --- listening --- */

static int conn_new(struct control_server *s, int fd)
{
        struct control_conn *c = calloc(1, sizeof *c);
        if (!c) {
                safe_close(fd);
                return -ENOMEM;
        }
        *c = (struct control_conn){.server = s, .fd = fd};
        c->last = &c->first;

        int r = loop_timer_new(s->loop, on_reap, c, &c->reaper);
        if (r == 0)
                r = loop_io_new(s->loop, fd, EPOLLIN, on_conn, c, &c->io);
        if (r < 0) {
                loop_timer_free(c->reaper);
                safe_close(fd);
                free(c);
                return r;
        }
        c->next = s->conns;
        s->conns = c;
        s->n_conns++;
        return 0;
}

static void on_listen(void *userdata, int listen_fd, uint32_t revents)
{
        struct control_server *s = userdata;
        struct ucred peer;
        socklen_t len = sizeof peer;

        _cleanup_close_ int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return; /* taken back by the client, or out of descriptors: tried again */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return;
        if (peer.uid != s->uid && peer.uid != 0) {
                log_warning("refused a control connection of uid %u (pid %d)", (unsigned)peer.uid,
                        (int)peer.pid);
                return;
        }
        if (s->n_conns >= CONTROL_CONNECTIONS_MAX) {
                log_warning("refused a control connection: %zu are open", s->n_conns);
                return;
        }
        int r = conn_new(s, TAKE_FD(fd));
        if (r < 0)
                log_error("could not take a control connection: %s", strerror(-r));
}

int control_server_new(struct loop *l, int listen_fd, const struct control_handler *handler,
        void *userdata, struct control_server **ret)
{
        struct control_server *s = calloc(1, sizeof *s);
        if (!s) {
                safe_close(listen_fd);
                return -ENOMEM;
        }
        *s = (struct control_server){.loop = l,
                .fd = listen_fd,
                .handler = *handler,
                .userdata = userdata,
                .uid = geteuid()};
        int r = loop_io_new(l, listen_fd, EPOLLIN, on_listen, s, &s->io);
        if (r < 0) {
                control_server_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void control_server_serve(struct control_server *s, uid_t uid)
{
        s->uid = uid;
}

void control_server_stop_listening(struct control_server *s)
{
        s->io = loop_io_free(s->io);
        s->fd = safe_close(s->fd);
}

void control_server_free(struct control_server *s)
{
        if (!s)
                return;
        while (s->conns)
                conn_free(s->conns);
        control_server_stop_listening(s);
        free(s);
}

size_t control_server_connections(const struct control_server *s)
{
        return s->n_conns;
}
