/* A JSON writer: members in the order they are written, integers exact, one sticky error.
 *
 * The services have a fixed order of members and write seconds that pass 2^32, so answers are
 * written and not assembled. A lack of memory sticks: out_finish() reports it once at the end.
 */
#pragma once

#include "base/json.h"

struct out {
        char *text;
        size_t len, size;
        bool comma; /* a value was written at this level */
        int error;
};

void out_open(struct out *o, char bracket); /* '{' or '[' */
void out_close(struct out *o, char bracket);
void out_key(struct out *o, const char *name);
void out_string(struct out *o, const char *value); /* NULL writes null */
void out_int(struct out *o, int64_t value);
void out_bool(struct out *o, bool value);
void out_null(struct out *o);
void out_tree(struct out *o, const cJSON *value);

void out_member(struct out *o, const char *name, const char *value);
void out_memberf(struct out *o, const char *name, const char *fmt, ...) _printf_(3, 4);
void out_member_int(struct out *o, const char *name, int64_t value);
void out_member_bool(struct out *o, const char *name, bool value);
/* As out_member, but leaves the member out when value is NULL. */
void out_member_opt(struct out *o, const char *name, const char *value);

/* Bytes as they are, without a comma: for text that is not JSON. */
void out_raw(struct out *o, const char *text, size_t len);
void out_rawf(struct out *o, const char *fmt, ...) _printf_(2, 3);

/* The text, NUL-terminated, to the caller (erase_and_free: it may hold a secret); o is empty
 * afterwards. NULL when memory was short. */
char *out_finish(struct out *o, size_t *ret_len);
void out_done(struct out *o);
#define _cleanup_out_ _cleanup_(out_done)
