#include "cli/doctor_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/dns.h"
#include "base/wipe.h"

#define PROXY_ANSWER_MAX 4096

int doctor_split_url(const char *url, char **ret_host, uint16_t *ret_port)
{
        const char *p = strstr(url, "://");
        uint64_t port = p && strncasecmp(url, "http:", 5) == 0 ? 80 : 443;

        p = p ? p + 3 : url;
        const char *at = p + strcspn(p, "/?#");
        for (const char *q = p; q < at; q++)
                if (*q == '@')
                        p = q + 1;
        const char *end = *p == '[' ? strchr(p, ']') : p + strcspn(p, ":/?#");
        if (!end || end > at)
                return -EINVAL;
        const char *first = p + (*p == '[');
        if (end == first)
                return -EINVAL;
        const char *rest = end + (*end == ']');
        if (*rest == ':' && rest < at) {
                char number[8];
                size_t n = (size_t)(at - rest - 1);

                if (n >= sizeof number)
                        return -EINVAL;
                memcpy(number, rest + 1, n);
                number[n] = '\0';
                if (parse_u64(number, UINT16_MAX, &port) < 0)
                        return -EINVAL;
        }
        char *host = strndup(first, (size_t)(end - first));
        if (!host)
                return -ENOMEM;
        *ret_host = host;
        *ret_port = (uint16_t)port;
        return 0;
}

bool doctor_is_localhost(const char *host)
{
        static const char name[] = "localhost";
        size_t n = strlen(host), len = sizeof name - 1;

        return n >= len && strcasecmp(host + n - len, name) == 0 &&
               (n == len || host[n - len - 1] == '.');
}

static int look_up(const char *host, uint16_t port, struct addrinfo **ret, struct err *e)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        char service[8];

        snprintf(service, sizeof service, "%u", port);
        int r = getaddrinfo(doctor_is_localhost(host) ? "localhost" : host, service, &hints, ret);
        if (r != 0)
                return err_set_cause(e, ERR_DNS, -ENOENT, "%s does not resolve: %s", host,
                        r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
        return 0;
}

int doctor_resolve(const char *host, struct doctor_addresses *ret, struct err *e)
{
        struct doctor_addresses a = {0};
        struct addrinfo *list = NULL;

        int r = look_up(host, 443, &list, e);
        if (r < 0)
                return r;
        for (const struct addrinfo *i = list; i && a.n < DOCTOR_ADDRESSES_MAX; i = i->ai_next) {
                if (getnameinfo(i->ai_addr, i->ai_addrlen, a.text[a.n], sizeof a.text[a.n], NULL, 0,
                            NI_NUMERICHOST) != 0)
                        continue;
                a.private[a.n] = dns_is_private(i->ai_addr);
                a.n++;
        }
        freeaddrinfo(list);
        *ret = a;
        return 0;
}

/* --- TCP --- */

static unsigned limit(const struct doctor_target *t)
{
        return t->step_ms ? t->step_ms : DOCTOR_STEP_MS;
}

static int connect_one(const struct addrinfo *a, unsigned timeout_ms)
{
        _cleanup_close_ int fd =
                socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int error = 0;
        socklen_t len = sizeof error;

        if (fd < 0)
                return -errno;
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
                struct pollfd p = {.fd = fd, .events = POLLOUT};

                if (errno != EINPROGRESS)
                        return -errno;
                int n = poll(&p, 1, (int)timeout_ms);
                if (n <= 0)
                        return n < 0 ? -errno : -ETIMEDOUT;
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                        return -errno;
                if (error)
                        return -error;
        }
        const struct timeval tv = {
                .tv_sec = timeout_ms / 1000, .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) < 0 ||
                setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int connect_host(const char *host, uint16_t port, unsigned timeout_ms,
        char ret_peer[static 64], struct err *e)
{
        struct addrinfo *list = NULL;
        char peer[64] = "";
        int r = look_up(host, port, &list, e);

        if (r < 0)
                return r;
        r = -ENOENT;
        for (const struct addrinfo *a = list; a && r < 0; a = a->ai_next) {
                (void)getnameinfo(
                        a->ai_addr, a->ai_addrlen, peer, sizeof peer, NULL, 0, NI_NUMERICHOST);
                r = connect_one(a, timeout_ms);
        }
        freeaddrinfo(list);
        if (r < 0)
                return err_set_cause(e, r == -ETIMEDOUT ? ERR_TIMEOUT : ERR_CONNECT, r,
                        "%s (%s) port %u: %s", host, peer, port, strerror(-r));
        memcpy(ret_peer, peer, sizeof peer);
        return r;
}

/* CONNECT (RFC 9110 section 9.3.6). Credentials of the proxy's URL are left to libcurl: what asks
 * for them answers 407, which says all there is to say. */
