/* What worker and keeper say to each other: fixed-size messages on a SOCK_SEQPACKET pair.
 *
 * No secret bytes, no pointers, nothing parsed: every field has one place and one size, strings are
 * NUL-terminated inside theirs. The keeper checks each field again (keeper_msg_valid), for the
 * worker is the process that reads what comes from outside. Descriptors travel as SCM_RIGHTS, at
 * most one a message. A message of another size, magic or version ends the conversation.
 *
 *   worker -> keeper                      keeper -> worker
 *   MOUNT    mount at a folder            MOUNTED    result, and the /dev/fuse descriptor
 *   RENAME   put a staged name in place,  RENAMED    how the child that did it ended
 *            or unlink one that is no more
 *   FORGET   the kernel has to forget a
 *            name                         RENAMED    the same
 *   INVALIDATE the kernel has to forget
 *            what it has of an inode, of
 *            this connection              INVALIDATED the same; -EBADF: no child could be given it
 *   WARM     look at everything           WARMED     the same
 *   UNMOUNT  take the mount away          UNMOUNTED  result; 0: nothing is left of it
 *   CLEAR    take away what a dead keeper
 *            left at a volume's path      CLEARED    the same
 *                                         GONE       somebody else unmounted it
 *   AREA     the journal, to be kept      HELLO      first of all: which start of a worker this is
 *   SERVING  it has taken everything      AREA       the journal that the last worker left
 *            over                         VOLUME     a live connection to take over
 *                                         START      that was all
 *                                         BOUND      an inode is the root of a bind mount, or not
 *                                                    any more
 *                                         HEIR       where the next keeper is, should this one die
 *   to the next keeper, through that:
 *   RETURN   a mount, with its /dev/fuse
 *   AREA     the journal
 *   RETURNED that was all: how many, and
 *            which start of a worker        ATTACHED   taken over; all goes on over this socket
 *
 * When one worker follows another by plan (fs/keeper_swap.h):
 *   READY    it has started, and waits
 *            for HELLO                      LEAVE      finish what is under way, and end
 *
 * The keeper's own socket (fs/keeper_handover.h) has the same messages for
 *   the command                            the keeper
 *   UPGRADE  the new program                UPGRADED   how it went
 *   the next keeper                        the keeper
 *   TAKE     I would take over              PASS       what its worker inherits
 *                                           DOOR       this very socket
 *                                           PREPARE    that was all of it: start one
 *   READY    it has started                 HELLO      which start of a worker was the last
 *                                           PRIVATE    a private mount, and the next one is
 *                                           GIVE       its mount, with the connection
 *                                           AREA       the journal
 *                                           STORE      what is known to the service manager
 *                                           WORKER     the socket to the worker
 *                                           PROCESS    the worker's pidfd
 *                                           CLIENT     who waits for UPGRADED
 *                                           GIVEN      that was all: how many descriptors
 *   TAKEN    I have as many                 LEAVE      it is all yours
 *                                           STAY       or not: the old one goes on
 */
#pragma once

#include "base/selinux.h"
#include "base/util.h"

#define KEEPER_MAGIC 0x616b7666u /* "akvf" */
#define KEEPER_VERSION 5u
#define KEEPER_PATH_SIZE 4096
#define KEEPER_NAME_SIZE 256
#define KEEPER_MOUNTS_MAX 4096 /* of one keeper; three descriptors each in all its processes */

/* Names under this prefix exist only between an announcement and its rename. */
#define KEEPER_STAGE_PREFIX ".akvfs-"
#define KEEPER_STAGE_LEN (sizeof(KEEPER_STAGE_PREFIX) - 1 + 32) /* 128 bits in hex */

enum keeper_op {
        KEEPER_MOUNT = 1,
        KEEPER_RENAME,
        KEEPER_UNMOUNT,
        KEEPER_AREA,
        KEEPER_SERVING,
        KEEPER_RETURN,
        KEEPER_RETURNED,
        KEEPER_READY,
        KEEPER_WARM,
        KEEPER_FORGET,
        KEEPER_INVALIDATE,
        KEEPER_CLEAR,
        KEEPER_MOUNTED = 101,
        KEEPER_RENAMED,
        KEEPER_UNMOUNTED,
        KEEPER_GONE,
        KEEPER_HELLO,
        KEEPER_VOLUME,
        KEEPER_START,
        KEEPER_HEIR,
        KEEPER_ATTACHED,
        KEEPER_BOUND,
        KEEPER_LEAVE,
        KEEPER_WARMED,
        KEEPER_INVALIDATED,
        KEEPER_CLEARED,
        KEEPER_UPGRADE = 201,
        KEEPER_UPGRADED,
        KEEPER_TAKE,
        KEEPER_PASS,
        KEEPER_DOOR,
        KEEPER_PREPARE,
        KEEPER_GIVE,
        KEEPER_PRIVATE,
        KEEPER_STORE,
        KEEPER_WORKER,
        KEEPER_PROCESS,
        KEEPER_CLIENT,
        KEEPER_GIVEN,
        KEEPER_TAKEN,
        KEEPER_STAY,
};

