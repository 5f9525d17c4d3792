/* The client: libcurl's multi_socket interface fed from the loop's descriptors.
 *
 * A transfer waits in its origin's queue until one of the origin's connections is free; only then
 * is it given to libcurl, whose time limits start at that moment. (Were the queue libcurl's own,
 * the total limit would run while waiting, and the last of a thousand objects would always fail.)
 *
 * libcurl's own timer is a timerfd: it keeps libcurl's clock, the real one, whatever the loop
 * simulates.
 *
 * What a transfer sends is set up in base/http_request.c, what comes back for it is taken in by
 * base/http_transfer.c.
 */
#include "base/http.h"

#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/http_impl.h"

#define IDLE_CONNECTIONS_MAX 64L

TAILQ_HEAD(transfers, transfer);

/* One scheme, host and port that something is sent to now. */
struct origin {
        struct origin *next;
        char *scheme, *host, *port;
        unsigned transfers; /* that point here, whatever their state */
        unsigned active;    /* but for streams */
        unsigned streams;
        struct transfers waiting;
};

struct watch {
        struct watch *prev, *next;
        struct http_client *client;
        struct loop_io *io;
};

struct http_client {
        struct loop *loop;
        CURLM *multi;
        int timer_fd;
        struct loop_io *timer;
        struct watch *watches;
        struct origin *origins;
        struct http_call *calls;
        struct transfers broken; /* could not be given to libcurl; told on the next turn */
        struct loop_timer *tell_broken;
        unsigned active; /* given to libcurl */
        unsigned busy;   /* frames of ours on the stack that use the client after a callback */
        bool closing, freed;
};

static void tell_finished(struct http_client *c);

/* --- calls --- */

void http_call_link(struct http_client *c, struct http_call *call)
{
        call->client = c;
        call->prev = NULL;
        call->next = c->calls;
        if (c->calls)
                c->calls->prev = call;
        c->calls = call;
}

void http_call_unlink(struct http_call *call)
{
        if (!call->client)
                return;
        if (call->prev)
                call->prev->next = call->next;
        else
                call->client->calls = call->next;
        if (call->next)
                call->next->prev = call->prev;
        call->client = NULL;
}

struct loop *http_client_loop(struct http_client *c)
{
        return c->loop;
}

struct http_call *http_cancel(struct http_call *call)
{
        if (call)
                call->destroy(call);
        return NULL;
}

/* --- origins --- */

static void origin_free(struct origin *o)
{
        free(o->scheme);
        free(o->host);
        free(o->port);
        free(o);
}

static struct origin *origin_get(
        struct http_client *c, const char *scheme, const char *host, const char *port)
{
        for (struct origin *o = c->origins; o; o = o->next)
                if (streq(o->scheme, scheme) && strcasecmp(o->host, host) == 0 &&
                        streq(o->port, port)) {
                        o->transfers++;
                        return o;
                }

        struct origin *o = calloc(1, sizeof *o);
        if (!o)
                return NULL;
        TAILQ_INIT(&o->waiting);
        o->scheme = strdup(scheme);
        o->host = strdup(host);
        o->port = strdup(port);
        if (!o->scheme || !o->host || !o->port) {
                origin_free(o);
                return NULL;
        }
        o->transfers = 1;
        o->next = c->origins;
        c->origins = o;
        return o;
}

static void origin_put(struct http_client *c, struct origin *o)
{
        if (--o->transfers > 0)
                return;
        for (struct origin **p = &c->origins; *p; p = &(*p)->next)
                if (*p == o) {
                        *p = o->next;
                        break;
                }
        origin_free(o);
}

/* --- what libcurl asks of the loop --- */

static uint32_t epoll_events(int what)
{
        switch (what) {
        case CURL_POLL_IN:
                return EPOLLIN;
        case CURL_POLL_OUT:
                return EPOLLOUT;
        case CURL_POLL_INOUT:
                return EPOLLIN | EPOLLOUT;
        default:
                return 0;
        }
}

static void on_socket(void *userdata, int fd, uint32_t revents)
{
        struct http_client *c = ((struct watch *)userdata)->client;
        int mask = 0, running;

        if (revents & EPOLLIN)
                mask |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                mask |= CURL_CSELECT_OUT;
        if (revents & (EPOLLERR | EPOLLHUP))
                mask |= CURL_CSELECT_ERR;
        curl_multi_socket_action(c->multi, fd, mask, &running);
        tell_finished(c);
}

