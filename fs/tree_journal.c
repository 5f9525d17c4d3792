#include <stdio.h>

#include "fs/tree_private.h"

/* The rename that was applied last, whose request may come once more, the newest generation, and
 * the time of the root, which is no entry of anything. */
struct plan_record {
        uint64_t parent, generation;
        uint64_t applied;
        int64_t root_mtime;
        char staged[64];
        char name[KEEPER_NAME_SIZE];
};

/* A superseded version has taken the bytes of another node: fs/tree_bind.c. */
struct adopted_record {
        uint64_t id, source;
};

/* While everything is written down: which node was the first with the bytes of a file, so that
 * they are written once. An open hash table; files is NULL when there was no memory for it. */
struct shared {
        size_t size; /* a power of two */
        struct {
                const struct view_file *file;
                uint64_t id;
        } * files;
};

/* The node that has been written with this file's bytes already, or 0; then `id` is it. */
static uint64_t first_of(struct shared *s, const struct view_file *file, uint64_t id)
{
        size_t i = (size_t)((uintptr_t)file >> 4 & (s->size - 1));

        for (; s->files[i].file; i = (i + 1) & (s->size - 1))
                if (s->files[i].file == file)
                        return s->files[i].id;
        s->files[i].file = file;
        s->files[i].id = id;
        return 0;
}

/* A folder's record, its name aside. */
#define FOLDER_RECORD_MAX ((size_t)128)
#define DEPTH_MAX (SPC_PATH_MAX / 2)

/* --- writing --- */

static void fill(
        struct record_node *r, const struct node *parent, const char *name, const struct node *node)
{
        *r = (struct record_node){.id = node->id,
                .parent = parent ? parent->id : 0,
                .ino = node->ino,
                .dir = node->dir,
                .symlink = node->target != NULL,
                .linked = node->linked,
                .mtime = node->mtime,
                .parent_mtime = parent ? parent->mtime : 0,
                .file = node->file};
        snprintf(r->name, sizeof r->name, "%s", name);
        if (node->target)
                snprintf(r->target, sizeof r->target, "%s", node->target);
}

void tree_record_node(struct tree *t, enum record_type type, const struct node *parent,
        const char *name, const struct node *node)
{
        struct record_node r;

        if (!t->snapshot)
                return;
        fill(&r, parent, name, node);
        if (type == RECORD_STAGED && !node->target)
                snprintf(r.target, sizeof r.target, "%s", t->plan.name);
        if (t->shared && node->file)
                r.source = first_of(t->shared, node->file, node->id);
        snapshot_put_node(t->snapshot, type, &r);
}

void tree_record_shared(struct tree *t, const struct node *parent, const char *name,
        const struct node *node, uint64_t source)
{
        struct record_node r;

        if (!t->snapshot)
                return;
        fill(&r, parent, name, node);
        r.source = source;
        snapshot_put_node(t->snapshot, RECORD_NODE, &r);
}

void tree_record_event(struct tree *t, enum record_type type, uint64_t id, const struct node *dir)
{
        const struct record_event event = {.id = id, .parent_mtime = dir ? dir->mtime : 0};

        if (t->snapshot)
                snapshot_put_event(t->snapshot, type, &event);
}

void tree_record_adopted(struct tree *t, uint64_t id, uint64_t source)
{
        struct adopted_record a = {id, source};
        struct iovec part = {&a, sizeof a};

        if (t->snapshot)
                snapshot_put_raw(t->snapshot, RECORD_ADOPTED, &part, 1);
}

void tree_record_room(struct tree *t, const struct view_file *file)
{
        size_t folders = 0;

        if (!t->snapshot)
                return;
        /* The strings of the file's record are within the constant. */
        for (const char *p = file->path; *p; p++)
                folders += *p == '/';
        snapshot_make_room(t->snapshot,
                sec_len(file->bytes) + strlen(file->path) + folders * FOLDER_RECORD_MAX + 32768);
}

static void dump_folder(struct tree *t, const struct node *dir)
{
        for (size_t i = 0; i < dir->n_entries; i++) {
                const struct entry *e = &dir->entries[i];
                tree_record_node(t, e->staged ? RECORD_STAGED : RECORD_NODE, dir, e->name, e->node);
                if (e->node->dir)
                        dump_folder(t, e->node);
        }
}

