/* Names that are refused while nothing has them. */
#include "fs/tree_private.h"

struct denied {
        uint64_t parent; /* node id, which is never used twice */
        char *name;
};

static struct denied *find(const struct tree *t, uint64_t parent, const char *name)
{
        for (size_t i = 0; i < t->n_denied; i++)
                if (t->denied[i].parent == parent && streq(t->denied[i].name, name))
                        return &t->denied[i];
        return NULL;
}

bool tree_is_denied(const struct tree *t, const struct node *dir, const char *name)
{
        return find(t, dir->id, name) != NULL;
}

void tree_deny_done(struct tree *t)
{
        for (size_t i = 0; i < t->n_denied; i++)
                free(t->denied[i].name);
        free(t->denied);
}

void tree_deny_forget(struct tree *t, uint64_t parent)
{
        for (size_t i = t->n_denied; i-- > 0;)
                if (t->denied[i].parent == parent) {
                        free(t->denied[i].name);
                        t->denied[i] = t->denied[--t->n_denied];
                }
}

static int add(struct tree *t, uint64_t parent, const char *name)
{
        struct denied *bigger = reallocarray(t->denied, t->n_denied + 1, sizeof *bigger);

        if (!bigger)
                return -ENOMEM;
        t->denied = bigger;
        bigger[t->n_denied] = (struct denied){parent, strdup(name)};
        if (!bigger[t->n_denied].name)
                return -ENOMEM;
        t->n_denied++;
        return 0;
}

int tree_deny(struct tree *t, const char *path, bool deny)
{
        tree_make_room(t, TREE_REMOVAL_SIZE);
        LOCKED(t);
        struct node *dir;
        const char *name;

        int r = tree_walk(t, path, false, &dir, &name, NULL);
        if (r < 0)
                return r;
        struct denied *d = find(t, dir->id, name);
        if (!deny && d) {
                free(d->name);
                *d = t->denied[--t->n_denied];
        }
        if (!deny || d)
                return 0;
        r = add(t, dir->id, name);
        if (r == 0 && !node_entry(dir, name))
                r = tree_add_removal(t, path, dir->id, true);
        return r;
}
