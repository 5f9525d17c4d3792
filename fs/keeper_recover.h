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

/* Waits for all of it; the socket blocks and has SO_PASSCRED. `clone`: hold clones, see
 * fs/keeper_resend.h. -ENODATA: the worker is dead too. A mount that cannot be taken over is logged
 * and left out. */
int keeper_recover(int socket, bool clone, struct keeper_returned *ret);
void keeper_returned_done(struct keeper_returned *r);
