#include "vault/pubkey.h"

#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

static struct sec *number(EVP_PKEY *key, const char *name)
{
        unsigned char bytes[1024];
        struct sec *s = NULL;
        BIGNUM *bn = NULL;

        cr_assert(EVP_PKEY_get_bn_param(key, name, &bn));
        int n = BN_bn2bin(bn, bytes);
        BN_free(bn);
        cr_assert(sec_new(bytes, (size_t)n, &s) == 0);
        return s;
}

/* A fresh key of OpenSSL's must come out as OpenSSL writes it. */
static void compare(EVP_PKEY *key, const char *kty, const char *crv)
{
        bool rsa = *kty == 'R';
        _cleanup_sec_ struct sec *a =
                number(key, rsa ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_EC_PUB_X);
        _cleanup_sec_ struct sec *b =
                number(key, rsa ? OSSL_PKEY_PARAM_RSA_E : OSSL_PKEY_PARAM_EC_PUB_Y);
        _cleanup_sec_ struct sec *out = NULL;
        _cleanup_err_ struct err e = {0};
        unsigned char *der = NULL;

        int r = pubkey_encode(
                kty, crv, rsa ? a : NULL, rsa ? b : NULL, rsa ? NULL : a, rsa ? NULL : b, &out, &e);
        cr_assert(r == 0, "%s %s: %s", kty, crv, err_text(&e));
        int n = i2d_PUBKEY(key, &der);
        cr_expect(n > 0 && (size_t)n == sec_len(out) && memcmp(der, sec_bytes(out), (size_t)n) == 0,
                "%s %s", kty, crv);
        OPENSSL_free(der);
        EVP_PKEY_free(key);
}

Test(pubkey, rsa_of_every_size)
{
        compare(EVP_RSA_gen(1024), "RSA", "");
        compare(EVP_RSA_gen(2048), "RSA-HSM", "");
        compare(EVP_RSA_gen(3072), "RSA", "");
}

Test(pubkey, ec_on_every_curve)
{
        /* Several keys each: now and then a coordinate begins with a zero byte. */
        for (unsigned i = 0; i < 20; i++) {
                compare(EVP_EC_gen("P-256"), "EC", "P-256");
                compare(EVP_EC_gen("P-384"), "EC-HSM", "P-384");
                compare(EVP_EC_gen("P-521"), "EC", "P-521");
                compare(EVP_EC_gen("secp256k1"), "EC", "P-256K");
                compare(EVP_EC_gen("secp256k1"), "EC-HSM", "SECP256K1");
        }
}

static void expect_error(
        const char *kty, const char *crv, const char *x, const char *y, int want, const char *text)
{
        _cleanup_sec_ struct sec *a = NULL, *b = NULL;
        _cleanup_err_ struct err e = {0};
        struct sec *out = NULL;

        if (x)
                cr_assert(sec_new(x, strlen(x), &a) == 0);
        if (y)
                cr_assert(sec_new(y, strlen(y), &b) == 0);
        int r = *kty == 'R' ? pubkey_encode(kty, crv, a, b, NULL, NULL, &out, &e)
                            : pubkey_encode(kty, crv, NULL, NULL, a, b, &out, &e);
        cr_expect(r == want, "%s %s: %d", kty, crv, r);
        cr_expect(strstr(err_text(&e), text), "%s, not %s", err_text(&e), text);
        cr_expect_null(out);
}

Test(pubkey, says_what_it_cannot_do)
{
        static char big[3000];

        memset(big, 'x', sizeof(big) - 1);
        expect_error("oct", "", NULL, NULL, -EOPNOTSUPP,
                "failed to get key. key type 'oct' currently not supported");
        expect_error("oct-HSM", "", NULL, NULL, -EOPNOTSUPP, "'oct-HSM'");
        expect_error("", "", NULL, NULL, -EOPNOTSUPP, "''");
        expect_error("OKP", "Ed25519", "x", "", -EOPNOTSUPP, "'OKP'");
        expect_error("EC", "P-224", "x", "y", -EOPNOTSUPP, "curve P-224 is not supported");
        expect_error("EC", "", "x", "y", -EOPNOTSUPP, "curve");
        expect_error("EC", "P-256", "x", NULL, -EBADMSG, "no usable x and y");
        expect_error("EC", "P-256", "x", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", -EBADMSG, "usable");
        expect_error("EC", "P-256", "x", "y", -EBADMSG, "make no public key");
        expect_error("EC", "P-521", "", "", -EBADMSG, "make no public key");
        expect_error("RSA", "", NULL, "y", -EBADMSG, "no usable n and e");
        expect_error("RSA", "", "", "y", -EBADMSG, "no usable n and e");
        expect_error("RSA", "", "n", "", -EBADMSG, "no usable n and e");
        expect_error("RSA", "", big, "e", -EBADMSG, "no usable n and e");
        expect_error("RSA", "", "n", big, -EBADMSG, "no usable n and e");
}