enum keeper_flags {
        KEEPER_PRIVILEGED =
                1 << 0, /* MOUNT, RETURN: mount(2) with a private mount beside; else fusermount3 */
        KEEPER_ALLOW_OTHER = 1 << 1,  /* MOUNT */
        KEEPER_DETACH = 1 << 2,       /* UNMOUNT: also when files are open */
        KEEPER_RESEND = 1 << 3,       /* HELLO: ask for requests that were not answered */
        KEEPER_AWAY = 1 << 4,         /* RENAME: the reverse, so that the kernel forgets the name:
                                         it has when the answer to it is EINTR, which is result 0 */
        KEEPER_EXCHANGE = 1 << 5,     /* RENAME: of a file with a folder; then the old one goes */
        KEEPER_UNLINK = 1 << 6,       /* RENAME: none; the name is unlinked */
        KEEPER_KEEP_WARM = 1 << 7,    /* RENAME: what is staged is read first (fs/keeper_warm.h) */
        KEEPER_WORKER_ALONE = 1 << 8, /* UPGRADE: this keeper stays */
        KEEPER_ATTRIBUTES = 1 << 9,   /* INVALIDATE: those alone, no page */
        KEEPER_REPLACED = 1 << 10,    /* MOUNTED: what a driver that has ended had mounted there */
};

struct keeper_msg {
        uint32_t magic, version, op, flags;
        uint64_t mount; /* chosen by the worker, unique while it lives */
        uint64_t node;  /* FORGET: of the folder; INVALIDATE */
        /* RENAME, FORGET, INVALIDATE, WARM, CLEAR and their answers: which of them; HELLO,
         * RETURNED: which start of a worker; ATTACHED: the keeper's pid; BOUND: st_ino; READY: the
         * version of its journals; AREA: of this one; PASS: which of them, from 0; GIVE: the minor
         * number of the superblock's device */
        uint64_t seq;
        int32_t result; /* answers: 0 or a negative errno; RETURNED: how many mounts; GIVEN, TAKEN:
                           how many descriptors; GIVE: the visible mount's id; LEAVE of a keeper: 1,
                           it ends now; BOUND: 1 bound, 0 not any more */
        uint32_t reserved;
        char path[KEEPER_PATH_SIZE]; /* MOUNT, RETURN, GIVE, CLEAR: the mount point, absolute;
                                        RENAME: folder inside the mount, "" for its root */
        char name[KEEPER_NAME_SIZE]; /* MOUNT: source shown in mountinfo; RENAME, FORGET: the name;
                                        READY, TAKE: the program's version; AREA, STORE: its name in
                                        the service manager's store */
        char staged[64];             /* RENAME: the staged name */
        char context[SELINUX_CONTEXT_SIZE]; /* MOUNT: the SELinux label of all of it, or "" */
        char detail[KEEPER_NAME_SIZE];      /* answers: what failed, for people */
};

/* A message of that op, all else zero. */
void keeper_msg_init(struct keeper_msg *m, enum keeper_op op, uint64_t mount);

/* Copies with truncation refused: -ENAMETOOLONG. */
int keeper_msg_set(char *field, size_t size, const char *value);

/* A request as the keeper may act upon: strings terminated, absolute mount point, relative folder
 * without "." and "..", names without '/', staged name of the exact form, a plain context
 * (base/selinux.h) and only where mount(2) is used. 0 or -EINVAL. */
int keeper_msg_valid(const struct keeper_msg *m);

/* The same for what is said on the keeper's own socket, by either side. */
int keeper_visit_valid(const struct keeper_msg *m);

/* One message, with a descriptor or -EBADF. Blocks when the socket does. 0 or negative errno. */
int keeper_send(int socket, const struct keeper_msg *m, int fd);

/* Receives one message. *ret_fd is the descriptor that came along or -EBADF (the caller owns it).
 * 1 on a message, 0 on end of file, -EAGAIN, -EPROTO for anything malformed, -EPROTONOSUPPORT for a
 * message of another version (m->version says which; nothing else of m counts). */
int keeper_recv(int socket, struct keeper_msg *m, int *ret_fd);

/* The same on a socket with SO_PASSCRED: *ret_sender is who sent it, in the kernel's own words. */
int keeper_recv_from(int socket, struct keeper_msg *m, int *ret_fd, pid_t *ret_sender);
