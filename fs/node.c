#include "fs/node.h"

#include <time.h>

#define EPOCH_SHIFT 40

static uint32_t hash_name(const char *s)
{
        uint32_t h = 2166136261u; /* FNV-1a */

        for (; *s; s++)
                h = (h ^ (unsigned char)*s) * 16777619u;
        return h;
}

static size_t bucket_of(const struct node_table *t, uint64_t id)
{
        return (size_t)(id ^ id >> 17) & (t->n_buckets - 1);
}

int node_table_init(struct node_table *t, uint32_t epoch)
{
        *t = (struct node_table){.n_buckets = 64, .epoch = epoch & 0xffffff};
        t->buckets = calloc(t->n_buckets, sizeof(struct node *));
        return t->buckets ? 0 : -ENOMEM;
}

static void node_free(struct node *n)
{
        for (size_t i = 0; i < n->n_entries; i++)
                free(n->entries[i].name);
        free(n->entries);
        free(n->error);
        free(n->target);
        view_file_unref(n->file);
        free(n);
}

void node_table_done(struct node_table *t)
{
        for (size_t i = 0; i < t->n_buckets && t->buckets; i++)
                for (struct node *n = t->buckets[i], *next; n; n = next) {
                        next = n->next;
                        node_free(n);
                }
        free(t->buckets);
        *t = (struct node_table){0};
}

static void grow(struct node_table *t)
{
        size_t n = t->n_buckets * 2, old = t->n_buckets;
        struct node **buckets = calloc(n, sizeof(struct node *)), **was = t->buckets;

        if (!buckets)
                return; /* longer chains, nothing worse */
        t->buckets = buckets;
        t->n_buckets = n;
        for (size_t i = 0; i < old; i++)
                for (struct node *node = was[i], *next; node; node = next) {
                        next = node->next;
                        size_t b = bucket_of(t, node->id);
                        node->next = buckets[b];
                        buckets[b] = node;
                }
        free(was);
}

static void insert(struct node_table *t, struct node *n)
{
        if (++t->n_nodes > t->n_buckets)
                grow(t);
        size_t b = bucket_of(t, n->id);
        n->next = t->buckets[b];
        t->buckets[b] = n;
}

static struct node *make(uint64_t id, uint32_t ino, struct view_file *file)
{
        struct node *n = calloc(1, sizeof *n);
        if (!n)
                return NULL;
        n->id = id;
        n->ino = ino;
        n->dir = !file;
        n->file = view_file_ref(file);
        n->mtime = time(NULL);
        n->last_cookie = 2; /* "." and ".." */
        return n;
}

int node_new(struct node_table *t, struct view_file *file, struct node **ret)
{
        uint64_t count = t->last + 1;
        uint64_t id = count == 1 ? 1 : (uint64_t)t->epoch << EPOCH_SHIFT | count;

        struct node *n = make(id, (uint32_t)count, file);
        if (!n)
                return -ENOMEM;
        t->last = count;
        insert(t, n);
        *ret = n;
        return 0;
}

int node_restore(
        struct node_table *t, uint64_t id, uint32_t ino, struct view_file *file, struct node **ret)
{
        struct node *n = make(id, ino, file);
        if (!n)
                return -ENOMEM;
        n->inherited = true;
        t->last = MAX(t->last, ino);
        insert(t, n);
        *ret = n;
        return 0;
}

int node_set_target(struct node *n, const char *target)
{
        n->target = strdup(target);
        if (!n->target)
                return -ENOMEM;
        n->dir = false;
        return 0;
}

struct node *node_unlink(struct node_table *t, struct node *n)
{
        for (size_t i = 0; i < t->n_buckets; i++)
                for (struct node *dir = t->buckets[i]; dir; dir = dir->next)
                        for (size_t k = 0; k < dir->n_entries; k++)
                                if (dir->entries[k].node == n) {
                                        node_remove_entry(dir, dir->entries[k].name);
                                        if (n->dir) {
                                                dir->subdirs--;
                                                n->parent = NULL;
                                        }
                                        n->linked = false;
                                        node_release(t, n);
                                        return dir;
                                }
        return NULL;
}

struct node *node_find(const struct node_table *t, uint64_t id)
{
        for (struct node *n = t->buckets[bucket_of(t, id)]; n; n = n->next)
                if (n->id == id)
                        return n;
        return NULL;
}

bool node_is_held(const struct node *n)
{
        return n->linked || n->nlookup > 0 || n->inherited;
}

struct node *node_pop_entry(struct node *dir)
{
        if (dir->n_entries == 0)
                return NULL;
        struct entry *e = &dir->entries[--dir->n_entries];
        struct node *n = e->node;
        free(e->name);
        n->linked = false;
        n->parent = NULL;
        return n;
}

void node_release(struct node_table *t, struct node *n)
{
        struct node *child;

        if (node_is_held(n))
                return;
        /* As deep as folders of a class are nested. */
        while ((child = node_pop_entry(n)))
                node_release(t, child);
        for (struct node **p = &t->buckets[bucket_of(t, n->id)]; *p; p = &(*p)->next)
                if (*p == n) {
                        *p = n->next;
                        t->n_nodes--;
                        node_free(n);
                        return;
                }
}

struct entry *node_entry(const struct node *dir, const char *name)
{
        uint32_t hash = hash_name(name);

        for (size_t i = 0; i < dir->n_entries; i++)
                if (dir->entries[i].hash == hash && streq(dir->entries[i].name, name))
                        return &dir->entries[i];
        return NULL;
}

int node_add_entry(struct node *dir, const char *name, struct node *n, bool staged)
{
        if (dir->n_entries == dir->entries_size) {
                size_t size = dir->entries_size ? 2 * dir->entries_size : 8;
                struct entry *entries = realloc(dir->entries, size * sizeof *entries);
                if (!entries)
                        return -ENOMEM;
                dir->entries = entries;
                dir->entries_size = size;
        }
        char *copy = malloc((staged ? SPC_NAME_MAX : strlen(name)) + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, name, strlen(name) + 1);
        dir->entries[dir->n_entries++] = (struct entry){.name = copy,
                .hash = hash_name(name),
                .staged = staged,
                .cookie = ++dir->last_cookie,
                .node = n};
        return 0;
}

void node_remove_entry(struct node *dir, const char *name)
{
        struct entry *e = node_entry(dir, name);
        if (!e)
                return;

        free(e->name);
        size_t i = (size_t)(e - dir->entries);
        dir->n_entries--;
        memmove(e, e + 1, (dir->n_entries - i) * sizeof *e);
}

void node_rename_entry(struct entry *e, const char *name)
{
        memcpy(e->name, name, strlen(name) + 1);
        e->hash = hash_name(name);
        e->staged = false;
}
