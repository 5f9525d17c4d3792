/* Inside a class_mount: cli/class_mount.c has its life, cli/class_mount_status.c tells of it. */
#pragma once

#include "cli/class_mount.h"

enum class_mount_state { FETCHING, MOUNTING, MOUNTED, ENDING };

struct refresher {
        struct refresher *next;
        class_refreshed_fn done;
        void *userdata;
};

struct class_mount {
        struct class_mount_parts parts;
        struct class_mount_events events;
        void *userdata;
        struct mount_request request; /* without the identity's secret */
        struct sec *secret;           /* until it is with auth/ and in the mount's state */
        struct vault *vault;
        struct vault_set others; /* vaults that objects name themselves */
        struct view *view;
        struct fs_mount *mount;
        struct loop_timer *step; /* everything that must not happen within a callback */
        enum class_mount_state state;
        bool end_wanted;
        bool said_started;
        struct err *errors; /* why it did not start, until said */
        size_t n_errors;
        struct err forced; /* what the unmount had to force */

        struct refresher *refreshers, *later; /* of the poll under way, and who came after */
        bool refreshing;
        struct err refresh_error;
        struct loop_timer *settle; /* polled, and waiting for the last rename */
        usec_t settle_until;

        struct loop_timer *xattr;

        /* Taken over from an earlier worker, and not everything has been fetched since. */
        bool adopted;
        usec_t reopen_pause;
        struct loop_timer *reopen;
};

/* "akvfs:CLASS", as mountinfo shows it (class_mount_status.c). Caller frees. */
int class_mount_source(const char *class, char **ret);
