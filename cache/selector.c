/* A selector: from the vault's list of names to entries, which come and go with it. */
#include <strings.h>

#include "base/log.h"
#include "cache/view_priv.h"

struct wanted {
        const char *name; /* borrowed from the list */
        char *path;
};

static void wanted_free(struct wanted *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(list[i].path);
        free(list);
}

bool view_selects(const struct spc_selector *s, const struct vault_listed *o)
{
        bool tagged = !*s->tag;

        for (size_t i = 0; i < o->n_tags && !tagged; i++)
                tagged = spc_selector_takes_tag(s, o->tags[i].name, o->tags[i].value);
        return tagged && spc_selector_takes(s, o->name);
}

static const char *who_has(const struct selector *s, const char *path)
{
        const struct view *v = s->view;

        for (size_t i = 0; i < v->n_entries; i++)
                if (v->entries[i]->selector != s && names_clash(v->entries[i]->object->file, path))
                        return v->entries[i]->object->name;
        return NULL;
}

/* 1 when it is wanted, 0 when it is not to be had: then e says why. */
static int want(const struct selector *s, const struct vault_listed *o, struct wanted *list,
        size_t n, struct err *e)
{
        _cleanup_free_ char *path = NULL;
        const char *other = NULL;

        for (size_t i = 0; i < n; i++)
                if (strcasecmp(list[i].name, o->name) == 0)
                        return 0; /* twice on pages that moved while they were read */
        int r = spc_selector_path(s->spec, o->name, &path);
        if (r == -EINVAL) {
                err_set_cause(e, ERR_SERVICE, r, "the vault lists %.128s, which is no file name",
                        o->name);
                return 0;
        }
        if (r < 0)
                return r;
        other = who_has(s, path);
        for (size_t i = 0; i < n && !other; i++)
                if (names_clash(list[i].path, path))
                        other = list[i].name;
        if (other) {
                err_set_cause(e, ERR_USAGE, -EEXIST,
                        "object %s would be shown as %s, where object %s is already", o->name, path,
                        other);
                err_hint(e, "give one of them another objectAlias, for instance a folder: "
                            "objectAlias: folder/*");
                return 0;
        }
        list[n] = (struct wanted){o->name, TAKE_PTR(path)};
        return 1;
}

static int choose(const struct selector *s, const struct vault_names *names,
        struct wanted **ret_list, size_t *ret_n, struct err *e)
{
        const struct spc_selector *spec = s->spec;
        const struct view *v = s->view;
        size_t others = 0, taken = 0, n = 0;

        for (size_t i = 0; i < v->n_entries; i++)
                others += v->entries[i]->selector != s;
        for (size_t i = 0; i < names->n; i++)
                taken += view_selects(spec, &names->list[i]);
        if (taken > spec->max || taken + others > VIEW_OBJECTS_MAX) {
                err_set_cause(e, ERR_USAGE, -E2BIG,
                        "%zu objects of vault %s are chosen, and at most %zu can be shown", taken,
                        vault_url(s->vault),
                        MIN((size_t)spec->max, VIEW_OBJECTS_MAX - MIN(others, VIEW_OBJECTS_MAX)));
                err_hint(e, "raise `max` of the selector, or choose fewer");
                return -E2BIG;
        }
        struct wanted *list = calloc(taken + 1, sizeof *list);
        if (!list)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "memory is short");
        for (size_t i = 0; i < names->n; i++) {
                if (!view_selects(spec, &names->list[i]))
                        continue;
                int r = want(s, &names->list[i], list, n, e);
                if (r < 0) {
                        wanted_free(list, n);
                        return err_set_cause(e, ERR_LOCAL, r, "memory is short");
                }
                n += (size_t)r;
        }
        *ret_list = list;
        *ret_n = n;
        return 0;
}

static bool is_wanted(const struct wanted *list, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].name, name))
                        return true;
        return false;
}

static bool is_there(const struct selector *s, const char *name)
{
        const struct view *v = s->view;

        for (size_t i = 0; i < v->n_entries; i++)
                if (v->entries[i]->selector == s && streq(v->entries[i]->object->name, name))
                        return true;
        return false;
}

static int add(struct selector *s, const struct wanted *w)
{
        struct entry *en = calloc(1, sizeof *en);

        if (!en)
                return -ENOMEM;
        en->selector = s;
        en->vault = vault_ref(s->vault);
        /* All but the name and the file is the class's, which outlives the view. */
        en->chosen = s->spec->like;
        en->chosen.name = strdup(w->name);
        en->chosen.file = strdup(w->path);
        en->chosen.optional = true; /* it may go between the list and the look */
        en->object = &en->chosen;
        if (!en->chosen.name || !en->chosen.file) {
                entry_free(en);
                return -ENOMEM;
        }
        return view_add(s->view, en);
}

static void drop_others(struct selector *s, const struct wanted *list, size_t n)
{
        for (size_t i = s->view->n_entries; i-- > 0;) {
                struct entry *en = s->view->entries[i];

                if (en->selector != s || is_wanted(list, n, en->object->name))
                        continue;
                log_info("object %s: vault %s does not list it any more", en->object->file,
                        vault_url(s->vault));
                if (view_drop(s->view, en) < 0)
                        log_error("object %s: cannot be taken away: memory is short",
                                en->object->file);
        }
}

static void select_names(struct selector *s, const struct vault_names *names)
{
        _cleanup_err_ struct err e = {0};
        struct wanted *list = NULL;
        size_t n = 0;

        int r = choose(s, names, &list, &n, &e);
        if (r == 0)
                drop_others(s, list, n);
        for (size_t i = 0; i < n && r == 0; i++)
                if (!is_there(s, list[i].name))
                        r = add(s, &list[i]);
        if (r < 0 && !e.code)
                err_set_cause(&e, ERR_LOCAL, r, "cannot fetch what was chosen: %s", strerror(-r));
        wanted_free(list, n);
        if (e.code && !streq_ptr(s->select_error.text, e.text))
                log_warning("selector of vault %s: %s", vault_url(s->vault), err_text(&e));
        err_move(&s->select_error, &e);
}

static void on_names(void *userdata, const struct cache_state *state)
{
        struct selector *s = userdata;
        struct view *v = s->view;

        s->tried = true;
        s->refreshing = false;
        (void)err_copy(&s->error, state->error);
        if (state->names && !state->error)
                select_names(s, state->names);
        v->polled = true;
        view_report_soon(v);
}

int selector_open(struct selector *s)
{
        return cache_subscribe_names(s->view->cache, s->vault, view_kind(s->spec->like.type),
                s->view->poll_interval, on_names, s, &s->sub);
}

void selector_done(struct selector *s)
{
        s->sub = cache_unsubscribe(s->sub);
        s->vault = vault_unref(s->vault);
        err_done(&s->error);
        err_done(&s->select_error);
}

const struct err *selector_error(const struct selector *s)
{
        if (s->error.code)
                return &s->error;
        return s->select_error.code ? &s->select_error : NULL;
}
