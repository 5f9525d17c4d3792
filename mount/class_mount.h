/* One mounted class in the worker: its identity and vault, its view of the cache, its mount.
 *
 *     fetching --ready--> mounting --mounted--> mounted --end, umount(8)--> ending --> gone
 *         \--any object failed, end--> ending --> gone
 *
 * Whatever happens, `started` is called once and then `gone` once, last; after it the class_mount
 * does not exist. A failure at any point leaves nothing mounted, fetched or subscribed. Loop thread
 * only.
 */
#pragma once

#include "fs/fs.h"
#include "mount/request.h"

struct class_mount;

struct class_mount_parts {
        struct loop *loop;
        struct auths *auths;
        struct vaults *vaults;
        struct cache *cache;
        struct fs *fs;
        bool privileged; /* the keeper is root: fs_mount_config.privileged */
};

struct class_mount_events {
        /* While the objects are fetched. */
        void (*progress)(void *userdata, size_t have, size_t of);
        /* n_errors 0: every object is readable. Else all reasons; `gone` follows. */
        void (*started)(void *userdata, const struct err *errors, size_t n_errors);
        /* Optional, after it is mounted, each time that objects were polled (cache/view.h). After a
         * change of worker also when they could not be: what is shown is then the last worker's. */
        void (*polled)(void *userdata, const struct view_poll *poll);
        /* error: what had to be forced on the way out, or NULL. */
        void (*gone)(void *userdata, const struct err *error);
};

/* Takes what is in `request` over on success and leaves it empty. No event is delivered from within
 * the call. */
int class_mount_new(const struct class_mount_parts *parts, struct mount_request *request,
        const struct class_mount_events *events, void *userdata, struct class_mount **ret,
        struct err *e);

/* Goes on with a mount that an earlier worker left (fs_adopted()): it is mounted and stays so
 * whatever the vault says; polling begins again as soon as it answers. `started` is never called.
 * On failure nothing has happened to the mount. */
int class_mount_adopt(const struct class_mount_parts *parts, struct fs_mount *mount,
        const struct class_mount_events *events, void *userdata, struct class_mount **ret,
        struct err *e);

/* Whether it is mounted as that request would mount it, to the last option and credential. */
bool class_mount_is(const struct class_mount *cm, const struct mount_request *request);

/* Unmounts, or gives up what has not been mounted yet. `gone` follows, never from within. */
void class_mount_end(struct class_mount *cm);

/* Polls every object now. done is called once, never from within; error is the first object's that
 * failed, or what ended the class_mount. */
typedef void (*class_refreshed_fn)(void *userdata, const struct err *error);
int class_mount_refresh(struct class_mount *cm, class_refreshed_fn done, void *userdata);
/* No call of `done` for this userdata any more. */
void class_mount_forget(struct class_mount *cm, void *userdata);

/* A newer token of the service account that identity.subject names: counts from the next request to
 * the authority on. Nothing is sent, but what an adopted mount could not fetch with an older one,
 * which is tried again at once. Nothing happens for other identities. -EINVAL: it is no token. */
int class_mount_set_token(struct class_mount *cm, struct sec *token);

const char *class_mount_path(const struct class_mount *cm);
const char *class_mount_name(const struct class_mount *cm);
const char *class_mount_note(const struct class_mount *cm); /* mount_request.note; may be NULL */
bool class_mount_is_mounted(const struct class_mount *cm);
/* In the place of what a driver that has ended had mounted there (fs_mount_stats). */
bool class_mount_has_replaced(const struct class_mount *cm);

/* What is shown: files and their bytes. -ENOMEM. */
int class_mount_usage(const struct class_mount *cm, size_t *ret_files, uint64_t *ret_bytes);
/* 1 when everything shown is as the vault had it at the last poll. 0 when not: *ret_trouble says
 * for which file and why, and is the caller's. -ENOMEM. */
int class_mount_is_fresh(const struct class_mount *cm, char **ret_trouble);

/* {"mountpoint","class",...,"objects":[...]}: design.md section 6. NULL without memory. */
cJSON *class_mount_status(const struct class_mount *cm, pid_t worker_pid, int64_t now);
