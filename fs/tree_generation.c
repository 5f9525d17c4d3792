/* All files of a class together: the folders `..<n>` and the symlink `..data`.
 *
 * A generation's inodes and folders are its own, or a descriptor of a folder would see the next
 * generation through it, and a file with two names would be silent for watchers (st_nlink 2). A
 * folder that was taken away answers those who are in it until the kernel forgets it.
 */
#include <stdio.h>

#include "fs/tree_private.h"

#define RECORD_SIZE 1024 /* of a name in a generation, its bytes aside */

uint64_t tree_generation_of(const char *name)
{
        const char *digits = startswith(name, TREE_GENERATION_PREFIX);
        uint64_t n;

        return digits && parse_u64(digits, INT64_MAX, &n) == 0 ? n : 0;
}

static void name_of(uint64_t generation, char ret[TREE_GENERATION_SIZE])
{
        snprintf(ret, TREE_GENERATION_SIZE, TREE_GENERATION_PREFIX "%llu",
                (unsigned long long)generation);
}

struct newer {
        struct view_file *const *files;
        size_t n;
};

static struct view_file *find_newer(const struct newer *newer, const char *path)
{
        for (size_t i = 0; i < newer->n; i++)
                if (streq(newer->files[i]->path, path))
                        return newer->files[i];
        return NULL;
}

/* Plain folders and files of `from`, in its order. */
static int copy_folder(
        struct tree *t, const struct node *from, struct node *to, const struct newer *newer)
{
        /* `from` may be the root, which gets no name meanwhile. */
        for (size_t i = 0; i < from->n_entries; i++) {
                const struct entry *e = &from->entries[i];
                int r = 0;

                if (e->staged || e->node->frozen || e->node->target)
                        continue;
                if (e->node->dir) {
                        struct node *sub;
                        r = tree_add(t, to, e->name, NULL, 0, true, &sub);
                        if (r == 0)
                                r = copy_folder(t, e->node, sub, newer);
                } else {
                        struct view_file *f = find_newer(newer, e->node->file->path);
                        r = tree_add(t, to, e->name, f ? f : e->node->file, f ? 0 : e->node->id,
                                true, NULL);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A file that no plain name shows yet. A file where a folder is, or the reverse, takes its place,
 * as it will under its plain name. */
static int add_newer(struct tree *t, struct node *dir, struct view_file *file)
{
        const char *path = file->path;
        char name[SPC_NAME_MAX + 1];

        for (;;) {
                size_t n = strcspn(path, "/");
                if (n == 0 || n > SPC_NAME_MAX)
                        return 0;
                memcpy(name, path, n);
                name[n] = '\0';
                const struct entry *e = node_entry(dir, name);
                if (e && e->node->dir != (path[n] == '/')) {
                        tree_unlink_entry(t, dir, name);
                        e = NULL;
                }
                if (!path[n])
                        return e ? 0 : tree_add(t, dir, name, file, 0, true, NULL);
                if (e)
                        dir = e->node;
                else {
                        int r = tree_add(t, dir, name, NULL, 0, true, &dir);
                        if (r < 0)
                                return r;
                }
                path += n + 1;
        }
}

int tree_make_generation(struct tree *t, struct view_file *const *newer, size_t n_newer)
{
        const struct newer list = {newer, n_newer};
        char name[TREE_GENERATION_SIZE];
        struct node *dir;
        size_t room = 8 * RECORD_SIZE;

        for (size_t i = 0; i < n_newer; i++)
                room += sec_len(newer[i]->bytes) + RECORD_SIZE;
        {
                LOCKED(t);
                room += t->nodes.n_nodes * RECORD_SIZE;
        }
        tree_make_room(t, room);

        LOCKED(t);
        name_of(t->made + 1, name);
        int r = tree_add(t, t->root, name, NULL, 0, true, &dir);
        if (r < 0)
                return r;
        t->made++;
        r = copy_folder(t, t->root, dir, &list);
        for (size_t i = 0; r == 0 && i < n_newer; i++)
                r = add_newer(t, dir, newer[i]);
        if (r < 0)
                tree_unlink_entry(t, t->root, name);
        return r;
}

static int new_data(struct tree *t, struct node **ret)
{
        char name[TREE_GENERATION_SIZE];

        name_of(t->made, name);
        if (t->made == t->generation || !node_entry(t->root, name))
                return -ENOENT;
        int r = node_new(&t->nodes, NULL, ret);
        if (r < 0)
                return r;
        r = node_set_target(*ret, name);
        if (r < 0)
                node_release(&t->nodes, *ret);
        return r;
}

int tree_stage_data(struct tree *t, struct tree_plan *ret)
{
        char staged[KEEPER_STAGE_LEN + 1];
        struct node *fresh;

        int r = tree_staged_name(staged);
        if (r < 0)
                return r;
        tree_make_room(t, RECORD_SIZE);

        LOCKED(t);
        if (t->plan.pending)
                return -EBUSY;
        r = new_data(t, &fresh);
        if (r < 0)
                return r;
        r = tree_plan_node(t, t->root, fresh, TREE_DATA, staged);
        if (r < 0) {
                node_release(&t->nodes, fresh);
                return r;
        }
        *ret = (struct tree_plan){.parent = TREE_ROOT, .name = TREE_DATA};
        memcpy(ret->staged, staged, sizeof staged);
        return 0;
}

int tree_put_data(struct tree *t)
{
        struct node *fresh;

        tree_make_room(t, RECORD_SIZE);
        LOCKED(t);
        int r = new_data(t, &fresh);
        if (r < 0)
                return r;
        r = tree_set_entry(t, t->root, TREE_DATA, fresh);
        if (r < 0)
                node_release(&t->nodes, fresh);
        else
                t->generation = t->made;
        return r;
}

int tree_drop_generation(struct tree *t, unsigned keep)
{
        char name[TREE_GENERATION_SIZE];
        uint64_t oldest = 0;
        unsigned older = 0; /* than the one pointed to */

        tree_make_room(t, TREE_REMOVAL_SIZE);
        LOCKED(t);
        for (size_t i = 0; i < t->root->n_entries; i++) {
                const struct entry *e = &t->root->entries[i];
                uint64_t n = e->node->dir ? tree_generation_of(e->name) : 0;
                if (n == 0 || n >= t->generation)
                        continue;
                if (older++ == 0 || n < oldest)
                        oldest = n;
        }
        if (older <= keep)
                return -ENOENT;
        name_of(oldest, name);
        int r = tree_add_removal(t, name, TREE_ROOT, false);
        if (r < 0)
                return r;
        tree_unlink_entry(t, t->root, name);
        return 0;
}

/* Every plain file of `a` is in `b` with the same bytes, and nothing else is. */
static bool same_files(const struct node *a, const struct node *b)
{
        size_t plain = 0;

        for (size_t i = 0; i < a->n_entries; i++) {
                const struct entry *e = &a->entries[i];
                bool root_only = e->staged || e->node->target || tree_generation_of(e->name) != 0;
                if (root_only)
                        continue;
                const struct entry *other = node_entry(b, e->name);
                if (!other || other->node->dir != e->node->dir ||
                        other->node->file != e->node->file)
                        return false;
                if (e->node->dir && !same_files(e->node, other->node))
                        return false;
                plain++;
        }
        return plain == b->n_entries;
}

bool tree_generation_is_stale(struct tree *t)
{
        char name[TREE_GENERATION_SIZE];

        LOCKED(t);
        name_of(t->generation, name);
        const struct entry *e = t->generation ? node_entry(t->root, name) : NULL;
        return !e || !same_files(t->root, e->node);
}
