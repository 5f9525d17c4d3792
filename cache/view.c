#include "cache/view.h"

#include "cache/alarm.h"
#include "cache/view_priv.h"
#include <assert.h>

/* Between two looks at what has expired: a wall clock may be set. */
#define EXPIRY_LOOK (600 * USEC_PER_SEC)

struct cache *view_cache(const struct view *v)
{
        return v->cache;
}

const struct view_policy *view_get_policy(const struct view *v)
{
        return &v->policy;
}

usec_t view_interval(const struct view *v)
{
        return v->poll_interval;
}

/* What arrives in one turn of the loop is reported together: timers that are due now run before
 * this one, and the answers of the descriptors before all timers. */
void view_report_soon(struct view *v)
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
        view_report_soon(en->view);
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
                r = s->version ? cache_subscribe(v->cache, en->vault, view_kind(so->type), so->name,
                                         version, v->poll_interval, on_source, s, &s->sub)
                               : -ENOMEM;
        } else
                r = cache_subscribe_versions(v->cache, en->vault, view_kind(so->type), so->name,
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
                struct entry *en = v->entries[i];

                en->first = v->n_files;
                for (size_t j = 0; j < en->n_shown; j++)
                        v->files[v->n_files++] = en->shown[j].file;
        }
}

int view_replace(struct entry *en, struct shown *now, size_t n, struct err *e)
{
        struct view *v = en->view;
        size_t old_n = en->n_shown, new_bytes = bytes_of(now, n),
               others = v->bytes - bytes_of(en->shown, old_n);

        if (new_bytes > VIEW_BYTES_MAX - others) {
                err_set_cause(e, ERR_USAGE, -EFBIG,
                        "its %zu bytes take the files of this class above the limit of %zu MiB",
                        new_bytes, VIEW_BYTES_MAX >> 20);
                err_hint(e, "split the class");
                return -EFBIG;
        }

        /* Room first: nothing below can fail. */
        /* What the policy takes away is reported by who took it. */
        bool taken = en->taken != VIEW_FINE;
        size_t total = v->n_files - old_n + n, vanish = n < old_n && !taken ? old_n - n : 0;
        if (total > v->files_size) {
                struct view_file **p = realloc(
                        v->files, MAX(total, 2 * v->files_size) * sizeof(struct view_file *));
                if (!p)
                        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
                v->files = p;
                v->files_size = MAX(total, 2 * v->files_size);
        }
        if (vanish > 0) {
                struct gone *p = reallocarray(v->gone, v->n_gone + vanish, sizeof *p);
                if (!p)
                        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
                v->gone = p;
                for (size_t i = n; i < old_n; i++) {
                        char *path = strdup(en->shown[i].file->path);
                        if (!path)
                                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
                        v->gone[v->n_gone++] = (struct gone){path, false};
                }
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

/* --- reports --- */

/* What was never shown need not be taken away; but who asks for it is to be refused. */
static void forget_gone(struct view *v, bool keep_denied)
{
        size_t kept = 0;

        for (size_t i = 0; i < v->n_gone; i++)
                if (keep_denied && v->gone[i].denied)
                        v->gone[kept++] = v->gone[i];
                else
                        free(v->gone[i].path);
        v->n_gone = kept;
        if (kept > 0)
                return;
        free(v->gone);
        v->gone = NULL;
}

int view_gone(struct view *v, const char *path, bool denied)
{
        struct gone *p = reallocarray(v->gone, v->n_gone + 1, sizeof *p);

        if (!p)
                return -ENOMEM;
        v->gone = p;
        v->gone[v->n_gone].path = strdup(path);
        v->gone[v->n_gone].denied = denied;
        if (!v->gone[v->n_gone].path)
                return -ENOMEM;
        v->n_gone++;
        return 0;
}

static void copy_error(const struct err *e, const char *what, const char *name, struct err *ret)
{
        if (err_copy(ret, e) < 0) {
                ret->code = e->code;
                ret->cause = e->cause;
        }
        err_wrap(ret, ret->code, "%s %s", what, name);
}

static void copy_entry_error(const struct entry *en, struct err *ret)
{
        const struct err *e = entry_error(en);

        assert(e); /* settled, and nothing to show: somebody said why */
        copy_error(e, "object", en->object->file, ret);
}

static void copy_selector_error(const struct selector *s, struct err *ret)
{
        _cleanup_free_ char *words = NULL;

        (void)spc_selector_describe(s->spec, &words);
        copy_error(selector_error(s), "selector", words ? words : "", ret);
}

/* It has nothing to show, and that is no failure to open. */
static bool may_be_absent(const struct view *v, const struct entry *en)
{
        if (!entry_is_absent(en))
                return false;
        return v->adopted || (en->object->optional && entry_trouble(en) != VIEW_FORBIDDEN);
}

static void report_failure(struct view *v)
{
        struct err one = {0}, *errors = NULL;
        size_t n = 0;

        for (size_t i = 0; i < v->n_entries; i++)
                n += v->entries[i]->n_shown == 0 && !may_be_absent(v, v->entries[i]);
        for (size_t i = 0; i < v->n_selectors; i++)
                n += selector_error(&v->selectors[i]) != NULL;
        errors = calloc(n, sizeof *errors);
        n = 0;
        for (size_t i = 0; i < v->n_entries; i++) {
                if (v->entries[i]->n_shown > 0 || may_be_absent(v, v->entries[i]))
                        continue;
                if (v->failure.code == 0)
                        copy_entry_error(v->entries[i], &v->failure);
                if (errors)
                        copy_entry_error(v->entries[i], &errors[n++]);
                else
                        n = 1; /* memory is short: one reason instead of all */
        }
        for (size_t i = 0; i < v->n_selectors; i++) {
                if (!selector_error(&v->selectors[i]))
                        continue;
                if (v->failure.code == 0)
                        copy_selector_error(&v->selectors[i], &v->failure);
                if (errors)
                        copy_selector_error(&v->selectors[i], &errors[n++]);
                else
                        n = 1;
        }
        if (!errors && err_copy(&one, &v->failure) < 0)
                one = (struct err){.code = v->failure.code, .cause = v->failure.cause};

        for (size_t i = 0; i < v->n_entries; i++)
                entry_close(v->entries[i]);
        for (size_t i = 0; i < v->n_selectors; i++)
                v->selectors[i].sub = cache_unsubscribe(v->selectors[i].sub);
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
        bool failed = false;

        for (size_t i = 0; i < n; i++) {
                bool good = v->entries[i]->n_shown > 0 || may_be_absent(v, v->entries[i]);

                have += good;
                settled += good || entry_is_settled(v->entries[i]);
        }
        for (size_t i = 0; i < v->n_selectors; i++) {
                failed = failed || selector_error(&v->selectors[i]);
                if (!selector_is_settled(&v->selectors[i]))
                        settled = SIZE_MAX;
        }
        if (have > v->reported_have && v->events.progress) {
                v->reported_have = have;
                v->events.progress(v->userdata, have, n);
                if (v->closed)
                        return;
        }
        if (settled != n)
                return;
        if (have < n || failed) {
                report_failure(v);
                return;
        }
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < v->entries[i]->n_shown; j++)
                        v->entries[i]->shown[j].dirty = false;
        forget_gone(v, true);
        v->state = VIEW_READY;
        v->events.ready(v->userdata, NULL, 0);
}

static void report_changes(struct view *v)
{
        size_t n = 0;

        for (size_t i = 0; i < v->n_entries; i++)
                for (size_t j = 0; j < v->entries[i]->n_shown; j++)
                        n += v->entries[i]->shown[j].dirty;
        if (n == 0)
                return;

        /* When memory is short they are reported one by one. */
        struct view_file *one, **list = calloc(n, sizeof(struct view_file *));
        n = 0;
        for (size_t i = 0; i < v->n_entries; i++)
                for (size_t j = 0; !v->closed && j < v->entries[i]->n_shown; j++) {
                        struct shown *s = &v->entries[i]->shown[j];

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

/* Those of one sort, in one call; one by one when memory is short. */
static void report_gone(struct view *v, struct gone *gone, size_t n, bool denied)
{
        void (*tell)(void *, const char *const *, size_t) =
                denied && v->events.denied ? v->events.denied : v->events.removed;
        const char *one, **paths = calloc(n, sizeof(const char *));
        size_t left = 0;

        for (size_t i = 0; i < n && tell && !v->closed; i++) {
                /* Back again, or twice gone, within one turn. */
                if (gone[i].denied != denied || is_path(v, gone[i].path))
                        continue;
                one = gone[i].path;
                if (paths)
                        paths[left++] = one;
                else
                        tell(v->userdata, &one, 1);
        }
        if (left > 0)
                tell(v->userdata, paths, left);
        free(paths);
}

static void report_removals(struct view *v)
{
        struct gone *gone = TAKE_PTR(v->gone);
        size_t n = v->n_gone;

        v->n_gone = 0;
        if (n == 0)
                return;
        report_gone(v, gone, n, false);
        if (!v->closed)
                report_gone(v, gone, n, true);
        for (size_t i = 0; i < n; i++)
                free(gone[i].path);
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
                const struct entry *en = v->entries[i];

                if (!entry_is_settled(en))
                        return;
                if (!first.code && entry_error(en) &&
                        !(en->object->optional && entry_is_absent(en)))
                        copy_entry_error(en, &first);
        }
        for (size_t i = 0; i < v->n_selectors; i++) {
                if (!selector_is_settled(&v->selectors[i]))
                        return;
                if (!first.code && selector_error(&v->selectors[i]))
                        copy_selector_error(&v->selectors[i], &first);
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

        for (size_t i = 0; i < v->n_selectors; i++)
                selector_done(&v->selectors[i]);
        free(v->selectors);
        for (size_t i = 0; i < v->n_entries; i++)
                entry_free(v->entries[i]);
        free(v->entries);
        while ((w = SLIST_FIRST(&v->refreshing))) {
                SLIST_REMOVE_HEAD(&v->refreshing, link);
                free(w);
        }
        forget_gone(v, false);
        free(v->files);
        loop_timer_free(v->report);
        loop_timer_free(v->expiry);
        err_done(&v->failure);
        *v = (struct view){.reporting = v->reporting, .closed = true};
}

/* A pinned object, or any where polling is off, is not asked for when it expires. */
static void watch_expiry(struct view *v)
{
        int64_t now = loop_wall(cache_loop(v->cache)), next = INT64_MAX;

        for (size_t i = 0; v->policy.remove_expired && i < v->n_entries; i++) {
                const struct entry *en = v->entries[i];
                const struct vault_object *o = en->n_members > 0 ? en->members[0]->object : NULL;

                if (en->n_shown > 0 && o && o->expires != VAULT_NO_TIME && o->expires > now)
                        next = MIN(next, o->expires);
        }
        if (next == INT64_MAX)
                alarm_rest(v->expiry);
        else
                alarm_set(v->expiry, loop_now(cache_loop(v->cache)) +
                                             MIN((usec_t)(next - now), EXPIRY_LOOK / USEC_PER_SEC) *
                                                     USEC_PER_SEC);
}

static void on_expiry(void *userdata)
{
        struct view *v = userdata;

        alarm_rest(v->expiry);
        for (size_t i = 0; i < v->n_entries; i++)
                entry_update(v->entries[i]);
        view_report_soon(v);
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
        else
                watch_expiry(v);
}

/* --- the view --- */

size_t view_entries(const struct view *v, struct entry *const **ret)
{
        *ret = v->entries;
        return v->n_entries;
}

int view_add(struct view *v, struct entry *en)
{
        int r = 0;

        if (v->n_entries == v->entries_size) {
                size_t size = MAX(2 * v->entries_size, (size_t)16);
                struct entry **p = reallocarray(v->entries, size, sizeof(struct entry *));
                if (p) {
                        v->entries = p;
                        v->entries_size = size;
                } else
                        r = -ENOMEM;
        }
        en->view = v;
        en->first = v->n_files;
        if (r == 0)
                r = entry_open(en);
        if (r < 0) {
                entry_free(en);
                return r;
        }
        v->entries[v->n_entries++] = en;
        return 0;
}

int view_drop(struct view *v, struct entry *en)
{
        size_t i = 0;

        int r = 0;
        for (size_t k = 0; k < en->n_away && r == 0; k++)
                r = view_gone(v, en->away[k], false); /* refused no more */
        if (r == 0)
                r = view_replace(en, NULL, 0, NULL);
        if (r < 0)
                return r;
        while (v->entries[i] != en)
                i++;
        v->n_entries--;
        memmove(&v->entries[i], &v->entries[i + 1], (v->n_entries - i) * sizeof(struct entry *));
        entry_free(en);
        return 0;
}

static struct vault *find_vault(const struct view_config *cfg, const char *name)
{
        if (!isempty(name))
                for (size_t i = 0; i < cfg->n_vaults; i++)
                        if (streq(cfg->vaults[i].name, name))
                                return cfg->vaults[i].vault;
        return isempty(name) || streq_ptr(name, cfg->class->vault) ? cfg->vault : NULL;
}

static int open_object(struct view *v, const struct view_config *cfg, const struct spc_object *so)
{
        struct vault *vault = find_vault(cfg, so->vault);
        struct entry *en = vault ? calloc(1, sizeof *en) : NULL;

        if (!en)
                return vault ? -ENOMEM : -EINVAL;
        en->object = so;
        en->vault = vault_ref(vault);
        return view_add(v, en);
}

static int open_selector(
        struct view *v, const struct view_config *cfg, const struct spc_selector *spec)
{
        struct vault *vault = find_vault(cfg, spec->like.vault);
        struct selector *s = &v->selectors[v->n_selectors];

        if (!vault)
                return -EINVAL;
        *s = (struct selector){.view = v, .spec = spec, .vault = vault_ref(vault)};
        v->n_selectors++;
        return selector_open(s);
}

static int open_all(struct view *v, const struct view_config *cfg, struct err *e)
{
        const struct spc_class *class = cfg->class;
        int r = alarm_new(cache_loop(v->cache), on_report, v, &v->report);

        if (r == 0)
                r = alarm_new(cache_loop(v->cache), on_expiry, v, &v->expiry);
        v->selectors = calloc(class->n_selectors + 1, sizeof *v->selectors);
        if (r < 0 || !v->selectors)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
        for (size_t i = 0; i < class->n_objects; i++) {
                r = open_object(v, cfg, &class->objects[i]);
                if (r < 0)
                        return err_set_cause(e, ERR_LOCAL, r, "object %s: cannot be fetched: %s",
                                class->objects[i].file, strerror(-r));
        }
        for (size_t i = 0; i < class->n_selectors; i++) {
                r = open_selector(v, cfg, &class->selectors[i]);
                if (r < 0)
                        return err_set_cause(
                                e, ERR_LOCAL, r, "a vault cannot be listed: %s", strerror(-r));
        }
        return 0;
}

int view_open(struct cache *c, const struct view_config *cfg, const struct view_events *events,
        void *userdata, struct view **ret, struct err *e)
{
        struct view *v = calloc(1, sizeof *v);

        if (!v)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
        v->cache = c;
        v->poll_interval = cfg->poll_interval;
        v->policy = cfg->policy;
        v->adopted = cfg->adopted;
        v->events = *events;
        v->userdata = userdata;
        SLIST_INIT(&v->refreshing);
        int r = open_all(v, cfg, e);
        if (r < 0) {
                view_close(v);
                return r;
        }
        view_report_soon(v); /* a class without objects is ready at once */
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
                entry_refresh(v->entries[i]);
        for (size_t i = 0; i < v->n_selectors; i++)
                if (v->selectors[i].sub) {
                        v->selectors[i].refreshing = true;
                        cache_refresh(v->selectors[i].sub);
                }
        view_report_soon(v);
}
