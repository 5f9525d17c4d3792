#include "mount/class_mount_private.h"
#include "mount/status_json.h"

struct files {
        struct status_file *list;
        struct view_file **shown; /* references; NULL when the view has them */
        size_t n;
        struct view_absent *absent;
        size_t n_absent;
        struct view_selected *selected;
        size_t n_selected;
};

static void files_done(struct files *f)
{
        for (size_t i = 0; f->shown && i < f->n; i++)
                view_file_unref(f->shown[i]);
        free(f->shown);
        free(f->list);
        free(f->absent);
        free(f->selected);
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
        bool known = cm->view && !cm->adoption.pending;
        f.n_absent = known ? view_n_absent(cm->view) : 0;
        f.n_selected = known ? view_n_selectors(cm->view) : 0;
        f.list = calloc(f.n + 1, sizeof *f.list);
        f.absent = calloc(f.n_absent + 1, sizeof *f.absent);
        f.selected = calloc(f.n_selected + 1, sizeof *f.selected);
        if (!f.list || !f.absent || !f.selected) {
                files_done(&f);
                return -ENOMEM;
        }
        for (size_t i = 0; i < f.n; i++) {
                f.list[i].file = files[i];
                if (f.shown)
                        continue;
                view_file_state(cm->view, i, &f.list[i].state);
                f.list[i].trouble = view_file_trouble(cm->view, i);
        }
        for (size_t i = 0; i < f.n_absent; i++)
                view_get_absent(cm->view, i, &f.absent[i]);
        for (size_t i = 0; i < f.n_selected; i++)
                view_get_selected(cm->view, i, &f.selected[i]);
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

static uint64_t requests_of(const struct class_mount *cm)
{
        uint64_t n = cm->vault ? vault_requests(cm->vault) : 0;

        for (size_t i = 0; i < cm->others.n; i++)
                n += vault_requests(cm->others.list[i].vault);
        return n;
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
                .vault_requests = requests_of(cm),
                .token_requests = auth ? auth_requests(auth) : 0,
                .secret_bytes = sec_total(),
                .secrets_locked = sec_all_locked(),
                .secret_kind = sec_kind_name(sec_kind()),
                .refetching = cm->adoption.pending && cm->state == MOUNTED,
                .refetch_at = next_try(cm, now),
                .refetch_error = cm->adoption.error.code ? err_text(&cm->adoption.error) : NULL,
                .files = files.list,
                .n_files = files.n,
                .absent = files.absent,
                .n_absent = files.n_absent,
                .selected = files.selected,
                .n_selected = files.n_selected,
        };
        cJSON *j = status_mount_json(&m, now);
        files_done(&files);
        return j;
}

int class_mount_usage(const struct class_mount *cm, size_t *ret_files, uint64_t *ret_bytes)
{
        struct files files = {0};
        uint64_t bytes = 0;

        int r = list_files(cm, &files);
        if (r < 0)
                return r;
        for (size_t i = 0; i < files.n; i++)
                bytes += sec_len(files.list[i].file->bytes);
        *ret_files = files.n;
        *ret_bytes = bytes;
        files_done(&files);
        return 0;
}

int class_mount_is_fresh(const struct class_mount *cm, char **ret_trouble)
{
        struct files files = {0};
        char *text = NULL;

        if (cm->adoption.pending) {
                const struct err *e = &cm->adoption.error;
                if (!e->code)
                        return 1; /* just begun */
                int r = xasprintf(&text, "since the driver was restarted: %s", err_text(e));
                if (r == 0)
                        *ret_trouble = text;
                return r;
        }
        int r = list_files(cm, &files);
        if (r < 0)
                return r;
        r = 1;
        for (size_t i = 0; i < files.n && r == 1; i++)
                if (files.list[i].state.error)
                        r = xasprintf(&text, "%s: %s", files.list[i].file->path,
                                err_text(files.list[i].state.error));
        for (size_t i = 0; i < files.n_absent && r == 1; i++)
                if (files.absent[i].taken)
                        r = xasprintf(&text, "%s was taken away: %s", files.absent[i].object->file,
                                view_trouble_name(files.absent[i].trouble));
        files_done(&files);
        if (r == 0)
                *ret_trouble = text;
        return r;
}

bool class_mount_is(const struct class_mount *cm, const struct mount_request *request)
{
        const struct sec *now = cm->mount ? fs_mount_state(cm->mount) : NULL;
        _cleanup_sec_ struct sec *wanted = NULL;

        return now && class_mount_format_state(request, request->identity.secret, &wanted) == 0 &&
               sec_equal(now, wanted);
}

const char *class_mount_path(const struct class_mount *cm)
{
        return cm->request.mountpoint;
}

const char *class_mount_note(const struct class_mount *cm)
{
        return cm->request.note;
}

const char *class_mount_name(const struct class_mount *cm)
{
        return cm->request.class->name;
}

bool class_mount_is_mounted(const struct class_mount *cm)
{
        return cm->state == MOUNTED && cm->said_started;
}

bool class_mount_has_replaced(const struct class_mount *cm)
{
        struct fs_mount_stats stats = {0};

        if (cm->mount)
                fs_mount_get_stats(cm->mount, &stats);
        return stats.replaced;
}

/* What mountinfo shows. It passes through mount options, where a comma would begin another. */
int class_mount_source(const char *class, char **ret)
{
        char *name = NULL;

        int r = xasprintf(&name, "akvfs:%.200s", class);
        if (r < 0)
                return r;
        for (char *p = name + strlen("akvfs:"); *p; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                             (*p >= '0' && *p <= '9') || strchr("-._", *p);
                if (!plain)
                        *p = '_';
        }
        *ret = name;
        return 0;
}
