#include "fs/tree_private.h"

#include <stdio.h>
#include <time.h>

/* Names come from the class (at most some thousand a folder) and the kernel caches every answer:
 * a scan over 32-bit hashes is enough. */

int tree_new(const struct tree_config *cfg, struct tree **ret)
{
        struct tree *t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        t->cfg = *cfg;
        pthread_mutex_init(&t->lock, NULL);
        int r = node_table_init(&t->nodes, cfg->epoch);
        if (r == 0)
                r = node_new(&t->nodes, NULL, &t->root);
        if (r < 0) {
                tree_free(t);
                return r;
        }
        t->root->linked = true;
        t->root->nlookup = 1; /* the kernel holds the root without ever asking for it */
        *ret = t;
        return 0;
}

void tree_free(struct tree *t)
{
        if (!t)
                return;
        tree_drop_removals(t);
        tree_deny_done(t);
        node_table_done(&t->nodes);
        pthread_mutex_destroy(&t->lock);
        free(t);
}

static void fill_stat(const struct tree *t, const struct node *n, struct stat *st)
{
        memset(st, 0, sizeof *st);
        st->st_ino = n->ino;
        st->st_blksize = 4096;
        if (n->dir) {
                st->st_mode = S_IFDIR | 0755;
                st->st_nlink = 2 + (nlink_t)n->subdirs;
                st->st_uid = t->cfg.dir_uid;
                st->st_gid = t->cfg.dir_gid;
                st->st_mtime = n->mtime;
        } else if (n->target) {
                st->st_mode = S_IFLNK | 0777;
                st->st_nlink = n->linked ? 1 : 0;
                st->st_uid = t->cfg.dir_uid;
                st->st_gid = t->cfg.dir_gid;
                st->st_size = (off_t)strlen(n->target);
                st->st_mtime = n->mtime;
        } else {
                const struct view_file *f = n->file;
                st->st_mode = S_IFREG | (f->mode >= 0 ? (mode_t)f->mode : t->cfg.mode);
                st->st_nlink = n->linked ? 1 : 0;
                st->st_uid = t->cfg.uid;
                st->st_gid = t->cfg.gid;
                st->st_size = (off_t)sec_len(f->bytes);
                st->st_blocks = (st->st_size + 511) / 512;
                st->st_mtime = f->mtime;
        }
        st->st_atime = st->st_ctime = st->st_mtime;
}

/* --- for the kernel --- */

int tree_lookup(struct tree *t, uint64_t parent, const char *name, uint64_t *ret_id,
        struct stat *ret_st, bool *ret_cacheable)
{
        LOCKED(t);
        struct node *dir = node_find(&t->nodes, parent);

        if (t->withdrawn)
                return -EIO;
        if (!dir || !dir->dir)
                return -ESTALE;
        struct entry *e = node_entry(dir, name);
        if (!e) {
                bool denied = tree_is_denied(t, dir, name);
                /* Who is about to put something there looks the name up. */
                if (denied &&
                        !(t->plan.pending && t->plan.parent == parent && streq(t->plan.name, name)))
                        return -EACCES;
                /* A staged name that one reader's stat had made "known absent" would make the
                 * rename fail (tests/unit/fs/tree.c, staged_absence_is_not_cached); a generation
                 * that is looked for before it is made must be found after; and one that is denied
                 * is refused again when nothing is put there after all. */
                *ret_cacheable = !denied && !startswith(name, KEEPER_STAGE_PREFIX) &&
                                 !startswith(name, TREE_GENERATION_PREFIX);
                return -ENOENT;
        }
        e->node->nlookup++;
        *ret_id = e->node->id;
        fill_stat(t, e->node, ret_st);
        return 0;
}

/* When a version goes for good, a successor must not go on holding it. */
void tree_release(struct tree *t, struct node *n)
{
        struct node *child;

        if (node_is_held(n))
                return;
        while ((child = node_pop_entry(n)))
                tree_release(t, child);
        if (n->dir)
                tree_deny_forget(t, n->id);
        tree_record_event(t, RECORD_FORGOTTEN, n->id, NULL);
        t->n_bound -= n->bound;
        node_release(&t->nodes, n);
}

void tree_forget(struct tree *t, uint64_t id, uint64_t n)
{
        LOCKED(t);
        struct node *node = node_find(&t->nodes, id);

        if (!node || node == t->root)
                return;
        /* The kernel forgets an inode as a whole. What it asked for in an earlier worker's time is
         * not known, so of a file that still has its name what was counted since stays counted. */
        if (!node->inherited || !node->linked)
                node->nlookup -= MIN(n, node->nlookup);
        if (node->inherited && !node->linked)
                node->nlookup = 0;
        node->inherited = false;
        tree_release(t, node);
}

int tree_getattr(struct tree *t, uint64_t id, struct stat *ret)
{
        LOCKED(t);
        struct node *n = node_find(&t->nodes, id);

        if (!n)
                return -ESTALE;
        fill_stat(t, n, ret);
        return 0;
}

