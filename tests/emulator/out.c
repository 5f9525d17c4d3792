#include "tests/emulator/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/wipe.h"

static bool reserve(struct out *o, size_t more)
{
        if (o->error)
                return false;
        if (o->size - o->len > more)
                return true;
        size_t size = MAX(o->size * 2, o->len + more + 1);
        size = MAX(size, (size_t)512);
        char *text = wipe_realloc(o->text, size);
        if (!text) {
                o->error = -ENOMEM;
                return false;
        }
        o->text = text;
        o->size = size;
        return true;
}

void out_raw(struct out *o, const char *text, size_t len)
{
        if (!reserve(o, len))
                return;
        memcpy(o->text + o->len, text, len);
        o->len += len;
        o->text[o->len] = '\0';
}

static void raw_string(struct out *o, const char *text)
{
        out_raw(o, text, strlen(text));
}

static void separate(struct out *o)
{
        if (o->comma)
                raw_string(o, ",");
        o->comma = true;
}

void out_open(struct out *o, char bracket)
{
        separate(o);
        out_raw(o, &bracket, 1);
        o->comma = false;
}

void out_close(struct out *o, char bracket)
{
        out_raw(o, &bracket, 1);
        o->comma = true;
}

static void quoted(struct out *o, const char *s)
{
        raw_string(o, "\"");
        while (*s) {
                size_t plain = 0;
                while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
                        plain++;
                out_raw(o, s, plain);
                s += plain;
                if (!*s)
                        break;
                char escape[8];
                switch (*s) {
                case '"':
                        memcpy(escape, "\\\"", 3);
                        break;
                case '\\':
                        memcpy(escape, "\\\\", 3);
                        break;
                case '\n':
                        memcpy(escape, "\\n", 3);
                        break;
                case '\r':
                        memcpy(escape, "\\r", 3);
                        break;
                case '\t':
                        memcpy(escape, "\\t", 3);
                        break;
                default:
                        snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)*s);
                        break;
                }
                raw_string(o, escape);
                s++;
        }
        raw_string(o, "\"");
}

void out_key(struct out *o, const char *name)
{
        separate(o);
        quoted(o, name);
        raw_string(o, ":");
        o->comma = false;
}

void out_string(struct out *o, const char *value)
{
        if (!value) {
                out_null(o);
                return;
        }
        separate(o);
        quoted(o, value);
}

void out_int(struct out *o, int64_t value)
{
        char text[24];

        separate(o);
        snprintf(text, sizeof text, "%" PRId64, value);
        raw_string(o, text);
}

void out_bool(struct out *o, bool value)
{
        separate(o);
        raw_string(o, value ? "true" : "false");
}

void out_null(struct out *o)
{
        separate(o);
        raw_string(o, "null");
}

void out_tree(struct out *o, const cJSON *value)
{
        separate(o);
        char *text = cJSON_PrintUnformatted(value);
        if (!text) {
                o->error = -ENOMEM;
                return;
        }
        raw_string(o, text);
        cJSON_free(text);
}

void out_member(struct out *o, const char *name, const char *value)
{
        out_key(o, name);
        out_string(o, value);
}

void out_member_opt(struct out *o, const char *name, const char *value)
{
        if (value)
                out_member(o, name, value);
}

static char *format(struct out *o, const char *fmt, va_list ap)
{
        char *text;

        if (vasprintf(&text, fmt, ap) >= 0)
                return text;
        o->error = -ENOMEM;
        return NULL;
}

void out_memberf(struct out *o, const char *name, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        _cleanup_secret_ char *text = format(o, fmt, ap);
        va_end(ap);
        if (text)
                out_member(o, name, text);
}

void out_member_int(struct out *o, const char *name, int64_t value)
{
        out_key(o, name);
        out_int(o, value);
}

void out_member_bool(struct out *o, const char *name, bool value)
{
        out_key(o, name);
        out_bool(o, value);
}

void out_rawf(struct out *o, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        _cleanup_secret_ char *text = format(o, fmt, ap);
        va_end(ap);
        if (text)
                out_raw(o, text, strlen(text));
}

char *out_finish(struct out *o, size_t *ret_len)
{
        if (!o->error && !o->text)
                out_raw(o, "", 0);
        if (o->error) {
                out_done(o);
                return NULL;
        }
        char *text = o->text;
        if (ret_len)
                *ret_len = o->len;
        *o = (struct out){0};
        return text;
}

void out_done(struct out *o)
{
        erase_and_free(o->text);
        *o = (struct out){0};
}
