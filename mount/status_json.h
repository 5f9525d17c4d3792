/* `akvfs status --json`: one mount as JSON. A contract with scripts: members are added, never
 * changed.
 *
 * Times are RFC 3339 in UTC ("2024-05-01T12:00:00Z") or null: next_poll (the earliest of all
 * objects; null when polling is off), updated, expires, fetched. age_seconds counts from the last
 * successful fetch. error is text or null. refetch is null, or after a change of worker, until
 * everything has been fetched again: {"next_try","error"}, next_try null while a try is under way;
 * next_poll then tells of that try. state is a word of view_trouble_name(), shown whether or not
 * the file is there; what has no file has no version, updated, expires, id, content_type and size.
 * selectors: {"selector","vault","objects","error"}.
 */
#pragma once

#include "base/json.h"
#include "cache/view.h"

struct status_file {
        const struct view_file *file;
        struct cache_state state;
        enum view_trouble trouble;
};

struct status_mount {
        const char *mountpoint, *class;
        const char *state; /* "fetching", "mounting", "mounted", "ending" */
        const char *vault, *identity;
        pid_t keeper_pid, worker_pid;
        uint64_t worker_starts; /* since the keeper started: 1 when none was restarted */
        uint64_t generation, fuse_requests, refused_requests;
        usec_t poll_interval;
        uid_t uid;
        gid_t gid;
        mode_t mode;
        uint64_t vault_requests, token_requests;
        size_t secret_bytes;
        bool secrets_locked;
        const char *secret_kind;   /* sec_kind_name() */
        bool refetching;           /* everything is being fetched again: */
        int64_t refetch_at;        /* the next try; 0: under way */
        const char *refetch_error; /* of the last one, or NULL */
        const struct status_file *files;
        size_t n_files;
        const struct view_absent *absent; /* objects that have no file now */
        size_t n_absent;
        const struct view_selected *selected;
        size_t n_selected;
};

/* NULL without memory. */
cJSON *status_mount_json(const struct status_mount *m, int64_t now);

/* "2024-05-01T12:00:00Z" in buf (21 bytes), or NULL for VAULT_NO_TIME and 0. */
const char *status_time(int64_t when, char buf[static 32]);
