/* Keys, encodings and digests: what the emulator needs of OpenSSL besides certificates. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/util.h"

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509 *, X509_free)
#define _cleanup_pkey_ _cleanup_(EVP_PKEY_freep)
#define _cleanup_x509_ _cleanup_(X509_freep)

/* Standard base64 with padding, and base64url without. NULL when memory is short. */
char *base64_encode(const void *data, size_t len);
char *base64url_encode(const void *data, size_t len);
/* Either alphabet, padded or not, white space ignored. -EINVAL or -ENOMEM. NUL-terminated. */
int base64_decode(const char *text, unsigned char **ret, size_t *ret_len);

/* A new key. kty "RSA" with bits 2048, 3072 or 4096 (0: 2048), or "EC" with crv "P-256", "P-384",
 * "P-521", "P-256K" (NULL: P-256). -EINVAL for anything else, -EIO when OpenSSL fails. */
int key_generate(const char *kty, int bits, const char *crv, EVP_PKEY **ret);

/* The public half as a JSON Web Key has it: base64url text, members that do not apply are NULL. */
struct jwk {
        char *kty; /* "RSA", "EC", "RSA-HSM", ... as the service answers it */
        char *crv;
        char *n, *e;
        char *x, *y;
};
int jwk_from_key(EVP_PKEY *key, struct jwk *ret);
int jwk_copy(const struct jwk *from, struct jwk *ret);
void jwk_done(struct jwk *k);

/* A PEM private or public key, unencrypted. -EINVAL when there is none. */
int key_from_pem(const char *text, size_t len, EVP_PKEY **ret);
/* PKCS#8, as a vault writes it in front of the certificate. */
int key_to_pem(EVP_PKEY *key, char **ret);

/* Lower-case GUID with dashes, random (version 4). */
#define GUID_LEN 36
void guid_make(char out[static GUID_LEN + 1]);
/* 32 hex digits, as versions are named. */
void version_make(char out[static 33]);
