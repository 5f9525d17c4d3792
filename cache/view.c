#include "cache/alarm.h"
#include "cache/view_priv.h"

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
        (void)err_copy(&s->error, state->error);
        if (s == en->list) {
                if (state->versions)
                        history_select(en, state->versions);
        } else if (state->object != s->object) {
                vault_object_unref(s->object);
                s->object = vault_object_ref(state->object);
        }
        entry_update(en);
        en->view->polled = true;
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

        int r = entry_check_names(en, now, n, e);
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
        size_t total = v->n_files - old_n + n;
        if (total > v->files_size) {
                struct view_file **p = realloc(
                        v->files, MAX(total, 2 * v->files_size) * sizeof(struct view_file *));
                if (!p)
                        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
                v->files = p;
                v->files_size = MAX(total, 2 * v->files_size);
        }
        /* What the policy takes away is reported by who took it; what is still shown when memory
         * ends here is not reported. */
        for (size_t i = 0; i < old_n && en->taken == VIEW_FINE; i++)
                if (!shown_has(now, n, en->shown[i].file->path) &&
                        view_gone(v, en->shown[i].file->path, false) < 0)
                        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");

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

/* --- the view --- */

/* Leaves an empty struct: what the caller lent or shares (class, vault, cache) may go at once. */
static void view_empty(struct view *v)
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
        view_forget_gone(v);
        free(v->files);
        loop_timer_free(v->report);
        loop_timer_free(v->expiry);
        err_done(&v->failure);
        *v = (struct view){.reporting = v->reporting, .closed = true};
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
        int r = alarm_new(cache_loop(v->cache), view_on_report, v, &v->report);

        if (r == 0)
                r = policy_open(v);
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
        v->shape = cfg->shape;
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
        view_empty(v);
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
