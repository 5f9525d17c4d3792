/* Inside a class_mount: mount/class_mount.c has its life, mount/class_mount_adopt.c how it goes on
 * after a change of worker, mount/class_mount_status.c tells of it. */
#pragma once

#include "mount/class_mount.h"

enum class_mount_state { FETCHING, MOUNTING, MOUNTED, ENDING };

struct refresher {
        struct refresher *next;
        class_refreshed_fn done;
        void *userdata;
};

/* Taken over from an earlier worker, and not everything has been fetched since. */
struct class_mount_adoption {
        bool pending;
        bool awaited; /* class_mount_adoption_await(): */
        bool joined;  /* a try that was under way already */
        struct loop_timer *reopen, *patience;
        usec_t pause;      /* before the next try */
        usec_t reopen_at;  /* loop_now() of that; 0 while a try is under way */
        struct err error;  /* why the last try failed */
        struct sec *token; /* the last that came */
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

        struct class_mount_adoption adoption;
};

/* --- mount/class_mount.c --- */

/* The request as it came, for a later worker: the credentials with it, in secret memory. */
int class_mount_format_state(
        const struct mount_request *request, struct sec *secret, struct sec **ret);
int class_mount_make(const struct class_mount_parts *parts, const struct class_mount_events *events,
        void *userdata, struct class_mount **ret);
void class_mount_free(struct class_mount *cm);
DEFINE_CLEANUP(struct class_mount *, class_mount_free)
extern const struct fs_mount_events class_mount_fs_events;
/* Its events come to the class_mount: class_mount_adoption_ready() while an adoption is pending. */
int class_mount_open_view(
        struct class_mount *cm, const struct mount_request *request, struct err *e);
/* Polls every object; class_mount_refreshed() follows. */
void class_mount_poll(struct class_mount *cm);
void class_mount_tell_polled(struct class_mount *cm, const struct view_poll *poll);
/* What those are told who wait for a poll, once its last rename is done. */
void class_mount_refreshed(struct class_mount *cm, const struct err *error);

/* --- mount/class_mount_adopt.c --- */

/* All objects were fetched again, or not. */
void class_mount_adoption_ready(struct class_mount *cm, const struct err *errors, size_t n_errors);
/* Somebody wants fresh objects: tries at once, and ends in class_mount_refreshed(), at the latest
 * when patience ends. */
void class_mount_adoption_await(struct class_mount *cm);
/* A newer token has come. */
void class_mount_adoption_token(struct class_mount *cm, struct sec *token);
void class_mount_adoption_done(struct class_mount_adoption *a);

/* "akvfs:CLASS", as mountinfo shows it (class_mount_status.c). Caller frees. */
int class_mount_source(const char *class, char **ret);
