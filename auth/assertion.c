/* Signed assertions: RFC 7523 section 3, in the forms that Entra and AD FS take.
 * https://learn.microsoft.com/entra/identity-platform/certificate-credentials has the members. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <stdio.h>

#include "auth/jwt.h"
#include "base/json.h"
#include "base/wipe.h"

#define LIFETIME 600
#define CHAIN_MAX 10 /* certificates sent in x5c, and read from a file */
/* Keys below are refused by Entra, and above take seconds to sign with. */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct jwt_signer {
        EVP_PKEY *key;
        X509 *certificate;
        STACK_OF(X509) * others;
};

void jwt_signer_free(struct jwt_signer *s)
{
        if (!s)
                return;
        EVP_PKEY_free(s->key);
        X509_free(s->certificate);
        sk_X509_pop_free(s->others, X509_free);
        free(s);
}

static void bio_freep(BIO **b)
{
        BIO_free(*b);
}

/* Without a password OpenSSL would ask on a terminal. */
static int give_password(char *out, int size, int writing, void *userdata)
{
        const char *password = userdata;
        size_t len = password ? strlen(password) : 0;

        if (len == 0 || len > (size_t)size)
                return -1;
        memcpy(out, password, len);
        return (int)len;
}

static int read_pem(
        struct jwt_signer *s, const void *data, size_t len, const char *password, const char **why)
{
        _cleanup_(bio_freep) BIO *keys = BIO_new_mem_buf(data, (int)len);
        _cleanup_(bio_freep) BIO *certificates = BIO_new_mem_buf(data, (int)len);
        X509 *x;

        if (!keys || !certificates)
                return -ENOMEM;
        s->key = PEM_read_bio_PrivateKey(keys, NULL, give_password, (void *)(uintptr_t)password);
        if (!s->key) {
                *why = "it has no private key that can be read (encrypted, with another password?)";
                return -EINVAL;
        }
        while (sk_X509_num(s->others) < CHAIN_MAX &&
                (x = PEM_read_bio_X509(certificates, NULL, give_password, NULL)))
                if (!sk_X509_push(s->others, x)) {
                        X509_free(x);
                        return -ENOMEM;
                }
        return 0;
}

static int read_pfx(struct jwt_signer *s, const unsigned char *data, size_t len,
        const char *password, const char **why)
{
        PKCS12 *p12 = d2i_PKCS12(NULL, &data, (long)len);
        STACK_OF(X509) *others = NULL;
        X509 *x = NULL;

        if (!p12) {
                *why = "it is neither PEM nor PKCS#12";
                return -EINVAL;
        }
        int good = PKCS12_parse(p12, password ? password : "", &s->key, &x, &others);
        PKCS12_free(p12);
        if (!good) {
                *why = "the PKCS#12 file cannot be opened (wrong password, or a cipher of long ago)";
                return -EINVAL;
        }
        sk_X509_free(s->others);
        s->others = others ? others : sk_X509_new_null();
        if (x && (!s->others || !sk_X509_push(s->others, x))) {
                X509_free(x);
                return -ENOMEM;
        }
        return 0;
}

/* The certificate is the one with the key's public half, wherever it stands. */
static int pick_certificate(struct jwt_signer *s, const char **why)
{
        if (!s->key || EVP_PKEY_get_base_id(s->key) != EVP_PKEY_RSA) {
                *why = "its private key is not RSA, which Entra wants of client certificates";
                return -EINVAL;
        }
        int bits = EVP_PKEY_get_bits(s->key);
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
                *why = "its RSA key is shorter than 2048 or longer than 8192 bits";
                return -EINVAL;
        }
        for (int i = 0; i < sk_X509_num(s->others); i++)
                if (X509_check_private_key(sk_X509_value(s->others, i), s->key) == 1) {
                        s->certificate = sk_X509_delete(s->others, i);
                        return 0;
                }
        *why = sk_X509_num(s->others) > 0 ? "none of its certificates is that of its private key"
                                          : "it has a private key and no certificate";
        return -EINVAL;
}

