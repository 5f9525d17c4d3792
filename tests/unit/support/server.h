/* A scripted HTTPS server within the test's own process, on a free port of 127.0.0.1, with a CA
 * made at run time.
 *
 *     struct test_server *s = test_server_new(NULL);
 *     test_server_say(s, &(struct test_answer){.status = 200, .body = "{}"});
 *     ... GET test_server_url(s) with CA file test_server_ca_file(s) ...
 *     cr_assert_eq(test_server_requests(s), 1);
 *     test_server_free(s);
 *
 * It runs on threads of its own, so the tested code has the test's thread for itself. Whoever uses
 * this header has the wiping allocators of base/wipe.h installed; test_init() makes sure of it.
 * Everything here aborts the test when it fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct test_server;

void test_init(void);

struct test_server_options {
        const char *host; /* of the certificate, instead of localhost and 127.0.0.1 */
        bool plain_http;
        bool expired;      /* the certificate ended yesterday */
        bool foreign_ca;   /* ca_file() is not that of the certificate */
        bool old_tls;      /* TLS 1.1 only */
        bool never_accept; /* connections to it hang before they are established */
};
struct test_server *test_server_new(const struct test_server_options *options);
void test_server_free(struct test_server *s); /* cuts what is open; NULL is fine */
static inline void test_server_freep(struct test_server **s)
{
        test_server_free(*s);
}

unsigned test_server_port(const struct test_server *s);
/* "https://127.0.0.1:PORT", no slash at the end; http where the server is plain. */
const char *test_server_url(const struct test_server *s);
/* Path of the CA's certificate in PEM form; gone with the server. */
const char *test_server_ca_file(const struct test_server *s);

/* What to do with a request. All zero: 200 with an empty body. */
struct test_answer {
        int status;          /* 0: 200 */
        const char *headers; /* further ones, each ended by "\r\n"; or NULL */
        const char *body;    /* or NULL */
        size_t body_len;     /* 0: strlen(body) */
        enum test_manner {
                TEST_ANSWER,       /* with Content-Length, connection kept */
                TEST_CHUNKED,      /* with chunked transfer coding */
                TEST_CLOSE,        /* no byte, connection closed */
                TEST_CUT,          /* half of the body, connection closed */
                TEST_RAW,          /* `body` is the whole answer, headers and all; then closed */
                TEST_HANG,         /* never */
                TEST_HANG_IN_BODY, /* half of the body, then never more */
                TEST_DRIP,         /* the body byte by byte, a segment each */
                TEST_ENDLESS,      /* chunks of the body again and again, until closed */
        } manner;
        unsigned delay_ms; /* before anything is sent */
        bool close;        /* Connection: close */
};

/* What came in; strings are valid until the server is freed. */
struct test_request {
        const char *method, *target; /* target with its query */
        const char *headers;         /* as they came, each with "\r\n" */
        const char *body;
        size_t body_len;
        unsigned connection; /* 0, 1, ...: which one it came over */
};

/* The next request gets this answer, the one after it the next. When all are used up the last one
 * goes on. Strings must live as long as the server. */
void test_server_say(struct test_server *s, const struct test_answer *answer);
/* Decides instead of the queue; runs on the server's threads, one at a time. */
typedef void (*test_handler)(
        void *userdata, const struct test_request *request, struct test_answer *ret);
void test_server_handle(struct test_server *s, test_handler fn, void *userdata);

unsigned test_server_requests(struct test_server *s);    /* completely received so far */
unsigned test_server_connections(struct test_server *s); /* accepted so far */
/* Most requests that were being answered at the same time. */
unsigned test_server_peak(struct test_server *s);
void test_server_get(struct test_server *s, unsigned i, struct test_request *ret);
/* Value of a header of a request, copied into buf; false when it is absent. */
bool test_request_header(const struct test_request *r, const char *name, char *buf, size_t size);
