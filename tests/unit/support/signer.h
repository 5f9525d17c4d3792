/* Keys and self-signed certificates for tests of signing, made at run time. */
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>

/* All that was written to it, which is freed. Caller frees. */
char *test_bio_text(BIO *bio);
EVP_PKEY *test_key_rsa(unsigned bits);
EVP_PKEY *test_key_ec(void);
X509 *test_certificate(EVP_PKEY *key, const char *name);
/* PEM; password NULL: not encrypted. Caller frees. */
char *test_pem_key(EVP_PKEY *key, const char *password);
char *test_pem_certificate(X509 *certificate);
/* PKCS#12 with the certificate, and `other` (or NULL) as its chain. Caller frees. */
unsigned char *test_pfx(
        EVP_PKEY *key, X509 *certificate, X509 *other, const char *password, size_t *ret_len);
