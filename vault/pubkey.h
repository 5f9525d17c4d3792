/* Public keys of JSON Web Keys as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
#pragma once

#include "base/err.h"
#include "base/sec.h"

/* kty RSA or EC and their -HSM forms; crv P-256, P-384, P-521, P-256K or its old name SECP256K1.
 * -EOPNOTSUPP for other types and curves, -EBADMSG for numbers that make no key, such as a point
 * that is not on its curve. RSA carries NULL parameters (RFC 3279 section 2.3.1), EC its named
 * curve and an uncompressed point (RFC 5480). */
int pubkey_encode(const char *kty, const char *crv, const struct sec *n, const struct sec *e,
        const struct sec *x, const struct sec *y, struct sec **ret, struct err *reason);
