/* PEM (RFC 7468), as Go writes it: 64 columns, LF, no headers, one LF behind each END line. */
#pragma once

#include "base/util.h"

/* Bytes that pem_put() writes for a block of len bytes. len is at most SEC_MAX. */
size_t pem_size(const char *label, size_t len);
/* Writes exactly pem_size() bytes and no NUL; returns the end. */
char *pem_put(char *out, const char *label, const void *der, size_t len);
