/* Strict, bounded access to JSON from outside, over cJSON.
 *
 * cJSON nests without a limit of its own choosing and takes numbers as doubles; these helpers check
 * depth and size first and read integers exactly. Values parsed from secrets live in wiped memory
 * (base/wipe.h) and are freed with json_free().
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/util.h"

#define JSON_DEPTH_MAX 32

/* One JSON document and nothing behind it but white space. -EINVAL when it is not, or has a NUL
 * character in a string (which would end the C string early: no bytes rather than wrong ones);
 * -E2BIG when it nests deeper than JSON_DEPTH_MAX. text need not be NUL-terminated. */
int json_parse(const char *text, size_t len, cJSON **ret);
void json_free(cJSON *j);
static inline void json_freep(cJSON **j)
{
        json_free(*j);
}
#define _cleanup_json_ _cleanup_(json_freep)

/* Member of an object, case-sensitive; NULL when absent, null, or obj is no object. */
const cJSON *json_get(const cJSON *obj, const char *name);
/* String member, or NULL when absent or of another type. Borrowed. */
const char *json_string(const cJSON *obj, const char *name);
/* true and false only. */
bool json_bool(const cJSON *obj, const char *name, bool otherwise);
/* An integer as a JSON number or as a string of digits (v1 token endpoints and IMDS send strings).
 * -ENOENT when absent or null, -EINVAL when it is something else. */
int json_int64(const cJSON *obj, const char *name, int64_t *ret);
