/* What a view tells of itself to those who ask. */
#include "cache/view_priv.h"

static const struct entry *entry_of(const struct view *v, size_t i)
{
        if (v->state != VIEW_READY || i >= v->n_files)
                return NULL;
        for (size_t k = 0; k < v->n_entries; k++)
                if (i - v->entries[k]->first < v->entries[k]->n_shown)
                        return v->entries[k];
        return NULL;
}

static void get_state(const struct entry *en, struct cache_state *ret)
{
        cache_get_state((en->list ? en->list : en->members[0])->sub, ret);
        if (!ret->error)
                ret->error = entry_error(en);
}

void view_file_state(const struct view *v, size_t i, struct cache_state *ret)
{
        *ret = (struct cache_state){0};
        const struct entry *en = entry_of(v, i);
        if (!en)
                return;
        get_state(en, ret);
        ret->object = en->shown[i - en->first].from;
}

enum view_trouble view_file_trouble(const struct view *v, size_t i)
{
        const struct entry *en = entry_of(v, i);

        return en ? entry_trouble(en) : VIEW_FINE;
}

static const struct entry *absent(const struct view *v, size_t i, size_t *ret_n)
{
        size_t n = 0;

        for (size_t k = 0; v->state == VIEW_READY && k < v->n_entries; k++)
                if (v->entries[k]->n_shown == 0 && n++ == i)
                        return v->entries[k];
        *ret_n = n;
        return NULL;
}

size_t view_n_absent(const struct view *v)
{
        size_t n = 0;

        (void)absent(v, SIZE_MAX, &n);
        return n;
}

void view_get_absent(const struct view *v, size_t i, struct view_absent *ret)
{
        size_t n;
        const struct entry *en = absent(v, i, &n);

        *ret = (struct view_absent){0};
        if (!en)
                return;
        ret->object = en->object;
        ret->trouble = entry_trouble(en);
        ret->taken = en->taken != VIEW_FINE;
        get_state(en, &ret->state);
}

size_t view_n_selectors(const struct view *v)
{
        return v->state == VIEW_READY ? v->n_selectors : 0;
}

void view_get_selected(const struct view *v, size_t i, struct view_selected *ret)
{
        const struct selector *s = &v->selectors[i];

        *ret = (struct view_selected){.selector = s->spec};
        cache_get_state(s->sub, &ret->state);
        if (!ret->state.error)
                ret->state.error = selector_error(s);
        for (size_t k = 0; k < v->n_entries; k++)
                ret->n_objects += v->entries[k]->selector == s;
}
