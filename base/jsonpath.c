#include "base/jsonpath.h"

struct parser {
        const char *start, *p;
        const char *why; /* of the first thing that is wrong */
};

static int wrong(struct parser *g, const char *why)
{
        g->why = why;
        return -EINVAL;
}

static void skip_space(struct parser *g)
{
        g->p += strspn(g->p, " \t\r\n");
}

/* --- names ---------------------------------------------------------------------------------- */

static bool begins_name(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
               (unsigned char)c >= 0x80;
}

static bool continues_name(char c)
{
        return begins_name(c) || (c >= '0' && c <= '9');
}

static int parse_shorthand(struct parser *g, char **ret)
{
        const char *first = g->p;

        if (*g->p == '*' || *g->p == '.')
                return wrong(g, "wildcards and descendants name more than one value");
        if (!begins_name(*g->p))
                return wrong(g, "a name is expected; other names than letters, digits and _ are "
                                "written ['name']");
        while (continues_name(*g->p))
                g->p++;
        *ret = strndup(first, (size_t)(g->p - first));
        return *ret ? 0 : -ENOMEM;
}

static int hex4(const char *s)
{
        int v = 0;

        for (size_t i = 0; i < 4; i++) {
                int digit = hex_digit(s[i]);

                if (digit < 0)
                        return -1;
                v = v << 4 | digit;
        }
        return v;
}

static char *put_utf8(char *out, unsigned c)
{
        if (c < 0x80)
                *out++ = (char)c;
        else if (c < 0x800) {
                *out++ = (char)(0xc0 | c >> 6);
                *out++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
                *out++ = (char)(0xe0 | c >> 12);
                *out++ = (char)(0x80 | (c >> 6 & 0x3f));
                *out++ = (char)(0x80 | (c & 0x3f));
        } else {
                *out++ = (char)(0xf0 | c >> 18);
                *out++ = (char)(0x80 | (c >> 12 & 0x3f));
                *out++ = (char)(0x80 | (c >> 6 & 0x3f));
                *out++ = (char)(0x80 | (c & 0x3f));
        }
        return out;
}

/* Behind "\u". No name of an object holds a NUL or half a pair here. */
static int parse_unicode(struct parser *g, char **out)
{
        int unit = hex4(g->p);

        if (unit <= 0)
                return wrong(g, "\\u needs four hexadecimal digits that are not all 0");
        g->p += 4;
        if (unit >= 0xdc00 && unit <= 0xdfff)
                return wrong(g, "half of a surrogate pair");
        if (unit >= 0xd800 && unit <= 0xdbff) {
                int low = g->p[0] == '\\' && g->p[1] == 'u' ? hex4(g->p + 2) : -1;
                if (low < 0xdc00 || low > 0xdfff)
                        return wrong(g, "half of a surrogate pair");
                g->p += 6;
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
        *out = put_utf8(*out, (unsigned)unit);
        return 0;
}

static int parse_escape(struct parser *g, char quote, char **out)
{
        static const char from[] = "bfnrt/\\", to[] = "\b\f\n\r\t/\\";
        char c = *++g->p;
        const char *known = c ? strchr(from, c) : NULL;

        if (c == 'u') {
                g->p++;
                return parse_unicode(g, out);
        }
        if (!known && c != quote)
                return wrong(g, "unknown escape");
        *(*out)++ = known ? to[known - from] : quote;
        g->p++;
        return 0;
}

static int parse_quoted(struct parser *g, char **ret)
{
        char quote = *g->p++;
        _cleanup_free_ char *name = malloc(strlen(g->p) + 1); /* no escape grows */
        char *out = name;

        if (!name)
                return -ENOMEM;
        while (*g->p != quote) {
                if (!*g->p)
                        return wrong(g, "the name has no closing quote");
                if ((unsigned char)*g->p < ' ')
                        return wrong(g, "a control character; write it as an escape");
                if (*g->p == '\\') {
                        int r = parse_escape(g, quote, &out);
                        if (r < 0)
                                return r;
                } else
                        *out++ = *g->p++;
        }
        g->p++;
        *out = '\0';
        *ret = TAKE_PTR(name);
        return 0;
}

/* --- segments ------------------------------------------------------------------------------- */

static int parse_index(struct parser *g, int64_t *ret)
{
        const char *first = g->p;
        bool negative = *g->p == '-';
        int64_t v = 0;

        g->p += negative;
        if (*g->p < '0' || *g->p > '9' ||
                (*g->p == '0' && (negative || (g->p[1] >= '0' && g->p[1] <= '9')))) {
                g->p = first;
                return wrong(g, "an index is 0, 12 or -1: no sign but -, no leading 0");
        }
        for (; *g->p >= '0' && *g->p <= '9'; g->p++) {
                v = v * 10 + (*g->p - '0');
                if (v > JSONPATH_INDEX_MAX) {
                        g->p = first;
                        return wrong(g, "the index is too large");
                }
        }
        *ret = negative ? -v : v;
        return 0;
}

static int parse_bracket(struct parser *g, struct jsonpath_segment *s)
{
        int r;

        skip_space(g);
        if (*g->p == '*' || *g->p == '?' || *g->p == ':')
                return wrong(g, "wildcards, slices and filters name more than one value");
        if (*g->p == '\'' || *g->p == '"')
                r = parse_quoted(g, &s->name);
        else if (*g->p == '-' || (*g->p >= '0' && *g->p <= '9'))
                r = parse_index(g, &s->index);
        else
                r = wrong(g, "an index or a name in quotes is expected");
        if (r < 0)
                return r;
        skip_space(g);
        if (*g->p == ',' || *g->p == ':')
                return wrong(g, "wildcards, slices and filters name more than one value");
        if (*g->p != ']')
                return wrong(g, "] is expected");
        g->p++;
        return 0;
}

static int parse_segments(struct parser *g, struct jsonpath *path)
{
        if (strlen(g->start) > JSONPATH_MAX)
                return wrong(g, "longer than 1024 bytes");
        if (*g->p != '$')
                return wrong(g, "a path begins with $");
        g->p++;
        for (;;) {
                const char *behind = g->p;
                int r;

                skip_space(g);
                if (!*g->p && g->p == behind)
                        return 0;
                if (path->n == JSONPATH_SEGMENTS_MAX)
                        return wrong(g, "more than 32 segments");
                /* counted first: what is half parsed is freed as well */
                struct jsonpath_segment *s = &path->segments[path->n++];
                if (*g->p == '.') {
                        g->p++;
                        r = parse_shorthand(g, &s->name);
                } else if (*g->p == '[') {
                        g->p++;
                        r = parse_bracket(g, s);
                } else
                        r = wrong(g, ". or [ is expected");
                if (r < 0)
                        return r;
                s->end = (size_t)(g->p - g->start);
        }
}

int jsonpath_parse(const char *s, struct jsonpath *ret, const char **ret_why, size_t *ret_at)
{
        struct parser g = {.start = s, .p = s};
        struct jsonpath path = {0};

        int r = parse_segments(&g, &path);
        if (r < 0) {
                jsonpath_done(&path);
                if (r == -EINVAL) {
                        *ret_why = g.why;
                        *ret_at = (size_t)(g.p - g.start);
                }
                return r;
        }
        *ret = path;
        return 0;
}

void jsonpath_done(struct jsonpath *p)
{
        for (size_t i = 0; i < p->n; i++)
                free(p->segments[i].name);
        *p = (struct jsonpath){0};
}
