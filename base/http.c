/* The client: libcurl's multi_socket interface fed from the loop's descriptors.
 *
 * A transfer waits in its origin's queue until one of the origin's connections is free; only then
 * is it given to libcurl, whose time limits start at that moment. (Were the queue libcurl's own,
 * the total limit would run while waiting, and the last of a thousand objects would always fail.)
 *
 * libcurl's own timer is a timerfd: it keeps libcurl's clock, the real one, whatever the loop
 * simulates.
 *
 * A transfer's easy handle is freed with it, never reused: the buffers through which headers and
 * bodies passed go back through the wiping allocators at once (base/wipe.h).
 */
#include "base/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "base/http_impl.h"
#include "base/wipe.h"

#define URL_MAX ((size_t)16 << 10)
#define IDLE_CONNECTIONS_MAX 64L
#define CA_CACHE_SECONDS 300L /* a CA file that was replaced is seen that late */

struct transfer;
TAILQ_HEAD(transfers, transfer);

/* One scheme, host and port that something is sent to now. */
struct origin {
        struct origin *next;
        char *scheme, *host, *port;
        unsigned transfers; /* that point here, whatever their state */
        unsigned active;
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

struct transfer {
        struct http_call call; /* first: a call is cast to its transfer */
        TAILQ_ENTRY(transfer) entry;
        struct origin *origin;
        enum { WAITING, ACTIVE, BROKEN, DONE } state;

        CURL *easy;
        struct curl_slist *headers;
        void *request_body;
        char *proxy_name, *ca_file;
        unsigned connect_timeout_ms, total_timeout_ms;

        char *body;
        size_t len, size, max;
        struct http_exchange exchange;
        size_t exchange_size, header_bytes;
        bool shaking_hands, headers_complete, too_large, headers_too_large, no_memory;
        char peer[INET6_ADDRSTRLEN];
        char detail[CURL_ERROR_SIZE];

