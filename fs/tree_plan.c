/* Plans: one change at a time is prepared in the table, and the kernel's request for it accepted.
 *
 * A file is staged under a name of its own and renamed over its name. Where folders of its path are
 * missing, the first of them is staged with all below it; where a file is in a folder's place, or
 * the reverse, the staged one is exchanged with it, for rename(2) does not put one over the other.
 */
#include <stdio.h>
#include <time.h>

#include "fs/tree_private.h"

/* When the vault was last asked, and what went wrong, is told of the name, not of a version. */
void tree_inherit_state(struct node *fresh, struct node *superseded)
{
        fresh->refreshed_at = superseded->refreshed_at;
        fresh->error = TAKE_PTR(superseded->error);
}

void tree_apply_plan(struct tree *t, struct node *dir, struct entry *staged)
{
        struct node *fresh = staged->node;
        struct entry *old = node_entry(dir, t->plan.name);

        if (fresh->target)
                t->generation = tree_generation_of(fresh->target);
        dir->subdirs += fresh->dir;

        if (old) {
                /* The name keeps its place in the listing. */
                struct node *superseded = old->node;
                tree_inherit_state(fresh, superseded);
                old->node = fresh;
                superseded->linked = false;
                if (superseded->dir) {
                        dir->subdirs--;
                        superseded->parent = NULL;
                }
                node_remove_entry(dir, t->plan.staged);
                tree_release(t, superseded);
        } else
                node_rename_entry(staged, t->plan.name);
        fresh->linked = true;
        t->plan.pending = false;
        t->plan.applied = true;
}

/* What only has the kernel forget a name: a dropped generation's, or the staged one under which an
 * exchange has left a folder. */
static bool is_forgetting(const struct node *dir, const char *name, const char *new_name)
{
        bool ours = tree_generation_of(name) != 0 || startswith(name, KEEPER_STAGE_PREFIX);

        return ours && startswith(new_name, KEEPER_STAGE_PREFIX) && !node_entry(dir, name);
}

/* A file in the place of a folder, or the reverse: only an exchange can put it there. */
static bool needs_exchange(const struct node *dir, const char *name, const struct node *fresh)
{
        const struct entry *old = node_entry(dir, name);

        return old && old->node->dir != fresh->dir;
}

static int rename_planned(struct tree *t, uint64_t parent, const char *name, uint64_t new_parent,
        const char *new_name, bool exchange)
{
        struct node *dir = node_find(&t->nodes, parent);
        bool planned = (t->plan.pending || t->plan.applied) && parent == t->plan.parent &&
                       new_parent == parent && streq(name, t->plan.staged) &&
                       streq(new_name, t->plan.name);

        if (planned && t->plan.applied)
                return 0;
        if (!planned)
                return dir && dir->dir && parent == new_parent && !exchange &&
                                       is_forgetting(dir, name, new_name)
                               ? -EINTR
                               : -EROFS;
        struct entry *staged = dir ? node_entry(dir, name) : NULL;
        if (!staged || needs_exchange(dir, new_name, staged->node) != exchange)
                return -EROFS;
        /* Written down before it is answered: a successor may be asked again. */
        dir->mtime = time(NULL);
        tree_record_event(t, RECORD_APPLIED, staged->node->id, dir);
        tree_apply_plan(t, dir, staged);
        return 0;
}

int tree_rename(struct tree *t, uint64_t parent, const char *name, uint64_t new_parent,
        const char *new_name)
{
        LOCKED(t);

        return rename_planned(t, parent, name, new_parent, new_name, false);
}

int tree_exchange(struct tree *t, uint64_t parent, const char *name, uint64_t new_parent,
        const char *new_name)
{
        LOCKED(t);

        return rename_planned(t, parent, name, new_parent, new_name, true);
}

int tree_staged_name(char ret[KEEPER_STAGE_LEN + 1])
{
        unsigned char random[16];

        int r = random_bytes(random, sizeof random);
        if (r < 0)
                return r;
        memcpy(ret, KEEPER_STAGE_PREFIX, strlen(KEEPER_STAGE_PREFIX));
        hex_encode(random, sizeof random, ret + strlen(KEEPER_STAGE_PREFIX));
        return 0;
}

int tree_plan_node(struct tree *t, struct node *dir, struct node *fresh, const char *name,
        const char staged[KEEPER_STAGE_LEN + 1])
{
        int r = node_add_entry(dir, staged, fresh, true);
        if (r < 0)
                return r;
        fresh->linked = true;
        if (fresh->dir)
                fresh->parent = dir;
        t->plan.pending = true;
        t->plan.applied = false;
        t->plan.parent = dir->id;
        memcpy(t->plan.staged, staged, KEEPER_STAGE_LEN + 1);
        snprintf(t->plan.name, sizeof t->plan.name, "%s", name);
        tree_record_node(t, RECORD_STAGED, dir, staged, fresh);
        return 0;
}

/* Where a path leaves what is there: the folder, and the name to be put into it, which is that of
 * the file or that of the first folder on the way that is missing or is a file as yet. */
struct place {
        struct node *dir;
        const char *name; /* within the path */
        size_t len;
        const char *rest; /* of the path, below that name; "" when it is the file's own */
};

static struct place find_place(struct tree *t, const char *path)
{
        struct node *dir = t->root;

