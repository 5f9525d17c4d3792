#include "server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wipe.h"

#define must(x)                                                                        \
        do {                                                                           \
                if (!(x)) {                                                            \
                        fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #x); \
                        abort();                                                       \
                }                                                                      \
        } while (0)

#define REQUESTS_MAX 20000
#define HEAD_MAX 65536

/* The test framework starts OpenSSL in its main(), after which the allocators could not be set. */
static int wipe_result = -1;

__attribute__((constructor)) static void install(void)
{
        wipe_result = wipe_install();
}

void test_init(void)
{
        must(wipe_result == 0);
}

/* --- certificates --- */

static EVP_PKEY *make_key(void)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        must(key);
        return key;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
        X509V3_CTX ctx;

        X509V3_set_ctx_nodb(&ctx);
        X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
        X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        must(x);
        must(X509_add_ext(cert, x, -1));
        X509_EXTENSION_free(x);
}

static X509 *make_cert(
        EVP_PKEY *key, const char *name, X509 *ca, EVP_PKEY *ca_key, const char *san, bool expired)
{
        static int serial = 1;
        X509 *cert = X509_new();

        must(cert);
        X509_set_version(cert, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++ + ((long)getpid() << 8));
        X509_gmtime_adj(X509_getm_notBefore(cert), -172800);
        X509_gmtime_adj(X509_getm_notAfter(cert), expired ? -86400 : 86400);
        X509_set_pubkey(cert, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                (const unsigned char *)name, -1, -1, 0);
        X509_set_issuer_name(cert, X509_get_subject_name(ca ? ca : cert));
        add_extension(cert, ca ? ca : cert, NID_basic_constraints,
                ca ? "critical,CA:FALSE" : "critical,CA:TRUE");
        add_extension(cert, ca ? ca : cert, NID_key_usage,
                ca ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
        add_extension(cert, ca ? ca : cert, NID_subject_key_identifier, "hash");
        add_extension(cert, ca ? ca : cert, NID_authority_key_identifier, "keyid");
        if (san)
                add_extension(cert, ca, NID_subject_alt_name, san);
        must(X509_sign(cert, ca_key, EVP_sha256()));
        return cert;
}

/* --- the server --- */

struct connection {
        struct connection *next;
        struct test_server *server;
        pthread_t thread;
        int fd;
        unsigned number;
        SSL *ssl;
};

struct kept {
        struct test_request request;
        char *text; /* that it points into */
};

struct test_server {
        int listen_fd, stop_fd;
        int fill_fd[8];
        unsigned port;
        bool plain, never_accept;
        char url[64], ca_file[64];
        SSL_CTX *ctx;
        pthread_t acceptor;

        pthread_mutex_t lock; /* for what follows */
        struct connection *connections;
        unsigned accepted, received, answering, peak;
        struct test_answer *script;
        size_t said, used;
        test_handler handler;
        void *userdata;
        struct kept *kept;
};

static bool stopping(struct test_server *s)
{
        struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

/* True when the time passed, false when the server is being stopped or the peer went. */
static bool pause_ms(struct connection *c, int ms)
{
        struct pollfd p[] = {
                {.fd = c->server->stop_fd, .events = POLLIN},
                {.fd = c->fd, .events = POLLRDHUP},
        };

        return poll(p, 2, ms) == 0;
}

static ssize_t receive(struct connection *c, void *p, size_t n)
{
        if (!c->ssl)
                return recv(c->fd, p, n, 0);
        return SSL_read(c->ssl, p, (int)n);
}

static bool send_all(struct connection *c, const void *p, size_t n)
{
        const char *s = p;

        while (n > 0) {
                ssize_t r = c->ssl ? SSL_write(c->ssl, s, (int)(n < 16384 ? n : 16384))
                                   : send(c->fd, s, n, MSG_NOSIGNAL);
                if (r <= 0)
                        return false;
                s += r;
                n -= (size_t)r;
        }
        return true;
}

static bool send_text(struct connection *c, const char *s)
{
        return send_all(c, s, strlen(s));
}

bool test_request_header(const struct test_request *r, const char *name, char *buf, size_t size)
{
        size_t len = strlen(name);

        for (const char *p = r->headers; p && *p;) {
                const char *end = strstr(p, "\r\n");
                if (!end)
                        break;
                if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
                        const char *v = p + len + 1;
                        while (*v == ' ')
                                v++;
                        snprintf(buf, size, "%.*s", (int)(end - v), v);
                        return true;
                }
                p = end + 2;
        }
        return false;
}

/* Reads one request into text, which it then points into. False at the end of the connection. */
static bool read_request(struct connection *c, struct kept *ret)
{
        size_t len = 0, size = 4096, head = 0, body = 0;
        char *text = malloc(size + 1), value[32];

        must(text);
        for (;;) {
                if (len == size) {
                        size *= 2;
                        text = wipe_realloc(text, size + 1);
                        must(text);
                }
                ssize_t n = receive(c, text + len, head ? head + body - len : size - len);
                if (n <= 0) {
                        free(text);
                        return false;
                }
                len += (size_t)n;
                text[len] = '\0';
                if (!c->ssl && text[0] == 0x16) { /* a ClientHello */
                        (void)send_text(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                        free(text);
                        return false;
                }
                if (!head) {
                        char *end = strstr(text, "\r\n\r\n");
                        if (!end) {
                                must(len < HEAD_MAX);
                                continue;
                        }
                        head = (size_t)(end - text) + 4;
                        end[2] = '\0';
                        char *line_end = strstr(text, "\r\n");
                        struct test_request probe = {.headers = line_end + 2};
                        if (test_request_header(&probe, "Content-Length", value, sizeof value))
                                body = strtoul(value, NULL, 10);
                        if (head + body > size) {
                                size = head + body;
                                text = wipe_realloc(text, size + 1);
                                must(text);
                        }
                }
                if (len >= head + body)
                        break;
        }

        /* "METHOD SP TARGET SP VERSION CRLF" */
        char *line_end = strstr(text, "\r\n");
        char *target = strchr(text, ' ');
        must(line_end && target && target < line_end);
        *target++ = '\0';
        char *version = strchr(target, ' ');
        must(version && version < line_end);
        *version = '\0';
        ret->text = text;
        ret->request = (struct test_request){
                .method = text,
                .target = target,
                .headers = line_end + 2,
                .body = text + head,
                .body_len = body,
                .connection = c->number,
        };
        return true;
}

static const char *reason(int status)
{
        return status == 200 ? "OK" : status < 400 ? "Fine" : "Error";
}

/* True when the connection may go on. */
static bool send_answer(struct connection *c, const struct test_answer *a)
{
        char head[8192];
        const char *body = a->body ? a->body : "";
        size_t len = a->body_len ? a->body_len : strlen(body);
        int status = a->status ? a->status : 200;
        bool chunked = a->manner == TEST_CHUNKED || a->manner == TEST_ENDLESS;

        if (a->delay_ms && !pause_ms(c, (int)a->delay_ms))
                return false;
        switch (a->manner) {
        case TEST_CLOSE:
                return false;
        case TEST_HANG:
                pause_ms(c, -1);
                return false;
        case TEST_RAW:
                (void)send_all(c, body, len);
                return false;
        default:
                break;
        }

        if (chunked)
                snprintf(head, sizeof head,
                        "HTTP/1.1 %d %s\r\n%sTransfer-Encoding: chunked\r\n%s\r\n", status,
                        reason(status), a->headers ? a->headers : "",
                        a->close ? "Connection: close\r\n" : "");
        else
                snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\n%sContent-Length: %zu\r\n%s\r\n",
                        status, reason(status), a->headers ? a->headers : "", len,
                        a->close ? "Connection: close\r\n" : "");
        if (!send_text(c, head))
                return false;

        char chunk[32];
        switch (a->manner) {
        case TEST_CUT:
                (void)send_all(c, body, len / 2);
                return false;
        case TEST_HANG_IN_BODY:
                if (send_all(c, body, len / 2))
                        pause_ms(c, -1);
                return false;
        case TEST_DRIP:
                for (size_t i = 0; i < len; i++)
                        if (!send_all(c, body + i, 1))
                                return false;
                break;
        case TEST_ENDLESS:
                snprintf(chunk, sizeof chunk, "%zx\r\n", len);
                while (send_text(c, chunk) && send_all(c, body, len) && send_text(c, "\r\n"))
                        ;
                return false;
        case TEST_CHUNKED:
                snprintf(chunk, sizeof chunk, "%zx\r\n", len);
                if (len > 0 &&
                        !(send_text(c, chunk) && send_all(c, body, len) && send_text(c, "\r\n")))
                        return false;
                if (!send_text(c, "0\r\n\r\n"))
                        return false;
                break;
        default:
                if (!send_all(c, body, len))
                        return false;
        }
        return !a->close;
}

static void *serve(void *userdata)
{
        struct connection *c = userdata;
        struct test_server *s = c->server;
        struct kept k;
        bool go_on = true;
        sigset_t pipe;

        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* clients just go */
        if (c->ssl && SSL_accept(c->ssl) != 1)
                go_on = false;
        while (go_on && read_request(c, &k)) {
                struct test_answer a = {0};

                pthread_mutex_lock(&s->lock);
                must(s->received < REQUESTS_MAX);
                s->kept[s->received++] = k;
                if (++s->answering > s->peak)
                        s->peak = s->answering;
                if (s->handler)
                        s->handler(s->userdata, &k.request, &a);
                else if (s->said > 0) {
                        a = s->script[s->used < s->said ? s->used++ : s->said - 1];
                }
                pthread_mutex_unlock(&s->lock);
                go_on = send_answer(c, &a);
                pthread_mutex_lock(&s->lock);
                s->answering--;
                pthread_mutex_unlock(&s->lock);
        }
        if (c->ssl && go_on)
                SSL_shutdown(c->ssl);
        ERR_clear_error();
        shutdown(c->fd, SHUT_RDWR);
        return NULL;
}

static void *accept_all(void *userdata)
{
        struct test_server *s = userdata;

        for (;;) {
                struct pollfd p[] = {
                        {.fd = s->stop_fd, .events = POLLIN},
                        {.fd = s->listen_fd, .events = POLLIN},
                };
                (void)poll(p, 2, -1);
                if (stopping(s))
                        return NULL;
                int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0)
                        continue;
                int on = 1;
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                struct connection *c = calloc(1, sizeof *c);
                must(c);
                c->server = s;
                c->fd = fd;
                if (!s->plain) {
                        c->ssl = SSL_new(s->ctx);
                        must(c->ssl && SSL_set_fd(c->ssl, fd));
                }
                pthread_mutex_lock(&s->lock);
                c->number = s->accepted++;
                c->next = s->connections;
                s->connections = c;
                must(pthread_create(&c->thread, NULL, serve, c) == 0);
                pthread_mutex_unlock(&s->lock);
        }
}

