/* The journal's records: what is written of a mount, and how it is read back.
 *
 *   MOUNT      configuration of a mount, and what its owner needs to go on (opaque, may be secret)
 *   INIT       the kernel's INIT request, to be shown to a successor's session
 *   NODE       a file, folder or symlink under a name: node id, inode number, metadata, bytes
 *   STAGED     the same for the one file that a planned rename will put in place
 *   APPLIED    that rename has happened: recorded before it is answered, so that a successor can
 *              answer it again
 *   UNSTAGED   it will not happen
 *   PLAN       the rename applied last, in a new area
 *   LEAVING    a name is about to go (its path), and the kernel may go on knowing it
 *   LEFT       the first of those is forgotten
 *   REMOVED    a name is gone; its node may still be open
 *   ADOPTED    a version that is the root of a bind mount has taken the bytes of another node
 *   FORGOTTEN  the kernel has let go of a node
 *   GONE       the mount is gone
 *
 * A record that changes what is in a folder has the folder's time after that.
 *
 * Encoding is the host's own, for both ends are one machine and one boot; a record of another
 * layout is refused by its size. Everything read is checked. Proven by tests/unit/fs/record.c.
 */
#pragma once

#include "cache/view.h"
#include "fs/journal.h"

enum record_type {
        RECORD_MOUNT = 1,
        RECORD_INIT,
        RECORD_NODE,
        RECORD_STAGED,
        RECORD_APPLIED,
        RECORD_UNSTAGED,
        RECORD_PLAN,
        RECORD_REMOVED,
        RECORD_FORGOTTEN,
        RECORD_GONE,
        RECORD_ADOPTED,
        RECORD_LEAVING,
        RECORD_LEFT,
};

#define RECORD_NAME_SIZE 256
/* The longest of the records that must not fail: APPLIED, UNSTAGED. */
#define RECORD_EVENT_SIZE (2 * sizeof(uint64_t))

/* REMOVED, and the FORGOTTEN that may follow it at once. */
#define RECORD_REMOVED_SIZE (4 * RECORD_EVENT_SIZE)

struct record_node {
        uint64_t id, parent;
        uint32_t ino;
        bool dir;
        bool symlink;                  /* to `target` */
        bool linked;                   /* NODE: false for a version that only descriptors hold */
        uint64_t source;               /* files: the node that has the same bytes, or 0 */
        int64_t mtime;                 /* folders and symlinks */
        int64_t parent_mtime;          /* the folder's that has it under its name */
        char name[RECORD_NAME_SIZE];   /* under parent; "" for the root and for what has no name */
        char target[RECORD_NAME_SIZE]; /* STAGED: a file's final name; a symlink's target */
        struct view_file *file;        /* files: a reference; NULL for others and with a source */
};

/* Appends a NODE or STAGED record. -ENOSPC, -EFBIG. */
int record_put_node(
        struct journal *j, enum record_type type, uint64_t mount, const struct record_node *node);
/* The caller drops ret->file. -EBADMSG, -ENOMEM. */
int record_get_node(const struct journal_record *r, struct record_node *ret);

struct record_event {
        uint64_t id; /* APPLIED, UNSTAGED: the staged node's; REMOVED, FORGOTTEN: the node's */
        int64_t parent_mtime; /* APPLIED, REMOVED; else 0 */
};
int record_put_event(struct journal *j, enum record_type type, uint64_t mount,
        const struct record_event *event, bool reserved);
int record_get_event(const struct journal_record *r, struct record_event *ret);