int jwt_signer_new(const void *data, size_t len, const char *password, struct jwt_signer **ret,
        const char **ret_why)
{
        _cleanup_(jwt_signer_freep) struct jwt_signer *s = calloc(1, sizeof *s);
        if (!s || !(s->others = sk_X509_new_null()))
                return -ENOMEM;

        int r = memmem(data, len, "-----BEGIN ", 11) ? read_pem(s, data, len, password, ret_why)
                                                     : read_pfx(s, data, len, password, ret_why);
        if (r == 0)
                r = pick_certificate(s, ret_why);
        ERR_clear_error();
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

/* --- signing --- */

static bool add_x5c(cJSON *header, const X509 *x)
{
        unsigned char *der = NULL;
        cJSON *list = cJSON_GetObjectItem(header, "x5c");

        if (!list)
                list = cJSON_AddArrayToObject(header, "x5c");
        int len = i2d_X509(x, &der);
        _cleanup_free_ char *text = len > 0 ? malloc((size_t)len / 3 * 4 + 8) : NULL;
        bool good = list && text;
        if (good) {
                EVP_EncodeBlock((unsigned char *)text, der, len);
                good = cJSON_AddItemToArray(list, cJSON_CreateString(text));
        }
        OPENSSL_free(der);
        return good;
}

static cJSON *make_header(const struct jwt_signer *s, const struct jwt_request *q)
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!X509_digest(s->certificate, q->adfs ? EVP_sha1() : EVP_sha256(), digest, &len))
                return NULL;
        _cleanup_free_ char *x5t = jwt_base64url(digest, len);
        if (!x5t || !cJSON_AddStringToObject(j, "alg", q->adfs ? "RS256" : "PS256") ||
                !cJSON_AddStringToObject(j, "typ", "JWT") ||
                !cJSON_AddStringToObject(j, q->adfs ? "x5t" : "x5t#S256", x5t))
                return NULL;
        if (q->chain) {
                if (!add_x5c(j, s->certificate))
                        return NULL;
                for (int i = 0; i < sk_X509_num(s->others); i++)
                        if (!add_x5c(j, sk_X509_value(s->others, i)))
                                return NULL;
        }
        return TAKE_PTR(j);
}

/* A version 4 UUID: each assertion is taken once. */
static int make_id(char out[static 37])
{
        unsigned char b[16];
        char hex[33];

        int r = random_bytes(b, sizeof b);
        if (r < 0)
                return r;
        b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
        b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
        hex_encode(b, sizeof b, hex);
        (void)snprintf(
                out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
        return 0;
}

static cJSON *make_claims(const struct jwt_request *q)
{
        char id[37];
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (make_id(id) < 0 || !cJSON_AddStringToObject(j, "aud", q->audience) ||
                !cJSON_AddNumberToObject(j, "exp", (double)(q->now + LIFETIME)) ||
                !cJSON_AddStringToObject(j, "iss", q->client_id) ||
                !cJSON_AddStringToObject(j, "jti", id) ||
                !cJSON_AddNumberToObject(j, "nbf", (double)q->now) ||
                !cJSON_AddNumberToObject(j, "iat", (double)q->now) ||
                !cJSON_AddStringToObject(j, "sub", q->client_id))
                return NULL;
        return TAKE_PTR(j);
}

static char *encode(const cJSON *j)
{
        _cleanup_secret_ char *text = j ? cJSON_PrintUnformatted(j) : NULL;

        return text ? jwt_base64url(text, strlen(text)) : NULL;
}

static char *signature(const struct jwt_signer *s, const char *text, size_t text_len, bool adfs)
{
        unsigned char raw[RSA_BITS_MAX / 8];
        size_t len = sizeof raw;
        EVP_PKEY_CTX *key = NULL; /* the digest context's own */
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        bool good = ctx && EVP_DigestSignInit(ctx, &key, EVP_sha256(), NULL, s->key) == 1;
        if (good && !adfs)
                good = EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
                       EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) == 1;
        good = good && EVP_DigestSign(ctx, raw, &len, (const unsigned char *)text, text_len) == 1;
        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        char *out = good ? jwt_base64url(raw, len) : NULL;
        explicit_bzero(raw, sizeof raw);
        return out;
}

int jwt_sign(const struct jwt_signer *s, const struct jwt_request *q, char **ret)
{
        _cleanup_json_ cJSON *header = make_header(s, q), *claims = make_claims(q);
        _cleanup_free_ char *head = encode(header), *body = encode(claims), *text = NULL;

        if (!head || !body || xasprintf(&text, "%s.%s.", head, body) < 0)
                return -ENOMEM;
        _cleanup_secret_ char *end = signature(s, text, strlen(text) - 1, q->adfs);
        char *jwt = end ? wipe_join(text, end, strlen(end)) : NULL;
        if (!jwt)
                return -ENOMEM;
        *ret = jwt;
        return 0;
}
