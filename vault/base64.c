#include "vault/base64.h"

static int sextet(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+')
                return 62;
        if (c == '/')
                return 63;
        return -1;
}

/* A group of characters not yet written: of a secret, so it is wiped. */
struct group {
        unsigned char sextets[4];
        size_t n;
};

static void group_done(struct group *g)
{
        explicit_bzero(g, sizeof(*g));
}

static bool is_newline(char c)
{
        return c == '\r' || c == '\n';
}

static size_t skip_newlines(const char *s, size_t len, size_t i)
{
        while (i < len && is_newline(s[i]))
                i++;
        return i;
}

static int stopped(size_t at, size_t *ret_at)
{
        if (ret_at)
                *ret_at = at;
        return -EINVAL;
}

/* Writes what 2 to 4 sextets stand for and empties the group. Returns the bytes written. */
static size_t group_put(struct group *g, unsigned char *out)
{
        const unsigned char *s = g->sextets;
        size_t n = g->n - 1;

        out[0] = (unsigned char)(s[0] << 2 | s[1] >> 4);
        if (n > 1)
                out[1] = (unsigned char)(s[1] << 4 | s[2] >> 2);
        if (n > 2)
                out[2] = (unsigned char)(s[2] << 6 | s[3]);
        g->n = 0;
        return n;
}

/* Adds one, and writes the group when it is full. */
static size_t group_add(struct group *g, int sextet, unsigned char *out)
{
        g->sextets[g->n++] = (unsigned char)sextet;
        return g->n == 4 ? group_put(g, out) : 0;
}

int base64_decode(const char *s, size_t len, struct sec **ret, size_t *ret_at)
{
        _cleanup_sec_ struct sec *out = NULL;
        _cleanup_(group_done) struct group g = {0};
        size_t done = 0;

        int r = sec_alloc(len / 4 * 3 + 3, &out);
        if (r < 0)
                return r;
        unsigned char *p = sec_buf(out);
        for (size_t i = 0; i < len; i++) {
                if (is_newline(s[i]))
                        continue;
                int v = sextet(s[i]);
                if (v >= 0) {
                        done += group_add(&g, v, p + done);
                        continue;
                }
                if (s[i] != '=' || g.n < 2)
                        return stopped(i, ret_at);
                if (g.n == 2) {
                        i = skip_newlines(s, len, i + 1);
                        if (i == len)
                                return stopped(len, ret_at);
                        if (s[i] != '=')
                                return stopped(i - 1, ret_at);
                }
                i = skip_newlines(s, len, i + 1);
                if (i < len)
                        return stopped(i, ret_at);
                done += group_put(&g, p + done);
        }
        if (g.n > 0)
                return stopped(len - g.n, ret_at);
        sec_truncate(out, done);
        *ret = TAKE_PTR(out);
        return 0;
}

int base64_decode_any(const char *s, size_t len, struct sec **ret)
{
        _cleanup_sec_ struct sec *out = NULL;
        _cleanup_(group_done) struct group g = {0};
        size_t done = 0;

        int r = sec_alloc(len / 4 * 3 + 3, &out);
        if (r < 0)
                return r;
        unsigned char *p = sec_buf(out);
        for (unsigned padding = 0; len > 0 && s[len - 1] == '=' && padding < 2; padding++)
                len--;
        for (size_t i = 0; i < len; i++) {
                int v = sextet(s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i]);
                if (v < 0)
                        return -EINVAL;
                done += group_add(&g, v, p + done);
        }
        if (g.n == 1)
                return -EINVAL;
        if (g.n > 1)
                done += group_put(&g, p + done);
        sec_truncate(out, done);
        *ret = TAKE_PTR(out);
        return 0;
}

int hex_decode(const char *s, size_t len, struct sec **ret, size_t *ret_at)
{
        _cleanup_sec_ struct sec *out = NULL;

        int r = sec_alloc(len / 2, &out);
        if (r < 0)
                return r;
        unsigned char *p = sec_buf(out);
        for (size_t i = 0; i < len; i++) {
                int v = hex_digit(s[i]);
                if (v < 0)
                        return stopped(i, ret_at);
                if (i / 2 < len / 2)
                        p[i / 2] = (unsigned char)(p[i / 2] << 4 | v);
        }
        if (len % 2 != 0)
                return stopped(len, ret_at);
        *ret = TAKE_PTR(out);
        return 0;
}
