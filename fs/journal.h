/* The journal: what a worker's successor needs to go on serving, in memory that outlives it.
 *
 * One area of memfd_secret (an ordinary memfd where there is none), mapped shared, sized once: the
 * keeper holds its descriptor and never maps it. Records are appended and then committed by moving
 * one counter, so that a worker killed at any instant leaves a journal that ends with its last
 * whole record. When it is full its owner writes what is still true into a new area, hands that to
 * the keeper, and goes on there (fs/snapshot.h).
 *
 * The reader trusts nothing: the writer may have been a process that was taken over. Lengths are
 * checked against the area, and a record that makes no sense ends the journal. Proven by
 * tests/unit/fs/journal.c. Thread-safe.
 */
#pragma once

#include <sys/uio.h>

#include "base/util.h"

#define JOURNAL_VERSION 2u /* of areas, and of the records in them (fs/record.h) */
#define JOURNAL_SIZE_MIN ((size_t)256 << 10)
#define JOURNAL_SIZE_MAX ((size_t)1 << 30)

struct journal;

/* An empty area of at least `size` bytes; `plain`: in an ordinary memfd. */
int journal_new(size_t size, bool plain, struct journal **ret);
/* Somebody else's area; fd is taken over. -EBADMSG when it is none of ours. */
int journal_open(int fd, struct journal **ret);
void journal_free(
        struct journal *j); /* unmaps and closes: the area lives while the keeper holds it */

int journal_fd(const struct journal *j);
size_t journal_size(const struct journal *j);
size_t journal_used(const struct journal *j);

/* Afterwards `len` bytes of records can be appended and, behind them, `set_aside` bytes of reserved
 * ones, so that what must not fail does not. -ENOSPC: the area is too small. -ENOMEM: there is no
 * page for it. */
int journal_make_room(struct journal *j, size_t len, size_t set_aside);

/* Appends and commits one record. -ENOSPC when it would take what is set aside, which a `reserved`
 * record may use. -ENOMEM for a page that cannot be had, where no room was made. */
int journal_append(struct journal *j, uint32_t type, uint64_t mount, const struct iovec *parts,
        size_t n_parts, bool reserved);

struct journal_record {
        uint32_t type;
        uint64_t mount;
        const void *data; /* inside the area */
        size_t len;
};
/* The record at *offset (start with 0), which moves on. False at the end. */
bool journal_next(const struct journal *j, size_t *offset, struct journal_record *ret);
