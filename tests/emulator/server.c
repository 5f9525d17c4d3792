#include "tests/emulator/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "tests/emulator/exchange.h"
#include "tests/emulator/faults.h"
#include "tests/emulator/reqlog.h"

#define SOCKETS_MAX 2
#define PARKED_MAX 256
#define CONNECTION_LIMIT 1024

struct server {
        struct emulator *emu;
        enum listener_kind kind;
        unsigned short port;
        int sockets[SOCKETS_MAX];
        size_t n_sockets;
        struct MHD_Daemon *daemon;
        pthread_t acceptor;
        bool accepting;
};

/* --- connections --- */

/* Plays a connection-level fault. Takes the descriptor unless it returns false. */
static bool play_connection_fault(
        struct server *s, int fd, int *parked, size_t *n_parked, enum connection_fault fault)
{
        static const char noise[] = "\x15\x03SSH-2.0-not-what-you-expected\r\n\x00\xff\xfe\r\n\r\n";

        switch (fault) {
        case CONNECTION_OK:
                return false;
        case CONNECTION_HANG:
                if (*n_parked < PARKED_MAX) {
                        parked[(*n_parked)++] = fd;
                        return true;
                }
                break;
        case CONNECTION_RESET: {
                const struct linger now = {.l_onoff = 1, .l_linger = 0};
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
                break;
        }
        case CONNECTION_GARBAGE:
                (void)send(fd, noise, sizeof noise - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
                break;
        }
        (void)safe_close(fd);
        return true;
}

static void accept_one(struct server *s, int listening, int *parked, size_t *n_parked)
{
        struct sockaddr_storage address;
        socklen_t len = sizeof address;
        const int on = 1;

        int fd = accept4(listening, (struct sockaddr *)&address, &len, SOCK_CLOEXEC);
        if (fd < 0)
                return;
        if (s->kind != LISTEN_ADMIN) {
                reqlog_connection_opened(s->emu->log);
                if (play_connection_fault(
                            s, fd, parked, n_parked, faults_connection(s->emu->faults, s->kind)))
                        return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (MHD_add_connection(s->daemon, fd, (struct sockaddr *)&address, len) != MHD_YES)
                log_warning("a connection could not be served");
}

/* Our own accept loop rather than MHD's: this is where a connection can be refused, hung or fed
 * with noise before TLS begins. */
static void *accept_loop(void *userdata)
{
        struct server *s = userdata;
        int parked[PARKED_MAX];
        size_t n_parked = 0;
        struct pollfd fds[SOCKETS_MAX + 1];

        for (size_t i = 0; i < s->n_sockets; i++)
                fds[i] = (struct pollfd){.fd = s->sockets[i], .events = POLLIN};
        fds[s->n_sockets] = (struct pollfd){.fd = s->emu->stop_fd, .events = POLLIN};
        for (;;) {
                if (poll(fds, (nfds_t)s->n_sockets + 1, -1) < 0 && errno != EINTR)
                        break;
                if (fds[s->n_sockets].revents)
                        break;
                for (size_t i = 0; i < s->n_sockets; i++)
                        if (fds[i].revents)
                                accept_one(s, fds[i].fd, parked, &n_parked);
        }
        while (n_parked > 0)
                (void)safe_close(parked[--n_parked]);
        return NULL;
}

/* --- MHD's callbacks --- */

/* Leaves paths and queries as they were sent: http.c decodes them part by part. */
static size_t keep_escapes(void *cls, struct MHD_Connection *c, char *s)
{
        return strlen(s);
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
        struct server *s = cls;

        return request_new(s->emu, s->kind, uri);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
        const char *method, const char *version, const char *upload, size_t *upload_size,
        void **con_cls)
{
        struct request *r = *con_cls;

        if (!r)
                return MHD_NO;
        if (!r->method) {
                const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
                r->connection = c;
                r->socket = info ? info->connect_fd : -EBADF;
                r->method = strdup(method);
                return r->method ? MHD_YES : MHD_NO;
        }
        if (*upload_size > 0) {
                int added = request_add_body(r, upload, *upload_size);
                *upload_size = 0;
                return added < 0 ? MHD_NO : MHD_YES;
        }
        return exchange(r);
}

static void on_completed(
        void *cls, struct MHD_Connection *c, void **con_cls, enum MHD_RequestTerminationCode why)
{
        request_free(*con_cls);
        *con_cls = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
        enum MHD_ConnectionNotificationCode code)
{
        struct server *s = cls;

        if (s->kind != LISTEN_ADMIN)
                reqlog_connection_served(s->emu->log, code == MHD_CONNECTION_NOTIFY_STARTED);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
        char text[512];

        vsnprintf(text, sizeof text, fmt, ap);
        text[strcspn(text, "\n")] = '\0';
        log_debug("libmicrohttpd: %s", text);
}

/* --- start and stop --- */

static int listen_on(int family, const char *address, unsigned short port)
{
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        } a = {0};
        socklen_t len = family == AF_INET ? sizeof a.v4 : sizeof a.v6;
        const int on = 1;

        a.any.sa_family = (sa_family_t)family;
        if (family == AF_INET)
                a.v4.sin_port = htons(port);
        else
                a.v6.sin6_port = htons(port);
        if (inet_pton(family, address,
                    family == AF_INET ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr) != 1)
                return -EINVAL;
        _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (family == AF_INET6)
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (bind(fd, &a.any, len) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static unsigned short bound_port(int fd)
{
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        } a = {0};
        socklen_t len = sizeof a;

        if (getsockname(fd, &a.any, &len) < 0)
                return 0;
        return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}

static int open_sockets(struct server *s, const struct listen_config *cfg, struct err *e)
{
        const char *address = cfg->address ? cfg->address : "127.0.0.1";

        int fd = listen_on(strchr(address, ':') ? AF_INET6 : AF_INET, address, cfg->port);
        if (fd < 0)
                return err_set(e, fd, "cannot listen on %s port %u: %s", address, cfg->port,
                        strerror(-fd));
        s->sockets[s->n_sockets++] = fd;
        s->port = bound_port(fd);
        if (cfg->address)
                return 0;
        /* Some resolvers give ::1 for localhost first. Not every machine has it. */
        fd = listen_on(AF_INET6, "::1", s->port);
        if (fd >= 0)
                s->sockets[s->n_sockets++] = fd;
        return 0;
}

static struct MHD_Daemon *start_daemon(struct server *s, const struct tls_identity *cert)
{
        unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                         MHD_USE_POLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_ERROR_LOG;
        static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
        struct MHD_OptionItem tls[] = {
                {MHD_OPTION_HTTPS_MEM_KEY, 0, cert ? cert->key : NULL},
                {MHD_OPTION_HTTPS_MEM_CERT, 0, cert ? cert->cert : NULL},
                {MHD_OPTION_HTTPS_PRIORITIES, 0, priorities},
                {MHD_OPTION_END, 0, NULL},
        };

        if (cert)
                flags |= MHD_USE_TLS;
        else
                tls[0] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
        return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER,
                on_log, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_UNESCAPE_CALLBACK,
                keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_LIMIT,
                (unsigned)CONNECTION_LIMIT, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int server_start(struct emulator *emu, const struct listen_config *cfg,
        const struct tls_identity *cert, struct server **ret, struct err *e)
{
        struct server *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->emu = emu;
        s->kind = cfg->kind;
        int r = open_sockets(s, cfg, e);
        if (r < 0) {
                server_stop(s);
                return r;
        }
        s->daemon = start_daemon(s, cfg->kind == LISTEN_HTTPS ? cert : NULL);
        if (!s->daemon) {
                server_stop(s);
                return err_set(e, -EIO, "libmicrohttpd does not start%s",
                        MHD_is_feature_supported(MHD_FEATURE_TLS) == MHD_YES
                                ? ""
                                : ": it was built without TLS");
        }
        r = -pthread_create(&s->acceptor, NULL, accept_loop, s);
        if (r < 0) {
                server_stop(s);
                return err_set(e, r, "cannot start a thread: %s", strerror(-r));
        }
        s->accepting = true;
        *ret = s;
        return 0;
}

unsigned short server_port(const struct server *s)
{
        return s->port;
}

void server_stop(struct server *s)
{
        const uint64_t one = 1;

        if (!s)
                return;
        (void)write_all(s->emu->stop_fd, &one, sizeof one);
        if (s->accepting)
                pthread_join(s->acceptor, NULL);
        for (size_t i = 0; i < s->n_sockets; i++)
                (void)safe_close(s->sockets[i]);
        if (s->daemon)
                MHD_stop_daemon(s->daemon);
        free(s);
}
