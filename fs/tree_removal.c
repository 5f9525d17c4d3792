/* Names that are no more, and that the kernel may still know: of files, and of generations.
 *
 * It is made to forget them by unlink(2) or rename(2), one after the other: see fs/rotation.c. What
 * has not come to that is written down, for what the kernel remembers outlives a worker, and with a
 * name it remembers the bytes.
 */
#include <time.h>

#include "fs/tree_private.h"

struct removal {
        struct removal *next;
        uint64_t parent;
        bool absent;
        char path[];
};

int tree_unlink(struct tree *t, uint64_t parent, const char *name)
{
        LOCKED(t);
        const struct node *dir = node_find(&t->nodes, parent);

        return dir && dir->dir && !node_entry(dir, name) ? 0 : -EROFS;
}

/* Not written down yet. */
static int add(struct tree *t, const char *path, uint64_t parent, bool absent)
{
        size_t n = strlen(path) + 1;
        struct removal *r = malloc(sizeof *r + n), **last = &t->removals;

        if (!r)
                return -ENOMEM;
        *r = (struct removal){.parent = parent, .absent = absent};
        memcpy(r->path, path, n);
        while (*last)
                last = &(*last)->next;
        *last = r;
        return 0;
}

static void pop(struct tree *t)
{
        struct removal *first = t->removals;

        if (first)
                t->removals = first->next;
        free(first);
}

static void record(struct tree *t, const struct removal *r)
{
        uint64_t parent = r->parent;
        struct iovec parts[] = {
                {&parent, sizeof parent}, {(void *)(uintptr_t)r->path, strlen(r->path) + 1}};

        if (t->snapshot)
                snapshot_put_raw(t->snapshot, RECORD_LEAVING, parts, ELEMENTSOF(parts));
}

int tree_add_removal(struct tree *t, const char *path, uint64_t parent, bool absent)
{
        int r = add(t, path, parent, absent);
        if (r < 0)
                return r;
        const struct removal *last = t->removals;
        while (last->next)
                last = last->next;
        record(t, last);
        return 0;
}

int tree_remove(struct tree *t, const char *path, uint64_t *ret_parent)
{
        tree_make_room(t, TREE_REMOVAL_SIZE);
        LOCKED(t);
        struct node *dir;
        const char *name;

        int r = tree_walk(t, path, false, &dir, &name, NULL);
        if (r < 0)
                return r;
        const struct entry *e = node_entry(dir, name);
        if (!e || e->node->dir)
                return -ENOENT;
        r = tree_add_removal(t, path, dir->id, false);
        if (r < 0)
                return r;
        *ret_parent = dir->id;
        dir->mtime = time(NULL);
        tree_unlink_entry(t, dir, name);
        return 0;
}

bool tree_has_removals(struct tree *t)
{
        LOCKED(t);

        return t->removals != NULL;
}

int tree_plan_removal(struct tree *t, struct tree_plan *ret)
{
        struct tree_plan plan = {0};

        int r = tree_staged_name(plan.staged);
        if (r < 0)
                return r;
        LOCKED(t);
        if (!t->removals)
                return -ENOENT;
        const char *path = t->removals->path, *slash = strrchr(path, '/');
        size_t folder = slash ? (size_t)(slash - path) : 0;
        const char *name = slash ? slash + 1 : path;
        if (folder >= sizeof plan.folder || strlen(name) >= sizeof plan.name)
                return -ENAMETOOLONG;
        plan.parent = t->removals->parent;
        plan.forget = t->removals->absent;
        plan.away = !plan.forget && tree_generation_of(path) != 0;
        plan.unlink = !plan.forget && !plan.away;
        memcpy(plan.folder, path, folder);
        memcpy(plan.name, name, strlen(name));
        *ret = plan;
        return 0;
}

void tree_removed(struct tree *t)
{
        tree_make_room(t, RECORD_REMOVED_SIZE);
        LOCKED(t);

        pop(t);
        tree_record_event(t, RECORD_LEFT, 0, NULL);
}

void tree_dump_removals(struct tree *t)
{
        for (const struct removal *r = t->removals; r; r = r->next)
                record(t, r);
}

void tree_drop_removals(struct tree *t)
{
        while (t->removals)
                pop(t);
}

int tree_restore_removal(struct tree *t, const struct journal_record *record)
{
        uint64_t parent;

        if (record->type == RECORD_LEFT) {
                pop(t);
                return 0;
        }
        const char *path = (const char *)record->data + sizeof parent;
        if (record->len <= sizeof parent || record->len - sizeof parent > SPC_PATH_MAX + 1 ||
                memchr(path, '\0', record->len - sizeof parent) !=
                        (const char *)record->data + record->len - 1)
                return -EBADMSG;
        memcpy(&parent, record->data, sizeof parent);
        return add(t, path, parent, false);
}
