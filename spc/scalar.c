#include "spc/scalar.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

static bool one_of(const char *s, const char *const *words)
{
        for (; *words; words++)
                if (streq(s, *words))
                        return true;
        return false;
}

static bool is_null(const char *s)
{
        static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
        return one_of(s, words);
}

static bool is_bool(const char *s, enum scalar_schema schema)
{
        static const char *const both[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
        static const char *const old[] = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N",
                "no", "No", "NO", "off", "Off", "OFF", NULL};
        return one_of(s, both) || (schema == SCALAR_YAML_1_1 && one_of(s, old));
}

/* Moves behind the prefix; a lone leading zero stays, it is a digit. */
static unsigned take_base(const char **s)
{
        const char *p = *s;

        if (p[0] != '0' || !p[1])
                return 10;
        switch (p[1]) {
        case 'x':
        case 'X':
                *s = p + 2;
                return 16;
        case 'o':
        case 'O':
                *s = p + 2;
                return 8;
        case 'b':
        case 'B':
                *s = p + 2;
                return 2;
        default:
                return 8;
        }
}

/* Go's ParseInt and ParseUint with base 0, underscores left out. */
static int parse_integer(const char *s, bool *ret_negative, uint64_t *ret)
{
        bool negative = *s == '-', any = false;
        uint64_t v = 0;

        if (*s == '-' || *s == '+')
                s++;
        unsigned base = take_base(&s);
        for (; *s; s++) {
                if (*s == '_')
                        continue;
                unsigned d = (unsigned)hex_digit(*s); /* UINT_MAX when it is none */
                if (d >= base)
                        return -EINVAL;
                any = true;
                if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
                        return -ERANGE;
        }
        if (!any)
                return -EINVAL;
        if (negative && v > (uint64_t)INT64_MAX + 1)
                return -ERANGE;
        *ret_negative = negative;
        *ret = v;
        return 0;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, underscores left out. The value is exact
 * as long as it fits the digits of a double, which is all that an int32 needs. */
static int parse_float(const char *s, double *ret)
{
        bool negative = *s == '-', digits = false;
        double mantissa = 0;
        int exponent = 0, scale = 0;

        if (*s == '-' || *s == '+')
                s++;
        for (; (*s >= '0' && *s <= '9') || (*s == '_' && digits); s++)
                if (*s != '_') {
                        mantissa = mantissa * 10 + (*s - '0');
                        digits = true;
                }
        if (*s == '.') {
                for (s++; (*s >= '0' && *s <= '9') || *s == '_'; s++)
                        if (*s != '_') {
                                digits = true;
                                if (mantissa < 1e15) {
                                        mantissa = mantissa * 10 + (*s - '0');
                                        scale--;
                                }
                        }
        }
        if (!digits)
                return -EINVAL;
        if (*s == 'e' || *s == 'E') {
                bool minus = s[1] == '-', any = false;
                s++;
                if (*s == '-' || *s == '+')
                        s++;
                for (; *s >= '0' && *s <= '9'; s++) {
                        any = true;
                        exponent = MIN(exponent * 10 + (*s - '0'), 10000);
                }
                if (!any)
                        return -EINVAL;
                if (minus)
                        exponent = -exponent;
        }
        if (*s)
                return -EINVAL;
        /* Out of a double's range either way: infinity is refused later, zero is zero. */
        for (scale += exponent; scale > 0 && mantissa < 1e300; scale--)
                mantissa *= 10;
        for (; scale < 0 && mantissa > 0; scale++)
                mantissa /= 10;
        *ret = negative ? -mantissa : mantissa;
        return 0;
}

static bool is_special_float(const char *s)
{
        static const char *const words[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF",
                "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN", NULL};
        return one_of(s, words);
}

static enum scalar_kind resolve_plain(const char *s, enum scalar_schema schema)
{
        bool negative;
        uint64_t integer;
        double number;

        if (is_null(s))
                return SCALAR_NULL;
        if (is_bool(s, schema))
                return SCALAR_BOOL;
        if (is_special_float(s))
                return SCALAR_FLOAT;
        if (!strchr("0123456789+-.", *s))
                return SCALAR_TEXT;
        /* Beyond 64 bits an integer is a number with a mantissa. */
        if (*s != '.' && parse_integer(s, &negative, &integer) == 0)
                return SCALAR_INT;
        if (parse_float(s, &number) == 0)
                return SCALAR_FLOAT;
        return SCALAR_TEXT;
}

enum scalar_kind scalar_kind(const struct yml_node *n, enum scalar_schema schema)
{
        static const struct {
                const char *tag;
                enum scalar_kind kind;
        } tags[] = {
                {"null", SCALAR_NULL},
                {"bool", SCALAR_BOOL},
                {"int", SCALAR_INT},
                {"float", SCALAR_FLOAT},
        };

        if (n->kind != YML_SCALAR)
                return SCALAR_TEXT;
        if (!n->tag)
                return n->style == YML_PLAIN ? resolve_plain(n->value, schema) : SCALAR_TEXT;
        if (streq(n->tag, "!"))
                return SCALAR_TEXT;
        const char *tag = startswith(n->tag, TAG_PREFIX);
        if (!tag)
                return SCALAR_UNKNOWN_TAG;
        if (streq(tag, "str"))
                return SCALAR_TEXT;
        enum scalar_kind plain = resolve_plain(n->value, schema);
        for (size_t i = 0; i < ELEMENTSOF(tags); i++)
                if (streq(tag, tags[i].tag)) {
                        if (plain == tags[i].kind)
                                return plain;
                        if (plain == SCALAR_INT && tags[i].kind == SCALAR_FLOAT)
                                return SCALAR_FLOAT;
                }
        return SCALAR_UNKNOWN_TAG;
}

const char *scalar_tag(const struct yml_node *n)
{
        switch (n->kind) {
        case YML_SEQUENCE:
                return "!!seq";
        case YML_MAPPING:
                return "!!map";
        case YML_SCALAR:
                break;
        }
        switch (scalar_kind(n, SCALAR_YAML_V3)) {
        case SCALAR_NULL:
                return "!!null";
        case SCALAR_BOOL:
                return "!!bool";
        case SCALAR_INT:
                return "!!int";
        case SCALAR_FLOAT:
                return "!!float";
        case SCALAR_TEXT:
        case SCALAR_UNKNOWN_TAG:
                break;
        }
        return "!!str";
}

int scalar_int32(const struct yml_node *n, int32_t *ret, bool *ret_exact)
{
        enum scalar_kind kind = scalar_kind(n, SCALAR_YAML_V3);
        bool negative;
        uint64_t integer;

        if (kind == SCALAR_INT && parse_integer(n->value, &negative, &integer) == 0) {
                if (integer > (uint64_t)INT32_MAX + (negative ? 1 : 0))
                        return -ERANGE;
                *ret = (int32_t)(negative ? -(int64_t)integer : (int64_t)integer);
                *ret_exact = true;
                return 0;
        }
        if (kind != SCALAR_FLOAT && kind != SCALAR_INT)
                return -EINVAL;
        double number;
        if (parse_float(n->value, &number) < 0)
                return -EINVAL; /* infinities and NaN */
        if (!(number > (double)INT32_MIN - 1 && number < (double)INT32_MAX + 1))
                return -ERANGE;
        *ret = (int32_t)number;
        *ret_exact = (double)*ret == number;
        return 0;
}

int scalar_parse_bool(const char *s, bool *ret)
{
        static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True", NULL};
        static const char *const no[] = {"", "0", "f", "F", "FALSE", "false", "False", NULL};

        if (one_of(s, yes))
                *ret = true;
        else if (one_of(s, no))
                *ret = false;
        else
                return -EINVAL;
        return 0;
}

/* Bytes of the white space character at s, 0 when it is none. */
static size_t white_space_at(const unsigned char *s, size_t len)
{
        if (len >= 1 && (*s == ' ' || (*s >= '\t' && *s <= '\r')))
                return 1;
        if (len >= 2 && s[0] == 0xC2 && (s[1] == 0x85 || s[1] == 0xA0)) /* U+0085 U+00A0 */
                return 2;
        if (len < 3)
                return 0;
        unsigned c = (unsigned)s[0] << 16 | (unsigned)s[1] << 8 | s[2];
        if (c == 0xE19A80 ||                        /* U+1680 */
                (c >= 0xE28080 && c <= 0xE2808A) || /* U+2000 to U+200A */
                c == 0xE280A8 || c == 0xE280A9 ||   /* U+2028 U+2029 */
                c == 0xE280AF || c == 0xE2819F ||   /* U+202F U+205F */
                c == 0xE38080)                      /* U+3000 */
                return 3;
        return 0;
}

size_t scalar_trim(const char **s, size_t len)
{
        const unsigned char *p = (const unsigned char *)*s;
        size_t n;

        while ((n = white_space_at(p, len)) > 0) {
                p += n;
                len -= n;
        }
        for (bool again = true; again && len > 0;) {
                again = false;
                for (size_t width = 1; width <= MIN(len, (size_t)3) && !again; width++)
                        if (white_space_at(p + len - width, width) == width) {
                                len -= width;
                                again = true;
                        }
        }
        *s = (const char *)p;
        return len;
}
