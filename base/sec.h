/* Secret bytes: the one type that holds a fetched value for longer than a call.
 *
 * A struct sec is immutable once it has been shared, reference-counted, and thread-safe to read,
 * ref and unref. Its bytes live in memory that is locked, left out of core dumps and not copied
 * into forked children, and are wiped when the last reference goes. No printf helper takes one.
 */
#pragma once

#include "base/util.h"

struct sec;

/* The longest value ever held. Key Vault's own limit for a secret is 25 KiB. */
#define SEC_MAX ((size_t)16 << 20)

/* A copy of len bytes (len 0 is a valid, empty value). -ENOMEM, or -EFBIG above SEC_MAX. */
int sec_new(const void *data, size_t len, struct sec **ret);

/* Writable until it is shared: fill sec_buf() and hand it on. Zeroed. */
int sec_alloc(size_t len, struct sec **ret);
void *sec_buf(struct sec *s);
/* Shortens before it is shared, and wipes what falls off. len must not be larger. */
void sec_truncate(struct sec *s, size_t len);

const void *sec_bytes(const struct sec *s);
size_t sec_len(const struct sec *s);
/* Same length and bytes, in constant time for equal lengths. */
bool sec_equal(const struct sec *a, const struct sec *b);

struct sec *sec_ref(struct sec *s);
struct sec *sec_unref(struct sec *s); /* returns NULL */
DEFINE_CLEANUP(struct sec *, sec_unref)
#define _cleanup_sec_ _cleanup_(sec_unrefp)

/* Bytes now held in all, and whether every page of them is locked in memory (false: RLIMIT_MEMLOCK
 * was too small for some; said once in the log). */
size_t sec_total(void);
bool sec_all_locked(void);
