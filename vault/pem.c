#include "vault/pem.h"

#define COLUMNS 64
#define COLUMN_BYTES (COLUMNS / 4 * 3)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t pem_size(const char *label, size_t len)
{
        size_t lines = (len + COLUMN_BYTES - 1) / COLUMN_BYTES;

        return strlen("-----BEGIN -----\n-----END -----\n") + 2 * strlen(label) +
               (len + 2) / 3 * 4 + lines;
}

static char *put_string(char *out, const char *s)
{
        size_t n = strlen(s);

        memcpy(out, s, n);
        return out + n;
}

static char *put_border(char *out, const char *which, const char *label)
{
        out = put_string(out, which);
        out = put_string(out, label);
        return put_string(out, "-----\n");
}

char *pem_put(char *out, const char *label, const void *der, size_t len)
{
        const unsigned char *p = der;

        out = put_border(out, "-----BEGIN ", label);
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
        return put_border(out, "-----END ", label);
}
