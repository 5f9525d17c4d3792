#include "vault/jsonpick.h"

#include "base/json.h"
#include "base/wipe.h"
#include "vault/jsontext.h"

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* A value's text: [at, end). */
struct slice {
        const char *at, *end;
};

/* --- what is JSON (RFC 8259) ---------------------------------------------------------------- */

static void skip_space(struct slice *s)
{
        while (s->at < s->end &&
                (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
                s->at++;
}

static bool skip_char(struct slice *s, char c)
{
        if (s->at == s->end || *s->at != c)
                return false;
        s->at++;
        return true;
}

static bool skip_digits(struct slice *s)
{
        const char *first = s->at;

        while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
                s->at++;
        return s->at > first;
}

static bool skip_word(struct slice *s, const char *word)
{
        size_t n = strlen(word);

        if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
                return false;
        s->at += n;
        return true;
}

static bool skip_string(struct slice *s)
{
        if (!skip_char(s, '"'))
                return false;
        while (s->at < s->end) {
                unsigned char c = (unsigned char)*s->at++;

                if (c == '"')
                        return true;
                if (c < ' ')
                        return false;
                if (c != '\\')
                        continue;
                if (s->at == s->end)
                        return false;
                char escaped = *s->at++;
                if (escaped == 'u') {
                        if (s->end - s->at < 4)
                                return false;
                        for (size_t i = 0; i < 4; i++)
                                if (hex_digit(*s->at++) < 0)
                                        return false;
                } else if (!escaped || !strchr("\"\\/bfnrt", escaped))
                        return false;
        }
        return false;
}

static bool skip_number(struct slice *s)
{
        (void)skip_char(s, '-');
        if (!skip_char(s, '0') && !skip_digits(s))
                return false;
        if (skip_char(s, '.') && !skip_digits(s))
                return false;
        if (skip_char(s, 'e') || skip_char(s, 'E')) {
                if (!skip_char(s, '+'))
                        (void)skip_char(s, '-');
                return skip_digits(s);
        }
        return true;
}

static bool skip_value(struct slice *s, unsigned depth);

/* After the opening bracket: up to and with the closing one. */
static bool skip_members(struct slice *s, bool object, unsigned depth)
{
        char close = object ? '}' : ']';

        skip_space(s);
        if (skip_char(s, close))
                return true;
        for (;;) {
                if (object) {
                        skip_space(s);
                        if (!skip_string(s))
                                return false;
                        skip_space(s);
                        if (!skip_char(s, ':'))
                                return false;
                }
                if (!skip_value(s, depth))
                        return false;
                skip_space(s);
                if (skip_char(s, close))
                        return true;
                if (!skip_char(s, ','))
                        return false;
        }
}

static bool skip_value(struct slice *s, unsigned depth)
{
        skip_space(s);
        if (s->at == s->end)
                return false;
        switch (*s->at) {
        case '{':
        case '[':
                if (depth == JSON_DEPTH_MAX)
                        return false;
                return skip_members(s, *s->at++ == '{', depth + 1);
        case '"':
                return skip_string(s);
        case 't':
                return skip_word(s, "true");
        case 'f':
                return skip_word(s, "false");
        case 'n':
                return skip_word(s, "null");
        default:
                return skip_number(s);
        }
}

/* --- what is meant -------------------------------------------------------------------------- */

/* What a string stands for; s has its quotes. */
static int decode(struct slice s, struct sec **ret)
{
        _cleanup_secret_ char *text = NULL;
        _cleanup_json_ cJSON *j = NULL;
        size_t len;

        int r = jsontext_prepare(s.at, (size_t)(s.end - s.at), &text, &len);
        if (r == 0)
                r = json_parse(text, len, &j);
        return r < 0 ? r : jsontext_value(cJSON_GetStringValue(j), ret);
}

static int name_is(struct slice s, const char *name)
{
        size_t len = (size_t)(s.end - s.at) - 2;
        _cleanup_sec_ struct sec *decoded = NULL;

        if (!memchr(s.at, '\\', len + 2))
                return len == strlen(name) && memcmp(s.at + 1, name, len) == 0;
        int r = decode(s, &decoded);
        if (r < 0)
                return r;
        return sec_len(decoded) == strlen(name) &&
               memcmp(sec_bytes(decoded), name, sec_len(decoded)) == 0;
}

/* --- the walk ------------------------------------------------------------------------------- */

struct walk {
        const struct jsonpath *path;
        const char *text;
        size_t at; /* segment */
        struct err *e;
};

static int oom(struct err *e)
{
        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory");
}

/* "jsonPath $.a.b: ", up to the segment that is looked at. */
static int failed(const struct walk *w, int r, const char *what)
{
        return err_set_cause(w->e, r == -ENOENT ? ERR_NOT_FOUND : ERR_USAGE, r, "jsonPath %.*s: %s",
                (int)(w->at < w->path->n ? w->path->segments[w->at].end : strlen(w->text)), w->text,
                what);
}

static int find_member(const struct walk *w, struct slice in, struct slice *ret)
{
        const char *name = w->path->segments[w->at].name;
        bool found = false;

        if (*in.at++ != '{')
                return failed(w, -EINVAL, "what it is looked for in is no object");
        for (skip_space(&in); *in.at != '}'; skip_space(&in)) {
                (void)skip_char(&in, ',');
                skip_space(&in);
                struct slice key = {in.at, NULL};
                (void)skip_string(&in);
                key.end = in.at;
                skip_space(&in);
                (void)skip_char(&in, ':');
                skip_space(&in);
                struct slice value = {in.at, NULL};
                (void)skip_value(&in, 0);
                value.end = in.at;

                int is = name_is(key, name);
                if (is < 0)
                        return is == -ENOMEM ? oom(w->e) : failed(w, is, "a name cannot be read");
                if (!is)
                        continue;
                if (found)
                        return failed(w, -EINVAL, "there are two members of that name");
                found = true;
                *ret = value;
        }
        return found ? 0 : failed(w, -ENOENT, "there is no such member");
}

/* The element of that index from the front; returns how many there are. */
static int64_t look_for_element(struct slice in, int64_t index, struct slice *ret)
{
        int64_t n = 0;

        in.at++;
        for (skip_space(&in); *in.at != ']'; skip_space(&in), n++) {
                (void)skip_char(&in, ',');
                skip_space(&in);
                struct slice value = {in.at, NULL};
                (void)skip_value(&in, 0);
                value.end = in.at;
                if (n == index)
                        *ret = value;
        }
        return n;
}

static int find_element(const struct walk *w, struct slice in, struct slice *ret)
{
        int64_t index = w->path->segments[w->at].index;

        if (*in.at != '[')
                return failed(w, -EINVAL, "what it is looked for in is no array");
        int64_t n = look_for_element(in, index, ret);
        if (index < 0) {
                index += n;
                (void)look_for_element(in, index, ret);
        }
        return index >= 0 && index < n ? 0 : failed(w, -ENOENT, "there is no such element");
}

int jsonpick(const char *text, size_t len, const struct jsonpath *path, const char *path_text,
        struct sec **ret, struct err *e)
{
        struct walk w = {.path = path, .text = path_text, .e = e};
        struct slice all = {text, text + len}, value;
        int r;

        (void)skip_word(&all, byte_order_mark);
        skip_space(&all);
        value.at = all.at;
        bool good = skip_value(&all, 0);
        value.end = all.at;
        skip_space(&all);
        if (!good || all.at != all.end) {
                w.at = path->n;
                failed(&w, -EBADMSG, "the value of the secret is not JSON");
                err_hint(e, "it stops being JSON at byte %zu", (size_t)(all.at - text));
                return -EBADMSG;
        }
        for (; w.at < path->n; w.at++) {
                r = path->segments[w.at].name ? find_member(&w, value, &value)
                                              : find_element(&w, value, &value);
                if (r < 0)
                        return r;
        }
        if (*value.at == 'n')
                return failed(&w, -EINVAL, "it is null");
        r = *value.at == '"' ? decode(value, ret)
                             : sec_new(value.at, (size_t)(value.end - value.at), ret);
        return r == -ENOMEM ? oom(e) : r < 0 ? failed(&w, -EBADMSG, "it cannot be read") : 0;
}