static void make_tls(struct test_server *s, const struct test_server_options *o)
{
        EVP_PKEY *ca_key = make_key(), *key = make_key(), *other_key = make_key();
        X509 *ca = make_cert(ca_key, "Throw-away CA", NULL, ca_key, NULL, false);
        X509 *other = make_cert(other_key, "Other CA", NULL, other_key, NULL, false);
        char san[300] = "DNS:localhost,IP:127.0.0.1";

        if (o->host)
                snprintf(san, sizeof san, "DNS:%s", o->host);
        X509 *cert = make_cert(key, o->host ? o->host : "localhost", ca, ca_key, san, o->expired);

        s->ctx = SSL_CTX_new(TLS_server_method());
        must(s->ctx);
        if (o->old_tls) {
                SSL_CTX_set_security_level(s->ctx, 0);
                SSL_CTX_set_min_proto_version(s->ctx, TLS1_1_VERSION);
                SSL_CTX_set_max_proto_version(s->ctx, TLS1_1_VERSION);
        }
        must(SSL_CTX_use_certificate(s->ctx, cert) == 1);
        must(SSL_CTX_use_PrivateKey(s->ctx, key) == 1);

        int fd = mkstemp(s->ca_file);
        must(fd >= 0);
        FILE *f = fdopen(fd, "w");
        must(f && PEM_write_X509(f, o->foreign_ca ? other : ca) && fclose(f) == 0);
        X509_free(ca);
        X509_free(other);
        X509_free(cert);
        EVP_PKEY_free(ca_key);
        EVP_PKEY_free(other_key);
        EVP_PKEY_free(key);
}

