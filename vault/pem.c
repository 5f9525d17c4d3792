#include "vault/pem.h"

#include "vault/base64.h"

#define COLUMNS 64
#define COLUMN_BYTES (COLUMNS / 4 * 3)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t pem_size(const char *label, size_t len)
{
        size_t lines = (len + COLUMN_BYTES - 1) / COLUMN_BYTES;

        return strlen("-----BEGIN -----\n-----END -----\n") + 2 * strlen(label) +
               (len + 2) / 3 * 4 + lines;
}

static char *put_word(char *out, struct pem_word w)
{
        memcpy(out, w.s, w.len);
        return out + w.len;
}

static char *put_string(char *out, const char *s)
{
        return put_word(out, (struct pem_word){s, strlen(s)});
}

static char *put_border(char *out, const char *which, struct pem_word label)
{
        out = put_string(out, which);
        out = put_word(out, label);
        return put_string(out, "-----\n");
}

static char *put_base64(char *out, const void *der, size_t len)
{
        const unsigned char *p = der;

        for (size_t i = 0; i < len; i += 3) {
                size_t have = MIN(len - i, (size_t)3);
                uint32_t v = (uint32_t)p[i] << 16;
                if (have > 1)
                        v |= (uint32_t)p[i + 1] << 8;
                if (have > 2)
                        v |= p[i + 2];
                *out++ = alphabet[v >> 18];
                *out++ = alphabet[v >> 12 & 63];
                *out++ = have > 1 ? alphabet[v >> 6 & 63] : '=';
                *out++ = have > 2 ? alphabet[v & 63] : '=';
                if ((i + 3) % COLUMN_BYTES == 0 || i + 3 >= len)
                        *out++ = '\n';
        }
        return out;
}

char *pem_put(char *out, const char *label, const void *der, size_t len)
{
        const struct pem_word name = {label, strlen(label)};

        out = put_border(out, "-----BEGIN ", name);
        out = put_base64(out, der, len);
        return put_border(out, "-----END ", name);
}

size_t pem_block_size(const struct pem_block *b)
{
        size_t size = pem_size("", sec_len(b->der)) + 2 * b->label.len;

        for (size_t i = 0; i < b->n_headers; i++)
                size += b->names[i].len + strlen(": ") + b->values[i].len + strlen("\n");
        return size + (b->n_headers > 0 ? strlen("\n") : 0);
}

char *pem_block_put(char *out, const struct pem_block *b)
{
        out = put_border(out, "-----BEGIN ", b->label);
        for (size_t i = 0; i < b->n_headers; i++) {
                out = put_word(out, b->names[i]);
                out = put_string(out, ": ");
                out = put_word(out, b->values[i]);
                out = put_string(out, "\n");
        }
        if (b->n_headers > 0)
                out = put_string(out, "\n");
        out = put_base64(out, sec_bytes(b->der), sec_len(b->der));
        return put_border(out, "-----END ", b->label);
}

/* --- reading -------------------------------------------------------------------------------- */

static bool begins(struct pem_word text, const char *with)
{
        return text.len >= strlen(with) && memcmp(text.s, with, strlen(with)) == 0;
}

static struct pem_word skip(struct pem_word w, size_t n)
{
        return (struct pem_word){w.s + n, w.len - n};
}

/* Takes one line off the text; without its end, and without blanks before that. */
static struct pem_word take_line(struct pem_word *text)
{
        const char *end = memchr(text->s, '\n', text->len);
        size_t n = end ? (size_t)(end - text->s) : text->len;
        struct pem_word line = {text->s, n};

        *text = skip(*text, end ? n + 1 : n);
        while (line.len > 0 && strchr(" \t\r", line.s[line.len - 1]) && line.s[line.len - 1])
                line.len--;
        return line;
}

static struct pem_word trim(struct pem_word w)
{
        while (w.len > 0 && (*w.s == ' ' || *w.s == '\t'))
                w = skip(w, 1);
        while (w.len > 0 && (w.s[w.len - 1] == ' ' || w.s[w.len - 1] == '\t'))
                w.len--;
        return w;
}

/* Moves behind the next "-----BEGIN " at the start of a line. */
static bool find_begin(struct pem_word *text)
{
        static const char begin[] = "\n-----BEGIN ";
        size_t n = strlen(begin);

        if (begins(*text, begin + 1)) {
                *text = skip(*text, n - 1);
                return true;
        }
        const char *at = memmem(text->s, text->len, begin, n);
        if (!at)
                return false;
        *text = skip(*text, (size_t)(at - text->s) + n);
        return true;
}

static int compare_words(struct pem_word a, struct pem_word b)
{
        int c = memcmp(a.s, b.s, MIN(a.len, b.len));

        return c ? c : (a.len > b.len) - (a.len < b.len);
}