static void dump(void *userdata, struct snapshot_mount *m)
{
        struct tree *t = userdata;
        LOCKED(t);

        struct shared shared = {.size = 16};
        while (shared.size < 2 * t->nodes.n_nodes)
                shared.size *= 2;
        shared.files = calloc(shared.size, sizeof *shared.files);
        t->shared = shared.files ? &shared : NULL;

        snapshot_dump_begin(m);
        if (t->cfg.dump)
                t->cfg.dump(t->cfg.userdata, m);
        dump_folder(t, t->root);
        for (size_t i = 0; i < t->nodes.n_buckets; i++)
                for (const struct node *n = t->nodes.buckets[i]; n; n = n->next) {
                        if (n->linked)
                                continue;
                        tree_record_node(t, RECORD_NODE, NULL, "", n);
                        if (n->dir)
                                dump_folder(t, n);
                }
        t->shared = NULL;
        free(shared.files);
        struct plan_record p = {.parent = t->plan.parent,
                .generation = t->generation,
                .applied = t->plan.applied,
                .root_mtime = t->root->mtime};
        if (t->plan.applied) {
                snprintf(p.staged, sizeof p.staged, "%s", t->plan.staged);
                snprintf(p.name, sizeof p.name, "%s", t->plan.name);
        }
        struct iovec part = {&p, sizeof p};
        snapshot_put_raw(m, RECORD_PLAN, &part, 1);
        tree_dump_removals(t);
        snapshot_dump_end(m);
}

int tree_set_snapshot(struct tree *t, struct snapshot *s, uint64_t mount)
{
        return snapshot_add(s, mount, dump, t, &t->snapshot);
}

void tree_make_room(struct tree *t, size_t len)
{
        if (t->snapshot)
                snapshot_make_room(t->snapshot, len);
}

void tree_write_raw(struct tree *t, enum record_type type, const struct iovec *parts, size_t n)
{
        LOCKED(t);

        if (t->snapshot)
                snapshot_put_raw(t->snapshot, type, parts, n);
}

void tree_drop_snapshot(struct tree *t)
{
        struct snapshot_mount *m;

        {
                LOCKED(t);
                m = TAKE_PTR(t->snapshot);
        }
        snapshot_remove(m);
}

/* --- reading --- */

static unsigned depth_of(const struct node *dir)
{
        unsigned depth = 0;

        for (; dir->parent; dir = dir->parent)
                depth++;
        return depth;
}

static int restore_entry(struct tree *t, const struct record_node *r, struct node *n, bool staged)
{
        struct node *dir = node_find(&t->nodes, r->parent);

        if (!dir || !dir->dir || !r->name[0])
                return -EBADMSG;
        struct entry *e = node_entry(dir, r->name);
        if (e && (e->node->dir || staged || n->dir))
                return -EBADMSG;
        uint64_t generation = 0;
        if (dir == t->root && n->dir)
                generation = tree_generation_of(r->name);
        if (n->target && !staged) {
                if (dir != t->root || !streq(r->name, TREE_DATA))
                        return -EBADMSG;
                t->generation = tree_generation_of(n->target);
        }
        t->made = MAX(t->made, generation);
        /* One rename at a time; and no deeper than a path can be, for writing a table down goes
         * down its folders. */
        if ((staged && t->plan.pending) || (n->dir && depth_of(dir) >= DEPTH_MAX))
                return -EBADMSG;
        if (e) {
                struct node *superseded = e->node;
                e->node = n;
                superseded->linked = false;
        } else {
                int err = node_add_entry(dir, r->name, n, staged);
                if (err < 0)
                        return err;
        }
        n->linked = true;
        dir->mtime = r->parent_mtime;
        n->frozen = generation != 0 || dir->frozen;
        if (n->dir) {
                n->parent = dir;
                dir->subdirs += !staged;
        }
        if (staged) {
                const char *final = n->target ? TREE_DATA : r->target;
                if (!startswith(r->name, KEEPER_STAGE_PREFIX) ||
                        strlen(r->name) != KEEPER_STAGE_LEN || !final[0] ||
                        (n->target && dir != t->root))
                        return -EBADMSG;
                t->plan.pending = true;
                t->plan.applied = false;
                t->plan.parent = dir->id;
                snprintf(t->plan.staged, sizeof t->plan.staged, "%.*s", (int)KEEPER_STAGE_LEN,
                        r->name);
                snprintf(t->plan.name, sizeof t->plan.name, "%s", final);
        }
        return 0;
}

static int restore_node(struct tree *t, const struct journal_record *record)
{
        struct record_node r;
        struct node *n;

        int err = record_get_node(record, &r);
        if (err < 0)
                return err;
        _cleanup_(view_file_unrefp) struct view_file *file = r.file;
        if (node_find(&t->nodes, r.id))
                return -EBADMSG;
        if (r.source) {
                const struct node *source = node_find(&t->nodes, r.source);
                if (!source || !source->file || r.dir || r.symlink)
                        return -EBADMSG;
                file = view_file_ref(source->file);
        }
        err = node_restore(&t->nodes, r.id, r.ino, file, &n);
        if (err < 0)
                return err;
        t->suspects = true;
        n->mtime = r.mtime;
        if (r.symlink) {
                if (r.dir || tree_generation_of(r.target) == 0)
                        return -EBADMSG;
                err = node_set_target(n, r.target);
                if (err < 0)
                        return err;
        }
        if (!r.parent) {
                n->frozen = n->dir; /* a generation's folder that was taken away */
                return 0;
        }
        return restore_entry(t, &r, n, record->type == RECORD_STAGED);
}

