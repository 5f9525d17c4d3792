/* JSON strings byte for byte, through a library of C strings.
 *
 * cJSON ends a string at a NUL and refuses unpaired surrogates. A secret may hold either: in JSON
 * they are \u0000 and a lone \udXXX. Before parsing, jsontext_prepare() rewrites such a text so
 * that nothing is lost: a NUL becomes the two bytes C0 80, which no UTF-8 text contains, and what
 * Go's decoder reads as U+FFFD (unpaired surrogates, bytes that are not UTF-8) becomes U+FFFD, so
 * that a value has the bytes here that it has there. jsontext_value() turns C0 80 back.
 */
#pragma once

#include "base/sec.h"

/* A copy that json_parse() can be given. It may hold secrets: erase_and_free(). -EINVAL for a raw
 * NUL byte or a \u without four digits, -ENOMEM. Up to three times as long as the text, so bound
 * len before. */
int jsontext_prepare(const char *text, size_t len, char **ret, size_t *ret_len);

/* The bytes that a string of the prepared text stands for. */
int jsontext_value(const char *s, struct sec **ret);
/* Whether a string of the prepared text holds a NUL. */
bool jsontext_has_nul(const char *s);