int tree_read(struct tree *t, uint64_t id, struct view_file **ret)
{
        LOCKED(t);
        struct node *n = node_find(&t->nodes, id);

        if (t->withdrawn)
                return -EIO;
        if (!n)
                return -ESTALE;
        if (n->dir)
                return -EISDIR;
        if (!n->file)
                return -EINVAL;
        *ret = view_file_ref(n->file);
        return 0;
}

int tree_readlink(struct tree *t, uint64_t id, char ret[TREE_GENERATION_SIZE])
{
        LOCKED(t);
        const struct node *n = node_find(&t->nodes, id);

        if (!n)
                return -ESTALE;
        if (!n->target)
                return -EINVAL;
        snprintf(ret, TREE_GENERATION_SIZE, "%s", n->target);
        return 0;
}

int tree_readdir(struct tree *t, uint64_t id, off_t offset, tree_name_fn fn, void *userdata)
{
        LOCKED(t);
        struct node *dir = node_find(&t->nodes, id);
        struct stat st;
        size_t end;

        if (t->withdrawn)
                return -EIO;
        if (!dir || !dir->dir)
                return -ESTALE;
        for (end = dir->n_entries; end > 0 && dir->entries[end - 1].staged;)
                end--;
        if (offset < 1) {
                fill_stat(t, dir, &st);
                if (!fn(userdata, ".", &st, 1))
                        return 0;
        }
        if (offset < 2) {
                fill_stat(t, dir->parent ? dir->parent : dir, &st);
                if (!fn(userdata, "..", &st, end == 0 ? TREE_LISTING_END : 2))
                        return 0;
        }
        for (size_t i = 0; i < end; i++) {
                const struct entry *e = &dir->entries[i];
                if (e->cookie <= offset || e->staged)
                        continue;
                fill_stat(t, e->node, &st);
                if (!fn(userdata, e->name, &st, i == end - 1 ? TREE_LISTING_END : e->cookie))
                        break;
        }
        return 0;
}

/* --- for the owner --- */

bool tree_path_is_valid(const char *path)
{
        for (;;) {
                size_t n = strcspn(path, "/");
                if (n == 0 || n > SPC_NAME_MAX || startswith(path, TREE_GENERATION_PREFIX))
                        return false;
                if (!path[n])
                        return true;
                path += n + 1;
        }
}

void tree_unlink_entry(struct tree *t, struct node *dir, const char *name)
{
        struct node *n = node_entry(dir, name)->node;

        node_remove_entry(dir, name);
        if (n->dir) {
                dir->subdirs--;
                n->parent = NULL;
        }
        n->linked = false;
        tree_record_event(t, RECORD_REMOVED, n->id, dir);
        tree_release(t, n);
}

int tree_add(struct tree *t, struct node *parent, const char *name, struct view_file *file,
        uint64_t source, bool frozen, struct node **ret)
{
        struct node *n;

        int r = node_new(&t->nodes, file, &n);
        if (r < 0)
                return r;
        r = node_add_entry(parent, name, n, false);
        if (r < 0) {
                node_release(&t->nodes, n);
                return r;
        }
        n->linked = true;
        parent->mtime = n->mtime;
        n->frozen = frozen;
        if (n->dir) {
                n->parent = parent;
                parent->subdirs++;
        }
        if (source)
                tree_record_shared(t, parent, name, n, source);
        else
                tree_record_node(t, RECORD_NODE, parent, name, n);
        if (ret)
                *ret = n;
        return 0;
}

/* Walks to the folder of path. Missing folders are made when `make`, and put in the place of a file
 * that is in the way; else -ENOENT and -ENOTDIR. *ret_name is the
 * last component, *ret_deepest the deepest folder that existed. */
int tree_walk(struct tree *t, const char *path, bool make, struct node **ret_dir,
        const char **ret_name, uint64_t *ret_deepest)
{
        struct node *dir = t->root;
        uint64_t deepest = dir->id;
        bool made = false;

        if (!tree_path_is_valid(path))
                return -EINVAL;
        for (;;) {
                size_t n = strcspn(path, "/");
                char name[SPC_NAME_MAX + 1];

                if (!path[n])
                        break;
                memcpy(name, path, n);
                name[n] = '\0';
                path += n + 1;

                struct entry *e = node_entry(dir, name);
                if (e && !e->node->dir) {
                        if (!make)
                                return -ENOTDIR;
                        tree_unlink_entry(t, dir, name);
                        e = NULL;
                }
                if (e)
                        dir = e->node;
                else {
                        struct node *sub;
                        int r = make ? tree_add(t, dir, name, NULL, 0, false, &sub) : -ENOENT;
                        if (r < 0)
                                return r;
                        dir = sub;
                        made = true;
                }
                if (!made)
                        deepest = dir->id;
        }
        *ret_dir = dir;
        *ret_name = path;
        if (ret_deepest)
                *ret_deepest = deepest;
        return 0;
}

