/* The next keeper gets everything back from the worker.
 *
 *   RETURN...   each mount, with the descriptor of its connection
 *   AREA        the journal, when there is one
 *   RETURNED    how many mounts, and which start of a worker it is
 *
 * The worker reads what comes from outside, so it is believed in nothing that can be known
 * otherwise: its pid is the kernel's word, descriptors must be of /dev/fuse, the superblock is
 * looked up from the descriptor, and the mount that users see is found in mountinfo by both.
 */
#pragma once

#include "fs/keeper_mount.h"

struct keeper_returned {
        pid_t worker;
        unsigned starts;
        int area_fd; /* -EBADF: none */
        uint32_t area_version;
        size_t n;
        struct keeper_returned_mount {
                uint64_t id;
                struct keeper_mount mount;
        } * mounts;
};

/* Of silence. A worker that is stopped (SIGSTOP) goes on with its mounts when it runs again before
 * that; its kernel answers warm reads meanwhile. */
#define KEEPER_RECOVER_PATIENCE_MS 60000

/* Waits for all of it; the socket blocks and has SO_PASSCRED. `clone`: hold clones, see
 * fs/keeper_resend.h. -ENODATA: the worker is dead too. -ETIMEDOUT: it was silent for patience_ms.
 * -EINTR: SIGTERM or SIGINT, which the caller has blocked, is pending. SIGUSR1 waits, for a worker
 * that has no keeper takes its mounts away, and who parts wants them to stay. A mount that cannot
 * be taken over is logged and left out. */
int keeper_recover(int socket, bool clone, int patience_ms, struct keeper_returned *ret);
void keeper_returned_done(struct keeper_returned *r);
