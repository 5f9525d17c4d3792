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

/* Bytes of a group of n sextets (2 to 4). */
static size_t put_group(const unsigned char group[4], size_t n, unsigned char *out)
{
        out[0] = (unsigned char)(group[0] << 2 | group[1] >> 4);
        if (n > 2)
                out[1] = (unsigned char)(group[1] << 4 | group[2] >> 2);
        if (n > 3)
                out[2] = (unsigned char)(group[2] << 6 | group[3]);
        return n - 1;
}

int base64_decode(const char *s, size_t len, struct sec **ret, size_t *ret_at)
{
        _cleanup_sec_ struct sec *out = NULL;
        unsigned char group[4] = {0};
        size_t n = 0, done = 0;

        int r = sec_alloc(len / 4 * 3 + 3, &out);
        if (r < 0)
                return r;
        unsigned char *p = sec_buf(out);
        for (size_t i = 0; i < len; i++) {
                if (is_newline(s[i]))
                        continue;
                int v = sextet(s[i]);
                if (v >= 0) {
                        group[n++] = (unsigned char)v;
                        if (n == 4) {
                                done += put_group(group, n, p + done);
                                n = 0;
                        }
                        continue;
                }
                if (s[i] != '=' || n < 2)
                        return stopped(i, ret_at);
                if (n == 2) {
                        i = skip_newlines(s, len, i + 1);
                        if (i == len)
                                return stopped(len, ret_at);
                        if (s[i] != '=')
                                return stopped(i - 1, ret_at);
                }
                i = skip_newlines(s, len, i + 1);
                if (i < len)
                        return stopped(i, ret_at);
                done += put_group(group, n, p + done);
                n = 0;
        }
        explicit_bzero(group, sizeof(group));
        if (n > 0)
                return stopped(len - n, ret_at);
        sec_truncate(out, done);
        *ret = TAKE_PTR(out);
        return 0;
}

int base64_decode_any(const char *s, size_t len, struct sec **ret)
{
        _cleanup_sec_ struct sec *out = NULL;
        unsigned char group[4];
        size_t n = 0, done = 0;

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
                group[n++] = (unsigned char)v;
                if (n == 4) {
                        done += put_group(group, n, p + done);
                        n = 0;
                }
        }
        if (n == 1)
                return -EINVAL;
        if (n > 1)
                done += put_group(group, n, p + done);
        explicit_bzero(group, sizeof(group));
        sec_truncate(out, done);
        *ret = TAKE_PTR(out);
        return 0;
}

static int nibble(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int hex_decode(const char *s, size_t len, struct sec **ret, size_t *ret_at)
{
        _cleanup_sec_ struct sec *out = NULL;

        int r = sec_alloc(len / 2, &out);
        if (r < 0)
                return r;
        unsigned char *p = sec_buf(out);
        for (size_t i = 0; i < len; i++) {
                int v = nibble(s[i]);
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
