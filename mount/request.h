/* The mount request: a checked class, a resolved identity and how it is to be shown. As JSON it is
 * a message of the control protocol (cli/control.h), and what a later worker goes on with. It
 * carries the client secret; both sides wipe it.
 *
 * The class travels parsed: the command has shown its findings to the user, and the file may have
 * been a pipe. What arrives is checked for sizes and for paths that leave the mount, although only
 * the worker's own user and root can send it.
 */
#pragma once

#include "base/json.h"
#include "cache/view.h"
#include "mount/identity.h"
#include "mount/vault_urls.h"
#include "spc/spc.h"

#define REQUEST_POLL_MAX (366 * 86400 * USEC_PER_SEC)

struct mount_request {
        char *mountpoint; /* absolute, without symlinks */
        struct spc_class *class;
        struct identity identity;
        struct vault_urls vaults;  /* beside the identity's own */
        struct view_policy policy; /* -o on_deleted=remove and so on */
        usec_t poll_interval;
        uid_t uid;
        gid_t gid;
        mode_t mode;
        bool allow_other;
        bool xattr;
        bool audit;
        char *selinux_context; /* base/selinux.h; NULL: as the policy has it for FUSE */
        struct view_shape shape;
        bool secret_memory_required; /* fail rather than hold values in memory that can be swapped
                                      */
        char *note; /* whatever its owner wants to find again in a later worker, or NULL */
};

void mount_request_done(struct mount_request *r);
#define _cleanup_mount_request_ _cleanup_(mount_request_done)

/* {"type":"mount",...}; NULL without memory. */
cJSON *mount_request_format(const struct mount_request *r);
/* -EBADMSG with the reason in e, -ENOMEM. */
int mount_request_parse(const cJSON *j, struct mount_request *ret, struct err *e);