static int restore_event(struct tree *t, const struct journal_record *record)
{
        struct record_event event;

        int r = record_get_event(record, &event);
        if (r < 0)
                return r;
        struct node *n = node_find(&t->nodes, event.id);
        struct node *dir = node_find(&t->nodes, t->plan.parent);
        struct entry *staged = t->plan.pending && dir ? node_entry(dir, t->plan.staged) : NULL;

        switch (record->type) {
        case RECORD_APPLIED:
                if (!staged || staged->node->id != event.id)
                        return -EBADMSG;
                dir->mtime = event.parent_mtime;
                tree_apply_plan(t, dir, staged);
                return 0;
        case RECORD_UNSTAGED:
                if (!staged || staged->node->id != event.id)
                        return -EBADMSG;
                (void)tree_drop_plan(t);
                return 0;
        case RECORD_REMOVED:
                dir = n ? node_unlink(&t->nodes, n) : NULL;
                if (!dir)
                        return -EBADMSG;
                dir->mtime = event.parent_mtime;
                return 0;
        case RECORD_FORGOTTEN:
                /* What was in a folder that went is forgotten before the folder. */
                if (n && n != t->root) {
                        n->inherited = false;
                        node_release(&t->nodes, n);
                }
                return 0;
        default:
                return -EBADMSG;
        }
}

static int restore_plan(struct tree *t, const struct journal_record *record)
{
        struct plan_record p;

        if (record->len != sizeof p)
                return -EBADMSG;
        memcpy(&p, record->data, sizeof p);
        if (!memchr(p.staged, '\0', KEEPER_STAGE_LEN + 1) || !memchr(p.name, '\0', sizeof p.name))
                return -EBADMSG;
        t->generation = p.generation;
        t->root->mtime = p.root_mtime;
        if (!p.applied)
                return 0;
        t->plan.pending = false;
        t->plan.applied = true;
        t->plan.parent = p.parent;
        memcpy(t->plan.staged, p.staged, sizeof t->plan.staged);
        memcpy(t->plan.name, p.name, sizeof t->plan.name);
        return 0;
}

static int restore_adopted(struct tree *t, const struct journal_record *record)
{
        struct adopted_record a;

        if (record->len != sizeof a)
                return -EBADMSG;
        memcpy(&a, record->data, sizeof a);
        struct node *n = node_find(&t->nodes, a.id);
        const struct node *source = node_find(&t->nodes, a.source);
        if (!n || !n->file || !source || !source->file)
                return -EBADMSG;
        struct view_file *old = n->file;
        n->file = view_file_ref(source->file);
        view_file_unref(old);
        return 0;
}

int tree_restore(struct tree *t, const struct journal_record *record)
{
        LOCKED(t);

        switch (record->type) {
        case RECORD_NODE:
        case RECORD_STAGED:
                return restore_node(t, record);
        case RECORD_PLAN:
                return restore_plan(t, record);
        case RECORD_ADOPTED:
                return restore_adopted(t, record);
        case RECORD_LEAVING:
        case RECORD_LEFT:
                return tree_restore_removal(t, record);
        default:
                return restore_event(t, record);
        }
}

struct view_file *tree_shown(struct tree *t, const char *path)
{
        LOCKED(t);
        struct node *dir;
        const char *name;

        if (tree_walk(t, path, false, &dir, &name, NULL) < 0)
                return NULL;
        struct entry *e = node_entry(dir, name);
        return e && e->node->file ? view_file_ref(e->node->file) : NULL;
}

static void collect(const struct node *dir, struct view_file **list, size_t *n)
{
        for (size_t i = 0; i < dir->n_entries; i++) {
                const struct entry *e = &dir->entries[i];
                if (e->node->frozen || e->staged)
                        continue;
                if (e->node->dir)
                        collect(e->node, list, n);
                else if (e->node->file)
                        list[(*n)++] = view_file_ref(e->node->file);
        }
}

size_t tree_files(struct tree *t, struct view_file ***ret)
{
        LOCKED(t);
        size_t n = 0;

        *ret = calloc(t->nodes.n_nodes + 1, sizeof(struct view_file *));
        if (*ret)
                collect(t->root, *ret, &n);
        return n;
}
