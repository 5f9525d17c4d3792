/* Secret bytes: the one type that holds a fetched value for longer than a call.
 *
 * A struct sec is immutable once it has been shared, reference-counted, and thread-safe to read,
 * ref and unref. Its bytes live in memfd_secret(2) memory, which is in nobody's page tables but
 * this process's: not the kernel's, not a debugger's, not /proc/PID/mem's. Where the kernel has
 * none (before 5.14, or secretmem.enable=0), in anonymous memory that is locked. Either way it is
 * left out of core dumps, never swapped, gone in forked children, and wiped when the last reference
 * goes. No printf helper takes one.
 *
 * The kernel cannot take memfd_secret pages: where a system call does that instead of copying, as
 * writev(2) to /dev/fuse and vmsplice(2) do, it fails with EFAULT. Copy such bytes into a buffer of
 * sec_bounce_new() first, and wipe it after.
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

/* Ordinary locked memory that a system call may read from, for one answer at a time. NULL when
 * memory is short. Freed, wiped, by sec_bounce_free(). */
void *sec_bounce_new(size_t len);
void sec_bounce_free(void *p, size_t len);

/* Bytes now held in all. */
size_t sec_total(void);

/* Makes the pages of p there, for bytes not written yet: a limit on locked memory may be found to
 * be used up no sooner than when a page is first touched (seen on Linux 6.1), which is SIGBUS for
 * whoever writes there, and EFAULT for a system call that does. p is at a page's beginning.
 * -ENOMEM. The test is tests/integration/test_isolation.py, on kernels with memfd_secret. */
#define SEC_PAGE ((size_t)4096)
int sec_touch(char *p, size_t n);

/* The least protection that any value got since the start; said in the log when it falls. */
enum sec_kind {
        SEC_KIND_SECRET,   /* memfd_secret */
        SEC_KIND_LOCKED,   /* mlock */
        SEC_KIND_UNLOCKED, /* RLIMIT_MEMLOCK was too small and there is no CAP_IPC_LOCK */
};
enum sec_kind sec_kind(void);
const char *sec_kind_name(enum sec_kind k); /* "memfd_secret", "locked", "unlocked" */
bool sec_all_locked(void);
/* Whoever holds values elsewhere says so when they are protected less well, and why. */
void sec_degrade(enum sec_kind to, const char *why);