        for (;;) {
                char name[SPC_NAME_MAX + 1];
                size_t n = strcspn(path, "/");
                memcpy(name, path, n);
                name[n] = '\0';
                const struct entry *e = node_entry(dir, name);
                if (!path[n] || !e || !e->node->dir)
                        return (struct place){dir, path, n, path[n] ? path + n + 1 : ""};
                dir = e->node;
                path += n + 1;
        }
}

/* Below a new folder: the rest of the path. */
static int add_rest(struct tree *t, struct node *dir, const char *path, struct view_file *file)
{
        for (;;) {
                char name[SPC_NAME_MAX + 1];
                size_t n = strcspn(path, "/");
                memcpy(name, path, n);
                name[n] = '\0';
                if (!path[n])
                        return tree_add(t, dir, name, file, 0, false, NULL);
                int r = tree_add(t, dir, name, NULL, 0, false, &dir);
                if (r < 0)
                        return r;
                path += n + 1;
        }
}

int tree_stage(struct tree *t, struct view_file *file, struct tree_plan *ret)
{
        struct tree_plan plan = {0};
        struct node *fresh;

        if (!tree_path_is_valid(file->path))
                return -EINVAL;
        int r = tree_staged_name(plan.staged);
        if (r < 0)
                return r;
        tree_record_room(t, file);
        LOCKED(t);
        if (t->plan.pending)
                return -EBUSY;
        const struct place at = find_place(t, file->path);
        size_t folder = at.name == file->path ? 0 : (size_t)(at.name - file->path - 1);
        if (folder >= sizeof plan.folder)
                return -ENAMETOOLONG;
        memcpy(plan.folder, file->path, folder);
        memcpy(plan.name, at.name, at.len);
        plan.parent = at.dir->id;

        r = node_new(&t->nodes, *at.rest ? NULL : file, &fresh);
        if (r < 0)
                return r;
        plan.exchange = needs_exchange(at.dir, plan.name, fresh);
        r = tree_plan_node(t, at.dir, fresh, plan.name, plan.staged);
        if (r < 0) {
                node_release(&t->nodes, fresh);
                return r;
        }
        if (*at.rest)
                r = add_rest(t, fresh, at.rest, file);
        if (r < 0) {
                tree_record_event(t, RECORD_UNSTAGED, tree_drop_plan(t), NULL);
                return r;
        }
        *ret = plan;
        return 0;
}

bool tree_applied(struct tree *t)
{
        LOCKED(t);

        return t->plan.applied;
}

uint64_t tree_drop_plan(struct tree *t)
{
        struct node *dir = node_find(&t->nodes, t->plan.parent);
        const struct entry *e = dir ? node_entry(dir, t->plan.staged) : NULL;
        uint64_t id = 0;

        if (e) {
                struct node *n = e->node;
                id = n->id;
                node_remove_entry(dir, t->plan.staged);
                n->linked = false;
                /* Only the rename's own caller knew the staged name: nobody reads on. */
                n->inherited = false;
                node_release(&t->nodes, n);
        }
        t->plan.pending = false;
        return id;
}

bool tree_unstage(struct tree *t)
{
        LOCKED(t);

        if (!t->plan.pending)
                return !t->plan.applied;
        uint64_t id = tree_drop_plan(t);
        tree_record_event(t, RECORD_UNSTAGED, id, NULL);
        return true;
}

/* --- for a successor --- */

static const struct entry *find_staged(struct tree *t, struct node **ret_dir)
{
        *ret_dir = t->plan.pending ? node_find(&t->nodes, t->plan.parent) : NULL;
        return *ret_dir ? node_entry(*ret_dir, t->plan.staged) : NULL;
}

/* The file that is staged, by itself or in a new folder: that has one name, and that one, down to
 * the file. NULL when it was not written down to its end. */
static struct view_file *staged_file(const struct entry *staged)
{
        const struct node *n = staged ? staged->node : NULL;

        while (n && n->dir)
                n = n->n_entries > 0 ? n->entries[0].node : NULL;
        return n ? n->file : NULL;
}

struct view_file *tree_pending(struct tree *t)
{
        LOCKED(t);
        struct node *dir;
        struct view_file *f = staged_file(find_staged(t, &dir));

        return f ? view_file_ref(f) : NULL;
}

bool tree_pending_data(struct tree *t)
{
        LOCKED(t);
        struct node *dir;
        const struct entry *staged = find_staged(t, &dir);

        return staged && staged->node->target;
}

int tree_pending_plan(struct tree *t, struct tree_plan *ret)
{
        LOCKED(t);
        struct node *dir;
        const struct entry *staged = find_staged(t, &dir);
        const struct view_file *f = staged_file(staged);

        if (!staged || (!f && !staged->node->target))
                return -ENOENT;
        struct tree_plan plan = {
                .parent = dir->id, .exchange = needs_exchange(dir, t->plan.name, staged->node)};
        memcpy(plan.staged, t->plan.staged, sizeof plan.staged);
        memcpy(plan.name, t->plan.name, sizeof plan.name);
        const char *below = f ? f->path : "";
        for (const struct node *n = dir; n->parent && *below; n = n->parent)
                below += strcspn(below, "/") + (strchr(below, '/') != NULL);
        size_t folder = f && below > f->path ? (size_t)(below - f->path - 1) : 0;
        if (folder >= sizeof plan.folder)
                return -ENAMETOOLONG;
        memcpy(plan.folder, f ? f->path : "", folder);
        *ret = plan;
        return 0;
}
