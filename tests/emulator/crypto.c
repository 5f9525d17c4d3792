#include "tests/emulator/crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/wipe.h"

static char *encode(const void *data, size_t len, const char *alphabet, bool pad)
{
        const unsigned char *p = data;
        char *text = malloc((len + 2) / 3 * 4 + 1);

        if (!text)
                return NULL;
        char *t = text;
        for (size_t i = 0; i < len; i += 3) {
                unsigned long v = (unsigned long)p[i] << 16;
                size_t have = MIN(len - i, (size_t)3);
                if (have > 1)
                        v |= (unsigned long)p[i + 1] << 8;
                if (have > 2)
                        v |= p[i + 2];
                for (size_t k = 0; k <= have; k++)
                        *t++ = alphabet[v >> (18 - 6 * k) & 63];
                for (size_t k = have; pad && k < 3; k++)
                        *t++ = '=';
        }
        *t = '\0';
        return text;
}

char *base64_encode(const void *data, size_t len)
{
        return encode(data, len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                true);
}

char *base64url_encode(const void *data, size_t len)
{
        return encode(data, len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                false);
}

static int digit(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+' || c == '-')
                return 62;
        return c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(const char *text, unsigned char **ret, size_t *ret_len)
{
        _cleanup_secret_ unsigned char *data = malloc(strlen(text) / 4 * 3 + 4);
        size_t len = 0, digits = 0;
        unsigned long v = 0;

        if (!data)
                return -ENOMEM;
        for (; *text; text++) {
                if (strchr(" \t\r\n", *text))
                        continue;
                if (*text == '=')
                        break;
                int d = digit(*text);
                if (d < 0)
                        return -EINVAL;
                v = v << 6 | (unsigned long)d;
                if (++digits % 4 == 0) {
                        data[len++] = (unsigned char)(v >> 16);
                        data[len++] = (unsigned char)(v >> 8);
                        data[len++] = (unsigned char)v;
                        v = 0;
                }
        }
        for (; *text; text++)
                if (!strchr("= \t\r\n", *text))
                        return -EINVAL;
        if (digits % 4 == 1)
                return -EINVAL;
        if (digits % 4 >= 2)
                data[len++] = (unsigned char)(v >> (digits % 4 == 2 ? 4 : 10));
        if (digits % 4 == 3)
                data[len++] = (unsigned char)(v >> 2);
        data[len] = '\0';
        *ret = TAKE_PTR(data);
        *ret_len = len;
        return 0;
}

/* --- keys --- */

static const struct {
        const char *crv, *group;
        size_t bytes;
} curves[] = {
        {"P-256", "prime256v1", 32},
        {"P-384", "secp384r1", 48},
        {"P-521", "secp521r1", 66},
        {"P-256K", "secp256k1", 32},
};

int key_generate(const char *kty, int bits, const char *crv, EVP_PKEY **ret)
{
        EVP_PKEY *key = NULL;

        if (streq(kty, "RSA")) {
                if (bits == 0)
                        bits = 2048;
                if (bits != 2048 && bits != 3072 && bits != 4096)
                        return -EINVAL;
                key = EVP_RSA_gen((unsigned)bits);
        } else if (streq(kty, "EC")) {
                const char *group = NULL;
                for (size_t i = 0; i < ELEMENTSOF(curves); i++)
                        if (streq(curves[i].crv, crv ? crv : "P-256"))
                                group = curves[i].group;
                if (!group)
                        return -EINVAL;
                key = EVP_EC_gen(group);
        } else
                return -EINVAL;
        if (!key)
                return -EIO;
        *ret = key;
        return 0;
}

/* A big number as base64url: minimal, or padded on the left to `bytes`. */
static char *number(EVP_PKEY *key, const char *param, size_t bytes)
{
        BIGNUM *bn = NULL;

        if (!EVP_PKEY_get_bn_param(key, param, &bn))
                return NULL;
        size_t len = MAX((size_t)BN_num_bytes(bn), bytes);
        _cleanup_free_ unsigned char *buf = calloc(1, MAX(len, (size_t)1));
        char *text = NULL;
        if (buf && BN_bn2binpad(bn, buf, (int)len) >= 0)
                text = base64url_encode(buf, len);
        BN_free(bn);
        return text;
}

int jwk_from_key(EVP_PKEY *key, struct jwk *ret)
{
        struct jwk k = {0};

        if (EVP_PKEY_is_a(key, "RSA")) {
                k.kty = strdup("RSA");
                k.n = number(key, OSSL_PKEY_PARAM_RSA_N, 0);
                k.e = number(key, OSSL_PKEY_PARAM_RSA_E, 0);
                if (!k.kty || !k.n || !k.e)
                        goto fail;
        } else if (EVP_PKEY_is_a(key, "EC")) {
                char group[64];
                size_t bytes = 0;

                if (!EVP_PKEY_get_group_name(key, group, sizeof group, NULL))
                        goto fail;
                for (size_t i = 0; i < ELEMENTSOF(curves); i++)
                        if (streq(curves[i].group, group)) {
                                k.crv = strdup(curves[i].crv);
                                bytes = curves[i].bytes;
                        }
                if (!k.crv) {
                        jwk_done(&k);
                        return -EOPNOTSUPP;
                }
                k.kty = strdup("EC");
                k.x = number(key, OSSL_PKEY_PARAM_EC_PUB_X, bytes);
                k.y = number(key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes);
                if (!k.kty || !k.x || !k.y)
                        goto fail;
        } else
                return -EOPNOTSUPP;
        *ret = k;
        return 0;
fail:
        jwk_done(&k);
        return -ENOMEM;
}

static bool copy_string(const char *from, char **to)
{
        *to = from ? strdup(from) : NULL;
        return !from || *to;
}

int jwk_copy(const struct jwk *from, struct jwk *ret)
{
        struct jwk k = {0};

        if (!copy_string(from->kty, &k.kty) || !copy_string(from->crv, &k.crv) ||
                !copy_string(from->n, &k.n) || !copy_string(from->e, &k.e) ||
                !copy_string(from->x, &k.x) || !copy_string(from->y, &k.y)) {
                jwk_done(&k);
                return -ENOMEM;
        }
        *ret = k;
        return 0;
}

void jwk_done(struct jwk *k)
{
        free(k->kty);
        free(k->crv);
        free(k->n);
        free(k->e);
        free(k->x);
        free(k->y);
        *k = (struct jwk){0};
}

int key_from_pem(const char *text, size_t len, EVP_PKEY **ret)
{
        EVP_PKEY *key = NULL;

        if (len > INT_MAX)
                return -EINVAL;
        BIO *bio = BIO_new_mem_buf(text, (int)len);
        if (!bio)
                return -ENOMEM;
        /* An empty pass phrase: never ask the terminal. */
        char none[1] = "";
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, none);
        if (!key) {
                (void)BIO_reset(bio);
                key = PEM_read_bio_PUBKEY(bio, NULL, NULL, none);
        }
        BIO_free(bio);
        ERR_clear_error();
        if (!key)
                return -EINVAL;
        *ret = key;
        return 0;
}

int key_to_pem(EVP_PKEY *key, char **ret)
{
        char *text = NULL, *data = NULL;

        BIO *bio = BIO_new(BIO_s_mem());
        if (!bio)
                return -ENOMEM;
        if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
                long len = BIO_get_mem_data(bio, &data);
                text = strndup(data, (size_t)len);
                explicit_bzero(data, (size_t)len);
        }
        BIO_free(bio);
        if (!text)
                return -EIO;
        *ret = text;
        return 0;
}

/* --- names --- */

void version_make(char out[static 33])
{
        unsigned char bytes[16] = {0};

        (void)random_bytes(bytes, sizeof bytes); /* getrandom of 16 bytes does not fail */
        hex_encode(bytes, sizeof bytes, out);
}

void guid_make(char out[static GUID_LEN + 1])
{
        char hex[33];

        version_make(hex);
        hex[12] = '4';
        hex[16] = "89ab"[hex[16] & 3];
        snprintf(out, GUID_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                hex + 20);
}
