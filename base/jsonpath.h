/* A path to one value of a JSON text: the part of RFC 9535 that names exactly one.
 *
 *     $                  the whole text
 *     $.name             a member; name is a letter, '_' or any character above ASCII, then digits
 *                        as well (RFC 9535 section 2.5.1.1, member-name-shorthand)
 *     $['any name']      the same for every name, in ' or ", with JSON's escapes and \'
 *     $[0] $[-1]         an element, from the front or from the end
 *
 * These are the "singular queries" of section 2.3.5.1: no wildcards, slices, filters, unions or
 * descendants, because a file has one value. White space is allowed between segments and inside
 * brackets, as the RFC has it. Pure, any thread; a path never changes once parsed.
 */
#pragma once

#include "base/util.h"

#define JSONPATH_MAX ((size_t)1024) /* bytes of a path */
#define JSONPATH_SEGMENTS_MAX ((size_t)32)
#define JSONPATH_INDEX_MAX ((int64_t)1000000)

struct jsonpath_segment {
        char *name; /* UTF-8 without escapes, NUL-terminated; NULL for an index */
        int64_t index;
        size_t end; /* offset behind it in the path: what messages quote */
};

struct jsonpath {
        struct jsonpath_segment segments[JSONPATH_SEGMENTS_MAX];
        size_t n;
};

/* -EINVAL with the reason in *ret_why (static) and its offset in *ret_at, -ENOMEM. */
int jsonpath_parse(const char *s, struct jsonpath *ret, const char **ret_why, size_t *ret_at);
void jsonpath_done(struct jsonpath *p);
#define _cleanup_jsonpath_ _cleanup_(jsonpath_done)
