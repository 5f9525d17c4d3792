/* A PFX (PKCS#12, RFC 7292) of a key and its chain, in the form that Key Vault itself hands out.
 *
 * Triple DES and SHA-1 with an empty password: what Windows, Java, .NET, Go and this project read
 * alike. It protects nothing, and is not meant to: the file's mode does. So its salts are made of
 * the content, and the same key and certificates give the same bytes each time. Else every poll
 * would look like a rotation. Pure, any thread.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "base/sec.h"

/* key NULL: certificates alone. certs[0] belongs to the key and gets its local key id. -EBADMSG
 * when OpenSSL refuses, -ENOMEM. */
int pkcs12_write(EVP_PKEY *key, X509 *const *certs, size_t n, struct sec **ret, struct err *e);
