/* A certificate with its key and chain, and the two forms a vault gives it as a secret. */
#pragma once

#include "base/err.h"
#include "tests/emulator/crypto.h"

#define CONTENT_PKCS12 "application/x-pkcs12"
#define CONTENT_PEM "application/x-pem-file"

struct bundle {
        EVP_PKEY *key;
        X509 *cert;
        STACK_OF(X509) * chain; /* without cert; NULL when there is none */
};

/* PEM text, or PKCS#12 in base64. password may be NULL. -EINVAL with the reason in e. */
int bundle_parse(const char *value, const char *password, struct bundle *ret, struct err *e);
/* The same from a file's bytes: PEM, or binary PKCS#12. */
int bundle_parse_bytes(
        const void *data, size_t len, const char *password, struct bundle *ret, struct err *e);
/* The secret's value: PEM with the PKCS#8 key first, or PKCS#12 without a password in base64. The
 * key is left out when it is not exportable. */
int bundle_secret(const struct bundle *b, const char *content_type, bool exportable, char **ret,
        struct err *e);
void bundle_done(struct bundle *b);
