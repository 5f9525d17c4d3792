#include "mount/class_mount_private.h"

#include "base/log.h"
#include "base/wipe.h"

/* A rename that hangs must not keep `akvfs refresh` for ever; readers have the new bytes anyway. */
#define SETTLE_LIMIT (5 * USEC_PER_SEC)
#define SETTLE_PAUSE (2 * USEC_PER_MSEC)
/* How old what -o xattr shows may be, beyond the poll itself. */
#define XATTR_INTERVAL (5 * USEC_PER_SEC)

static void on_step(void *userdata);
static void begin_refresh(struct class_mount *cm);

static void step_soon(struct class_mount *cm)
{
        loop_timer_in(cm->step, 0);
}

static void free_refreshers(struct refresher *list)
{
        while (list) {
                struct refresher *f = list;
                list = f->next;
                free(f);
        }
}

void class_mount_free(struct class_mount *cm)
{
        if (!cm)
                return;
        view_close(cm->view);
        vault_unref(cm->vault);
        vault_set_done(&cm->others);
        mount_request_done(&cm->request);
        sec_unref(cm->secret);
        cm->step = loop_timer_free(cm->step);
        for (size_t i = 0; i < cm->n_errors; i++)
                err_done(&cm->errors[i]);
        free(cm->errors);
        err_done(&cm->forced);
        err_done(&cm->refresh_error);
        cm->settle = loop_timer_free(cm->settle);
        cm->xattr = loop_timer_free(cm->xattr);
        class_mount_adoption_done(&cm->adoption);
        free_refreshers(cm->refreshers);
        free_refreshers(cm->later);
        free(cm);
}

/* --- failing --- */

static void keep_error(struct class_mount *cm, const struct err *e)
{
        struct err *bigger = reallocarray(cm->errors, cm->n_errors + 1, sizeof *bigger);

        if (!bigger)
                return; /* an error less is told, but it has failed all the same */
        cm->errors = bigger;
        bigger[cm->n_errors] = (struct err){0};
        (void)err_copy(&bigger[cm->n_errors++], e);
}

static void fail(struct class_mount *cm, const struct err *e)
{
        keep_error(cm, e);
        cm->state = ENDING;
        step_soon(cm);
}

static void tell_started(struct class_mount *cm)
{
        static const struct err memory = {.code = -ENOMEM};

        if (cm->said_started)
                return;
        cm->said_started = true;
        if (cm->state == MOUNTED)
                cm->events.started(cm->userdata, NULL, 0);
        else
                cm->events.started(cm->userdata, cm->n_errors > 0 ? cm->errors : &memory,
                        MAX(cm->n_errors, (size_t)1));
}

static void tell_refreshed(struct refresher *list, const struct err *e)
{
        while (list) {
                struct refresher *f = list;
                list = f->next;
                f->done(f->userdata, e);
                free(f);
        }
}

/* --- mounting --- */

static void on_mounted(void *userdata, const struct err *error)
{
        struct class_mount *cm = userdata;

        if (error) {
                cm->mount = NULL; /* frees itself */
                fail(cm, error);
                return;
        }
        cm->state = MOUNTED;
        step_soon(cm);
}

static void on_gone(void *userdata, const struct err *error)
{
        struct class_mount *cm = userdata;

        cm->mount = NULL; /* frees itself */
        if (error)
                (void)err_copy(&cm->forced, error);
        if (!cm->end_wanted)
                log_info("%s was unmounted by somebody else", cm->request.mountpoint);
        if (!cm->said_started) {
                _cleanup_err_ struct err e = {0};
                err_set_cause(&e, ERR_LOCAL, -ENODEV, "%s was unmounted before it was ready",
                        cm->request.mountpoint);
                keep_error(cm, &e);
        }
        cm->state = ENDING;
        step_soon(cm);
}

const struct fs_mount_events class_mount_fs_events = {.mounted = on_mounted, .gone = on_gone};

