/* Throw-away keys, certificates and PFX files, made afresh for each test. */
#pragma once

#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/util.h"

/* A key by OpenSSL's names: "RSA", "ED25519", "P-256", "secp256k1", ... */
EVP_PKEY *pki_key(const char *type);

#define PKI_NO_SKI 1u
#define PKI_NO_AKI 2u
#define PKI_CA 4u /* may sign others, which `openssl verify` asks for */
/* issuer NULL: self-signed. */
X509 *pki_cert(EVP_PKEY *key, const char *name, EVP_PKEY *issuer_key, X509 *issuer, unsigned flags);

/* A leaf for each of n keys, all signed by one intermediate. Numbers of certificates, and of keys
 * up to the root's, are those of this order: the leaves, n the intermediate, n + 1 the root, n + 2
 * the root once more without the id of its signer's key. What is behind these is the caller's own.
 */
void pki_family(const char *const *types, size_t n, EVP_PKEY **keys, X509 **certs);
void pki_free(EVP_PKEY **keys, size_t n_keys, X509 **certs, size_t n_certs);

#define PKI_KEY_BAG 1u       /* the key is not encrypted */
#define PKI_PLAIN_CERTS 2u   /* nor are the certificates */
#define PKI_NULL_PASSWORD 4u /* zero bytes rather than two, in MAC and keys alike */
#define PKI_NO_MAC 8u
#define PKI_NESTED 16u       /* the certificates in a bag of bags */
#define PKI_PRIVATE_ONLY 32u /* EC keys without their public half */

struct pki_pfx {
        EVP_PKEY *const *keys;
        size_t n_keys;
        X509 *const *certs;
        size_t n_certs;
        int key_nid, cert_nid;          /* 0: Triple DES; else a PBE or a cipher for PBES2 */
        const char *mac;                /* NULL: SHA1 */
        int iterations, mac_iterations; /* 0: 2000 */
        const char *password;           /* NULL: the empty one */
        unsigned flags;
};
/* Caller frees. */
unsigned char *pki_pfx(const struct pki_pfx *p, size_t *ret_len);

/* What OpenSSL's own PEM writer makes of keys (as PKCS#8) and certificates in that order. */
char *pki_pem(EVP_PKEY *const *keys, size_t n_keys, X509 *const *certs, const size_t *order,
        size_t n_certs);
