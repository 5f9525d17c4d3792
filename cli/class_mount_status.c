#include "cli/class_mount_private.h"
#include "cli/status_json.h"

struct files {
        struct status_file *list;
        struct view_file **shown; /* references; NULL when the view has them */
        size_t n;
};

static void files_done(struct files *f)
{
        for (size_t i = 0; f->shown && i < f->n; i++)
                view_file_unref(f->shown[i]);
        free(f->shown);
        free(f->list);
}

/* After a change of worker the mount shows files that no view knows yet. */
static int list_files(const struct class_mount *cm, struct files *ret)
{
        struct view_file *const *files = NULL;
        struct files f = {0};

        if (cm->adoption.pending && cm->mount) {
                f.n = fs_mount_files(cm->mount, &f.shown);
                files = f.shown;
        } else if (cm->view)
                f.n = view_files(cm->view, &files);
        f.list = calloc(f.n + 1, sizeof *f.list);
        if (!f.list) {
                files_done(&f);
                return -ENOMEM;
        }
        for (size_t i = 0; i < f.n; i++) {
                f.list[i].file = files[i];
                if (!f.shown)
                        view_file_state(cm->view, i, &f.list[i].state);
        }
        *ret = f;
        return 0;
}

/* The loop's clock is none that people read. */
static int64_t next_try(const struct class_mount *cm, int64_t now)
{
        usec_t at = cm->adoption.reopen_at, passed;

        if (!at)
                return 0;
        passed = loop_now(cm->parts.loop);
        return at > passed ? now + (int64_t)((at - passed) / USEC_PER_SEC) : now;
}

cJSON *class_mount_status(const struct class_mount *cm, pid_t worker_pid, int64_t now)
{
        static const char *const states[] = {
                [FETCHING] = "fetching",
                [MOUNTING] = "mounting",
                [MOUNTED] = "mounted",
                [ENDING] = "ending",
        };
        struct fs_mount_stats stats = {0};
        const struct auth *auth = cm->vault ? vault_auth(cm->vault) : NULL;
        struct files files = {0};

        if (cm->mount)
                fs_mount_get_stats(cm->mount, &stats);
        if (list_files(cm, &files) < 0)
                return NULL;
        const struct status_mount m = {
                .mountpoint = cm->request.mountpoint,
                .class = cm->request.class->name,
                .state = states[cm->state],
                .vault = cm->vault ? vault_url(cm->vault) : cm->request.identity.vault_url,
                .identity = auth ? auth_describe(auth) : "",
                .keeper_pid = stats.keeper_pid,
                .worker_pid = worker_pid,
                .worker_starts = stats.worker_starts,
                .generation = stats.generation,
                .fuse_requests = stats.requests,
                .refused_requests = stats.refused,
                .poll_interval = cm->request.poll_interval,
                .uid = cm->request.uid,
                .gid = cm->request.gid,
                .mode = cm->request.mode,
                .vault_requests = cm->vault ? vault_requests(cm->vault) : 0,
                .token_requests = auth ? auth_requests(auth) : 0,
                .secret_bytes = sec_total(),
                .secrets_locked = sec_all_locked(),
                .secret_kind = sec_kind_name(sec_kind()),
                .refetching = cm->adoption.pending && cm->state == MOUNTED,
                .refetch_at = next_try(cm, now),
                .refetch_error = cm->adoption.error.code ? err_text(&cm->adoption.error) : NULL,
                .files = files.list,
                .n_files = files.n,
        };
        cJSON *j = status_mount_json(&m, now);
        files_done(&files);
        return j;
}
