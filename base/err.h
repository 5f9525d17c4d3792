/* What went wrong, for people: carried from where it happened to where it is shown.
 *
 * A function that can fail for reasons a user has to understand takes `struct err *e` last. It is
 * optional (NULL is accepted everywhere) and untouched on success. The texts never hold a secret,
 * a token or a client secret; they may hold names, ids, URLs without query, and what a service
 * said of itself.
 *
 *     return err_set(e, -ENOENT, "secret %s is not in vault %s", name, vault);
 *     return err_wrap(e, r, "object %s", file);        // "object FILE: <what was there>"
 *
 * Ownership: the strings belong to the struct; err_done() frees them. Not thread-safe.
 */
#pragma once

#include <stdarg.h>

#include "base/util.h"

/* The cause, for exit codes, CSI codes, metrics and tests; the text is for people. */
enum err_cause {
        ERR_OTHER = 0,
        ERR_USAGE,       /* wrong words or a bad class: the user has to mend it */
        ERR_DNS,         /* a name does not resolve */
        ERR_CONNECT,     /* refused, unreachable, reset */
        ERR_TIMEOUT,     /* no answer in time */
        ERR_TLS,         /* certificate or handshake */
        ERR_AUTH,        /* no token: wrong secret, unknown tenant, no identity */
        ERR_FORBIDDEN,   /* the vault says no (403) */
        ERR_NOT_FOUND,   /* the object is not there (404) */
        ERR_DISABLED,    /* the object is there and disabled */
        ERR_THROTTLED,   /* 429 */
        ERR_SERVICE,     /* 5xx, or an answer that makes no sense */
        ERR_UNSUPPORTED, /* what this version cannot do */
        ERR_LOCAL,       /* this machine: mounts, files, memory */
};

struct err {
        int code; /* negative errno; 0 while nothing is set */
        enum err_cause cause;
        char *text; /* one line, no full stop */
        char *hint; /* the next step, or NULL; one or more lines */
};

/* Of the way to a vault or of the identity, so the same for every object behind it. */
bool err_cause_is_common(enum err_cause cause);

/* Replaces what is there. Returns r, so that it can end a function. If memory is short the text is
 * NULL and err_text() answers with strerror(). */
int err_set(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);
int err_setv(struct err *e, int r, const char *fmt, va_list ap) _printf_(3, 0);

/* As err_set, with the cause. */
int err_set_cause(struct err *e, enum err_cause cause, int r, const char *fmt, ...) _printf_(4, 5);

/* Puts "context: " before the text. Returns r. */
int err_wrap(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);

/* Sets the next step (replaces). */
void err_hint(struct err *e, const char *fmt, ...) _printf_(2, 3);
/* The hint as the end of a line that says what is wrong: "…%s" ERR_HINT_FMT, err_text(e),
 * ERR_HINT_ARGS(e). Nothing where there is none. */
#define ERR_HINT_FMT "%s%s"
#define ERR_HINT_ARGS(e) (e)->hint ? ". " : "", (e)->hint ? (e)->hint : ""

/* Never NULL; valid until e changes. */
const char *err_text(const struct err *e);

/* Moves src into dst (which is cleared first) and leaves src empty. Either may be NULL. */
void err_move(struct err *dst, struct err *src);
/* Where memory is short (-ENOMEM) code and cause are copied all the same, and texts that there was
 * no room for are NULL: few callers need to look. */
int err_copy(struct err *dst, const struct err *src);

void err_done(struct err *e);
#define _cleanup_err_ _cleanup_(err_done)

/* Stable lower-case word for logs and JSON: "not-found", "throttled", ... */
const char *err_cause_name(enum err_cause cause);