        http_done_fn done;
        void *userdata;
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

/* --- what libcurl asks of a transfer --- */

/* libcurl 7.88 opens sockets without SOCK_CLOEXEC. */
static curl_socket_t open_socket(
        void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
        struct transfer *t = userdata;
        const void *ip = NULL;

        if (address->family == AF_INET)
                ip = &((const struct sockaddr_in *)(const void *)&address->addr)->sin_addr;
        else if (address->family == AF_INET6)
                ip = &((const struct sockaddr_in6 *)(const void *)&address->addr)->sin6_addr;
        if (!ip || !inet_ntop(address->family, ip, t->peer, sizeof t->peer))
                *t->peer = '\0';
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Called when TCP (and a proxy's tunnel) stands and TLS begins. libcurl 7.88 has no time stamp for
 * that moment, and a server that is silent in the handshake is another thing than no server. */
static CURLcode on_tls_begin(CURL *easy, void *ssl_ctx, void *userdata)
{
        ((struct transfer *)userdata)->shaking_hands = true;
        return CURLE_OK;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
        struct transfer *t = userdata;

        n *= size;
        if (n > t->max - t->len) {
                t->too_large = true;
                return CURL_WRITEFUNC_ERROR;
        }
        if (t->len + n + 1 > t->size) {
                size_t bigger = MAX(t->len + n + 1, MIN(2 * t->size, t->max + 1));
                char *p = wipe_realloc(t->body, bigger);
                if (!p) {
                        t->no_memory = true;
                        return CURL_WRITEFUNC_ERROR;
                }
                t->body = p;
                t->size = bigger;
        }
        memcpy(t->body + t->len, data, n);
        t->len += n;
        t->body[t->len] = '\0';
        return n;
}

static int keep_header(
        struct transfer *t, const char *name, size_t name_len, const char *value, size_t value_len)
{
        struct http_exchange *x = &t->exchange;
        size_t need = x->headers_len + name_len + value_len + 2;

        if (need > t->exchange_size) {
                size_t bigger = MAX(need, MAX(2 * t->exchange_size, (size_t)1024));
                char *p = wipe_realloc(x->headers, bigger);
                if (!p)
                        return -ENOMEM;
                x->headers = p;
                t->exchange_size = bigger;
        }
        char *p = x->headers + x->headers_len;
        memcpy(p, name, name_len);
        p[name_len] = '\0';
        memcpy(p + name_len + 1, value, value_len);
        p[name_len + 1 + value_len] = '\0';
        x->headers_len = need;
        return 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
        struct transfer *t = userdata;

        n *= size;
        t->header_bytes += n;
        if (t->header_bytes > HTTP_HEADERS_MAX) {
                t->headers_too_large = true;
                return 0;
        }
        if (n > 5 && memcmp(data, "HTTP/", 5) == 0) {
                t->exchange.headers_len = 0; /* those before were of an interim answer */
                t->headers_complete = false;
                return n;
        }

        const char *colon = memchr(data, ':', n);
        size_t end = n;
        while (end > 0 && isspace((unsigned char)data[end - 1]))
                end--;
        if (end == 0)
                t->headers_complete = true;
        /* Folded lines (RFC 9112 section 5.2: obsolete) and lines with NUL bytes are dropped. */
        if (!colon || isspace((unsigned char)*data) || memchr(data, '\0', end))
                return n;
        const char *value = colon + 1;
        while (value < data + end && isspace((unsigned char)*value))
                value++;
        size_t value_len = value < data + end ? (size_t)(data + end - value) : 0;
        if (keep_header(t, data, (size_t)(colon - data), value, value_len) < 0) {
                t->no_memory = true;
                return 0;
        }
        return n;
}

/* --- transfers --- */

/* Takes it out of libcurl or of its queue; what is left is the memory. */
static void transfer_stop(struct transfer *t)
{
        struct http_client *c = t->call.client;

        switch (t->state) {
        case WAITING:
                TAILQ_REMOVE(&t->origin->waiting, t, entry);
                break;
        case ACTIVE:
                curl_multi_remove_handle(c->multi, t->easy);
                t->origin->active--;
                c->active--;
                loop_release(c->loop);
                break;
        case BROKEN:
                TAILQ_REMOVE(&c->broken, t, entry);
                break;
        case DONE:
                break;
        }
        t->state = DONE;
}

static void transfer_free(struct transfer *t)
{
        if (t->easy)
                curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
        erase_and_free(t->request_body);
        erase_and_free(t->body);
        erase_and_free(t->exchange.headers);
        free(t->proxy_name);
        free(t->ca_file);
        explicit_bzero(t->detail, sizeof t->detail);
        free(t);
}

static int transfer_start(struct http_client *c, struct transfer *t)
{
        CURLMcode m = curl_multi_add_handle(c->multi, t->easy);
        if (m != CURLM_OK)
                return m == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO;
        t->state = ACTIVE;
        t->origin->active++;
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
                        t->state = BROKEN;
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
        transfer_free(t);
        origin_next(c, o);
        origin_put(c, o);
}

/* The end: takes the transfer off, lets the next one go, and tells. */
static void transfer_finish(struct http_client *c, struct transfer *t, CURLcode code)
{
        struct http_response resp = {
                .body = "", .peer = t->peer, .tries = 1, .private = &t->exchange};
        struct origin *o = t->origin;
        curl_off_t took = 0;
        long status = 0;

        curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &took);
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        resp.took = took > 0 ? (usec_t)took : 0;
        /* A connection that closes in the middle of the headers ends an answer of no known length
         * as far as libcurl is concerned. */
        if (code == CURLE_OK && !t->headers_complete)
                code = CURLE_PARTIAL_FILE;
        if (code == CURLE_OK && status > 0) {
                char *ip = NULL;
                curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &ip);
                if (!isempty(ip))
                        snprintf(t->peer, sizeof t->peer, "%s", ip);
                resp.status = (int)status;
                if (t->body) {
                        resp.body = t->body;
                        resp.body_len = t->len;
                }
        } else {
                struct http_failure f = {
                        .code = code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code,
                        .easy = t->easy,
                        .detail = t->detail,
                        .scheme = o->scheme,
                        .host = o->host,
                        .port = o->port,
                        .peer = t->peer,
                        .proxy = t->proxy_name,
                        .ca_file = t->ca_file,
                        .connect_timeout_ms = t->connect_timeout_ms,
                        .total_timeout_ms = t->total_timeout_ms,
                        .response_max = t->max,
                        .shaking_hands = t->shaking_hands,
                        .too_large = t->too_large,
                        .headers_too_large = t->headers_too_large,
                        .no_memory = t->no_memory,
                };
                t->exchange.transient = http_failure_describe(&f, &resp.error);
                t->exchange.headers_len = 0;
        }

        transfer_stop(t);
        http_call_unlink(&t->call);
        origin_next(c, o);
        origin_put(c, o);
        t->done(t->userdata, &resp);
        err_done(&resp.error);
        transfer_free(t);
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
        curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
        curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HTTP_CONNECTIONS_PER_HOST);
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

/* --- requests --- */

static bool has_control(const char *s)
{
        for (; *s; s++)
                if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        return true;
        return false;
}

struct parts {
        CURLU *url;
        char *scheme, *host, *port;
};

static void parts_done(struct parts *p)
{
        curl_free(p->scheme);
        curl_free(p->host);
        curl_free(p->port);
        curl_url_cleanup(p->url);
}

/* The whole URL is in no message: what does not parse may hold anything. */
static int parts_parse(const struct http_request *req, struct parts *p, struct err *e)
{
        char *user = NULL, *password = NULL;

        if (strlen(req->url) > URL_MAX)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "URL is longer than %zu bytes", URL_MAX);
        p->url = curl_url();
        if (!p->url)
                return -ENOMEM;
        CURLUcode u = curl_url_set(p->url, CURLUPART_URL, req->url, CURLU_NON_SUPPORT_SCHEME);
        if (u == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (u != CURLUE_OK || has_control(req->url) ||
                curl_url_get(p->url, CURLUPART_SCHEME, &p->scheme, 0) != CURLUE_OK ||
                curl_url_get(p->url, CURLUPART_HOST, &p->host, 0) != CURLUE_OK || !*p->host)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "URL is not valid: %s",
                        u != CURLUE_OK ? curl_url_strerror(u) : "it needs a scheme and a host");
        if (curl_url_get(p->url, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) != CURLUE_OK)
                p->port = NULL;

