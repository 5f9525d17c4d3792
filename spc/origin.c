#include "spc/origin.h"

struct cursor {
        const char *s;
        uint32_t len, i;
        enum yml_style style;
};

/* One character as written: how long, and the bytes it stands for (none: an escaped line end). */
struct unit {
        uint32_t width;
        char bytes[4];
        uint32_t n;
};

static uint32_t to_utf8(uint32_t c, char out[4])
{
        if (c < 0x80) {
                out[0] = (char)c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (char)(0xC0 | c >> 6);
                out[1] = (char)(0x80 | (c & 0x3F));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (char)(0xE0 | c >> 12);
                out[1] = (char)(0x80 | (c >> 6 & 0x3F));
                out[2] = (char)(0x80 | (c & 0x3F));
                return 3;
        }
        out[0] = (char)(0xF0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3F));
        out[2] = (char)(0x80 | (c >> 6 & 0x3F));
        out[3] = (char)(0x80 | (c & 0x3F));
        return 4;
}

static uint32_t hex_value(const char *s, uint32_t n)
{
        uint32_t v = 0;

        for (uint32_t i = 0; i < n; i++)
                v = v << 4 | (uint32_t)MAX(hex_digit(s[i]), 0);
        return v;
}

/* YAML 1.1, section 5.6. */
static struct unit read_escape(const char *s, uint32_t left)
{
        static const struct {
                char letter;
                uint32_t c;
        } named[] = {{'0', 0}, {'a', 7}, {'b', 8}, {'t', 9}, {'\t', 9}, {'n', 10}, {'v', 11},
                {'f', 12}, {'r', 13}, {'e', 27}, {' ', ' '}, {'"', '"'}, {'/', '/'}, {'\\', '\\'},
                {'N', 0x85}, {'_', 0xA0}, {'L', 0x2028}, {'P', 0x2029}};
        struct unit u = {.width = MIN(2U, left)};

        if (left < 2)
                return u;
        uint32_t digits = s[1] == 'x' ? 2 : s[1] == 'u' ? 4 : s[1] == 'U' ? 8 : 0;
        if (digits > 0 && left >= 2 + digits) {
                u.width = 2 + digits;
                u.n = to_utf8(hex_value(s + 2, digits), u.bytes);
                return u;
        }
        for (size_t i = 0; i < ELEMENTSOF(named); i++)
                if (named[i].letter == s[1])
                        u.n = to_utf8(named[i].c, u.bytes);
        return u;
}

static struct unit peek(const struct cursor *c)
{
        const char *s = c->s + c->i;

        if (c->style == YML_DOUBLE && *s == '\\')
                return read_escape(s, c->len - c->i);
        struct unit u = {.width = 1, .bytes = {*s}, .n = 1};
        if (c->style == YML_SINGLE && s[0] == '\'' && c->i + 1 < c->len && s[1] == '\'')
                u.width = 2;
        return u;
}

static bool is_white(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What a scalar may lose or change: blanks, line ends (NEL is one, and becomes \n), the
 * continuation bytes of such. */
static bool unit_may_vanish(const struct cursor *c, const struct unit *u)
{
        if (u->n == 0 || (u->n == 1 && is_white(u->bytes[0])))
                return true;
        const char *s = c->s + c->i;
        return u->n == 1 && c->i + 1 < c->len && s[0] == '\xC2' && s[1] == '\x85';
}

/* What folding may put into a text that is not in its source; a tab it never does. */
static bool may_appear(char c)
{
        return c == ' ' || c == '\n';
}

static void skip_white(struct cursor *c)
{
        while (c->i < c->len && is_white(c->s[c->i]))
                c->i++;
}

static void skip_line(struct cursor *c)
{
        while (c->i < c->len && c->s[c->i] != '\n')
                c->i++;
        if (c->i < c->len)
                c->i++;
}

/* From the node's first byte over anchor and tag to where its text begins. */
static void find_text(struct cursor *c)
{
        while (c->i < c->len && (c->s[c->i] == '&' || c->s[c->i] == '!')) {
                while (c->i < c->len && !is_white(c->s[c->i]))
                        c->i++;
                skip_white(c);
        }
        if (c->style == YML_SINGLE || c->style == YML_DOUBLE)
                c->i = MIN(c->i + 1, c->len);
        else if (c->style == YML_LITERAL || c->style == YML_FOLDED)
                skip_line(c); /* the header: "|2- # comment" */
}

static bool matches(const struct unit *u, const char *text, size_t left)
{
        return u->n > 0 && u->n <= left && memcmp(u->bytes, text, u->n) == 0;
}

int origin_of(const struct yml_text *source, const struct yml_node *n, uint32_t **ret)
{
        struct cursor c = {source->s, source->len, n->start, n->style};
        uint32_t *map = calloc(n->len + 1, sizeof(*map));
        size_t done = 0;

        if (!map)
                return -ENOMEM;
        find_text(&c);
        while (done < n->len) {
                const char *text = n->value + done;
                struct unit u = {0};
                bool found = false;

                while (c.i < c.len) {
                        u = peek(&c);
                        found = matches(&u, text, n->len - done);
                        if (found || may_appear(*text) || !unit_may_vanish(&c, &u))
                                break;
                        c.i += u.width;
                        /* The second byte of NEL goes with the first. */
                        if (u.width == 1 && u.bytes[0] == '\xC2' && c.i < c.len)
                                c.i++;
                }
                if (!found && !may_appear(*text))
                        break;
                uint32_t here = yml_where(source, c.i);
                for (uint32_t i = 0; i < (found ? u.n : 1); i++)
                        map[done++] = here;
                if (found)
                        c.i += u.width;
        }
        for (size_t i = done; i <= n->len; i++)
                map[i] = done == n->len ? yml_where(source, c.i) : n->at;
        *ret = map;
        return 0;
}
