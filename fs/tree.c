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
        if (!e && tree_is_denied(t, dir, name))
                return -EACCES;
        if (!e) {
                /* A staged name that one reader's stat had made "known absent" would make the
                 * rename fail (tests/unit/fs/tree.c, staged_absence_is_not_cached); a generation
                 * that is looked for before it is made must be found after. */
                *ret_cacheable = !startswith(name, KEEPER_STAGE_PREFIX) &&
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
        tree_record_event(t, RECORD_FORGOTTEN, n->id);
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

        if (t->withdrawn)
                return -EIO;
        if (!dir || !dir->dir)
                return -ESTALE;
        if (offset < 1) {
                fill_stat(t, dir, &st);
                if (!fn(userdata, ".", &st, 1))
                        return 0;
        }
        if (offset < 2) {
                fill_stat(t, dir->parent ? dir->parent : dir, &st);
                if (!fn(userdata, "..", &st, 2))
                        return 0;
        }
        for (size_t i = 0; i < dir->n_entries; i++) {
                const struct entry *e = &dir->entries[i];
                if (e->cookie <= offset || e->staged)
                        continue;
                fill_stat(t, e->node, &st);
                if (!fn(userdata, e->name, &st, e->cookie))
                        break;
        }
        return 0;
}

/* When the vault was last asked, and what went wrong, is told of the name, not of a version. */
static void inherit_state(struct node *fresh, struct node *superseded)
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

        if (old) {
                /* The name keeps its place in the listing. */
                struct node *superseded = old->node;
                inherit_state(fresh, superseded);
                old->node = fresh;
                superseded->linked = false;
                node_remove_entry(dir, t->plan.staged);
                tree_release(t, superseded);
        } else
                node_rename_entry(staged, t->plan.name);
        fresh->linked = true;
        dir->mtime = time(NULL);
        t->plan.pending = false;
        t->plan.applied = true;
}

int tree_rename(struct tree *t, uint64_t parent, const char *name, uint64_t new_parent,
        const char *new_name)
{
        LOCKED(t);

        if (parent == TREE_ROOT && new_parent == parent && tree_generation_of(name) != 0 &&
                startswith(new_name, KEEPER_STAGE_PREFIX) && !node_entry(t->root, name))
                return -EINTR;
        if (!(t->plan.pending || t->plan.applied) || parent != t->plan.parent ||
                new_parent != parent || !streq(name, t->plan.staged) ||
                !streq(new_name, t->plan.name))
                return -EROFS;
        if (t->plan.applied)
                return 0;

        struct node *dir = node_find(&t->nodes, parent);
        struct entry *staged = dir ? node_entry(dir, name) : NULL;
        if (!staged)
                return -EROFS;
        /* Written down before it is answered: a successor may be asked again. */
        tree_record_event(t, RECORD_APPLIED, staged->node->id);
        tree_apply_plan(t, dir, staged);
        return 0;
}

/* --- for the owner --- */

/* Walks to the folder of path. Missing folders are made when `make`, else -ENOENT. *ret_name is the
 * last component, *ret_deepest the deepest folder that existed. */
