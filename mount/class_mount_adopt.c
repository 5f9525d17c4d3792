/* After a change of worker: the mount is there and shows what the last worker left; everything is
 * fetched again, as often as that takes, and what differs is rotated. */
#include "base/log.h"
#include "mount/class_mount_private.h"

/* Between two tries; doubling. */
#define REOPEN_FIRST (1 * USEC_PER_SEC)
#define REOPEN_MAX (60 * USEC_PER_SEC)
/* How long `akvfs refresh` waits for a try. */
#define PATIENCE (60 * USEC_PER_SEC)

void class_mount_adoption_done(struct class_mount_adoption *a)
{
        a->reopen = loop_timer_free(a->reopen);
        a->patience = loop_timer_free(a->patience);
        err_done(&a->error);
        a->token = sec_unref(a->token);
}

static void answer(struct class_mount *cm, const struct err *error)
{
        if (!cm->adoption.awaited)
                return;
        cm->adoption.awaited = false;
        loop_timer_off(cm->adoption.patience);
        /* A try that had begun before may have been answered before what is asked about happened.
         */
        if (!error && cm->adoption.joined)
                class_mount_poll(cm);
        else
                class_mount_refreshed(cm, error);
}

static void failed(struct class_mount *cm, const struct err *error)
{
        struct class_mount_adoption *a = &cm->adoption;

        class_mount_tell_polled(cm, &(struct view_poll){.error = error});
        (void)err_copy(&a->error, error);
        a->pause = a->pause ? MIN(2 * a->pause, REOPEN_MAX) : REOPEN_FIRST;
        a->reopen_at = loop_now(cm->parts.loop) + a->pause;
        loop_timer_in(a->reopen, a->pause);
        answer(cm, error);
}

/* An optional object that went while no worker looked: its file stays, as it would have, unless the
 * policy says otherwise. What a selector chose goes with the list. */
static bool is_kept(const struct class_mount *cm, const char *path)
{
        const struct spc_class *class = cm->request.class;
        size_t n = view_n_absent(cm->view);

        for (size_t i = 0; i < n; i++) {
                struct view_absent a;

                view_get_absent(cm->view, i, &a);
                if (a.taken || a.object < class->objects ||
                        a.object >= class->objects + class->n_objects)
                        continue;
                const char *rest = startswith(path, a.object->file);
                if (rest && (!*rest || *rest == '/'))
                        return true;
        }
        return false;
}

/* Whether anything differed. */
static bool sync_files(struct class_mount *cm, struct view_file *const *files, size_t n)
{
        struct view_file **shown = NULL;
        size_t n_shown = fs_mount_files(cm->mount, &shown);
        bool changed = true;
        _cleanup_free_ struct view_file **all = calloc(n + n_shown + 1, sizeof(struct view_file *));

        if (!all)
                fs_mount_update(cm->mount, files, n); /* and nothing goes */
        else {
                size_t n_all = n;

                if (n > 0)
                        memcpy(all, files, n * sizeof(struct view_file *));
                for (size_t i = 0; i < n_shown; i++)
                        if (is_kept(cm, shown[i]->path))
                                all[n_all++] = shown[i];
                changed = fs_mount_sync(cm->mount, all, n_all);
        }
        for (size_t i = 0; i < n_shown; i++)
                view_file_unref(shown[i]);
        free(shown);
        return changed;
}

void class_mount_adoption_ready(struct class_mount *cm, const struct err *errors, size_t n_errors)
{
        struct class_mount_adoption *a = &cm->adoption;
        struct view_file *const *files = NULL;

        if (n_errors > 0) {
                log_warning("%s: what the last worker left stays as it is; %zu objects cannot be "
                            "fetched, the first: %s",
                        cm->request.mountpoint, n_errors, err_text(&errors[0]));
                failed(cm, &errors[0]); /* copied before the view goes, whose they are */
                view_close(TAKE_PTR(cm->view));
                return;
        }
        a->pending = false;
        err_done(&a->error);
        size_t n = view_files(cm->view, &files);
        bool changed = cm->mount && sync_files(cm, files, n);
        log_info("%s: %zu files are fresh again after the change of worker", cm->request.mountpoint,
                n);
        if (cm->request.xattr)
                loop_timer_in(cm->xattr, 0);
        class_mount_tell_polled(cm, &(struct view_poll){.changed = changed});
        answer(cm, NULL);
}