int class_mount_format_state(
        const struct mount_request *request, struct sec *secret, struct sec **ret)
{
        struct mount_request whole = *request;
        whole.identity.secret = secret;
        _cleanup_json_ cJSON *j = mount_request_format(&whole);
        _cleanup_secret_ char *text = j ? cJSON_PrintUnformatted(j) : NULL;

        return text ? sec_new(text, strlen(text), ret) : -ENOMEM;
}

/* Asked before anything is fetched, and again when all is there: what is locked has a limit. */
static int check_memory(const struct mount_request *request, struct err *e)
{
        _cleanup_sec_ struct sec *probe = NULL;

        if (!request->secret_memory_required)
                return 0;
        int r = sec_new("", 1, &probe);
        if (r < 0)
                return err_set(e, r, "out of memory");
        if (sec_all_locked())
                return 0;
        err_set_cause(e, ERR_LOCAL, -EPERM,
                "secret memory cannot be locked, and secret_memory=require was asked for");
        err_hint(e, "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=) or give "
                    "CAP_IPC_LOCK");
        return -EPERM;
}

static void begin_mount(struct class_mount *cm)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *fsname = NULL;
        struct view_file *const *files = NULL;
        size_t n = view_files(cm->view, &files);

        int r = check_memory(&cm->request, &e);
        if (r < 0) {
                fail(cm, &e);
                return;
        }
        r = class_mount_source(cm->request.class->name, &fsname);
        if (r < 0) {
                err_set(&e, r, "out of memory");
                fail(cm, &e);
                return;
        }

        _cleanup_sec_ struct sec *state = NULL;
        r = class_mount_format_state(&cm->request, cm->secret, &state);
        if (r < 0) {
                err_set(&e, r, "out of memory");
                fail(cm, &e);
                return;
        }
        cm->secret = sec_unref(cm->secret);

        const struct fs_mount_config config = {
                .mountpoint = cm->request.mountpoint,
                .fsname = fsname,
                .uid = cm->request.uid,
                .gid = cm->request.gid,
                .mode = cm->request.mode,
                .allow_other = cm->request.allow_other,
                .privileged = cm->parts.privileged,
                .xattr = cm->request.xattr,
                .audit = cm->request.audit,
                .selinux_context = cm->request.selinux_context,
                .warm = cm->parts.privileged && !cm->request.audit,
                .grace = cm->request.poll_interval,
                .state = state,
        };
        cm->state = MOUNTING;
        r = fs_mount_new(
                cm->parts.fs, &config, files, n, &class_mount_fs_events, cm, &cm->mount, &e);
        if (r < 0)
                fail(cm, &e);
}

/* --- the view --- */

static void on_ready(void *userdata, const struct err *errors, size_t n_errors)
{
        struct class_mount *cm = userdata;

        if (cm->adoption.pending) {
                class_mount_adoption_ready(cm, errors, n_errors);
                return;
        }
        if (cm->state != FETCHING)
                return;
        for (size_t i = 0; i < n_errors; i++)
                keep_error(cm, &errors[i]);
        cm->state = n_errors > 0 ? ENDING : MOUNTING;
        step_soon(cm);
}

static void on_changed(void *userdata, struct view_file *const *files, size_t n)
{
        struct class_mount *cm = userdata;

        /* while the mount is being made too: fs/ puts it in place as soon as it can */
        if (cm->mount)
                fs_mount_update(cm->mount, files, n);
}

static void on_removed(void *userdata, const char *const *paths, size_t n)
{
        struct class_mount *cm = userdata;

        if (cm->mount)
                fs_mount_remove(cm->mount, paths, n);
}

static void on_denied(void *userdata, const char *const *paths, size_t n)
{
        struct class_mount *cm = userdata;

        if (cm->mount)
                fs_mount_deny(cm->mount, paths, n);
}

static void on_polled(void *userdata, const struct view_poll *poll)
{
        struct class_mount *cm = userdata;

        if (cm->state == MOUNTED)
                class_mount_tell_polled(cm, poll);
}

void class_mount_tell_polled(struct class_mount *cm, const struct view_poll *poll)
{
        if (cm->events.polled && cm->said_started)
                cm->events.polled(cm->userdata, poll);
}