static int ask_proxy(int fd, const struct doctor_target *t, struct err *e)
{
        bool v6 = strchr(t->host, ':');
        _cleanup_free_ char *request = NULL;
        char answer[PROXY_ANSWER_MAX + 1];
        size_t n = 0;
        unsigned status = 0;

        int r = xasprintf(&request, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n\r\n",
                v6 ? "[" : "", t->host, v6 ? "]" : "", t->port, v6 ? "[" : "", t->host,
                v6 ? "]" : "", t->port);
        if (r == 0)
                r = write_all(fd, request, strlen(request));
        answer[0] = '\0';
        while (r == 0 && !strstr(answer, "\r\n\r\n") && n < PROXY_ANSWER_MAX) {
                ssize_t len = read(fd, answer + n, 1); /* not a byte of what comes behind */
                if (len <= 0)
                        r = len < 0 ? -errno : -ECONNRESET;
                else
                        n += (size_t)len;
                answer[n] = '\0';
        }
        if (r < 0)
                return err_set_cause(e, r == -EAGAIN ? ERR_TIMEOUT : ERR_CONNECT,
                        r == -EAGAIN ? -ETIMEDOUT : r, "the proxy does not answer a CONNECT to %s",
                        t->host);
        if (sscanf(answer, "HTTP/1.%*1[01] %3u", &status) == 1 && status / 100 == 2)
                return 0;
        answer[strcspn(answer, "\r\n")] = '\0';
        for (char *p = answer; *p; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
        err_set_cause(e, ERR_CONNECT, -ECONNREFUSED, "the proxy refuses a CONNECT to %s:%u: %.80s",
                t->host, t->port, answer);
        return -ECONNREFUSED;
}

int doctor_connect(const struct doctor_target *t, char ret_peer[static 64], struct err *e)
{
        _cleanup_free_ char *host = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint16_t port = 0;

        if (!t->proxy)
                return connect_host(t->host, t->port, limit(t), ret_peer, e);
        int r = doctor_split_url(t->proxy, &host, &port);
        if (r < 0)
                return err_set_cause(e, ERR_USAGE, r, "the proxy's URL cannot be read");
        fd = connect_host(host, port, limit(t), ret_peer, e);
        if (fd < 0)
                return err_wrap(e, fd, "the proxy");
        r = ask_proxy(fd, t, e);
        return r < 0 ? r : TAKE_FD(fd);
}

/* --- TLS --- */

static void name_text(const X509_NAME *name, char out[static DOCTOR_TEXT_MAX])
{
        BIO *b = BIO_new(BIO_s_mem());

        out[0] = '\0';
        if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
                int n = BIO_read(b, out, DOCTOR_TEXT_MAX - 1);
                out[MAX(n, 0)] = '\0';
        }
        BIO_free(b);
}

static int64_t seconds_of(const ASN1_TIME *t)
{
        struct tm tm = {0};

        return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* How TLS was refused, in OpenSSL's words. */
static const char *tls_reason(void)
{
        unsigned long code = ERR_peek_last_error();
        const char *reason = code ? ERR_reason_error_string(code) : NULL;

        return reason ? reason : "the connection was closed";
}

static int trust(SSL_CTX *ctx, const char *ca_pem)
{
        if (!ca_pem)
                return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : -EIO;
        X509_STORE *store = SSL_CTX_get_cert_store(ctx);
        BIO *b = BIO_new_mem_buf(ca_pem, -1);
        X509 *one;
        size_t n = 0;

        while (b && (one = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
                n += X509_STORE_add_cert(store, one) == 1;
                X509_free(one);
        }
        BIO_free(b);
        ERR_clear_error();
        return n > 0 ? 0 : -EINVAL;
}

static void read_certificate(const SSL *ssl, struct doctor_tls *ret)
{
        X509 *cert = SSL_get1_peer_certificate(ssl);

        snprintf(ret->version, sizeof ret->version, "%s", SSL_get_version(ssl));
        if (!cert)
                return;
        name_text(X509_get_subject_name(cert), ret->subject);
        name_text(X509_get_issuer_name(cert), ret->issuer);
        ret->not_before = seconds_of(X509_get0_notBefore(cert));
        ret->not_after = seconds_of(X509_get0_notAfter(cert));
        X509_free(cert);
}

/* Not refused by OpenSSL itself, so that what came can be told; nothing is sent behind it. */
static int shake(
        const struct doctor_target *t, SSL *ssl, int fd, struct doctor_tls *ret, struct err *e)
{
        struct in6_addr address;
        bool numeric = inet_pton(AF_INET, t->host, &address) == 1 ||
                       inet_pton(AF_INET6, t->host, &address) == 1;

        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
        int good = SSL_set_fd(ssl, fd);
        if (good == 1 && numeric)
                good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), t->host);
        else if (good == 1) {
                good = SSL_set1_host(ssl, t->host);
                if (good == 1)
                        good = SSL_set_tlsext_host_name(ssl, t->host) == 1;
        }
        if (good != 1)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "TLS cannot be set up");
        ERR_clear_error();
        if (SSL_connect(ssl) != 1)
                return err_set_cause(
                        e, ERR_TLS, -EPROTO, "%s does not speak TLS: %s", t->host, tls_reason());
        read_certificate(ssl, ret);
        long result = SSL_get_verify_result(ssl);
        if (result != X509_V_OK)
                return err_set_cause(e, ERR_TLS, -EKEYREJECTED,
                        "the certificate of %s is not accepted: %s (it is %s, issued by %s)",
                        t->host, X509_verify_cert_error_string(result), ret->subject, ret->issuer);
        (void)SSL_shutdown(ssl);
        return 0;
}

int doctor_handshake(const struct doctor_target *t, int fd, struct doctor_tls *ret, struct err *e)
{
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL *ssl = NULL;
        int r = ctx ? 0 : -ENOMEM;

        *ret = (struct doctor_tls){0};
        if (r == 0)
                SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        if (r == 0)
                r = trust(ctx, t->ca_pem);
        if (r == 0 && !(ssl = SSL_new(ctx)))
                r = -ENOMEM;
        if (r < 0)
                err_set_cause(e, ERR_LOCAL, r, "TLS cannot be set up: %s", strerror(-r));
        else
                r = shake(t, ssl, fd, ret, e);
        SSL_free(ssl);
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return r;
}