static bool is_proc_type(struct pem_word name)
{
        return compare_words(name, (struct pem_word){"Proc-Type", 9}) == 0;
}

/* In its place; a name that is there already gets the new value. */
static bool add_header(struct pem_block *b, struct pem_word name, struct pem_word value)
{
        size_t i = 0;

        for (; i < b->n_headers; i++) {
                int c = compare_words(name, b->names[i]);

                if (c == 0) {
                        b->values[i] = value;
                        return true;
                }
                if (is_proc_type(name) || (c < 0 && !is_proc_type(b->names[i])))
                        break;
        }
        if (b->n_headers == PEM_HEADERS_MAX)
                return false;
        memmove(&b->names[i + 1], &b->names[i], (b->n_headers - i) * sizeof(*b->names));
        memmove(&b->values[i + 1], &b->values[i], (b->n_headers - i) * sizeof(*b->values));
        b->names[i] = name;
        b->values[i] = value;
        b->n_headers++;
        return true;
}

static bool read_headers(struct pem_word *text, struct pem_block *b)
{
        for (;;) {
                struct pem_word rest = *text, line = take_line(&rest);
                const char *colon = memchr(line.s, ':', line.len);

                if (text->len == 0)
                        return false;
                if (!colon)
                        return true;
                size_t n = (size_t)(colon - line.s);
                if (!add_header(b, trim((struct pem_word){line.s, n}), trim(skip(line, n + 1))))
                        return false;
                *text = rest;
        }
}

/* What is before the END line, and the text behind that line. */
static bool find_end(struct pem_word *text, const struct pem_block *b, struct pem_word *ret_body)
{
        static const char end[] = "\n-----END ";
        const char *at = text->s;
        size_t n = strlen(end);

        if (b->n_headers == 0 && begins(*text, end + 1))
                n--; /* an empty block */
        else
                at = memmem(text->s, text->len, end, n);
        if (!at)
                return false;
        struct pem_word body = {text->s, (size_t)(at - text->s)};
        struct pem_word rest = skip(*text, body.len + n);
        struct pem_word line = take_line(&rest);
        if (line.len != b->label.len + 5 || memcmp(line.s, b->label.s, b->label.len) != 0 ||
                memcmp(line.s + b->label.len, "-----", 5) != 0)
                return false;
        *ret_body = body;
        *text = rest;
        return true;
}

/* 1, 0 when it is no base64, -ENOMEM. */
static int decode(struct pem_word body, struct sec **ret)
{
        _cleanup_sec_ struct sec *packed = NULL;
        size_t n = 0;

        int r = sec_new(body.s, body.len, &packed);
        if (r < 0)
                return r;
        char *p = sec_buf(packed);
        for (size_t i = 0; i < body.len; i++)
                if (p[i] != ' ' && p[i] != '\t')
                        p[n++] = p[i];
        r = base64_decode(p, n, ret, NULL);
        return r == -EINVAL ? 0 : r < 0 ? r : 1;
}

/* What looked like a block and is none is searched for others from behind its first line. */
static int next_block(struct pem_word *text, struct pem_block *ret)
{
        while (find_begin(text)) {
                struct pem_word line = take_line(text), body;
                struct pem_block b = {.label = line};

                if (line.len < 5 || memcmp(line.s + line.len - 5, "-----", 5) != 0)
                        continue;
                b.label.len -= 5;
                if (!read_headers(text, &b) || !find_end(text, &b, &body))
                        continue;
                int r = decode(body, &b.der);
                if (r == 0)
                        continue;
                if (r > 0)
                        *ret = b;
                return r;
        }
        return 0;
}

int pem_read(const char *s, size_t len, struct pem_blocks *ret)
{
        struct pem_word text = {s, len};
        _cleanup_pem_blocks_ struct pem_blocks all = {0};
        struct pem_block b;
        int r;

        while ((r = next_block(&text, &b)) > 0) {
                struct pem_block *list =
                        all.n < PEM_BLOCKS_MAX
                                ? realloc(all.list, (all.n + 1) * sizeof(struct pem_block))
                                : NULL;
                if (!list) {
                        sec_unref(b.der);
                        return all.n < PEM_BLOCKS_MAX ? -ENOMEM : -E2BIG;
                }
                all.list = list;
                all.list[all.n++] = b;
        }
        if (r < 0)
                return r;
        *ret = all;
        all = (struct pem_blocks){0};
        return 0;
}

void pem_blocks_done(struct pem_blocks *b)
{
        for (size_t i = 0; i < b->n; i++)
                sec_unref(b->list[i].der);
        free(b->list);
        *b = (struct pem_blocks){0};
}

bool pem_block_is(const struct pem_block *b, const char *label)
{
        return b->label.len == strlen(label) && memcmp(b->label.s, label, b->label.len) == 0;
}
