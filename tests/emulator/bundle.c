#include "tests/emulator/bundle.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "base/wipe.h"
#include "tests/emulator/x509.h"

#define CHAIN_MAX 16
#define ITERATIONS 2000 /* of key and MAC, as the service has had it since 2020 */

void bundle_done(struct bundle *b)
{
        EVP_PKEY_free(b->key);
        X509_free(b->cert);
        sk_X509_pop_free(b->chain, X509_free);
        *b = (struct bundle){0};
}

static int check(struct bundle *b, struct err *e)
{
        ERR_clear_error();
        if (!b->key)
                return err_set(e, -EINVAL, "there is no private key without a pass phrase in it");
        if (!b->cert)
                return err_set(e, -EINVAL, "there is no certificate in it");
        if (X509_check_private_key(b->cert, b->key) != 1) {
                ERR_clear_error();
                return err_set(e, -EINVAL, "the private key is not that of the certificate");
        }
        return 0;
}

static int parse_pem(const char *text, size_t len, struct bundle *b)
{
        BIO *bio = BIO_new_mem_buf(text, (int)len);
        char none[1] = "";

        if (!bio)
                return -ENOMEM;
        b->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, none);
        (void)BIO_reset(bio);
        b->chain = sk_X509_new_null();
        X509 *cert;
        while (b->chain && sk_X509_num(b->chain) < CHAIN_MAX &&
                (cert = PEM_read_bio_X509(bio, NULL, NULL, none))) {
                /* The leaf may stand anywhere: it is the one that the key belongs to. */
                if (!b->cert && b->key && X509_check_private_key(cert, b->key) == 1)
                        b->cert = cert;
                else if (!sk_X509_push(b->chain, cert))
                        X509_free(cert);
        }
        BIO_free(bio);
        return b->chain ? 0 : -ENOMEM;
}

static int parse_pkcs12(
        const unsigned char *der, size_t len, const char *password, struct bundle *b)
{
        const unsigned char *p = der;

        PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)len);
        if (!p12)
                return 0; /* the check that follows says what is missing */
        (void)PKCS12_parse(p12, password ? password : "", &b->key, &b->cert, &b->chain);
        PKCS12_free(p12);
        return 0;
}

int bundle_parse_bytes(
        const void *data, size_t len, const char *password, struct bundle *ret, struct err *e)
{
        _cleanup_(bundle_done) struct bundle b = {0};

        if (len > INT_MAX)
                return -EINVAL;
        bool pem = memmem(data, len, "-----BEGIN ", 11);
        int r = pem ? parse_pem(data, len, &b) : parse_pkcs12(data, len, password, &b);
        if (r == 0)
                r = check(&b, e);
        if (r < 0)
                return r;
        *ret = b;
        b = (struct bundle){0};
        return 0;
}

int bundle_parse(const char *value, const char *password, struct bundle *ret, struct err *e)
{
        _cleanup_secret_ unsigned char *der = NULL;
        size_t len = 0;

        if (strstr(value, "-----BEGIN "))
                return bundle_parse_bytes(value, strlen(value), password, ret, e);
        if (base64_decode(value, &der, &len) < 0)
                return err_set(e, -EINVAL, "it is neither PEM nor base64");
        return bundle_parse_bytes(der, len, password, ret, e);
}

/* --- secrets --- */

static int secret_pem(const struct bundle *b, bool exportable, char **ret)
{
        _cleanup_secret_ char *key = NULL, *text = NULL;
        _cleanup_free_ char *cert = NULL;

        int r = exportable ? key_to_pem(b->key, &key) : 0;
        if (r == 0)
                r = x509_to_pem(b->cert, &cert);
        if (r == 0)
                r = xasprintf(&text, "%s%s", key ? key : "", cert);
        for (int i = 0; r == 0 && i < sk_X509_num(b->chain); i++) {
                _cleanup_free_ char *more = NULL;
                char *longer = NULL;
                r = x509_to_pem(sk_X509_value(b->chain, i), &more);
                if (r == 0)
                        r = xasprintf(&longer, "%s%s", text, more);
                if (r == 0) {
                        erase_and_free(text);
                        text = longer;
                }
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        return 0;
}

static int secret_pkcs12(const struct bundle *b, bool exportable, char **ret, struct err *e)
{
        unsigned char *der = NULL;
        int len = -1;

        PKCS12 *p12 = PKCS12_create("", NULL, exportable ? b->key : NULL, b->cert, b->chain,
                NID_pbe_WithSHA1And3_Key_TripleDES_CBC, NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
                ITERATIONS, -1 /* no MAC yet: the one made here would not be SHA-1 */, 0);
        if (p12 && PKCS12_set_mac(p12, "", 0, NULL, 0, ITERATIONS, EVP_sha1()))
                len = i2d_PKCS12(p12, &der);
        PKCS12_free(p12);
        if (len < 0) {
                ERR_clear_error();
                return err_set(e, -EIO, "OpenSSL could not write PKCS#12");
        }
        *ret = base64_encode(der, (size_t)len);
        OPENSSL_clear_free(der, (size_t)len);
        return *ret ? 0 : -ENOMEM;
}

int bundle_secret(const struct bundle *b, const char *content_type, bool exportable, char **ret,
        struct err *e)
{
        if (streq(content_type, CONTENT_PEM))
                return secret_pem(b, exportable, ret);
        if (streq(content_type, CONTENT_PKCS12))
                return secret_pkcs12(b, exportable, ret, e);
        return err_set(e, -EINVAL,
                "The content type is neither " CONTENT_PKCS12 " nor " CONTENT_PEM ": %s",
                content_type);
}