static void on_progress(void *userdata, size_t have, size_t of)
{
        struct class_mount *cm = userdata;

        if (cm->state == FETCHING)
                cm->events.progress(cm->userdata, have, of);
}

/* --- polling on request --- */

static void on_settle(void *userdata)
{
        struct class_mount *cm = userdata;
        struct err e = {0};

        if (cm->mount && fs_mount_busy(cm->mount) && loop_now(cm->parts.loop) < cm->settle_until) {
                loop_timer_in(cm->settle, SETTLE_PAUSE);
                return;
        }
        err_move(&e, &cm->refresh_error);
        cm->refreshing = false;
        tell_refreshed(TAKE_PTR(cm->refreshers), e.code ? &e : NULL);
        err_done(&e);
        if (cm->later && cm->state == MOUNTED) {
                cm->refreshers = TAKE_PTR(cm->later);
                begin_refresh(cm);
        }
}

void class_mount_refreshed(struct class_mount *cm, const struct err *error)
{
        (void)err_copy(&cm->refresh_error, error);
        cm->settle_until = loop_now(cm->parts.loop) + SETTLE_LIMIT;
        loop_timer_in(cm->settle, 0);
        if (cm->request.xattr)
                loop_timer_in(cm->xattr, 0);
}

static void on_refreshed(void *userdata, const struct err *error)
{
        class_mount_refreshed(userdata, error);
}

void class_mount_poll(struct class_mount *cm)
{
        view_refresh(cm->view, on_refreshed, cm);
}

static void begin_refresh(struct class_mount *cm)
{
        cm->refreshing = true;
        if (cm->adoption.pending)
                class_mount_adoption_await(cm);
        else
                class_mount_poll(cm);
}

static void on_xattr(void *userdata)
{
        struct class_mount *cm = userdata;
        struct view_file *const *files = NULL;
        size_t n;

        if (!cm->mount || !cm->view)
                return;
        n = view_files(cm->view, &files);
        for (size_t i = 0; i < n; i++) {
                struct cache_state state = {0};

                view_file_state(cm->view, i, &state);
                fs_mount_set_state(cm->mount, files[i]->path, state.fetched_at,
                        state.error ? err_text(state.error) : NULL);
        }
        loop_timer_in(cm->xattr, XATTR_INTERVAL);
}

/* --- the life --- */

static void begin_end(struct class_mount *cm)
{
        if (!cm->mount) {
                cm->state = ENDING;
                step_soon(cm);
        } else if (cm->state == MOUNTED) {
                cm->state = ENDING;
                fs_mount_end(cm->mount);
        }
        /* while the mount is being made: on_mounted() comes first */
}

static void finish(struct class_mount *cm)
{
        _cleanup_err_ struct err e = {0};

        if (!cm->said_started && cm->n_errors == 0) {
                err_set_cause(&e, ERR_LOCAL, -ECANCELED, "%s was given up before it was mounted",
                        cm->request.mountpoint);
                keep_error(cm, &e);
        }
        tell_started(cm);
        err_set_cause(&e, ERR_LOCAL, -ENODEV, "%s was unmounted", cm->request.mountpoint);
        tell_refreshed(TAKE_PTR(cm->refreshers), &e);
        tell_refreshed(TAKE_PTR(cm->later), &e);
        cm->events.gone(cm->userdata, cm->forced.code ? &cm->forced : NULL);
        class_mount_free(cm);
}

static void on_step(void *userdata)
{
        struct class_mount *cm = userdata;

        if (cm->end_wanted && cm->state != ENDING) {
                /* mounted meanwhile counts as started for nobody: it goes away again */
                begin_end(cm);
                return;
        }
        switch (cm->state) {
        case FETCHING:
                break;
        case MOUNTING:
                if (!cm->mount)
                        begin_mount(cm);
                break;
        case MOUNTED:
                if (cm->request.xattr)
                        loop_timer_in(cm->xattr, 0);
                tell_started(cm);
                break;
        case ENDING:
                if (!cm->mount)
                        finish(cm);
                break;
        }
}