/* Linux drops SYNs to a listener whose queue is full, just as a firewall would. */
static void fill_queue(struct test_server *s, const struct sockaddr_in *a)
{
        for (size_t i = 0; i < sizeof s->fill_fd / sizeof *s->fill_fd; i++) {
                s->fill_fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                must(s->fill_fd[i] >= 0);
                (void)connect(s->fill_fd[i], (const struct sockaddr *)a, sizeof *a);
        }
}

struct test_server *test_server_new(const struct test_server_options *options)
{
        static const struct test_server_options defaults;
        const struct test_server_options *o = options ? options : &defaults;
        struct test_server *s = calloc(1, sizeof *s);
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof a;
        const char *tmp = getenv("TMPDIR");

        must(s);
        test_init();
        pthread_mutex_init(&s->lock, NULL);
        s->kept = calloc(REQUESTS_MAX, sizeof *s->kept);
        must(s->kept);
        s->plain = o->plain_http;
        s->never_accept = o->never_accept;
        snprintf(s->ca_file, sizeof s->ca_file, "%s/akvfs-test-ca-XXXXXX",
                tmp && strlen(tmp) < 40 ? tmp : "/tmp");
        if (!s->plain)
                make_tls(s, o);

        s->stop_fd = eventfd(0, EFD_CLOEXEC);
        s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(s->stop_fd >= 0 && s->listen_fd >= 0);
        must(bind(s->listen_fd, (struct sockaddr *)&a, sizeof a) == 0);
        must(listen(s->listen_fd, s->never_accept ? 0 : 128) == 0);
        must(getsockname(s->listen_fd, (struct sockaddr *)&a, &len) == 0);
        s->port = ntohs(a.sin_port);
        snprintf(s->url, sizeof s->url, "%s://127.0.0.1:%u", s->plain ? "http" : "https", s->port);
        if (s->never_accept)
                fill_queue(s, &a);
        else
                must(pthread_create(&s->acceptor, NULL, accept_all, s) == 0);
        return s;
}

