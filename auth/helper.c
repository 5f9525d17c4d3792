#include "auth/helper.h"

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/wipe.h"

struct auth_ask {
        TAILQ_ENTRY(auth_ask) entry;
        struct auth_helper *helper;
        uint64_t id;
        struct loop_timer *timeout;
        auth_helper_fn done;
        void *userdata;
};

struct auth_helper {
        struct loop *loop;
        struct loop_io *io;
        int fd;
        bool gone;
        TAILQ_HEAD(, auth_ask) asks;
};

static void ask_free(struct auth_ask *ask)
{
        TAILQ_REMOVE(&ask->helper->asks, ask, entry);
        loop_release(ask->helper->loop);
        loop_timer_free(ask->timeout);
        free(ask);
}

static void finish(struct auth_ask *ask, const char *bytes, size_t len, const struct err *error)
{
        auth_helper_fn done = ask->done;
        void *userdata = ask->userdata;

        ask_free(ask);
        done(userdata, bytes, len, error);
}

static void fail(struct auth_ask *ask, int r, const char *text)
{
        _cleanup_err_ struct err e = {0};

        err_set_cause(&e, r == -ETIMEDOUT ? ERR_TIMEOUT : ERR_LOCAL, r, "%s", text);
        finish(ask, NULL, 0, &e);
}

static void on_timeout(void *userdata)
{
        fail(userdata, -ETIMEDOUT, "it was not read in time");
}

/* What a program or the kernel said, on one line and printable. */
static void clean(char *text)
{
        char *out = text;

        for (const char *p = text; *p; p++) {
                unsigned char c = (unsigned char)*p;
                bool blank = c <= 0x20 || c == 0x7f;
                if (!blank)
                        *out++ = (char)c;
                else if (out > text && out[-1] != ' ')
                        *out++ = ' ';
        }
        while (out > text && out[-1] == ' ')
                out--;
        *out = '\0';
}

static void on_answer(struct auth_helper *h, char *message, size_t len)
{
        struct helper_answer a;
        struct auth_ask *ask;

        if (len < sizeof a)
                return;
        memcpy(&a, message, sizeof a);
        char *bytes = message + sizeof a;
        if (a.len != len - sizeof a || a.len > HELPER_ANSWER_MAX)
                return;
        bytes[a.len] = '\0';
        TAILQ_FOREACH (ask, &h->asks, entry)
                if (ask->id == a.id)
                        break;
        if (!ask)
                return;
        if (a.result == 0)
                finish(ask, bytes, a.len, NULL);
        else {
                clean(bytes);
                fail(ask, a.result < 0 && a.result > -4096 ? a.result : -EIO,
                        *bytes ? bytes : "the helper could not read it");
        }
}

/* The caller may free the helper from no callback, but may ask again. */
static void on_readable(void *userdata, int fd, uint32_t revents)
{
        struct auth_helper *h = userdata;
        size_t size = sizeof(struct helper_answer) + HELPER_ANSWER_MAX;
        struct auth_ask *ask;

        _cleanup_secret_ char *message = malloc(size + 1);
        if (!message)
                return; /* level-triggered: tried again */
        ssize_t n = recv(fd, message, size, MSG_DONTWAIT);
        if (n > 0) {
                on_answer(h, message, (size_t)n);
                return;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        h->gone = true;
        h->io = loop_io_free(h->io);
        while ((ask = TAILQ_FIRST(&h->asks)))
                fail(ask, -ECONNRESET, "the credential helper has ended; mount again");
}

int auth_helper_new(struct loop *l, int fd, struct auth_helper **ret)
{
        struct auth_helper *h = calloc(1, sizeof *h);
        if (!h)
                return -ENOMEM;
        h->loop = l;
        h->fd = fd;
        TAILQ_INIT(&h->asks);
        int r = loop_io_new(l, fd, EPOLLIN, on_readable, h, &h->io);
        if (r < 0) {
                free(h);
                return r;
        }
        *ret = h;
        return 0;
}

void auth_helper_free(struct auth_helper *h)
{
        if (!h)
                return;
        loop_io_free(h->io);
        free(h);
}

int auth_helper_ask(struct auth_helper *h, const char *source_id, const char *name,
        auth_helper_fn done, void *userdata, struct auth_ask **ret, struct err *e)
{
        struct helper_query q = {0};

        if (!h || h->gone)
                return err_set_cause(e, ERR_LOCAL, -ECONNRESET,
                        "there is no credential helper to read it; mount again");
        if (strlen(source_id) >= sizeof q.source || (name && strlen(name) >= sizeof q.name))
                return err_set_cause(e, ERR_LOCAL, -EINVAL, "the credential's name is too long");
        strcpy(q.source, source_id);
        strcpy(q.name, name ? name : "");

        struct auth_ask *ask = calloc(1, sizeof *ask);
        int r = ask ? random_bytes(&q.id, sizeof q.id) : -ENOMEM;
        if (r == 0)
                r = loop_timer_new(h->loop, on_timeout, ask, &ask->timeout);
        if (r == 0)
                r = loop_timer_in(ask->timeout, HELPER_TIMEOUT_SECONDS * USEC_PER_SEC);
        if (r == 0 && send(h->fd, &q, sizeof q, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                r = -errno;
        if (r < 0) {
                if (ask)
                        loop_timer_free(ask->timeout);
                free(ask);
                return err_set_cause(
                        e, ERR_LOCAL, r, "the credential helper cannot be asked: %s", strerror(-r));
        }
        ask->helper = h;
        ask->id = q.id;
        ask->done = done;
        ask->userdata = userdata;
        loop_hold(h->loop);
        TAILQ_INSERT_TAIL(&h->asks, ask, entry);
        *ret = ask;
        return 0;
}

struct auth_ask *auth_helper_cancel(struct auth_ask *ask)
{
        if (ask)
                ask_free(ask);
        return NULL;
}