int class_mount_open_view(
        struct class_mount *cm, const struct mount_request *request, struct err *e)
{
        static const struct view_events view_events = {
                .ready = on_ready,
                .changed = on_changed,
                .removed = on_removed,
                .denied = on_denied,
                .polled = on_polled,
                .progress = on_progress,
        };

        int r = cm->vault ? 0
                          : identity_open(&request->identity, cm->parts.auths, cm->parts.vaults,
                                    &cm->vault, e);
        if (r == 0 && !cm->others.list)
                r = vault_urls_open(&request->vaults, &request->identity, cm->parts.auths,
                        cm->parts.vaults, &cm->others, e);
        if (r < 0)
                return r;
        const struct view_config config = {
                .class = request->class,
                .shape = request->shape,
                .vault = cm->vault,
                .vaults = cm->others.list,
                .n_vaults = cm->others.n,
                .poll_interval = request->poll_interval,
                .policy = request->policy,
                .adopted = cm->adoption.pending,
        };
        return view_open(cm->parts.cache, &config, &view_events, cm, &cm->view, e);
}

int class_mount_make(const struct class_mount_parts *parts, const struct class_mount_events *events,
        void *userdata, struct class_mount **ret)
{
        _cleanup_(class_mount_freep) struct class_mount *cm = calloc(1, sizeof *cm);
        if (!cm)
                return -ENOMEM;
        cm->parts = *parts;
        cm->events = *events;
        cm->userdata = userdata;

        int r = loop_timer_new(parts->loop, on_step, cm, &cm->step);
        if (r == 0)
                r = loop_timer_new(parts->loop, on_settle, cm, &cm->settle);
        if (r == 0)
                r = loop_timer_new(parts->loop, on_xattr, cm, &cm->xattr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(cm);
        return 0;
}

int class_mount_new(const struct class_mount_parts *parts, struct mount_request *request,
        const struct class_mount_events *events, void *userdata, struct class_mount **ret,
        struct err *e)
{
        _cleanup_(class_mount_freep) struct class_mount *cm = NULL;

        int r = class_mount_make(parts, events, userdata, &cm);
        if (r < 0)
                return err_set(e, r, "out of memory");
        r = check_memory(request, e);
        if (r == 0)
                r = class_mount_open_view(cm, request, e);
        if (r < 0)
                return r;
        cm->request = *request;
        *request = (struct mount_request){0};
        cm->secret = TAKE_PTR(cm->request.identity.secret);
        *ret = TAKE_PTR(cm);
        return 0;
}

int class_mount_set_token(struct class_mount *cm, struct sec *token)
{
        if (!cm->request.identity.subject)
                return 0;
        /* all vaults of the class are asked by one identity */
        int r = cm->vault ? auth_set_assertion(vault_auth(cm->vault), token) : 0;
        if (r == 0 && cm->adoption.pending)
                class_mount_adoption_token(cm, token);
        return r;
}

void class_mount_end(struct class_mount *cm)
{
        cm->end_wanted = true;
        if (cm->state != ENDING)
                step_soon(cm);
}

int class_mount_refresh(struct class_mount *cm, class_refreshed_fn done, void *userdata)
{
        struct refresher **list =
                cm->refreshing || cm->state == ENDING ? &cm->later : &cm->refreshers;

        for (const struct refresher *f = *list; f; f = f->next)
                if (f->done == done && f->userdata == userdata)
                        return 0;
        struct refresher *f = calloc(1, sizeof *f);
        if (!f)
                return -ENOMEM;
        *f = (struct refresher){.next = *list, .done = done, .userdata = userdata};
        *list = f;
        if (list == &cm->refreshers)
                begin_refresh(cm);
        return 0;
}

static void forget(struct refresher **list, const void *userdata)
{
        for (struct refresher **p = list; *p;) {
                struct refresher *f = *p;

                if (f->userdata != userdata) {
                        p = &f->next;
                        continue;
                }
                *p = f->next;
                free(f);
        }
}

void class_mount_forget(struct class_mount *cm, void *userdata)
{
        forget(&cm->refreshers, userdata);
        forget(&cm->later, userdata);
}