        bool with_user = curl_url_get(p->url, CURLUPART_USER, &user, 0) == CURLUE_OK;
        bool with_password = curl_url_get(p->url, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK;
        curl_free(user);
        curl_free(password);
        if (with_user || with_password)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "URL of host %s holds a user or password, which is not supported", p->host);

        bool allow_http = req->endpoint && req->endpoint->allow_http;
        if (streq(p->scheme, "http") && !allow_http) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "plain http is refused: http://%s:%s", p->host,
                        p->port ? p->port : "80");
                err_hint(e, "use https");
                return -EINVAL;
        }
        if (!streq(p->scheme, "https") && !streq(p->scheme, "http"))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "scheme %s of the URL is not https (host %s)", p->scheme, p->host);
        if (!p->port)
                return -ENOMEM;
        return 0;
}

static int add_header(struct transfer *t, const char *line)
{
        struct curl_slist *list = curl_slist_append(t->headers, line);
        if (!list)
                return -ENOMEM;
        t->headers = list;
        return 0;
}

static int set_headers(struct transfer *t, const struct http_request *req, struct err *e)
{
        int r = 0;

        for (const char *const *h = req->headers; h && *h && r == 0; h++) {
                const char *colon = strchr(*h, ':');
                if (!colon || colon == *h || has_control(*h))
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "a request header is not of the form \"Name: value\"");
                r = add_header(t, *h);
        }
        if (r == 0)
                r = add_header(t, "Expect:"); /* never wait for 100 Continue */
        return r;
}

