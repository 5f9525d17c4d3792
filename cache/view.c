#include "cache/view.h"

#include <assert.h>
#include <sys/queue.h>

#include "cache/alarm.h"
#include "cache/view_priv.h"

enum view_state { VIEW_OPENING, VIEW_READY, VIEW_FAILED };

struct waiter {
        SLIST_ENTRY(waiter) link;
        void (*done)(void *userdata, const struct err *error);
        void *userdata;
};
SLIST_HEAD(waiters, waiter);

struct view {
        struct cache *cache;
        struct vault *vault;
        usec_t poll_interval;
        struct view_shape shape;
        struct view_events events;
        void *userdata;

        enum view_state state;
        struct entry *entries; /* as the class's objects */
        size_t n_entries;
        struct view_file **files;
        size_t n_files, files_size;
        size_t bytes;
        struct err failure; /* the first one of a view that failed */

        struct loop_timer *report;
        size_t reported_have;
        struct view_file **gone; /* not reported yet; references */
        size_t n_gone;
        struct waiters refreshing;

        bool reporting; /* the caller's code is running */
        bool closed;    /* by that code: nothing but the struct itself is left */
};

struct cache *view_cache(const struct view *v)
{
        return v->cache;
}

const char *view_vault_url(const struct view *v)
{
        return vault_url(v->vault);
}

const struct view_shape *view_shape(const struct view *v)
{
        return &v->shape;
}

/* What arrives in one turn of the loop is reported together: timers that are due now run before
 * this one, and the answers of the descriptors before all timers. */
static void report_soon(struct view *v)
{
        if (loop_timer_when(v->report) == USEC_INFINITY)
                alarm_set(v->report, loop_now(cache_loop(v->cache)) + 1);
}

/* --- sources --- */

static void on_source(void *userdata, const struct cache_state *state)
{
        struct source *s = userdata;
        struct entry *en = s->entry;

        s->tried = true;
        s->refreshing = false;
        err_done(&s->error);
        if (state->error && err_copy(&s->error, state->error) < 0) {
                s->error.code = state->error->code;
                s->error.cause = state->error->cause;
        }
        if (s == en->list) {
                if (state->versions)
                        history_select(en, state->versions);
        } else if (state->object != s->object) {
                vault_object_unref(s->object);
                s->object = vault_object_ref(state->object);
        }
        entry_update(en);
        report_soon(en->view);
}

int source_new(struct entry *en, const char *version, struct source **ret)
{
        const struct spc_object *so = en->object;
        struct view *v = en->view;
        struct source *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->entry = en;
        if (version) {
                s->version = strdup(version);
                r = s->version ? cache_subscribe(v->cache, v->vault, view_kind(so->type), so->name,
                                         version, v->poll_interval, on_source, s, &s->sub)
                               : -ENOMEM;
        } else
                r = cache_subscribe_versions(v->cache, v->vault, view_kind(so->type), so->name,
                        v->poll_interval, on_source, s, &s->sub);
        if (r < 0) {
                source_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

struct source *source_free(struct source *s)
{
        if (!s)
                return NULL;
        cache_unsubscribe(s->sub);
        vault_object_unref(s->object);
        err_done(&s->error);
        free(s->version);
        free(s);
        return NULL;
}

/* --- files --- */

void shown_free(struct shown *list, size_t n)
{
        if (!list)
                return;
        for (size_t i = 0; i < n; i++) {
                view_file_unref(list[i].file);
                vault_object_unref(list[i].from);
        }
        free(list);
}

static size_t bytes_of(const struct shown *list, size_t n)
{
        size_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += sec_len(list[i].file->bytes);
        return sum;
}

static void fill_files(struct view *v)
{
        v->n_files = 0;
        for (size_t i = 0; i < v->n_entries; i++) {
                struct entry *en = &v->entries[i];

                en->first = v->n_files;
                for (size_t j = 0; j < en->n_shown; j++)
                        v->files[v->n_files++] = en->shown[j].file;
        }
}

static bool is_among(const char *path, const struct shown *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].file->path, path))
                        return true;
        return false;
}

/* One of them is the other, or a folder above it. */
static bool is_in_the_way(const char *a, const char *b)
{
        while (*a && *a == *b)
                a++, b++;
        return (!*a && (!*b || *b == '/')) || (!*b && *a == '/');
}