static void watch_free(struct watch *w)
{
        loop_io_free(w->io);
        if (w->prev)
                w->prev->next = w->next;
        else
                w->client->watches = w->next;
        if (w->next)
                w->next->prev = w->prev;
        free(w);
}

static int socket_function(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socketp)
{
        struct http_client *c = userdata;
        struct watch *w = socketp;

        if (what == CURL_POLL_REMOVE) {
                if (w)
                        watch_free(w);
                return 0;
        }
        if (w) {
                (void)loop_io_set(w->io, epoll_events(what));
                return 0;
        }

        /* A descriptor that cannot be watched (no memory) makes its transfer meet its time limit;
         * returning an error here would end all transfers of this client. */
        w = calloc(1, sizeof *w);
        if (!w)
                return 0;
        w->client = c;
        if (loop_io_new(c->loop, fd, epoll_events(what), on_socket, w, &w->io) < 0) {
                free(w);
                return 0;
        }
        w->next = c->watches;
        if (w->next)
                w->next->prev = w;
        c->watches = w;
        curl_multi_assign(c->multi, fd, w);
        return 0;
}

static void on_timer(void *userdata, int fd, uint32_t revents)
{
        struct http_client *c = userdata;
        uint64_t expirations;
        int running;

        ssize_t n = read(fd, &expirations, sizeof expirations);
        if (n < 0) /* set anew since it went off */
                return;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        tell_finished(c);
}

static int timer_function(CURLM *multi, long ms, void *userdata)
{
        struct http_client *c = userdata;
        struct itimerspec when = {0};

        if (ms > 0) {
                when.it_value.tv_sec = ms / 1000;
                when.it_value.tv_nsec = ms % 1000 * 1000000;
        } else if (ms == 0)
                when.it_value.tv_nsec = 1; /* all zero would disarm */
        return timerfd_settime(c->timer_fd, 0, &when, NULL) < 0 ? -1 : 0;
}

/* --- transfers --- */

static unsigned *kind_count(struct transfer *t)
{
        return t->on_data ? &t->origin->streams : &t->origin->active;
}

/* Takes it out of libcurl or of its queue; what is left is the memory. */
static void transfer_stop(struct transfer *t)
{
        struct http_client *c = t->call.client;

        switch (t->state) {
        case TRANSFER_WAITING:
                TAILQ_REMOVE(&t->origin->waiting, t, entry);
                break;
        case TRANSFER_ACTIVE:
                curl_multi_remove_handle(c->multi, t->easy);
                (*kind_count(t))--;
                c->active--;
                loop_release(c->loop);
                break;
        case TRANSFER_BROKEN:
                TAILQ_REMOVE(&c->broken, t, entry);
                break;
        case TRANSFER_IDLE:
                break;
        }
        t->state = TRANSFER_IDLE;
}

static int transfer_start(struct http_client *c, struct transfer *t)
{
        CURLMcode m = curl_multi_add_handle(c->multi, t->easy);
        if (m != CURLM_OK)
                return m == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO;
        t->state = TRANSFER_ACTIVE;
        (*kind_count(t))++;
        c->active++;
        loop_hold(c->loop);
        return 0;
}

static void origin_next(struct http_client *c, struct origin *o)
{
        while (!c->closing && o->active < HTTP_CONNECTIONS_PER_HOST && !TAILQ_EMPTY(&o->waiting)) {
                struct transfer *t = TAILQ_FIRST(&o->waiting);
                TAILQ_REMOVE(&o->waiting, t, entry);
                if (transfer_start(c, t) < 0) {
                        t->state = TRANSFER_BROKEN;
                        TAILQ_INSERT_TAIL(&c->broken, t, entry);
                        (void)loop_timer_in(c->tell_broken, 0);
                }
        }
}

static void transfer_destroy(struct http_call *call)
{
        struct transfer *t = (struct transfer *)call;
        struct http_client *c = call->client;
        struct origin *o = t->origin;

        transfer_stop(t);
        http_call_unlink(call);
        http_transfer_free(t);
        origin_next(c, o);
        origin_put(c, o);
}

/* The end: takes the transfer off, lets the next one go, and tells. */
static void transfer_finish(struct http_client *c, struct transfer *t, CURLcode code)
{
        struct origin *o = t->origin;
        struct http_response resp;

        http_transfer_result(t, code, &resp);
        transfer_stop(t);
        http_call_unlink(&t->call);
        origin_next(c, o);
        origin_put(c, o);
        t->done(t->userdata, &resp);
        err_done(&resp.error);
        http_transfer_free(t);
}

