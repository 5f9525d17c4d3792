#include "auth/binding.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define TIMEOUT_MS 10000
#define ID_MAX 128

static const char name_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

static bool is_host_name(const char *s, size_t len)
{
        return len > 0 && len <= 253 && *s != '.' && *s != '-' && strspn(s, name_chars) >= len;
}

int auth_binding_check(const char *url, const char *sni, struct err *e)
{
        const char *rest = startswith(url, "https://");
        size_t len = rest ? strcspn(rest, ":/") : 0;
        uint64_t port = 443;

        bool good = rest && strlen(url) < 1024 && is_host_name(rest, len) &&
                    !strpbrk(url, "?#@ \t\r\n");
        if (good && rest[len] == ':') {
                char text[8] = "";
                size_t n = strcspn(rest + len + 1, "/");
                if (n < sizeof text)
                        memcpy(text, rest + len + 1, n);
                good = parse_u64(text, 65535, &port) == 0 && port > 0;
        }
        if (!good) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "token proxy URL %s is not valid",
                        strpbrk(url, "@\t\r\n") ? "given" : url);
                err_hint(e, "it is https://HOST[:PORT][/PATH], without user, query and fragment");
                return -EINVAL;
        }
        if (sni && !is_host_name(sni, strlen(sni)))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "TLS server name \"%s\" of the token proxy is no name", sni);
        return 0;
}

int auth_binding_parse_url(const char *url, char **ret_host_port, char **ret_prefix)
{
        const char *rest = startswith(url, "https://");
        size_t host = strcspn(rest, "/"), end = strlen(rest);
        bool port = memchr(rest, ':', host);
        char *prefix;

        while (end > host && rest[end - 1] == '/')
                end--;
        prefix = strndup(rest + host, end - host);
        if (!prefix)
                return -ENOMEM;
        int r = xasprintf(ret_host_port, "%.*s%s", (int)host, rest, port ? "" : ":443");
        if (r < 0)
                free(prefix);
        else
                *ret_prefix = prefix;
        return r;
}

int auth_binding_sni(const char *id, char ret[static BINDING_SNI_MAX])
{
        static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
        unsigned char digest[EVP_MAX_MD_SIZE];
        char text[32 + ID_MAX], *out = ret;
        unsigned len = 0, bits = 0, have = 0;

        if (!is_host_name(id, strlen(id)) || strlen(id) > ID_MAX)
                return -EINVAL;
        int n = snprintf(text, sizeof text, "identity-binding%s", id);
        if (!EVP_Digest(text, (size_t)n, digest, &len, EVP_sha256(), NULL))
                return -ENOMEM;
        *out++ = 'a';
        for (unsigned i = 0; i < 32; i++) {
                bits = (bits << 8 | digest[i]) & 0xfff;
                for (have += 8; have >= 5; have -= 5)
                        *out++ = digits[bits >> (have - 5) & 31];
        }
        *out++ = digits[bits << (5 - have) & 31];
        memcpy(out, ".ests.aks", sizeof ".ests.aks");
        return 0;
}

const char *auth_binding_id(const char *dns_name, size_t *ret_len)
{
        static const char suffix[] = ".svc.cluster.local";
        const char *id = startswith(dns_name, "hcp-kubernetes.");
        size_t len = id ? strlen(id) : 0, suffix_len = sizeof suffix - 1;

        if (len <= suffix_len || !streq(id + len - suffix_len, suffix) ||
                memchr(id, '.', len - suffix_len))
                return NULL;
        *ret_len = len - suffix_len;
        return id;
}

/* --- asking the API server --- */

static int wait_for(int fd, short events, int64_t deadline)
{
        struct pollfd p = {.fd = fd, .events = events};

        for (;;) {
                int64_t left = deadline - monotonic_ms();
                int n = left > 0 ? poll(&p, 1, (int)left) : 0;

                if (n > 0)
                        return 0;
                if (n == 0)
                        return -ETIMEDOUT;
                if (errno != EINTR)
                        return -errno;
        }
}

static int connect_one(const struct addrinfo *ai, int64_t deadline)
{
        _cleanup_close_ int fd =
                socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int error = 0;
        socklen_t len = sizeof error;

        if (fd < 0)
                return -errno;
        if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
                if (errno != EINPROGRESS)
                        return -errno;
                int r = wait_for(fd, POLLOUT, deadline);
                if (r < 0)
                        return r;
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                        return -errno;
                if (error)
                        return -error;
        }
        return TAKE_FD(fd);
}

