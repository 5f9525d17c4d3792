#include "support/signer.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>
#include <string.h>

EVP_PKEY *test_key_rsa(unsigned bits)
{
        EVP_PKEY *key = EVP_RSA_gen(bits);

        cr_assert_not_null(key);
        return key;
}

EVP_PKEY *test_key_ec(void)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");

        cr_assert_not_null(key);
        return key;
}

X509 *test_certificate(EVP_PKEY *key, const char *name)
{
        X509 *x = X509_new();

        cr_assert_not_null(x);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
        X509_gmtime_adj(X509_getm_notBefore(x), -60);
        X509_gmtime_adj(X509_getm_notAfter(x), 86400);
        X509_set_pubkey(x, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                (const unsigned char *)name, -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(x));
        cr_assert_gt(X509_sign(x, key, EVP_sha256()), 0);
        return x;
}

char *test_bio_text(BIO *bio)
{
        char *data = NULL;
        size_t len = (size_t)BIO_get_mem_data(bio, &data);
        char *text = calloc(1, len + 1);

        cr_assert_not_null(text);
        memcpy(text, data, len);
        BIO_free(bio);
        return text;
}

char *test_pem_key(EVP_PKEY *key, const char *password)
{
        BIO *bio = BIO_new(BIO_s_mem());
        const EVP_CIPHER *cipher = password ? EVP_aes_256_cbc() : NULL;

        cr_assert_eq(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, password,
                             password ? (int)strlen(password) : 0, NULL, NULL),
                1);
        return test_bio_text(bio);
}

char *test_pem_certificate(X509 *certificate)
{
        BIO *bio = BIO_new(BIO_s_mem());

        cr_assert_eq(PEM_write_bio_X509(bio, certificate), 1);
        return test_bio_text(bio);
}

unsigned char *test_pfx(
        EVP_PKEY *key, X509 *certificate, X509 *other, const char *password, size_t *ret_len)
{
        STACK_OF(X509) *others = sk_X509_new_null();
        unsigned char *der = NULL;

        if (other)
                sk_X509_push(others, other);
        PKCS12 *p12 = PKCS12_create(password, "name", key, certificate, others, 0, 0, 0, 0, 0);
        cr_assert_not_null(p12);
        int len = i2d_PKCS12(p12, &der);
        cr_assert_gt(len, 0);
        unsigned char *copy = malloc((size_t)len);
        memcpy(copy, der, (size_t)len);
        OPENSSL_free(der);
        PKCS12_free(p12);
        sk_X509_free(others);
        *ret_len = (size_t)len;
        return copy;
}
