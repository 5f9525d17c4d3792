/* One request as it came in, and the answer to it. */
#pragma once

#include <microhttpd.h>

#include "base/util.h"
#include "tests/emulator/out.h"

struct emulator;

#define BODY_MAX ((size_t)4 << 20)
#define PARAMS_MAX 32
#define SEGMENTS_MAX 8
#define HEADERS_MAX 24

enum listener_kind { LISTEN_HTTPS, LISTEN_IMDS, LISTEN_ADMIN };

struct param {
        char *name, *value; /* percent-decoded */
};

struct request {
        struct emulator *emu;
        enum listener_kind listener;
        struct MHD_Connection *connection;
        char *method;
        char *path;  /* as sent: not decoded, without the query */
        char *query; /* as sent, without the '?'; "" when there is none */
        struct param params[PARAMS_MAX];
        size_t n_params;
        char *segments[SEGMENTS_MAX]; /* of the path, decoded, empty ones left out */
        size_t n_segments;
        bool path_illegal; /* more segments than any path has, or a broken escape */
        char *body;        /* NUL-terminated behind body_len bytes; wiped */
        size_t body_len;
        bool body_too_large;
        struct param form[PARAMS_MAX]; /* of an x-www-form-urlencoded body, after request_form() */
        size_t n_form;
        int socket; /* the client's; -EBADF when unknown */
        uint64_t log_id;
        char *identity;        /* client id of the token that came with it, for the log; or NULL */
        char *vault;           /* vault that was addressed, for the log; or NULL */
        char *sent;            /* what note_sent() wrote of it, for the log; or NULL */
        const char *operation; /* "secrets.get", ...: for the log; static text or NULL */
};

/* uri is what the request line has, "PATH?QUERY". NULL when memory is short. */
struct request *request_new(struct emulator *emu, enum listener_kind listener, const char *uri);
void request_free(struct request *r);
DEFINE_CLEANUP(struct request *, request_free)

/* Appends to the body; sets body_too_large above BODY_MAX. 0 or -ENOMEM. */
int request_add_body(struct request *r, const void *data, size_t len);
/* Parses the body as a form. 0, -EINVAL, -ENOMEM. */
int request_form(struct request *r);

const char *request_header(const struct request *r, const char *name); /* NULL when absent */
const char *request_param(const struct request *r, const char *name);  /* NULL when absent */
const char *request_form_value(const struct request *r, const char *name);
/* The Host header, or "localhost". */
const char *request_host(const struct request *r);

/* Whether a path matches a glob ('*' takes slashes too), as it was sent or without the /vaults/NAME
 * in front; slashes at the end do not count. A NULL pattern matches everything. */
bool path_matches(const char *pattern, const char *path);

struct header {
        char *name, *value;
};

struct answer {
        unsigned status;
        char *body; /* owned; wiped */
        size_t body_len;
        struct header headers[HEADERS_MAX]; /* Content-Length and Date are the server's */
        size_t n_headers;
};

/* Adds a header; a second one of the same name stands beside the first (Set-Cookie). */
void answer_header(struct answer *a, const char *name, const char *fmt, ...) _printf_(3, 4);
/* Removes all headers of that name. */
void answer_drop_header(struct answer *a, const char *name);
/* Status and body; what o holds is taken. A lack of memory turns it into an empty 500. */
void answer_out(struct answer *a, unsigned status, struct out *o);
void answer_text(struct answer *a, unsigned status, const char *text);
void answer_done(struct answer *a);