/* The class's own names were compared when it was read; what a mount's options or a vault's answers
 * add to them is known here first. The later entry of the class gives way. */
static const struct entry *find_other(
        const struct view *v, const struct entry *en, const char *path)
{
        for (size_t i = 0; i < v->n_entries; i++) {
                const struct entry *other = &v->entries[i];

                if (other == en)
                        continue;
                for (size_t j = 0; j < other->n_shown; j++)
                        if (is_in_the_way(path, other->shown[j].file->path))
                                return other;
        }
        return NULL;
}

static int check_names(const struct entry *en, const struct shown *now, size_t n, struct err *e)
{
        for (size_t i = 0; i < n; i++) {
                const char *path = now[i].file->path;
                const struct entry *other = is_among(path, en->shown, en->n_shown)
                                                    ? NULL
                                                    : find_other(en->view, en, path);

                if (!other)
                        continue;
                err_set_cause(e, ERR_USAGE, -EEXIST, "its file %s gets in the way of object %s",
                        path, other->object->file);
                err_hint(e, "give one of them another objectAlias");
                return -EEXIST;
        }
        return 0;
}

int view_replace(struct entry *en, struct shown *now, size_t n, struct err *e)
{
        struct view *v = en->view;
        size_t old_n = en->n_shown, new_bytes = bytes_of(now, n),
               others = v->bytes - bytes_of(en->shown, old_n);

        int r = check_names(en, now, n, e);
        if (r < 0)
                return r;

        if (new_bytes > VIEW_BYTES_MAX - others) {
                err_set_cause(e, ERR_USAGE, -EFBIG,
                        "its %zu bytes take the files of this class above the limit of %zu MiB",
                        new_bytes, VIEW_BYTES_MAX >> 20);
                err_hint(e, "split the class");
                return -EFBIG;
        }

        /* Room first: nothing below can fail. */
        size_t total = v->n_files - old_n + n, vanish = 0;
        for (size_t i = 0; i < old_n; i++)
                vanish += !is_among(en->shown[i].file->path, now, n);
        if (total > v->files_size) {
                struct view_file **p = realloc(
                        v->files, MAX(total, 2 * v->files_size) * sizeof(struct view_file *));
                if (!p)
                        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
                v->files = p;
                v->files_size = MAX(total, 2 * v->files_size);
        }
        if (vanish > 0) {
                struct view_file **p =
                        realloc(v->gone, (v->n_gone + vanish) * sizeof(struct view_file *));
                if (!p)
                        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
                v->gone = p;
                for (size_t i = 0; i < old_n; i++)
                        if (!is_among(en->shown[i].file->path, now, n))
                                v->gone[v->n_gone++] = view_file_ref(en->shown[i].file);
        }

        v->bytes = others + new_bytes;
        struct shown *old = en->shown;
        en->shown = now;
        en->n_shown = n;
        if (n == old_n)
                for (size_t i = 0; i < n; i++)
                        v->files[en->first + i] = now[i].file;
        else
                fill_files(v);
        shown_free(old, old_n);
        return 0;
}

size_t view_files(const struct view *v, struct view_file *const **ret)
{
        if (ret)
                *ret = v->files;
        return v->state == VIEW_READY ? v->n_files : 0;
}

void view_file_state(const struct view *v, size_t i, struct cache_state *ret)
{
        *ret = (struct cache_state){0};
        if (v->state != VIEW_READY || i >= v->n_files)
                return;
        for (size_t k = 0; k < v->n_entries; k++) {
                const struct entry *en = &v->entries[k];

                if (i - en->first >= en->n_shown)
                        continue;
                cache_get_state((en->list ? en->list : en->members[0])->sub, ret);
                ret->object = en->shown[i - en->first].from;
                if (!ret->error)
                        ret->error = entry_error(en);
                return;
        }
}

/* --- reports --- */

static void forget_gone(struct view *v)
{
        for (size_t i = 0; i < v->n_gone; i++)
                view_file_unref(v->gone[i]);
        free(v->gone);
        v->gone = NULL;
        v->n_gone = 0;
}

