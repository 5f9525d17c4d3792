#include "csi/web.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"

struct web {
        struct loop *loop;
        const struct web_page *pages;
        size_t n;
        void *userdata;
        struct MHD_Daemon *daemon;
        struct loop_io *io;
        struct loop_timer *timer; /* when a connection has been silent for too long */
};

/* --- pages --- */

static enum MHD_Result send_text(
        struct MHD_Connection *c, unsigned status, const char *type, char *text, size_t len)
{
        enum MHD_ResponseMemoryMode mode = type ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT;
        struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);

        if (!r) {
                if (type)
                        free(text);
                return MHD_NO; /* the connection is closed */
        }
        enum MHD_Result ok = MHD_add_response_header(r, "Content-Type", type ? type : "text/plain");
        if (ok == MHD_YES)
                ok = MHD_add_response_header(r, "Cache-Control", "no-store");
        if (ok == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
                ok = MHD_add_response_header(r, "Allow", "GET, HEAD");
        if (ok == MHD_YES)
                ok = MHD_queue_response(c, status, r);
        MHD_destroy_response(r);
        return ok;
}

static enum MHD_Result send_status(struct MHD_Connection *c, unsigned status, const char *text)
{
        return send_text(c, status, NULL, (char *)(uintptr_t)text, strlen(text));
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *c, const char *path,
        const char *method, const char *version, const char *body, size_t *body_len, void **state)
{
        struct web *w = userdata;
        char *text = NULL;
        size_t len = 0;

        if (!streq(method, "GET") && !streq(method, "HEAD"))
                return send_status(c, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed\n");
        for (size_t i = 0; i < w->n; i++) {
                if (!streq(path, w->pages[i].path))
                        continue;
                int status = w->pages[i].make(w->userdata, &text, &len);
                if (status < 0)
                        return send_status(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
                return send_text(c, (unsigned)status, w->pages[i].type, text, len);
        }
        return send_status(c, MHD_HTTP_NOT_FOUND, "not found\n");
}

static void on_log(void *userdata, const char *format, va_list ap)
{
        /* What clients do wrong is theirs; lines of it could be made at will. */
}

/* --- on the loop --- */

static void serve(struct web *w)
{
        MHD_UNSIGNED_LONG_LONG ms;

        if (MHD_run(w->daemon) != MHD_YES)
                log_warning("a connection for metrics or health could not be served");
        if (MHD_get_timeout(w->daemon, &ms) == MHD_YES)
                (void)loop_timer_in(w->timer, ms * USEC_PER_MSEC);
        else
                loop_timer_off(w->timer);
}

static void on_ready(void *userdata, int fd, uint32_t revents)
{
        serve(userdata);
}

static void on_timer(void *userdata)
{
        serve(userdata);
}

/* --- where --- */

union address {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
};

static int parse_address(const char *text, union address *ret, socklen_t *ret_len)
{
        union address a = {0};
        char host[INET6_ADDRSTRLEN];
        const char *colon = strrchr(text, ':');
        uint64_t port;

        if (!colon || parse_u64(colon + 1, UINT16_MAX, &port) < 0)
                return -EINVAL;
        const char *begin = text, *end = colon;
        bool v6 = *text == '[';
        if (v6 && (end - begin < 2 || end[-1] != ']'))
                return -EINVAL;
        begin += v6;
        end -= v6;
        if (begin == end && !v6) {
                a.v6.sin6_family = AF_INET6;
                a.v6.sin6_port = htons((uint16_t)port);
                *ret = a;
                *ret_len = sizeof a.v6;
                return 0;
        }
        if (begin >= end || (size_t)(end - begin) >= sizeof host)
                return -EINVAL;
        memcpy(host, begin, (size_t)(end - begin));
        host[end - begin] = '\0';
        if (v6) {
                a.v6.sin6_family = AF_INET6;
                a.v6.sin6_port = htons((uint16_t)port);
        } else {
                a.v4.sin_family = AF_INET;
                a.v4.sin_port = htons((uint16_t)port);
        }
        if (inet_pton(v6 ? AF_INET6 : AF_INET, host,
                    v6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr) != 1)
                return -EINVAL;
        *ret = a;
        *ret_len = v6 ? sizeof a.v6 : sizeof a.v4;
        return 0;
}

int web_address_check(const char *text, struct err *e)
{
        union address a;
        socklen_t len;

        int r = parse_address(text, &a, &len);
        return r < 0 ? err_set_cause(e, ERR_USAGE, r,
                               "\"%.100s\" is no address and port, like " WEB_HEALTH_ADDRESS, text)
                     : 0;
}

/* Every address of the machine: both families where it has both. */
static int open_socket(union address *a, socklen_t *len)
{
        const int off = 0;
        bool every = a->any.sa_family == AF_INET6 &&
                     memcmp(&a->v6.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;

        int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && every)
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (fd >= 0 || errno != EAFNOSUPPORT || !every)
                return fd;
        *a = (union address){
                .v4 = {.sin_family = AF_INET, .sin_port = a->v6.sin6_port}}; /* 0.0.0.0 */
        *len = sizeof a->v4;
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int format_address(int fd, char **ret)
{
        char host[INET6_ADDRSTRLEN] = "";
        union address a = {0};
        socklen_t len = sizeof a;

        if (getsockname(fd, &a.any, &len) < 0)
                return -errno;
        bool v6 = a.any.sa_family == AF_INET6;
        (void)inet_ntop(a.any.sa_family, v6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr,
                host, sizeof host);
        return xasprintf(ret, v6 ? "[%s]:%u" : "%s:%u", host,
                (unsigned)ntohs(v6 ? a.v6.sin6_port : a.v4.sin_port));
}

int web_listen(const char *text, int *ret_fd, char **ret_address, struct err *e)
{
        _cleanup_free_ char *address = NULL;
        _cleanup_close_ int fd = -EBADF;
        const int on = 1;
        union address a;
        socklen_t len;

        int r = web_address_check(text, e);
        if (r < 0)
                return r;
        (void)parse_address(text, &a, &len);
        fd = open_socket(&a, &len);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
                setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
                bind(fd, &a.any, len) < 0 || listen(fd, WEB_CONNECTIONS_MAX) < 0) {
                r = -errno;
                err_set_cause(e, ERR_LOCAL, r, "cannot listen on %s: %s", text, strerror(-r));
                if (r == -EADDRINUSE)
                        err_hint(e, "another program has this port on the host: name another one");
                return r;
        }
        r = format_address(fd, &address);
        if (r < 0)
                return err_set(e, r, "cannot listen on %s: %s", text, strerror(-r));
        *ret_fd = TAKE_FD(fd);
        if (ret_address)
                *ret_address = TAKE_PTR(address);
        return 0;
}

static int start(struct web *w, int fd)
{
        w->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
                w, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS_MAX,
                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEB_SECONDS,
                MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16 << 10, MHD_OPTION_END);
        if (!w->daemon) {
                safe_close(fd);
                return -ENOMEM;
        }
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        if (!info)
                return -EIO;
        int r = loop_timer_new(w->loop, on_timer, w, &w->timer);
        if (r == 0)
                r = loop_io_new(w->loop, info->epoll_fd, EPOLLIN, on_ready, w, &w->io);
        return r;
}

int web_new(struct loop *l, int fd, const struct web_page *pages, size_t n, void *userdata,
        struct web **ret, struct err *e)
{
        _cleanup_(web_freep) struct web *w = calloc(1, sizeof *w);

        if (!w) {
                safe_close(fd);
                return err_set(e, -ENOMEM, "out of memory");
        }
        *w = (struct web){.loop = l, .pages = pages, .n = n, .userdata = userdata};
        int r = start(w, fd);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r,
                        "the pages for probes and metrics cannot be served: %s", strerror(-r));
        *ret = TAKE_PTR(w);
        return 0;
}

void web_free(struct web *w)
{
        if (!w)
                return;
        loop_io_free(w->io);
        loop_timer_free(w->timer);
        if (w->daemon)
                MHD_stop_daemon(w->daemon);
        free(w);
}