void test_server_free(struct test_server *s)
{
        if (!s)
                return;
        must(write(s->stop_fd, &(unsigned long long){1}, 8) == 8);
        if (s->never_accept)
                for (size_t i = 0; i < sizeof s->fill_fd / sizeof *s->fill_fd; i++)
                        close(s->fill_fd[i]);
        else
                pthread_join(s->acceptor, NULL);

        pthread_mutex_lock(&s->lock);
        struct connection *first = s->connections;
        for (struct connection *c = first; c; c = c->next)
                shutdown(c->fd, SHUT_RDWR);
        pthread_mutex_unlock(&s->lock);
        for (struct connection *c = first, *next; c; c = next) {
                next = c->next;
                pthread_join(c->thread, NULL);
                SSL_free(c->ssl);
                close(c->fd);
                free(c);
        }
        for (unsigned i = 0; i < s->received; i++)
                free(s->kept[i].text);
        SSL_CTX_free(s->ctx);
        if (!s->plain)
                unlink(s->ca_file);
        close(s->listen_fd);
        close(s->stop_fd);
        pthread_mutex_destroy(&s->lock);
        free(s->script);
        free(s->kept);
        free(s);
}

unsigned test_server_port(const struct test_server *s)
{
        return s->port;
}

const char *test_server_url(const struct test_server *s)
{
        return s->url;
}

const char *test_server_ca_file(const struct test_server *s)
{
        return s->ca_file;
}

void test_server_say(struct test_server *s, const struct test_answer *answer)
{
        pthread_mutex_lock(&s->lock);
        struct test_answer *p = realloc(s->script, (s->said + 1) * sizeof *p);
        must(p);
        s->script = p;
        p[s->said++] = *answer;
        pthread_mutex_unlock(&s->lock);
}

void test_server_handle(struct test_server *s, test_handler fn, void *userdata)
{
        pthread_mutex_lock(&s->lock);
        s->handler = fn;
        s->userdata = userdata;
        pthread_mutex_unlock(&s->lock);
}

static unsigned locked(struct test_server *s, const unsigned *what)
{
        pthread_mutex_lock(&s->lock);
        unsigned v = *what;
        pthread_mutex_unlock(&s->lock);
        return v;
}

unsigned test_server_requests(struct test_server *s)
{
        return locked(s, &s->received);
}

unsigned test_server_connections(struct test_server *s)
{
        return locked(s, &s->accepted);
}

unsigned test_server_peak(struct test_server *s)
{
        return locked(s, &s->peak);
}

void test_server_get(struct test_server *s, unsigned i, struct test_request *ret)
{
        pthread_mutex_lock(&s->lock);
        must(i < s->received);
        *ret = s->kept[i].request;
        pthread_mutex_unlock(&s->lock);
}