static void copy_error(const struct view *v, size_t i, struct err *ret)
{
        const struct err *e = entry_error(&v->entries[i]);

        assert(e); /* settled, and nothing to show: somebody said why */
        if (err_copy(ret, e) < 0) {
                ret->code = e->code;
                ret->cause = e->cause;
        }
        err_wrap(ret, ret->code, "object %s", v->entries[i].object->file);
}

static void report_failure(struct view *v)
{
        struct err one = {0}, *errors = NULL;
        size_t n = 0;

        for (size_t i = 0; i < v->n_entries; i++)
                n += v->entries[i].n_shown == 0;
        errors = calloc(n, sizeof *errors);
        n = 0;
        for (size_t i = 0; i < v->n_entries; i++) {
                if (v->entries[i].n_shown > 0)
                        continue;
                if (n == 0)
                        copy_error(v, i, &v->failure);
                if (errors)
                        copy_error(v, i, &errors[n++]);
                else
                        n = 1; /* memory is short: one reason instead of all */
        }
        if (!errors && err_copy(&one, &v->failure) < 0)
                one = (struct err){.code = v->failure.code, .cause = v->failure.cause};

        for (size_t i = 0; i < v->n_entries; i++)
                entry_close(&v->entries[i]);
        v->state = VIEW_FAILED;
        v->events.ready(v->userdata, errors ? errors : &one, n);
        for (size_t i = 0; errors && i < n; i++)
                err_done(&errors[i]);
        free(errors);
        err_done(&one);
}

static void report_opening(struct view *v)
{
        size_t n = v->n_entries, have = 0, settled = 0;

        for (size_t i = 0; i < n; i++) {
                have += v->entries[i].n_shown > 0;
                settled += v->entries[i].n_shown > 0 || entry_is_settled(&v->entries[i]);
        }
        if (have != v->reported_have && v->events.progress) {
                v->reported_have = have;
                v->events.progress(v->userdata, have, n);
                if (v->closed)
                        return;
        }
        if (settled < n)
                return;
        if (have < n) {
                report_failure(v);
                return;
        }
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < v->entries[i].n_shown; j++)
                        v->entries[i].shown[j].dirty = false;
        forget_gone(v);
        v->state = VIEW_READY;
        v->events.ready(v->userdata, NULL, 0);
}

static void report_changes(struct view *v)
{
        size_t n = 0;

        for (size_t i = 0; i < v->n_entries; i++)
                for (size_t j = 0; j < v->entries[i].n_shown; j++)
                        n += v->entries[i].shown[j].dirty;
        if (n == 0)
                return;

        /* When memory is short they are reported one by one. */
        struct view_file *one, **list = calloc(n, sizeof(struct view_file *));
        n = 0;
        for (size_t i = 0; i < v->n_entries; i++)
                for (size_t j = 0; !v->closed && j < v->entries[i].n_shown; j++) {
                        struct shown *s = &v->entries[i].shown[j];

                        if (!s->dirty)
                                continue;
                        s->dirty = false;
                        one = s->file;
                        if (list)
                                list[n++] = one;
                        else
                                v->events.changed(v->userdata, &one, 1);
                }
        if (list)
                v->events.changed(v->userdata, list, n);
        free(list);
}

static bool is_path(const struct view *v, const char *path)
{
        for (size_t i = 0; i < v->n_files; i++)
                if (streq(v->files[i]->path, path))
                        return true;
        return false;
}

static void report_removals(struct view *v)
{
        struct view_file **gone = TAKE_PTR(v->gone);
        size_t n = v->n_gone, left = 0;

        v->n_gone = 0;
        if (n == 0)
                return;
        const char *one, **paths = calloc(n, sizeof(const char *));
        for (size_t i = 0; i < n && !v->closed; i++) {
                /* Back again, or twice gone, within one turn. */
                if (is_path(v, gone[i]->path))
                        continue;
                one = gone[i]->path;
                if (paths)
                        paths[left++] = one;
                else if (v->events.removed)
                        v->events.removed(v->userdata, &one, 1);
        }
        if (left > 0 && v->events.removed)
                v->events.removed(v->userdata, paths, left);
        free(paths);
        for (size_t i = 0; i < n; i++)
                view_file_unref(gone[i]);
        free(gone);
}

