/* Keeping the journal true: what every mount writes into, and the change to a new area when one is
 * full.
 *
 * All mounts of the worker share one journal. When it lacks room, every mount writes what is still
 * true of it into a new area; that is handed to the keeper; then the old one is let go. While this
 * goes on, what happens in a mount that has already been written is recorded in both, so that a
 * worker which dies at any instant leaves one area that is complete.
 *
 * Events (an applied rename) come from serving threads and must not fail: room for them is set
 * aside when the rename is planned. Everything else comes from the loop's thread and makes room
 * first. What is over (a version that nobody holds, a mount that is gone) is no part of a new area,
 * and one is asked for soon after, for a rotated-out secret is to be gone. When memory for a new
 * area is short, snapshots end with a line in the log: the successor then has to fetch again.
 */
#pragma once

#include "fs/record.h"

struct snapshot;
struct snapshot_mount; /* one mount's part */

struct snapshot_config {
        /* A complete new area for the keeper; fd is borrowed. Negative errno when it was not sent.
         */
        int (*hand_over)(void *userdata, int fd);
        /* Optional: the area in use has bytes now that are true no more, of a version that nobody
         * holds or of a mount that is gone: snapshot_renew() is due. Once for each area; any
         * thread, under locks. */
        void (*outdated)(void *userdata);
        void *userdata;
};
int snapshot_new(const struct snapshot_config *cfg, struct snapshot **ret);
void snapshot_free(struct snapshot *s);
/* Before anything is written: what is true fitted an area of that size until now. The first one is
 * as large, for finding the size by trying costs a takeover twice the time. */
void snapshot_expect(struct snapshot *s, size_t size);

/* Writes all that is true of the mount with the functions below, between snapshot_dump_begin() and
 * _end() and under the lock that its events are recorded under. Called by snapshot_make_room(). */
typedef void (*snapshot_dump_fn)(void *userdata, struct snapshot_mount *m);
int snapshot_add(struct snapshot *s, uint64_t mount, snapshot_dump_fn dump, void *userdata,
        struct snapshot_mount **ret);
void snapshot_dump_begin(struct snapshot_mount *m);
void snapshot_dump_end(struct snapshot_mount *m);
void snapshot_remove(struct snapshot_mount *m); /* records that the mount is gone */

/* Loop thread, no lock held: afterwards `len` bytes of records fit, besides one event. */
void snapshot_make_room(struct snapshot_mount *m, size_t len);

/* A new area with nothing in it but what is true. Loop thread, no lock held. When that fails the
 * old one stays in use, and `outdated` is called again. */
void snapshot_renew(struct snapshot *s);

/* The record goes to the journal in use and, while a new one is being written and this mount is in
 * it already, to that one too. In a dump: to the new one alone. */
void snapshot_put_node(
        struct snapshot_mount *m, enum record_type type, const struct record_node *node);
void snapshot_put_event(
        struct snapshot_mount *m, enum record_type type, const struct record_event *event);
void snapshot_put_raw(
        struct snapshot_mount *m, enum record_type type, const struct iovec *parts, size_t n);

/* The area in use, borrowed; -EBADF before there is one. Loop thread. */
int snapshot_fd(const struct snapshot *s);

/* Bytes of the area in use, and how often it was changed for a new one. */
size_t snapshot_size(struct snapshot *s);
