#include "vault/challenge.h"

#include <strings.h>

#define DEFAULT_SUFFIX "/.default"

static bool is_space(char c)
{
        return c == ' ' || c == '\t';
}

/* RFC 9110 section 5.6.2 */
static bool is_tchar(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_spaces(const char *p)
{
        while (is_space(*p))
                p++;
        return p;
}

static const char *skip_token(const char *p)
{
        while (is_tchar(*p))
                p++;
        return p;
}

/* A token or a quoted string; moves *p behind it. Control characters are refused: what is read here
 * becomes part of requests and messages. */
static int read_value(const char **p, char **ret)
{
        const char *s = *p;

        if (*s != '"') {
                const char *end = s;
                /* Unquoted URLs are not tokens, but are meant. */
                while (*end > ' ' && *end <= '~' && *end != ',' && *end != '"')
                        end++;
                if (end == s)
                        return -EBADMSG;
                *p = end;
                *ret = strndup(s, (size_t)(end - s));
                return *ret ? 0 : -ENOMEM;
        }

        char *out = malloc(strlen(s));
        size_t n = 0;
        if (!out)
                return -ENOMEM;
        for (s++; *s != '"'; s++) {
                if (*s == '\\')
                        s++;
                if ((unsigned char)*s < ' ' || *s == 0x7f) {
                        free(out);
                        return -EBADMSG;
                }
                out[n++] = *s;
        }
        out[n] = '\0';
        *p = s + 1;
        *ret = out;
        return 0;
}

static int keep(struct challenge *c, const char *name, size_t len, char **value)
{
        const struct {
                const char *name;
                char **to;
        } known[] = {
                {"authorization", &c->authorization},
                {"authorization_uri", &c->authorization},
                {"resource", &c->resource},
                {"scope", &c->scope},
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0 &&
                        !*known[i].to)
                        *known[i].to = TAKE_PTR(*value);
        return 0;
}

/* The parameters behind a scheme's name, up to the next scheme. Moves *p to that. */
static int read_parameters(const char **p, struct challenge *c)
{
        const char *s = *p;

        for (;;) {
                while (is_space(*s) || *s == ',')
                        s++;
                const char *name = s, *end = skip_token(s);
                const char *equals = skip_spaces(end);
                if (end == name || *equals != '=') {
                        *p = name;
                        return 0;
                }
                _cleanup_free_ char *value = NULL;
                s = skip_spaces(equals + 1);
                int r = read_value(&s, &value);
                if (r < 0)
                        return r;
                if (c)
                        keep(c, name, (size_t)(end - name), &value);
        }
}

int challenge_parse(const char *header, struct challenge *ret)
{
        _cleanup_(challenge_done) struct challenge c = {0};
        const char *p = header;

        if (strlen(header) > CHALLENGE_MAX)
                return -E2BIG;
        for (;;) {
                while (is_space(*p) || *p == ',')
                        p++;
                if (!*p)
                        return -ENOENT;
                const char *scheme = p;
                p = skip_token(p);
                size_t len = (size_t)(p - scheme);
                if (len == 0)
                        return -EBADMSG;
                bool bearer = len == strlen("Bearer") && strncasecmp(scheme, "Bearer", len) == 0;
                int r = read_parameters(&p, bearer ? &c : NULL);
                if (r < 0)
                        return r;
                if (bearer)
                        break;
        }
        if (!c.scope && c.resource && !(c.scope = strdup(c.resource)))
                return -ENOMEM;
        char **parts[] = {&c.authorization, &c.resource, &c.scope};
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (!*parts[i] && !(*parts[i] = strdup("")))
                        return -ENOMEM;
        *ret = c;
        c = (struct challenge){0};
        return 0;
}

void challenge_done(struct challenge *c)
{
        free(c->authorization);
        free(c->resource);
        free(c->scope);
        *c = (struct challenge){0};
}

/* The host of an https URL without a port of its own; *ret_len 0 when it is something else. */
static const char *https_host(const char *url, size_t *ret_len)
{
        const char *host = startswith(url, "https://");

        *ret_len = 0;
        if (!host)
                return NULL;
        const char *end = host;
        while ((*end >= '0' && *end <= '9') || (*end >= 'a' && *end <= 'z') ||
                (*end >= 'A' && *end <= 'Z') || *end == '.' || *end == '-')
                end++;
        if (*end == '\0' || *end == '/')
                *ret_len = (size_t)(end - host);
        return host;
}

int challenge_scope(const struct challenge *c, const char *host, char **ret)
{
        size_t n, host_len = strlen(host);
        const char *resource = https_host(c->scope, &n);

        /* A bare top-level name would let any vault of it ask for anybody's token. */
        if (n == 0 || !memchr(resource, '.', n) || host_len < n + 2)
                return -EPERM;
        for (const char *p = c->scope; *p; p++)
                if (*p <= ' ' || *p > '~')
                        return -EPERM;
        if (strncasecmp(host + host_len - n, resource, n) != 0 || host[host_len - n - 1] != '.')
                return -EPERM;

        size_t len = strlen(c->scope), suffix = strlen(DEFAULT_SUFFIX);
        if (len >= suffix && streq(c->scope + len - suffix, DEFAULT_SUFFIX))
                return xasprintf(ret, "%s", c->scope);
        return xasprintf(ret, "%s%s", c->scope, DEFAULT_SUFFIX);
}

const char *challenge_tenant(const struct challenge *c)
{
        size_t n;
        const char *host = https_host(c->authorization, &n);

        if (n == 0 || host[n] != '/')
                return NULL;
        const char *tenant = host + n + 1;
        if (!*tenant || strspn(tenant, "0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-") != strlen(tenant))
                return NULL;
        return tenant;
}
