/* The order of a certificate's chain: leaf first, root last.
 *
 * By key identifiers alone, as the Azure provider does (reference section 2.4); nothing is
 * verified. The parent of a certificate is the first other one whose SubjectKeyIdentifier equals
 * its AuthorityKeyIdentifier; the leaf is the first that is nobody's parent.
 */
#pragma once

#include <openssl/x509.h>

#include "base/err.h"

#define CHAIN_MAX ((size_t)64)

/* Fills order[0..n) with indices into certs. A chain that does not reach every certificate is left
 * in the order given, and *ret_incomplete is true. -EBADMSG: no leaf, or a cycle; -E2BIG above
 * CHAIN_MAX. */
int chain_order(X509 *const *certs, size_t n, size_t *order, bool *ret_incomplete, struct err *e);
