#include "tests/emulator/http.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/wipe.h"

/* Decodes in a copy. NULL with *broken set for a bad escape or a NUL in it, NULL alone when memory
 * is short. */
static char *decode(const char *text, size_t len, bool plus_is_space, bool *broken)
{
        char *out = malloc(len + 1), *to = out;

        if (!out)
                return NULL;
        for (size_t i = 0; i < len; i++) {
                char c = text[i];
                if (c == '+' && plus_is_space)
                        c = ' ';
                else if (c == '%') {
                        int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
                        int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
                        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                                erase_and_free(out);
                                *broken = true;
                                return NULL;
                        }
                        c = (char)(high << 4 | low);
                        i += 2;
                }
                *to++ = c;
        }
        *to = '\0';
        return out;
}

static int parse_params(const char *text, struct param *params, size_t *n)
{
        bool broken = false;

        while (*text) {
                size_t len = strcspn(text, "&");
                const char *equals = memchr(text, '=', len);
                size_t name_len = equals ? (size_t)(equals - text) : len;
                if (len > 0) {
                        if (*n == PARAMS_MAX)
                                return -EINVAL;
                        char *name = decode(text, name_len, true, &broken);
                        char *value = name ? decode(equals ? equals + 1 : "",
                                                     equals ? len - name_len - 1 : 0, true, &broken)
                                           : NULL;
                        if (!value) {
                                free(name);
                                return broken ? -EINVAL : -ENOMEM;
                        }
                        params[(*n)++] = (struct param){name, value};
                }
                text += len + (text[len] == '&');
        }
        return 0;
}

static int parse_segments(struct request *r)
{
        bool broken = false;

        for (const char *p = r->path; *p;) {
                size_t len = strcspn(p, "/");
                if (len > 0) {
                        if (r->n_segments == SEGMENTS_MAX) {
                                r->path_illegal = true;
                                return 0;
                        }
                        char *segment = decode(p, len, false, &broken);
                        if (!segment && !broken)
                                return -ENOMEM;
                        if (broken) {
                                r->path_illegal = true;
                                return 0;
                        }
                        r->segments[r->n_segments++] = segment;
                }
                p += len + (p[len] == '/');
        }
        return 0;
}

struct request *request_new(struct emulator *emu, enum listener_kind listener, const char *uri)
{
        struct request *r = calloc(1, sizeof *r);

        if (!r)
                return NULL;
        r->emu = emu;
        r->listener = listener;
        r->socket = -EBADF;
        size_t path_len = strcspn(uri, "?");
        r->path = strndup(uri, path_len);
        r->query = strdup(uri[path_len] ? uri + path_len + 1 : "");
        r->body = calloc(1, 1);
        if (!r->path || !r->query || !r->body || parse_segments(r) < 0)
                goto fail;
        int p = parse_params(r->query, r->params, &r->n_params);
        if (p == -ENOMEM)
                goto fail;
        if (p < 0)
                r->path_illegal = true;
        return r;
fail:
        request_free(r);
        return NULL;
}

static void free_params(struct param *params, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                erase_and_free(params[i].name);
                erase_and_free(params[i].value);
        }
}

void request_free(struct request *r)
{
        if (!r)
                return;
        free(r->method);
        free(r->path);
        free(r->query);
        free_params(r->params, r->n_params);
        free_params(r->form, r->n_form);
        for (size_t i = 0; i < r->n_segments; i++)
                free(r->segments[i]);
        erase_and_free(r->body);
        free(r->identity);
        free(r->vault);
        erase_and_free(r->sent);
        free(r);
}

int request_add_body(struct request *r, const void *data, size_t len)
{
        if (r->body_too_large || len > BODY_MAX - r->body_len) {
                r->body_too_large = true;
                return 0;
        }
        char *body = wipe_realloc(r->body, r->body_len + len + 1);
        if (!body)
                return -ENOMEM;
        r->body = body;
        memcpy(body + r->body_len, data, len);
        r->body_len += len;
        body[r->body_len] = '\0';
        return 0;
}

int request_form(struct request *r)
{
        if (r->n_form > 0)
                return 0;
        if (strlen(r->body) != r->body_len)
                return -EINVAL;
        return parse_params(r->body, r->form, &r->n_form);
}

static const char *find(const struct param *params, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (streq(params[i].name, name))
                        return params[i].value;
        return NULL;
}

const char *request_param(const struct request *r, const char *name)
{
        return find(r->params, r->n_params, name);
}

const char *request_form_value(const struct request *r, const char *name)
{
        return find(r->form, r->n_form, name);
}

const char *request_header(const struct request *r, const char *name)
{
        return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *request_host(const struct request *r)
{
        const char *host = request_header(r, "Host");

        return isempty(host) ? "localhost" : host;
}

bool path_matches(const char *pattern, const char *path)
{
        size_t len = strlen(path);

        if (!pattern)
                return true;
        while (len > 1 && path[len - 1] == '/')
                len--;
        _cleanup_free_ char *plain = strndup(path, len);
        if (!plain)
                return false;
        if (fnmatch(pattern, path, 0) == 0 || fnmatch(pattern, plain, 0) == 0)
                return true;
        const char *rest = startswith(plain, "/vaults/");
        rest = rest ? strchr(rest, '/') : NULL;
        return rest && fnmatch(pattern, rest, 0) == 0;
}

/* --- answers --- */

void answer_header(struct answer *a, const char *name, const char *fmt, ...)
{
        char *value = NULL;
        va_list ap;

        if (a->n_headers == HEADERS_MAX)
                return;
        va_start(ap, fmt);
        int n = vasprintf(&value, fmt, ap);
        va_end(ap);
        if (n < 0)
                return;
        char *copy = strdup(name);
        if (!copy) {
                free(value);
                return;
        }
        a->headers[a->n_headers++] = (struct header){copy, value};
}

void answer_drop_header(struct answer *a, const char *name)
{
        size_t kept = 0;

        for (size_t i = 0; i < a->n_headers; i++) {
                if (strcasecmp(a->headers[i].name, name) == 0) {
                        free(a->headers[i].name);
                        free(a->headers[i].value);
                } else
                        a->headers[kept++] = a->headers[i];
        }
        a->n_headers = kept;
}

void answer_out(struct answer *a, unsigned status, struct out *o)
{
        erase_and_free(a->body);
        a->body_len = 0;
        a->status = status;
        a->body = out_finish(o, &a->body_len);
        if (!a->body)
                a->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void answer_text(struct answer *a, unsigned status, const char *text)
{
        struct out o = {0};

        out_raw(&o, text, strlen(text));
        answer_out(a, status, &o);
}

void answer_done(struct answer *a)
{
        erase_and_free(a->body);
        for (size_t i = 0; i < a->n_headers; i++) {
                free(a->headers[i].name);
                free(a->headers[i].value);
        }
        *a = (struct answer){0};
}