static void client_release(struct http_client *c)
{
        if (--c->busy == 0 && c->freed)
                free(c);
}

static void tell_finished(struct http_client *c)
{
        int left;

        c->busy++;
        while (!c->freed) {
                CURLMsg *m = curl_multi_info_read(c->multi, &left);
                if (!m)
                        break;
                if (m->msg != CURLMSG_DONE)
                        continue;
                struct transfer *t = NULL;
                CURLcode code = m->data.result;
                curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
                transfer_finish(c, t, code);
        }
        client_release(c);
}

static void on_tell_broken(void *userdata)
{
        struct http_client *c = userdata;

        c->busy++;
        while (!c->freed && !TAILQ_EMPTY(&c->broken))
                transfer_finish(c, TAILQ_FIRST(&c->broken), CURLE_OUT_OF_MEMORY);
        client_release(c);
}

/* --- the client --- */

static void on_pipe(int signal)
{
}

/* OpenSSL writes to sockets whose other end may be gone, and libcurl leaves SIGPIPE to us
 * (CURLOPT_NOSIGNAL). A handler that does nothing rather than SIG_IGN: programs that are started
 * from here get the default back. */
static void survive_pipes(void)
{
        struct sigaction now, ours = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};

        if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
                now.sa_handler == SIG_DFL)
                (void)sigaction(SIGPIPE, &ours, NULL);
}

int http_client_new(struct loop *l, struct http_client **ret)
{
        survive_pipes();
        _cleanup_(http_client_freep) struct http_client *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->loop = l;
        TAILQ_INIT(&c->broken);
        c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (c->timer_fd < 0)
                return -errno;
        int r = loop_io_new(l, c->timer_fd, EPOLLIN, on_timer, c, &c->timer);
        if (r < 0)
                return r;
        r = loop_timer_new(l, on_tell_broken, c, &c->tell_broken);
        if (r < 0)
                return r;
        c->multi = curl_multi_init();
        if (!c->multi)
                return -ENOMEM;
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, socket_function);
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, timer_function);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
        curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                (long)(HTTP_CONNECTIONS_PER_HOST + HTTP_STREAMS_PER_HOST));
        curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
        *ret = TAKE_PTR(c);
        return 0;
}

void http_client_free(struct http_client *c)
{
        if (!c)
                return;
        c->closing = true;
        while (c->calls)
                c->calls->destroy(c->calls);
        if (c->multi)
                curl_multi_cleanup(c->multi);
        while (c->watches)
                watch_free(c->watches);
        loop_timer_free(c->tell_broken);
        loop_io_free(c->timer);
        if (c->timer_fd >= 0)
                safe_close(c->timer_fd);
        if (c->busy > 0)
                c->freed = true; /* client_release() */
        else
                free(c);
}

int http_send(struct http_client *c, const struct http_request *req, http_done_fn done,
        void *userdata, struct http_call **ret, struct err *e)
{
        struct transfer *t = NULL;

        int r = http_transfer_new(req, &t, e);
        if (r < 0)
                return r;
        t->call.destroy = transfer_destroy;
        t->done = done;
        t->userdata = userdata;
        t->origin = origin_get(c, t->scheme, t->host, t->port);
        if (!t->origin)
                r = -ENOMEM;
        else if (t->on_data && t->origin->streams >= HTTP_STREAMS_PER_HOST) {
                origin_put(c, t->origin);
                r = -EBUSY;
        } else if (t->on_data || t->origin->active < HTTP_CONNECTIONS_PER_HOST) {
                r = transfer_start(c, t);
                if (r < 0)
                        origin_put(c, t->origin);
        } else {
                t->state = TRANSFER_WAITING;
                TAILQ_INSERT_TAIL(&t->origin->waiting, t, entry);
        }
        if (r == -EBUSY)
                err_set_cause(e, ERR_LOCAL, r, "there are %d streams from %s:%s already",
                        HTTP_STREAMS_PER_HOST, t->host, t->port);
        else if (r < 0)
                err_set_cause(e, ERR_LOCAL, r, "not enough memory for a request");
        if (r < 0) {
                http_transfer_free(t);
                return r;
        }
        http_call_link(c, &t->call);
        if (ret)
                *ret = &t->call;
        return 0;
}
