/* What comes in: the callbacks that libcurl makes for a transfer, and the answer made of it. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/http_impl.h"
#include "base/wipe.h"

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

static size_t on_stream(struct transfer *t, const char *data, size_t n)
{
        int r = t->on_data(t->userdata, data, n);

        if (r >= 0)
                return n;
        t->given_up = r;
        return CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
        struct transfer *t = userdata;
        long status = 0;

        n *= size;
        if (t->on_data) {
                curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
                if (status >= 200 && status <= 299)
                        return on_stream(t, data, n);
        }
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

CURLcode http_transfer_receive(struct transfer *t)
{
        CURL *easy = t->easy;
        CURLcode r = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->detail);

        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_begin);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, t);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        if (r == CURLE_OK)
                r = curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
        return r;
}

static void fill_answer(struct transfer *t, long status, struct http_response *ret)
{
        char *ip = NULL;

        curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &ip);
        if (!isempty(ip))
                snprintf(t->peer, sizeof t->peer, "%s", ip);
        ret->status = (int)status;
        if (t->body) {
                ret->body = t->body;
                ret->body_len = t->len;
        }
}

static void fill_failure(struct transfer *t, CURLcode code, struct http_response *ret)
{
        struct http_failure f = {
                .code = code,
                .easy = t->easy,
                .detail = t->detail,
                .scheme = t->scheme,
                .host = t->host,
                .port = t->port,
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
                .given_up = t->given_up,
        };

        ret->cut = t->headers_complete;
        t->exchange.transient = http_failure_describe(&f, &ret->error);
        t->exchange.headers_len = 0;
}

void http_transfer_result(struct transfer *t, CURLcode code, struct http_response *ret)
{
        curl_off_t took = 0;
        long status = 0;

        *ret = (struct http_response){
                .body = "", .peer = t->peer, .tries = 1, .private = &t->exchange};
        curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &took);
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        ret->took = took > 0 ? (usec_t)took : 0;
        /* A connection that closes in the middle of the headers ends an answer of no known length
         * as far as libcurl is concerned. */
        if (code == CURLE_OK && !t->headers_complete)
                code = CURLE_PARTIAL_FILE;
        else if (code == CURLE_OK && status <= 0)
                code = CURLE_WEIRD_SERVER_REPLY;
        if (code == CURLE_OK)
                fill_answer(t, status, ret);
        else
                fill_failure(t, code, ret);
}

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
