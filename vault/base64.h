/* Base64 and hex into secret memory.
 *
 * Decoders report where they stopped, as Go's do, because that offset is in the messages people
 * know; they never report what they stopped at, because it is a character of a secret.
 */
#pragma once

#include "base/sec.h"

/* RFC 4648 section 4 with padding; CR and LF are skipped anywhere, nothing else is. -EINVAL with
 * the offset that Go reports in *ret_at (optional): the offending character, the start of an
 * unfinished group, or the first sign of a wrong pair of paddings. -ENOMEM, -EFBIG. Bits behind
 * the last byte are not checked. */
int base64_decode(const char *s, size_t len, struct sec **ret, size_t *ret_at);

/* As JSON Web Keys and certificates are sent: section 5 without padding, but the other alphabet and
 * padding are understood too. White space is not. */
int base64_decode_any(const char *s, size_t len, struct sec **ret);

/* Both cases, nothing skipped. An odd length is -EINVAL with *ret_at == len. */
int hex_decode(const char *s, size_t len, struct sec **ret, size_t *ret_at);