static bool is_method(const char *s)
{
        if (!*s)
                return false;
        for (; *s; s++)
                if (*s < 'A' || *s > 'Z')
                        return false;
        return true;
}

#define SET(option, value)                                             \
        do {                                                           \
                if (r == CURLE_OK)                                     \
                        r = curl_easy_setopt(easy, (option), (value)); \
        } while (0)

static CURLcode set_limits(CURL *easy, struct transfer *t)
{
        CURLcode r = CURLE_OK;

        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
        SET(CURLOPT_TIMEOUT_MS, (long)t->total_timeout_ms);
        SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->max);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        /* A look-up cannot be interrupted. Without this, cancelling it or its time limit would
         * wait in pthread_join() for getaddrinfo(), and with it the whole loop; so the thread is
         * left to end and to clean up by itself. Test: http, cancel_in_look_up_does_not_block. */
        SET(CURLOPT_QUICK_EXIT, 1L);
        return r;
}

static CURLcode set_security(CURL *easy, struct transfer *t, const char *scheme, const char *proxy)
{
        CURLcode r = CURLE_OK;

        SET(CURLOPT_PROTOCOLS_STR, scheme);
        SET(CURLOPT_REDIR_PROTOCOLS_STR, scheme);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
        /* Only a CA file, never a folder beside it: the folder built into libcurl would be asked
         * even where the endpoint names a file; and only without one does libcurl keep the parsed
         * file for the next connection. (Parsing the system's takes tens of milliseconds, on this
         * thread, and a first fetch opens eight connections.) */
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_PROXY_CAPATH, NULL);
        SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
        if (t->ca_file) {
                SET(CURLOPT_CAINFO, t->ca_file);
                SET(CURLOPT_PROXY_CAINFO, t->ca_file);
        }
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_PROXY, proxy ? proxy : "");
        SET(CURLOPT_NOPROXY, ""); /* http_proxy_for() has asked no_proxy already */
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        return r;
}

static CURLcode set_request(CURL *easy, struct transfer *t, const struct http_request *req)
{
        CURLcode r = CURLE_OK;

        SET(CURLOPT_URL, req->url);
        SET(CURLOPT_PATH_AS_IS, 1L);
        SET(CURLOPT_USERAGENT, "akvfs/" AKVFS_VERSION);
        SET(CURLOPT_HTTPHEADER, t->headers);
        if (streq(req->method, "HEAD"))
                SET(CURLOPT_NOBODY, 1L);
        else if (t->request_body || streq(req->method, "POST")) {
                SET(CURLOPT_POST, 1L);
                SET(CURLOPT_POSTFIELDS, t->request_body ? t->request_body : "");
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(t->request_body ? req->body_len : 0));
        }
        if (!streq(req->method, "GET") && !streq(req->method, "HEAD") &&
                !streq(req->method, "POST"))
                SET(CURLOPT_CUSTOMREQUEST, req->method);
        SET(CURLOPT_PRIVATE, t);
        SET(CURLOPT_ERRORBUFFER, t->detail);
        SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
        SET(CURLOPT_OPENSOCKETDATA, t);
        SET(CURLOPT_SSL_CTX_FUNCTION, on_tls_begin);
        SET(CURLOPT_SSL_CTX_DATA, t);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, t);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, t);
        return r;
}
#undef SET

static int transfer_prepare(
        struct transfer *t, const struct http_request *req, struct parts *parts, struct err *e)
{
        static const struct http_endpoint defaults;
        const struct http_endpoint *ep = req->endpoint ? req->endpoint : &defaults;
        _cleanup_secret_ char *proxy = NULL;

