/* What a view tells its owner: ready or not, what changed, what went, and that a refresh is over.
 */
#include <assert.h>

#include "cache/alarm.h"
#include "cache/view_priv.h"

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

void view_forget_gone(struct view *v)
{
        forget_gone(v, false);
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
        (void)err_copy(ret, e);
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
        if (!errors)
                (void)err_copy(&one, &v->failure);

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
        v->polled = false;
        v->state = VIEW_READY;
        v->events.ready(v->userdata, NULL, 0);
}

static bool report_changes(struct view *v)
{
        size_t n = 0;

        for (size_t i = 0; i < v->n_entries; i++)
                for (size_t j = 0; j < v->entries[i]->n_shown; j++)
                        n += v->entries[i]->shown[j].dirty;
        if (n == 0)
                return false;

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
        return true;
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

static bool report_removals(struct view *v)
{
        struct gone *gone = TAKE_PTR(v->gone);
        size_t n = v->n_gone;

        v->n_gone = 0;
        if (n == 0)
                return false;
        report_gone(v, gone, n, false);
        if (!v->closed)
                report_gone(v, gone, n, true);
        for (size_t i = 0; i < n; i++)
                free(gone[i].path);
        free(gone);
        return true;
}

/* The first reason why what is shown is not all that the vault has now. */
static void first_error(const struct view *v, struct err *ret, bool *ret_taken)
{
        *ret_taken = false;
        (void)err_copy(ret, &v->failure);
        for (size_t i = 0; !ret->code && i < v->n_entries; i++) {
                const struct entry *en = v->entries[i];

                if (!entry_error(en) || (en->object->optional && entry_is_absent(en)))
                        continue;
                copy_entry_error(en, ret);
                *ret_taken = en->taken != VIEW_FINE;
        }
        for (size_t i = 0; !ret->code && i < v->n_selectors; i++)
                if (selector_error(&v->selectors[i]))
                        copy_selector_error(&v->selectors[i], ret);
}

static void report_polled(struct view *v, bool changed)
{
        _cleanup_err_ struct err first = {0};
        struct view_poll poll = {.changed = changed};

        v->polled = false;
        if (!v->events.polled)
                return;
        first_error(v, &first, &poll.taken);
        poll.error = first.code ? &first : NULL;
        v->events.polled(v->userdata, &poll);
}

static void report_refreshed(struct view *v)
{
        _cleanup_err_ struct err first = {0};
        bool taken;

        if (SLIST_EMPTY(&v->refreshing))
                return;
        for (size_t i = 0; i < v->n_entries; i++)
                if (!entry_is_settled(v->entries[i]))
                        return;
        for (size_t i = 0; i < v->n_selectors; i++)
                if (!selector_is_settled(&v->selectors[i]))
                        return;
        first_error(v, &first, &taken);

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

void view_on_report(void *userdata)
{
        struct view *v = userdata;
        bool changed = false;

        alarm_rest(v->report);
        v->reporting = true;
        if (v->state == VIEW_OPENING)
                report_opening(v);
        if (!v->closed && v->state == VIEW_READY)
                changed = report_changes(v);
        if (!v->closed && v->state == VIEW_READY)
                changed = report_removals(v) || changed;
        if (!v->closed && v->state == VIEW_READY && v->polled)
                report_polled(v, changed);
        if (!v->closed)
                report_refreshed(v);
        v->reporting = false;
        if (v->closed)
                free(v);
        else
                policy_watch_expiry(v);
}
