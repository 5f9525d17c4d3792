/* What a YAML scalar means, to the letter of the two libraries that read a class elsewhere: the
 * API server's (YAML 1.1: yes and on are booleans) and the Azure provider's yaml.v3 (they are
 * text). Numbers are Go's: 0x1f, 0o17, 017, 0b11, 1_000. Locale plays no part.
 */
#pragma once

#include "spc/yaml.h"

enum scalar_kind {
        SCALAR_TEXT,
        SCALAR_NULL,
        SCALAR_BOOL,
        SCALAR_INT,
        SCALAR_FLOAT,
        SCALAR_UNKNOWN_TAG, /* !!binary, a tag of somebody's own, or one that the text contradicts
                             */
};
enum scalar_schema { SCALAR_YAML_1_1, SCALAR_YAML_V3 };

/* A node that is no scalar counts as text. */
enum scalar_kind scalar_kind(const struct yml_node *n, enum scalar_schema schema);

/* "!!str", "!!int", "!!map", ...: as yaml.v3 names a node in its messages. */
const char *scalar_tag(const struct yml_node *n);

/* The value of an integer or a number with a fraction, which is cut off (then *ret_exact is
 * false). -EINVAL for any other kind and for infinities, -ERANGE outside int32. */
int scalar_int32(const struct yml_node *n, int32_t *ret, bool *ret_exact);

/* Go's strconv.ParseBool; "" is false. -EINVAL. */
int scalar_parse_bool(const char *s, bool *ret);

/* White space as Unicode has it (Go's strings.TrimSpace): *s is moved to the first byte that stays
 * and its new length returned. */
size_t scalar_trim(const char **s, size_t len);