        t->connect_timeout_ms =
                ep->connect_timeout_ms ? ep->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
        t->total_timeout_ms = ep->total_timeout_ms ? ep->total_timeout_ms : HTTP_TOTAL_TIMEOUT_MS;
        t->max = ep->response_max ? ep->response_max : HTTP_RESPONSE_MAX;
        if (ep->ca_file && !(t->ca_file = strdup(ep->ca_file)))
                return -ENOMEM;
        if (req->body) {
                t->request_body = malloc(MAX(req->body_len, (size_t)1));
                if (!t->request_body)
                        return -ENOMEM;
                memcpy(t->request_body, req->body, req->body_len);
        }
        int r = set_headers(t, req, e);
        if (r < 0)
                return r;
        r = http_proxy_for(parts->scheme, parts->host, ep, &proxy);
        if (r < 0)
                return r;
        if (proxy && (r = http_proxy_name(proxy, &t->proxy_name)) < 0)
                return r;

        t->easy = curl_easy_init();
        if (!t->easy)
                return -ENOMEM;
        CURLcode code = set_limits(t->easy, t);
        if (code == CURLE_OK)
                code = set_security(t->easy, t, parts->scheme, proxy);
        if (code == CURLE_OK)
                code = set_request(t->easy, t, req);
        if (code == CURLE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (code != CURLE_OK)
                return err_set_cause(e, ERR_LOCAL, -EINVAL, "cannot set up a request to %s: %s",
                        parts->host, curl_easy_strerror(code));
        return 0;
}

int http_send(struct http_client *c, const struct http_request *req, http_done_fn done,
        void *userdata, struct http_call **ret, struct err *e)
{
        _cleanup_(parts_done) struct parts parts = {0};

        if (!is_method(req->method))
                return err_set_cause(e, ERR_USAGE, -EINVAL, "not a method of HTTP");
        int r = parts_parse(req, &parts, e);
        if (r < 0)
                goto fail;

        struct transfer *t = calloc(1, sizeof *t);
        if (!t) {
                r = -ENOMEM;
                goto fail;
        }
        t->call.destroy = transfer_destroy;
        t->done = done;
        t->userdata = userdata;
        r = transfer_prepare(t, req, &parts, e);
        if (r == 0) {
                t->origin = origin_get(c, parts.scheme, parts.host, parts.port);
                if (!t->origin)
                        r = -ENOMEM;
        }
        if (r == 0) {
                http_call_link(c, &t->call);
                if (t->origin->active < HTTP_CONNECTIONS_PER_HOST) {
                        t->state = DONE; /* until it has started */
                        r = transfer_start(c, t);
                        if (r < 0) {
                                http_call_unlink(&t->call);
                                origin_put(c, t->origin);
                        }
                } else {
                        t->state = WAITING;
                        TAILQ_INSERT_TAIL(&t->origin->waiting, t, entry);
                }
        }
        if (r < 0) {
                transfer_free(t);
                goto fail;
        }
        if (ret)
                *ret = &t->call;
        return 0;

fail:
        if (r == -ENOMEM)
                err_set_cause(e, ERR_LOCAL, r, "not enough memory for a request");
        return r;
}

/* --- small parts --- */

const char *http_header(const struct http_response *resp, const char *name)
{
        const struct http_exchange *x = resp->private;

        if (!x)
                return NULL;
        for (const char *p = x->headers; p && p < x->headers + x->headers_len;) {
                const char *value = p + strlen(p) + 1;
                if (strcasecmp(p, name) == 0)
                        return value;
                p = value + strlen(value) + 1;
        }
        return NULL;
}

int http_escape(const char *s, char **ret)
{
        static const char digits[] = "0123456789ABCDEF";
        char *out = malloc(3 * strlen(s) + 1);
        if (!out)
                return -ENOMEM;

        char *p = out;
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;
                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        strchr("-._~", c))
                        *p++ = (char)c;
                else {
                        *p++ = '%';
                        *p++ = digits[c >> 4];
                        *p++ = digits[c & 15];
                }
        }
        *p = '\0';
        *ret = out;
        return 0;
}