static void on_reopen(void *userdata)
{
        struct class_mount *cm = userdata;
        _cleanup_err_ struct err e = {0};

        if (cm->state != MOUNTED)
                return;
        cm->adoption.reopen_at = 0;
        cm->request.identity.secret = sec_ref(cm->secret);
        int r = class_mount_open_view(cm, &cm->request, &e);
        cm->request.identity.secret = sec_unref(cm->request.identity.secret);
        if (r < 0) {
                log_warning("%s: %s", cm->request.mountpoint, err_text(&e));
                failed(cm, &e);
                return;
        }
        cm->secret = sec_unref(cm->secret);
}

void class_mount_adoption_token(struct class_mount *cm, struct sec *token)
{
        bool waits = cm->adoption.reopen_at > 0;

        if (cm->adoption.token && sec_equal(cm->adoption.token, token))
                return;
        sec_unref(cm->adoption.token);
        cm->adoption.token = sec_ref(token);
        if (!cm->vault) {
                sec_unref(cm->secret);
                cm->secret = sec_ref(token);
        }
        if (waits)
                loop_timer_in(cm->adoption.reopen, 0);
}

static void on_patience(void *userdata)
{
        struct class_mount *cm = userdata;
        _cleanup_err_ struct err e = {0};

        err_set_cause(&e, ERR_OTHER, -ETIMEDOUT,
                "after a change of worker the objects have been asked for again, and the vault has "
                "not answered for %u s; what was shown stays",
                (unsigned)(PATIENCE / USEC_PER_SEC));
        err_hint(&e, "it goes on trying: akvfs status tells when it has them");
        answer(cm, &e);
}

void class_mount_adoption_await(struct class_mount *cm)
{
        struct class_mount_adoption *a = &cm->adoption;

        a->awaited = true;
        a->joined = cm->view;
        loop_timer_in(a->patience, PATIENCE);
        if (!cm->view)
                loop_timer_in(a->reopen, 0);
}

int class_mount_adopt(const struct class_mount_parts *parts, struct fs_mount *mount,
        const struct class_mount_events *events, void *userdata, struct class_mount **ret,
        struct err *e)
{
        const struct sec *state = fs_mount_state(mount);
        _cleanup_(class_mount_freep) struct class_mount *cm = NULL;
        _cleanup_json_ cJSON *j = NULL;

        int r = class_mount_make(parts, events, userdata, &cm);
        if (r == 0)
                r = loop_timer_new(parts->loop, on_reopen, cm, &cm->adoption.reopen);
        if (r == 0)
                r = loop_timer_new(parts->loop, on_patience, cm, &cm->adoption.patience);
        if (r < 0)
                return err_set(e, r, "out of memory");
        r = state ? json_parse(sec_bytes(state), sec_len(state), &j) : -ENODATA;
        if (r < 0)
                return err_set(e, r, "the last worker left no request that can be read");
        r = mount_request_parse(j, &cm->request, e);
        if (r < 0)
                return r;
        cm->secret = TAKE_PTR(cm->request.identity.secret);
        cm->mount = mount;
        cm->state = MOUNTED;
        cm->said_started = true;
        cm->adoption.pending = true;
        fs_mount_attach(mount, &class_mount_fs_events, cm);
        loop_timer_in(cm->adoption.reopen, 0);
        *ret = TAKE_PTR(cm);
        return 0;
}