int tree_walk(struct tree *t, const char *path, bool make, struct node **ret_dir,
        const char **ret_name, uint64_t *ret_deepest)
{
        struct node *dir = t->root;
        uint64_t deepest = dir->id;
        bool made = false;

        for (;;) {
                size_t n = strcspn(path, "/");
                char name[SPC_NAME_MAX + 1];

                if (!path[n])
                        break;
                if (n == 0 || n > SPC_NAME_MAX || startswith(path, TREE_GENERATION_PREFIX))
                        return -EINVAL;
                memcpy(name, path, n);
                name[n] = '\0';
                path += n + 1;

                struct entry *e = node_entry(dir, name);
                if (e && !e->node->dir)
                        return -ENOTDIR;
                if (e)
                        dir = e->node;
                else {
                        struct node *sub;
                        int r = make ? node_new(&t->nodes, NULL, &sub) : -ENOENT;
                        if (r == 0)
                                r = node_add_entry(dir, name, sub, false);
                        if (r < 0)
                                return r;
                        sub->parent = dir;
                        sub->linked = true;
                        dir->subdirs++;
                        dir->mtime = sub->mtime;
                        tree_record_node(t, RECORD_NODE, dir, name, sub);
                        dir = sub;
                        made = true;
                }
                if (!made)
                        deepest = dir->id;
        }
        if (!*path || strlen(path) > SPC_NAME_MAX || startswith(path, TREE_GENERATION_PREFIX))
                return -EINVAL;
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
                inherit_state(fresh, superseded);
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

int tree_put(struct tree *t, struct view_file *file, uint64_t *ret_parent)
{
        tree_record_room(t, file);
        LOCKED(t);
        struct node *dir, *fresh;
        const char *name;
        uint64_t deepest;

        int r = tree_walk(t, file->path, true, &dir, &name, &deepest);
        if (r == 0)
                r = node_new(&t->nodes, file, &fresh);
        if (r < 0)
                return r;
        struct entry *e = node_entry(dir, name);
        if (e && e->node->dir) {
                node_release(&t->nodes, fresh);
                return -EISDIR;
        }
        r = tree_set_entry(t, dir, name, fresh);
        if (r < 0) {
                node_release(&t->nodes, fresh);
                return r;
        }
        if (ret_parent)
                *ret_parent = deepest;
        return 0;
}

int tree_remove(struct tree *t, const char *path, uint64_t *ret_parent, uint64_t *ret_child)
{
        tree_make_room(t, RECORD_REMOVED_SIZE);
        LOCKED(t);
        struct node *dir;
        const char *name;

        int r = tree_walk(t, path, false, &dir, &name, NULL);
        if (r < 0)
                return r;
        struct entry *e = node_entry(dir, name);
        if (!e || e->node->dir)
                return -ENOENT;
        struct node *n = e->node;
        *ret_parent = dir->id;
        *ret_child = n->id;
        node_remove_entry(dir, name);
        n->linked = false;
        tree_record_event(t, RECORD_REMOVED, n->id);
        tree_release(t, n);
        dir->mtime = time(NULL);
        return 0;
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
        t->plan.pending = true;
        t->plan.applied = false;
        t->plan.parent = dir->id;
        memcpy(t->plan.staged, staged, KEEPER_STAGE_LEN + 1);
        snprintf(t->plan.name, sizeof t->plan.name, "%s", name);
        tree_record_node(t, RECORD_STAGED, dir, staged, fresh);
        return 0;
}

int tree_stage(struct tree *t, struct view_file *file, struct tree_plan *ret)
{
        char staged[KEEPER_STAGE_LEN + 1];
        struct node *dir, *fresh;
        const char *name;

        int r = tree_staged_name(staged);
        if (r < 0)
                return r;
        tree_record_room(t, file);
        LOCKED(t);
        if (t->plan.pending)
                return -EBUSY;
        r = tree_walk(t, file->path, false, &dir, &name, NULL);
        if (r < 0)
                return r;
        const struct entry *e = node_entry(dir, name);
        if (e && e->node->dir)
                return -EISDIR;
        r = node_new(&t->nodes, file, &fresh);
        if (r < 0)
                return r;
        r = tree_plan_node(t, dir, fresh, name, staged);
        if (r < 0) {
                node_release(&t->nodes, fresh);
                return r;
        }

        ret->away = false;
        ret->parent = dir->id;
        memcpy(ret->staged, staged, sizeof staged);
        ret->name = name;
        size_t folder = name == file->path ? 0 : (size_t)(name - file->path - 1);
        memcpy(ret->folder, file->path, folder);
        ret->folder[folder] = '\0';
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
        struct entry *e = dir ? node_entry(dir, t->plan.staged) : NULL;
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
        tree_record_event(t, RECORD_UNSTAGED, id);
        return true;
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

void tree_unknown(struct tree *t, uint64_t id)
{
        LOCKED(t);
        struct node *n = node_find(&t->nodes, id);

        if (!n || !n->inherited || n->linked || n->nlookup > 0)
                return;
        n->inherited = false;
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