static int connect_to(const char *host, const char *port, int64_t deadline, struct err *e)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        struct addrinfo *list = NULL;
        int fd = -EHOSTUNREACH;

        int gai = getaddrinfo(host, port, &hints, &list);
        if (gai != 0)
                return err_set_cause(e, ERR_DNS, -EHOSTUNREACH, "host name %s does not resolve: %s",
                        host, gai_strerror(gai));
        for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
                fd = connect_one(ai, deadline);
        freeaddrinfo(list);
        if (fd < 0)
                return err_set_cause(e, fd == -ETIMEDOUT ? ERR_TIMEOUT : ERR_CONNECT, fd,
                        "cannot connect to %s:%s: %s", host, port, strerror(-fd));
        return fd;
}

static bool trust(SSL_CTX *ctx, const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        X509_STORE *store = SSL_CTX_get_cert_store(ctx);
        unsigned n = 0;
        X509 *x;

        while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
                n += X509_STORE_add_cert(store, x) == 1;
                X509_free(x);
        }
        BIO_free(bio);
        ERR_clear_error();
        return n > 0;
}

static int shake_hands(SSL *ssl, int fd, int64_t deadline)
{
        for (;;) {
                int n = SSL_connect(ssl);
                if (n == 1)
                        return 0;
                int why = SSL_get_error(ssl, n);
                if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                        return -EPROTO;
                int r = wait_for(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
                if (r < 0)
                        return r;
        }
}

static int sni_of_certificate(X509 *x, char ret[static BINDING_SNI_MAX])
{
        GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
        int r = -ENOENT;

        for (int i = 0; r == -ENOENT && i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
                char text[254], id[ID_MAX + 1];
                size_t len = 0;

                if (name->type != GEN_DNS || ASN1_STRING_length(name->d.dNSName) > 253)
                        continue;
                memcpy(text, ASN1_STRING_get0_data(name->d.dNSName),
                        (size_t)ASN1_STRING_length(name->d.dNSName));
                text[ASN1_STRING_length(name->d.dNSName)] = '\0';
                const char *found = auth_binding_id(text, &len);
                if (!found || len > ID_MAX)
                        continue;
                memcpy(id, found, len);
                id[len] = '\0';
                r = auth_binding_sni(id, ret);
        }
        GENERAL_NAMES_free(names);
        return r;
}

int auth_binding_discover(const char *host, const char *port, const char *ca_pem,
        char ret[static BINDING_SNI_MAX], struct err *e)
{
        if (!port)
                port = "443";
        int64_t deadline = monotonic_ms() + TIMEOUT_MS;
        _cleanup_close_ int fd = connect_to(host, port, deadline, e);
        if (fd < 0)
                return err_wrap(e, fd, "proxy transport not available");

        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL *ssl = NULL;
        int r = -ENOMEM;
        if (ctx && !trust(ctx, ca_pem))
                r = -EBADMSG;
        else if (ctx) {
                SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
                SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
                ssl = SSL_new(ctx);
        }
        if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_set1_host(ssl, host) == 1 &&
                SSL_set_tlsext_host_name(ssl, host) == 1)
                r = shake_hands(ssl, fd, deadline);
        if (r == 0) {
                X509 *x = SSL_get1_peer_certificate(ssl);
                r = x ? sni_of_certificate(x, ret) : -EPROTO;
                X509_free(x);
        }
        const char *verify = ssl && SSL_get_verify_result(ssl) != X509_V_OK
                                     ? X509_verify_cert_error_string(SSL_get_verify_result(ssl))
                                     : NULL;
        if (r < 0) {
                err_set_cause(e, r == -ETIMEDOUT ? ERR_TIMEOUT : ERR_TLS, r,
                        "proxy transport not available: the certificate of %s:%s: %s", host, port,
                        r == -ENOENT ? "has no name of the form hcp-kubernetes.ID.svc.cluster.local"
                        : r == -EBADMSG
                                ? "cannot be verified, for the cluster's authority is not PEM"
                        : verify ? verify
                                 : strerror(-r));
                err_hint(e, "identity binding works on AKS clusters that have it switched on; the "
                            "name can be given with --sni-name");
        }
        SSL_free(ssl);
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return r;
}
