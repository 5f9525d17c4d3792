/* Making certificates: the emulator's own CA and server certificate, and what a vault issues. */
#pragma once

#include "base/err.h"
#include "tests/emulator/crypto.h"

struct x509_spec {
        const char *subject; /* "CN=name, O=firm": RFC 1779 style, as a vault's policy has it */
        EVP_PKEY *key;       /* the subject's */
        X509 *issuer;        /* NULL: self-signed */
        EVP_PKEY *issuer_key;
        int64_t not_before, not_after; /* seconds since the epoch */
        bool ca;
        const char *key_usage; /* "digitalSignature,keyEncipherment", or NULL */
        const char *ekus;      /* "1.3.6.1.5.5.7.3.1,...", or NULL */
        const char *const *dns, *const *emails, *const *ips; /* NULL-terminated, or NULL */
};

/* -EINVAL with the reason in e for a subject, usage or name that is none. */
int x509_make(const struct x509_spec *spec, X509 **ret, struct err *e);

/* A PKCS#10 request for the same subject and key. */
int x509_request(const char *subject, EVP_PKEY *key, char **ret_base64, struct err *e);

int x509_to_pem(X509 *cert, char **ret);
int x509_to_der(X509 *cert, unsigned char **ret, size_t *ret_len);

/* Seconds since the epoch. */
int64_t x509_time(const ASN1_TIME *t);
