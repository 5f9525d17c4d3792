/* What a service manager keeps for the time in which nobody of us lives: at a restart of the
 * service, or when keeper and worker were killed at once (systemd's descriptor store).
 *
 *   akvfs-record     a memfd of struct keeper_msg: HELLO (seq: the last start of a worker; result:
 *                    how many GIVE follow; name: the journal's name in the store), then a GIVE for
 *                    each mount (name: its connection's). It is written anew in place, count last,
 *                    so that what the manager holds is always of now.
 *   akvfs-fuse-N     the connection of mount N
 *   akvfs-area-T     the journal; a new one is stored under another name before the old one goes
 *
 * Private mounts are not stored: the manager polls what it keeps, which O_PATH does not allow, and
 * they can be made again from the connection. What could not be sent (the manager's queue is full)
 * is sent STORE_RETRY_MS later, and what is not taken back yet as well: an old journal has what was
 * rotated out. The manager drops a connection that is over by itself.
 */
#pragma once

#include "fs/keeper_proto.h"

#define KEEPER_STORE_RECORD "akvfs-record"
#define KEEPER_STORE_MOUNTS_MAX 64 /* that a record has room for; a service has one */

struct keeper;

struct keeper_store {
        const char *address; /* $NOTIFY_SOCKET; NULL: nothing is stored */
        int record;          /* the memfd; -EBADF until something is stored */
        char area[KEEPER_NAME_SIZE];
        char replaced[KEEPER_NAME_SIZE]; /* the journal before, not taken back yet; "" for none */
        bool record_stored, area_stored;
        bool dirty;
        int64_t retry_at; /* monotonic_ms(); 0: nothing waits */
};

void keeper_store_init(struct keeper_store *s, const char *address);
void keeper_store_release(struct keeper_store *s); /* closes; the manager keeps what it has */
/* In a guardian that has become the keeper: the record, which it has had from before its fork, says
 * what the keeper that was killed had stored. All of it is stored once more. */
void keeper_store_inherit(struct keeper_store *s);

/* Something has changed: a mount, the journal (`area`), the count of starts. Stored by the next
 * keeper_store_sync(). */
void keeper_store_changed(struct keeper_store *s, bool area);
void keeper_store_sync(struct keeper *k);
int keeper_store_timeout(const struct keeper *k); /* milliseconds; -1: never */
/* The mount is gone. */
void keeper_store_forget(struct keeper_store *s, uint64_t mount);
/* Everything is: nothing is to come back. */
void keeper_store_clear(struct keeper_store *s);