int tree_set_entry(struct tree *t, struct node *dir, const char *name, struct node *fresh)
{
        struct entry *e = node_entry(dir, name);
        struct node *superseded = e ? e->node : NULL;

        if (e) {
                tree_inherit_state(fresh, superseded);
                e->node = fresh;
                superseded->linked = false;
        } else {
                int r = node_add_entry(dir, name, fresh, false);
                if (r < 0)
                        return r;
        }
        fresh->linked = true;
        dir->mtime = time(NULL);
        tree_record_node(t, RECORD_NODE, dir, name, fresh);
        if (superseded)
                tree_release(t, superseded);
        return 0;
}

/* With the room that its records take. */
static int put(struct tree *t, struct view_file *file, uint64_t *ret_parent)
{
        struct node *dir, *fresh;
        const char *name;
        uint64_t deepest;

        int r = tree_walk(t, file->path, true, &dir, &name, &deepest);
        if (r == 0)
                r = node_new(&t->nodes, file, &fresh);
        if (r < 0)
                return r;
        const struct entry *e = node_entry(dir, name);
        if (e && e->node->dir)
                tree_unlink_entry(t, dir, name);
        r = tree_set_entry(t, dir, name, fresh);
        if (r < 0) {
                node_release(&t->nodes, fresh);
                return r;
        }
        if (ret_parent)
                *ret_parent = deepest;
        return 0;
}

int tree_put(struct tree *t, struct view_file *file)
{
        tree_record_room(t, file);
        LOCKED(t);
        struct node *dir;
        const char *name;

        int r = tree_walk(t, file->path, false, &dir, &name, NULL);
        const struct entry *e = r == 0 ? node_entry(dir, name) : NULL;
        if (e && e->node->dir)
                return -EISDIR;
        return r < 0 && r != -ENOENT ? r : put(t, file, NULL);
}

int tree_replace(struct tree *t, struct view_file *file, uint64_t *ret_parent)
{
        tree_record_room(t, file);
        LOCKED(t);

        return put(t, file, ret_parent);
}

void tree_withdraw(struct tree *t)
{
        LOCKED(t);
        t->withdrawn = true;
}

size_t tree_known(struct tree *t, uint64_t *ids, size_t n)
{
        LOCKED(t);
        size_t count = 0;

        for (size_t i = 0; i < t->nodes.n_buckets; i++)
                for (const struct node *node = t->nodes.buckets[i]; node; node = node->next) {
                        if (node->nlookup == 0 && !node->inherited)
                                continue;
                        if (count < n)
                                ids[count] = node->id;
                        count++;
                }
        return count;
}

size_t tree_suspects(struct tree *t, uint64_t *ids, size_t n)
{
        LOCKED(t);
        size_t count = 0, inherited = 0;

        for (size_t i = 0; t->suspects && i < t->nodes.n_buckets; i++)
                for (const struct node *node = t->nodes.buckets[i]; node; node = node->next) {
                        inherited += node->inherited;
                        if (node->inherited && !node->linked && node->nlookup == 0 && count < n)
                                ids[count++] = node->id;
                }
        t->suspects = inherited > 0;
        return count;
}

/* What the kernel knows has a parent that it knows. */
static void disinherit(struct node *n)
{
        if (n->nlookup == 0)
                n->inherited = false;
        for (size_t i = 0; i < n->n_entries; i++)
                disinherit(n->entries[i].node);
}

void tree_unknown(struct tree *t, uint64_t id)
{
        LOCKED(t);
        struct node *n = node_find(&t->nodes, id);

        if (!n || !n->inherited || n->linked || n->nlookup > 0)
                return;
        disinherit(n);
        tree_release(t, n);
}

void tree_set_state(struct tree *t, const char *path, int64_t refreshed_at, const char *error)
{
        LOCKED(t);
        struct node *dir;
        const char *name;

        if (tree_walk(t, path, false, &dir, &name, NULL) < 0)
                return;
        struct entry *e = node_entry(dir, name);
        if (!e || e->node->dir)
                return;
        e->node->refreshed_at = refreshed_at;
        free(e->node->error);
        e->node->error = error ? strdup(error) : NULL;
}

int tree_get_state(struct tree *t, uint64_t id, struct tree_state *ret)
{
        LOCKED(t);
        const struct node *n = node_find(&t->nodes, id);

        if (!n || !n->file)
                return -ENODATA;
        ret->refreshed_at = n->refreshed_at;
        snprintf(ret->error, sizeof ret->error, "%s", n->error ? n->error : "");
        return 0;
}

void tree_get_stats(struct tree *t, struct tree_stats *ret)
{
        LOCKED(t);

        *ret = (struct tree_stats){.generation = t->generation};
        for (size_t i = 0; i < t->nodes.n_buckets; i++)
                for (const struct node *n = t->nodes.buckets[i]; n; n = n->next) {
                        if (!n->file)
                                continue;
                        if (n->linked && n->frozen)
                                continue; /* the same bytes, under another name */
                        if (n->linked) {
                                ret->files++;
                                ret->bytes += sec_len(n->file->bytes);
                        } else
                                ret->superseded++;
                }
}
