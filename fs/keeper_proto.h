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
 *   WARM     look at everything           WARMED     the same
 *   UNMOUNT  take the mount away          UNMOUNTED  result; 0: nothing is left of it
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
 */
#pragma once

#include "base/util.h"

#define KEEPER_MAGIC 0x616b7666u /* "akvf" */
#define KEEPER_VERSION 3u
#define KEEPER_PATH_SIZE 4096
#define KEEPER_NAME_SIZE 256

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
        KEEPER_WARM,
        KEEPER_FORGET,
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
        KEEPER_WARMED,
};

enum keeper_flags {
        KEEPER_PRIVILEGED =
                1 << 0, /* MOUNT, RETURN: mount(2) with a private mount beside; else fusermount3 */
        KEEPER_ALLOW_OTHER = 1 << 1, /* MOUNT */
        KEEPER_DETACH = 1 << 2,      /* UNMOUNT: also when files are open */
        KEEPER_AWAY = 1 << 4,        /* RENAME: the reverse, so that the kernel forgets the name */
        KEEPER_RESEND = 1 << 3,      /* HELLO: ask for requests that were not answered */
        KEEPER_EXCHANGE = 1 << 5,    /* RENAME: of a file with a folder; then the old one goes */
        KEEPER_UNLINK = 1 << 6,      /* RENAME: none; the name is unlinked */
        KEEPER_KEEP_WARM = 1 << 7,   /* RENAME: what is staged is read first (fs/keeper_warm.h) */
};

struct keeper_msg {
        uint32_t magic, version, op, flags;
        uint64_t mount; /* chosen by the worker, unique while it lives */
        uint64_t node;  /* FORGET: of the folder */
        uint64_t seq;   /* RENAME, FORGET, WARM and their answers: which of them; HELLO, RETURNED:
                           which start of a worker;   ATTACHED: the keeper's pid; BOUND: st_ino */
        int32_t result; /* answers: 0 or a negative errno; RETURNED: how many mounts;
                           BOUND: 1 bound, 0 not any more */
        uint32_t reserved;
        char path[KEEPER_PATH_SIZE];   /* MOUNT, RETURN: the mount point, absolute;
                                          RENAME: folder inside the mount, "" for its root */
        char name[KEEPER_NAME_SIZE];   /* MOUNT: source shown in mountinfo; RENAME, FORGET: the name
                                        */
        char staged[64];               /* RENAME: the staged name */
        char detail[KEEPER_NAME_SIZE]; /* answers: what failed, for people */
};

/* A message of that op, all else zero. */
void keeper_msg_init(struct keeper_msg *m, enum keeper_op op, uint64_t mount);

/* Copies with truncation refused: -ENAMETOOLONG. */
int keeper_msg_set(char *field, size_t size, const char *value);

/* A request as the keeper may act upon: strings terminated, absolute mount point, relative folder
 * without "." and "..", names without '/', staged name of the exact form. 0 or -EINVAL. */
int keeper_msg_valid(const struct keeper_msg *m);

/* One message, with a descriptor or -EBADF. Blocks when the socket does. 0 or negative errno. */
int keeper_send(int socket, const struct keeper_msg *m, int fd);

/* Receives one message. *ret_fd is the descriptor that came along or -EBADF (the caller owns it).
 * 1 on a message, 0 on end of file, -EAGAIN, -EPROTO for anything malformed. */
int keeper_recv(int socket, struct keeper_msg *m, int *ret_fd);

/* The same on a socket with SO_PASSCRED: *ret_sender is who sent it, in the kernel's own words. */
int keeper_recv_from(int socket, struct keeper_msg *m, int *ret_fd, pid_t *ret_sender);
