/* A PFX (PKCS#12, RFC 7292) to PEM: the private keys as PKCS#8, then the chain from leaf to root.
 *
 * Takes what Key Vault hands out, and more than the Azure provider does: an empty password in both
 * of its encodings, any MAC digest or none, RC2-40 and Triple DES with SHA-1 as well as PBES2 with
 * PBKDF2, keys that are not encrypted. Old ciphers come from OpenSSL's legacy provider, loaded only
 * when one is met, into a library context of its own; the process's other users of OpenSSL never
 * see it. Bag attributes are dropped. Pure, any thread.
 */
#pragma once

#include "base/err.h"
#include "base/sec.h"

/* Iterations of one key derivation, as upstream. A whole file may ask for four times as many. */
#define PKCS12_ITERATIONS_MAX ((uint64_t)1 << 20)
#define PKCS12_SIZE_MAX ((size_t)1 << 20)
#define PKCS12_KEYS_MAX 16

struct pkcs12_limits {
        uint64_t iterations, total_iterations;
};
extern const struct pkcs12_limits pkcs12_limits_default;

/* keep_order: certificates stay as the file has them, and there may be none. Else *ret_incomplete
 * says that the chain does not reach every certificate, so that this was done all the same. limits
 * NULL: the defaults. -EBADMSG (not a PFX, wrong password, no leaf, a cycle),
 * -EOPNOTSUPP (an algorithm or key type that is not known here), -E2BIG (beyond a limit), -ENOMEM.
 */
int pkcs12_to_pem(const void *der, size_t len, const struct pkcs12_limits *limits, bool keep_order,
        struct sec **ret, bool *ret_incomplete, struct err *e);
