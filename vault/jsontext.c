#include "vault/jsontext.h"

#include "base/wipe.h"

#define NUL_LEAD '\xc0'
#define NUL_TRAIL '\x80'

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Length of the UTF-8 sequence at p (RFC 3629: no surrogates, no overlong forms), 0 if none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
        static const struct {
                unsigned char first, last; /* of the lead byte */
                unsigned char low, high;   /* of the second byte */
                unsigned char length;
        } forms[] = {
                {0x00, 0x7f, 0x00, 0x00, 1},
                {0xc2, 0xdf, 0x80, 0xbf, 2},
                {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3},
                {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3},
                {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4},
                {0xf4, 0xf4, 0x80, 0x8f, 4},
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                if (p[0] < forms[i].first || p[0] > forms[i].last)
                        continue;
                size_t n = forms[i].length;
                if (n > left)
                        return 0;
                if (n > 1 && (p[1] < forms[i].low || p[1] > forms[i].high))
                        return 0;
                for (size_t k = 2; k < n; k++)
                        if (p[k] < 0x80 || p[k] > 0xbf)
                                return 0;
                return n;
        }
        return 0;
}

/* The code unit of \uXXXX at p, -1 when there is none. */
static int code_unit(const char *p, size_t left)
{
        int v = 0;

        if (left < 6 || p[0] != '\\' || p[1] != 'u')
                return -1;
        for (size_t i = 2; i < 6; i++) {
                int digit = hex_digit(p[i]);
                if (digit < 0)
                        return -1;
                v = v << 4 | digit;
        }
        return v;
}

static bool is_high(int unit)
{
        return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(int unit)
{
        return unit >= 0xdc00 && unit <= 0xdfff;
}

static char *put(char *out, const char *p, size_t n)
{
        memcpy(out, p, n);
        return out + n;
}

int jsontext_prepare(const char *text, size_t len, char **ret, size_t *ret_len)
{
        if (memchr(text, '\0', len))
                return -EINVAL;

        _cleanup_secret_ char *copy = malloc(len * 3 + 1);
        if (!copy)
                return -ENOMEM;
        char *out = copy;
        for (size_t i = 0; i < len;) {
                const char *p = text + i;
                size_t left = len - i, used;
                int unit = code_unit(p, left);
                if (unit < 0 && left > 1 && p[0] == '\\' && p[1] == 'u')
                        return -EINVAL; /* which cJSON would take for a NUL */
                if (unit == 0) {
                        *out++ = NUL_LEAD;
                        *out++ = NUL_TRAIL;
                        used = 6;
                } else if (is_high(unit) && is_low(code_unit(p + 6, left - 6))) {
                        used = 12;
                        out = put(out, p, used);
                } else if (is_high(unit) || is_low(unit)) {
                        used = 6;
                        out = put(out, replacement, 3);
                } else if (p[0] == '\\' && left > 1 && (p[1] == '\\' || p[1] == '"')) {
                        /* Taken as a pair, or the second would be read as the next escape. */
                        used = 2;
                        out = put(out, p, used);
                } else if ((used = utf8_length((const unsigned char *)p, left)) > 0)
                        out = put(out, p, used);
                else {
                        used = 1;
                        out = put(out, replacement, 3);
                }
                i += used;
        }
        *out = '\0';
        *ret_len = (size_t)(out - copy);
        *ret = TAKE_PTR(copy);
        return 0;
}

int jsontext_value(const char *s, struct sec **ret)
{
        size_t len = strlen(s), done = 0;
        struct sec *value;

        int r = sec_alloc(len, &value);
        if (r < 0)
                return r;
        char *out = sec_buf(value);
        for (size_t i = 0; i < len; i++)
                if (s[i] == NUL_LEAD && s[i + 1] == NUL_TRAIL) {
                        out[done++] = '\0';
                        i++;
                } else
                        out[done++] = s[i];
        sec_truncate(value, done);
        *ret = value;
        return 0;
}

bool jsontext_has_nul(const char *s)
{
        return strchr(s, NUL_LEAD) != NULL;
}
