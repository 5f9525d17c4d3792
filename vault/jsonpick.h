/* One value of a JSON text, by a path (base/jsonpath.h).
 *
 * The bytes are those that were meant: of a string what it stands for, without quotes and escapes;
 * of a number, true and false what is written, digit by digit (no double is made of it); of an
 * object or array its text as it stands. null is an error, because a file that says "null" is
 * nobody's password.
 *
 * The whole text has to be JSON (RFC 8259), also where the path does not lead. Strict where others
 * choose: no two members of one name on the path, no more than JSON_DEPTH_MAX levels. A byte order
 * mark in front is passed over. Messages hold the path, which is the class's, and offsets; never a
 * byte of the text. Pure, any thread.
 */
#pragma once

#include "base/err.h"
#include "base/jsonpath.h"
#include "base/sec.h"

/* path_text is what path was parsed from, for messages. -EBADMSG (not JSON), -ENOENT (the path
 * leads nowhere), -EINVAL (it leads to null or through what is neither object nor array, or a name
 * is there twice), -ENOMEM. */
int jsonpick(const char *text, size_t len, const struct jsonpath *path, const char *path_text,
        struct sec **ret, struct err *e);