static void report_refreshed(struct view *v)
{
        _cleanup_err_ struct err first = {0};

        if (SLIST_EMPTY(&v->refreshing))
                return;
        if (v->failure.code)
                (void)err_copy(&first, &v->failure);
        for (size_t i = 0; i < v->n_entries; i++) {
                if (!entry_is_settled(&v->entries[i]))
                        return;
                if (!first.code && entry_error(&v->entries[i]))
                        copy_error(v, i, &first);
        }

        /* Who asks again from within `done` waits for the next answers. */
        struct waiters all = v->refreshing;
        struct waiter *w;
        SLIST_INIT(&v->refreshing);
        while ((w = SLIST_FIRST(&all))) {
                SLIST_REMOVE_HEAD(&all, link);
                if (!v->closed && w->done)
                        w->done(w->userdata, first.code ? &first : NULL);
                free(w);
        }
}

/* Leaves an empty struct: what the caller lent or shares (class, vault, cache) may go at once. */
static void empty(struct view *v)
{
        struct waiter *w;

        for (size_t i = 0; i < v->n_entries; i++)
                entry_done(&v->entries[i]);
        free(v->entries);
        while ((w = SLIST_FIRST(&v->refreshing))) {
                SLIST_REMOVE_HEAD(&v->refreshing, link);
                free(w);
        }
        forget_gone(v);
        free(v->files);
        loop_timer_free(v->report);
        vault_unref(v->vault);
        err_done(&v->failure);
        *v = (struct view){.reporting = v->reporting, .closed = true};
}

static void on_report(void *userdata)
{
        struct view *v = userdata;

        alarm_rest(v->report);
        v->reporting = true;
        if (v->state == VIEW_OPENING)
                report_opening(v);
        if (!v->closed && v->state == VIEW_READY)
                report_changes(v);
        if (!v->closed && v->state == VIEW_READY)
                report_removals(v);
        if (!v->closed)
                report_refreshed(v);
        v->reporting = false;
        if (v->closed)
                free(v);
}

/* --- the view --- */

int view_open(struct cache *c, const struct view_config *cfg, const struct view_events *events,
        void *userdata, struct view **ret, struct err *e)
{
        struct view *v = calloc(1, sizeof *v);
        size_t n = cfg->class->n_objects;
        int r = -ENOMEM;

        if (!v)
                return err_set_cause(e, ERR_LOCAL, r, "memory is short");
        v->cache = c;
        v->vault = vault_ref(cfg->vault);
        v->poll_interval = cfg->poll_interval;
        v->shape = cfg->shape;
        v->events = *events;
        v->userdata = userdata;
        SLIST_INIT(&v->refreshing);
        v->entries = calloc(n ? n : 1, sizeof *v->entries);
        if (v->entries) {
                v->n_entries = n;
                r = alarm_new(cache_loop(c), on_report, v, &v->report);
        }
        for (size_t i = 0; i < n && r == 0; i++) {
                v->entries[i].view = v;
                v->entries[i].object = &cfg->class->objects[i];
                r = entry_open(&v->entries[i]);
                if (r < 0) {
                        err_set_cause(e, ERR_LOCAL, r, "object %s: cannot be fetched: %s",
                                cfg->class->objects[i].file, strerror(-r));
                        view_close(v);
                        return r;
                }
        }
        if (r < 0) {
                view_close(v);
                return err_set_cause(e, ERR_LOCAL, r, "memory is short");
        }
        report_soon(v); /* a class without objects is ready at once */
        *ret = v;
        return 0;
}

void view_close(struct view *v)
{
        if (!v)
                return;
        empty(v);
        if (!v->reporting)
                free(v);
}

void view_refresh(
        struct view *v, void (*done)(void *userdata, const struct err *error), void *userdata)
{
        struct waiter *w = calloc(1, sizeof *w);

        if (!w) {
                struct err e = {.code = -ENOMEM, .cause = ERR_LOCAL};

                if (done)
                        done(userdata, &e);
                return;
        }
        w->done = done;
        w->userdata = userdata;
        SLIST_INSERT_HEAD(&v->refreshing, w, link);
        for (size_t i = 0; i < v->n_entries; i++)
                entry_refresh(&v->entries[i]);
        report_soon(v);
}
