#include "cli/control_client.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/wipe.h"

struct control_client {
        int fd;
        char *name;
        struct control_reader reader;
        struct control_hello hello;
};

/* Waits until fd is ready. deadline -1: for ever. */
static int wait_for(int fd, short events, int wake_fd, int64_t deadline)
{
        for (;;) {
                struct pollfd p[] = {
                        {.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}};
                int timeout = -1;

                if (deadline >= 0) {
                        int64_t left = deadline - monotonic_ms();
                        timeout = left < 0 ? 0 : (int)MIN(left, INT32_MAX);
                }
                int n = poll(p, ELEMENTSOF(p), timeout);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ETIMEDOUT;
                if (p[0].revents)
                        return 0;
                return -EINTR;
        }
}

void control_client_free(struct control_client *c)
{
        if (!c)
                return;
        safe_close(c->fd);
        free(c->name);
        control_reader_done(&c->reader);
        control_hello_done(&c->hello);
        free(c);
}

const char *control_client_name(const struct control_client *c)
{
        const char *slash = strrchr(c->name, '/');

        return slash ? slash + 1 : c->name;
}

const struct control_hello *control_client_hello(const struct control_client *c)
{
        return &c->hello;
}

static int lost(const struct control_client *c, int r, struct err *e)
{
        switch (r) {
        case -ENODATA:
        case -ECONNRESET:
        case -EPIPE:
                return err_set_cause(
                        e, ERR_LOCAL, r, "the worker (%s) went away before it answered", c->name);
        case -ETIMEDOUT:
                return err_set_cause(e, ERR_LOCAL, r, "the worker (%s) does not answer", c->name);
        case -EMSGSIZE:
        case -EBADMSG:
                return err_set_cause(e, ERR_LOCAL, r,
                        "the worker (%s) sent something that is no answer", c->name);
        }
        return err_set_cause(e, ERR_LOCAL, r, "lost the connection to the worker (%s): %s", c->name,
                strerror(-r));
}

int control_client_send(struct control_client *c, const cJSON *message, struct err *e)
{
        _cleanup_secret_ char *frame = NULL;
        size_t len = 0;

        int r = control_encode(message, &frame, &len);
        if (r == -EMSGSIZE)
                return err_set_cause(e, ERR_USAGE, r,
                        "the class is too large to be sent to the worker: more than %zu bytes",
                        CONTROL_MESSAGE_MAX);
        if (r < 0)
                return err_set(e, r, "out of memory");
        for (size_t sent = 0; sent < len;) {
                ssize_t n = send(c->fd, frame + sent, len - sent, MSG_NOSIGNAL);

                if (n >= 0) {
                        sent += (size_t)n;
                        continue;
                }
                if (errno == EINTR)
                        continue;
                r = errno == EAGAIN ? wait_for(c->fd, POLLOUT, -1,
                                              monotonic_ms() + CONTROL_HELLO_TIMEOUT_MS)
                                    : -errno;
                if (r < 0)
                        return lost(c, r, e);
        }
        return 0;
}

int control_client_receive(
        struct control_client *c, int timeout_ms, int wake_fd, cJSON **ret, struct err *e)
{
        int64_t deadline = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;

        for (;;) {
                int r = wait_for(c->fd, POLLIN, wake_fd, deadline);
                if (r == -EINTR)
                        return r;
                if (r == 0)
                        r = control_read(&c->reader, c->fd, ret);
                if (r > 0)
                        return 0;
                if (r < 0)
                        return lost(c, r, e);
        }
}

int control_client_ask(struct control_client *c, const cJSON *message, int timeout_ms, int wake_fd,
        cJSON **ret, struct err *e)
{
        int r = control_client_send(c, message, e);

        return r < 0 ? r : control_client_receive(c, timeout_ms, wake_fd, ret, e);
}

/* Who made the socket listen; a secret must not go to somebody else. */
static int check_server(int fd)
{
        struct ucred peer;
        socklen_t len = sizeof peer;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

int control_client_new(
        const struct rundir *d, const char *name, struct control_client **ret, struct err *e)
{
        _cleanup_(control_client_freep) struct control_client *c = calloc(1, sizeof *c);
        if (!c)
                return err_set(e, -ENOMEM, "out of memory");
        c->fd = -EBADF;
        if (xasprintf(&c->name, "%s/%s", d->path, name) < 0)
                return err_set(e, -ENOMEM, "out of memory");

        int r = rundir_connect(d, name, &c->fd);
        if (r == 0)
                r = check_server(c->fd);
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not connect to %s: %s", c->name, strerror(-r));

        _cleanup_json_ cJSON *greeting = control_message("hello");
        if (!greeting || !cJSON_AddNumberToObject(greeting, "protocol", CONTROL_PROTOCOL) ||
                !cJSON_AddStringToObject(greeting, "version", AKVFS_VERSION))
                return err_set(e, -ENOMEM, "out of memory");
        r = control_client_send(c, greeting, e);
        if (r < 0)
                return r;

        _cleanup_json_ cJSON *answer = NULL;
        r = control_client_receive(c, CONTROL_HELLO_TIMEOUT_MS, -1, &answer, e);
        if (r < 0)
                return r;
        r = control_hello_parse(answer, &c->hello);
        if (r == -EPROTONOSUPPORT) {
                err_set_cause(
                        e, ERR_LOCAL, r, "the worker (%s) is of another version of akvfs", c->name);
                err_hint(e, "unmount with the version that mounted, then mount again");
                return r;
        }
        if (r < 0)
                return lost(c, r, e);
        *ret = TAKE_PTR(c);
        return 0;
}

int control_each(const struct rundir *d, bool locked, control_each_fn fn,
        control_problem_fn problem, void *userdata, struct err *e)
{
        struct control_place here;
        char **names = NULL;

        int r = control_place_here(&here);
        if (r == 0)
                r = rundir_sockets(d, &names);
        if (r < 0)
                return err_set(e, r, "could not look for workers in %s: %s", d->path, strerror(-r));

        for (size_t i = 0; r == 0 && names[i]; i++) {
                _cleanup_(control_client_freep) struct control_client *c = NULL;
                _cleanup_err_ struct err one = {0};

                int k = control_client_new(d, names[i], &c, &one);
                if (k == -ECONNREFUSED) {
                        /* Only under the lock: a socket that is bound but does not listen yet
                         * refuses too. */
                        if (locked)
                                rundir_remove(d, names[i]);
                        continue;
                }
                /* gone in the meantime: ended between our look and our knock */
                if (k == -ENOENT || k == -ENODATA || k == -ECONNRESET || k == -EPIPE)
                        continue;
                if (k < 0) {
                        problem(userdata, &one);
                        continue;
                }
                if (c->hello.place.mount_ns != here.mount_ns)
                        continue;
                r = fn(userdata, &c);
        }
        rundir_names_free(names);
        return r;
}
