/* HTTP requests over libcurl's multi interface, on the worker's loop.
 *
 * Many requests in flight over few kept-alive connections: HTTP/1.1 (HTTP/2 for endpoints that
 * ask for it), at most HTTP_CONNECTIONS_PER_HOST a scheme, host and port, the rest queue (their
 * time limits start when they leave the queue). TLS 1.2 at least, certificate and host name always
 * verified, no redirects followed, no cookies, no content decoding. The proxy variables are
 * honoured (https_proxy, no_proxy, ...) unless the request says otherwise.
 *
 * A stream is a request whose answer is handed on as it comes, for as long as the server sends. It
 * queues for nothing and takes nobody's place; there are at most HTTP_STREAMS_PER_HOST.
 *
 * Loop thread only. Answers and request bodies are wiped after the callback returned.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

/* A hundred objects and their token are to arrive within twelve times the latency: seven rounds of
 * sixteen leave room for the token and the handshakes, thirteen of eight do not. */
#define HTTP_CONNECTIONS_PER_HOST 16
#define HTTP_STREAMS_PER_HOST 256
#define HTTP_CONNECT_TIMEOUT_MS 10000
#define HTTP_TOTAL_TIMEOUT_MS 30000
#define HTTP_RESPONSE_MAX ((size_t)8 << 20)
#define HTTP_HEADERS_MAX ((size_t)64 << 10)

struct http_client;
struct http_call;

/* Gives SIGPIPE an empty handler where it has the default action, which would end the process when
 * a server goes away. */
int http_client_new(struct loop *l, struct http_client **ret);
void http_client_free(struct http_client *c); /* cancels what is under way, without callbacks */
DEFINE_CLEANUP(struct http_client *, http_client_free)

/* How an endpoint is reached; shared by all requests to it. Strings are borrowed for as long as the
 * call lives. */
struct http_endpoint {
        const char *ca_file;    /* PEM bundle that replaces the system's, or NULL */
        const char *ca_pem;     /* its content, where the file itself is not to be opened any more;
                                   ca_file then names it in messages only. NULL: it is read */
        const char *proxy;      /* NULL: from the environment; "": none; else a proxy URL */
        bool allow_http;        /* plain http: only metadata services (IMDS) */
        bool http2;             /* where the server has it (ALPN): requests share a connection */
        const char *connect_to; /* "host:port" to connect to instead of the URL's, whose host is
                                   still the name that TLS asks for and verifies; or NULL;
                                   copied */
        unsigned connect_timeout_ms, total_timeout_ms; /* 0: the defaults above */
        size_t response_max; /* 0: the default above; not of a stream's 2xx answer */
};

/* Bytes of a stream's answer, if its status is 2xx, in libcurl's own pieces. A negative errno gives
 * the stream up: its callback is then called with that error. Must not cancel it, nor any other. */
typedef int (*http_data_fn)(void *userdata, const char *data, size_t len);

struct http_request {
        const char *method; /* "GET", "POST", ... */
        const char *url;
        const char *const *headers; /* "Name: value", NULL-terminated, or NULL; copied */
        const void *body;           /* copied, and the copy wiped; NULL for none */
        size_t body_len;
        const struct http_endpoint *endpoint; /* NULL: all defaults */
        http_data_fn on_data; /* this is a stream, with done's userdata; NULL: it is none */
};

struct http_response {
        int status;       /* 0 when there was no answer: then `error` says why */
        const char *body; /* NUL-terminated behind body_len bytes; never NULL when status != 0 */
        size_t body_len;
        const char *peer; /* address that was connected to, or "" */
        struct err error; /* cause ERR_DNS, ERR_CONNECT, ERR_TIMEOUT, ERR_TLS, ...; text names
                             scheme, host and port, never the query; code is a negative errno */
        bool cut;         /* status is 0, but the headers of an answer had come */
        usec_t took;      /* from leaving the queue to the last byte, of the last try */
        unsigned tries;   /* how often it was sent: 1 but for http_send_retrying() */
        void *private;
};

/* First header of that name (case ignored), without surrounding white space; NULL if absent. */
const char *http_header(const struct http_response *resp, const char *name);

/* Called exactly once, from the loop and never from within http_send(). resp is valid during the
 * call only; its body may be overwritten by the callee. */
typedef void (*http_done_fn)(void *userdata, struct http_response *resp);

/* Starts the request. *ret (optional) is valid until the callback is called or the call cancelled.
 * -EINVAL for a URL that is not https (or http where allowed), with the reason in e; -EBUSY for a
 * stream when there are as many as there may be. */
int http_send(struct http_client *c, const struct http_request *req, http_done_fn done,
        void *userdata, struct http_call **ret, struct err *e);

/* No callback after this. Returns NULL. */
struct http_call *http_cancel(struct http_call *call);

/* --- retries (base/http_retry.c) ---
 *
 * Upstream's rules (reference section 3.1): `tries` in all, exponential from base_ms as
 * (2^n - 1) * base_ms with jitter 0.8 to 1.3, at most cap_ms; Retry-After (seconds or a date) is
 * honoured up to cap_ms (one who asks for more gets no further try: the caller has the answer);
 * statuses 408 429 500 502 503 504 and transport errors (but not TLS verification failures) are
 * tried again. A stream is never: its caller knows where it was. */
struct http_retry {
        unsigned tries;
        unsigned base_ms, cap_ms;
        bool (*retry_status)(int status); /* NULL: the statuses above */
        unsigned transport_tries;         /* tries in all when there is no answer; 0: as `tries` */
};
extern const struct http_retry http_retry_default; /* 4 tries, 800 ms, 60 s */
bool http_retry_status(int status);                /* one of the statuses above */

/* As http_send, with retries between; resp is the last one. Retry-After of a final 429 or 503 is
 * left for the caller to read with http_retry_after(). */
int http_send_retrying(struct http_client *c, const struct http_request *req,
        const struct http_retry *policy, http_done_fn done, void *userdata, struct http_call **ret,
        struct err *e);

/* Seconds to wait as the Retry-After header says (number or HTTP date), 0 when absent or invalid.
 */
unsigned http_retry_after(const struct http_response *resp, int64_t now);

/* Percent-encodes everything but unreserved characters (RFC 3986). Caller frees. */
int http_escape(const char *s, char **ret);

/* --- proxies (base/http_proxy.c), for those who tell of them --- */

/* The proxy for a host by the endpoint's setting, else by the environment. *ret is NULL when there
 * is none, else a URL as libcurl takes it, owned by the caller; it may hold a password: wipe. */
int http_proxy_for(
        const char *scheme, const char *host, const struct http_endpoint *endpoint, char **ret);
/* "host:port" of a proxy URL, for messages: without scheme, user and password. */
int http_proxy_name(const char *url, char **ret);
