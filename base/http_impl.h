/* What the files of base/http share among themselves. */
#pragma once

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/queue.h>

#include "base/http.h"

/* What http_call * points to: a transfer (http.c) or several with pauses between (http_retry.c).
 * The client knows all of them, so that it can cancel them when it goes. */
struct http_call {
        struct http_client *client;
        struct http_call *prev, *next;
        void (*destroy)(struct http_call *call); /* stops it and frees it, no callback */
};

void http_call_link(struct http_client *c, struct http_call *call);
void http_call_unlink(struct http_call *call);
struct loop *http_client_loop(struct http_client *c);

/* What http_response.private points to. */
struct http_exchange {
        char *headers; /* "Name\0value\0Name\0value\0" */
        size_t headers_len;
        bool transient; /* a transport error that another try may not meet */
};

/* --- base/http_request.c, base/http_transfer.c --- */

struct origin;

/* One request and what came back for it. */
struct transfer {
        struct http_call call;       /* first: a call is cast to its transfer */
        TAILQ_ENTRY(transfer) entry; /* base/http.c's, as are the next two */
        struct origin *origin;
        enum { TRANSFER_IDLE, TRANSFER_WAITING, TRANSFER_ACTIVE, TRANSFER_BROKEN } state;
        http_done_fn done;
        void *userdata;
        http_data_fn on_data; /* NULL: no stream */
        int given_up;         /* what on_data said */

        /* what was asked for */
        CURL *easy;
        char *scheme, *host, *port;
        struct curl_slist *headers, *connect_to;
        void *request_body;
        char *proxy_name, *ca_file, *ca_pem;
        unsigned connect_timeout_ms, total_timeout_ms;

        /* what came */
        char *body;
        size_t len, size, max;
        struct http_exchange exchange;
        size_t exchange_size, header_bytes;
        bool shaking_hands, headers_complete, too_large, headers_too_large, no_memory;
        char peer[INET6_ADDRSTRLEN];
        char detail[CURL_ERROR_SIZE];
};

/* Checks the request and makes a transfer of it, ready for libcurl. */
int http_transfer_new(const struct http_request *req, struct transfer **ret, struct err *e);
void http_transfer_free(struct transfer *t); /* not while it is in a multi handle */
DEFINE_CLEANUP(struct transfer *, http_transfer_free)
/* Has libcurl call the transfer for whatever comes in. */
CURLcode http_transfer_receive(struct transfer *t);
/* What became of it; ret points into the transfer, but for ret->error. */
void http_transfer_result(struct transfer *t, CURLcode code, struct http_response *ret);

/* --- base/http_proxy.c --- */

/* Whether a list as in no_proxy names the host: "*", names with all below them, addresses, CIDR
 * blocks, separated by commas or blanks. */
bool http_no_proxy_matches(const char *list, const char *host);

/* --- base/http_error.c --- */

struct http_failure {
        CURLcode code;
        CURL *easy;         /* asked for its CURLINFO_* */
        const char *detail; /* libcurl's own text, "" when there is none */
        const char *scheme, *host, *port;
        const char *peer;  /* address of the last connection tried, or "" */
        const char *proxy; /* http_proxy_name(), or NULL */
        const char *ca_file;
        unsigned connect_timeout_ms, total_timeout_ms;
        size_t response_max;
        bool shaking_hands; /* TLS has begun */
        bool too_large, headers_too_large, no_memory;
        int given_up; /* by who takes a stream: a negative errno */
};
/* Fills e. Returns whether another try makes sense. */
bool http_failure_describe(const struct http_failure *f, struct err *e);
