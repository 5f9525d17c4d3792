#include "base/err.h"

#include <stdio.h>

int err_setv(struct err *e, int r, const char *fmt, va_list ap)
{
        if (!e)
                return r;

        char *text = NULL;
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        err_done(e);
        e->code = r;
        e->text = text;
        return r;
}

int err_set(struct err *e, int r, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        err_setv(e, r, fmt, ap);
        va_end(ap);
        return r;
}

int err_set_cause(struct err *e, enum err_cause cause, int r, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        err_setv(e, r, fmt, ap);
        va_end(ap);
        if (e)
                e->cause = cause;
        return r;
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
        if (!e)
                return r;

        char *context = NULL, *text = NULL;
        va_list ap;
        va_start(ap, fmt);
        int n = vasprintf(&context, fmt, ap);
        va_end(ap);
        if (n < 0)
                return r;
        if (!e->code)
                e->code = r;
        if (xasprintf(&text, "%s: %s", context, err_text(e)) == 0) {
                free(e->text);
                e->text = text;
        }
        free(context);
        return r;
}

void err_hint(struct err *e, const char *fmt, ...)
{
        if (!e)
                return;

        char *hint = NULL;
        va_list ap;
        va_start(ap, fmt);
        if (vasprintf(&hint, fmt, ap) < 0)
                hint = NULL;
        va_end(ap);
        free(e->hint);
        e->hint = hint;
}

const char *err_text(const struct err *e)
{
        if (!e)
                return "unknown error";
        if (e->text)
                return e->text;
        return strerror(-e->code);
}

void err_move(struct err *dst, struct err *src)
{
        if (!src)
                return;
        if (!dst) {
                err_done(src);
                return;
        }
        if (dst == src)
                return;
        err_done(dst);
        *dst = *src;
        *src = (struct err){0};
}

int err_copy(struct err *dst, const struct err *src)
{
        if (!dst)
                return 0;
        if (!src) {
                err_done(dst);
                return 0;
        }

        const struct err copy = {
                .code = src->code,
                .cause = src->cause,
                .text = src->text ? strdup(src->text) : NULL,
                .hint = src->hint ? strdup(src->hint) : NULL,
        };
        bool whole = !src->text == !copy.text && !src->hint == !copy.hint;
        err_done(dst);
        *dst = copy;
        return whole ? 0 : -ENOMEM;
}

void err_done(struct err *e)
{
        if (!e)
                return;
        free(e->text);
        free(e->hint);
        *e = (struct err){0};
}

bool err_cause_is_common(enum err_cause cause)
{
        return cause == ERR_DNS || cause == ERR_CONNECT || cause == ERR_TIMEOUT ||
               cause == ERR_TLS || cause == ERR_AUTH;
}

const char *err_cause_name(enum err_cause cause)
{
        switch (cause) {
        case ERR_OTHER:
                return "other";
        case ERR_USAGE:
                return "usage";
        case ERR_DNS:
                return "dns";
        case ERR_CONNECT:
                return "connect";
        case ERR_TIMEOUT:
                return "timeout";
        case ERR_TLS:
                return "tls";
        case ERR_AUTH:
                return "auth";
        case ERR_FORBIDDEN:
                return "forbidden";
        case ERR_NOT_FOUND:
                return "not-found";
        case ERR_DISABLED:
                return "disabled";
        case ERR_THROTTLED:
                return "throttled";
        case ERR_SERVICE:
                return "service";
        case ERR_UNSUPPORTED:
                return "unsupported";
        case ERR_LOCAL:
                return "local";
        }
        return "other";
}
