#include "tests/unit/fs/twin.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>

#include "fs/tree_private.h"
#include "tests/unit/fs/trees.h"

static int take(void *userdata, int fd)
{
        struct twin *w = userdata;

        safe_close(w->area);
        w->area = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        cr_assert_geq(w->area, 0);
        w->areas++;
        return 0;
}

static void write_down(struct twin *w)
{
        struct snapshot_config cfg = {.hand_over = take, .userdata = w};

        cr_assert_eq(snapshot_new(&cfg, &w->snapshot), 0);
        cr_assert_eq(tree_set_snapshot(w->tree, w->snapshot, TWIN_MOUNT), 0);
        tree_make_room(w->tree, 0);
        cr_assert_geq(w->area, 0);
}

void twin_new(struct twin *w)
{
        *w = (struct twin){.area = -EBADF, .epoch = 1};
        w->tree = make_tree_of(w->epoch);
        write_down(w);
}

void twin_done(struct twin *w)
{
        tree_drop_snapshot(w->tree);
        tree_free(w->tree);
        snapshot_free(w->snapshot);
        safe_close(w->area);
}

struct journal *twin_journal(struct twin *w)
{
        struct journal *j;

        cr_assert_eq(journal_open(fcntl(w->area, F_DUPFD_CLOEXEC, 3), &j), 0);
        return j;
}

unsigned twin_records(struct twin *w, enum record_type type)
{
        struct journal *j = twin_journal(w);
        struct journal_record r;
        size_t offset = 0;
        unsigned n = 0;

        while (journal_next(j, &offset, &r))
                n += r.type == (uint32_t)type;
        journal_free(j);
        return n;
}

static void replay(struct tree *t, const struct journal *j)
{
        struct journal_record r;
        size_t offset = 0;

        while (journal_next(j, &offset, &r)) {
                cr_assert_eq(r.mount, TWIN_MOUNT);
                int e = r.type == RECORD_INIT ? 0 : tree_restore(t, &r);
                cr_assert_eq(e, 0, "record %u at %zu: %s", r.type, offset, strerror(-e));
        }
}

struct tree *twin_restore_from(const struct journal *j)
{
        struct tree *t = make_tree_of(2);

        replay(t, j);
        return t;
}

struct tree *twin_restore(struct twin *w)
{
        struct tree *t = make_tree_of(++w->epoch);
        struct journal *j = twin_journal(w);

        replay(t, j);
        journal_free(j);
        return t;
}

void twin_take_over(struct twin *w)
{
        struct tree *t = twin_restore(w);

        /* What the dead one says of its end comes too late: it has been read. */
        tree_drop_snapshot(w->tree);
        tree_free(w->tree);
        snapshot_free(w->snapshot);
        w->tree = t;
        write_down(w);
}

/* --- a table as text --- */

static void write_node(FILE *f, struct tree *t, const struct node *n)
{
        struct stat st;

        cr_assert_eq(tree_getattr(t, n->id, &st), 0);
        fprintf(f, " %llx %llu %o %u:%u %lld %u", (unsigned long long)n->id,
                (unsigned long long)st.st_ino, st.st_mode, st.st_uid, st.st_gid,
                (long long)st.st_size, (unsigned)st.st_nlink);
        if (!n->file)
                fprintf(f, " of %lld", (long long)st.st_mtime);
        else
                fprintf(f, " %s %s %s %lld %d \"%.*s\"", n->file->path, n->file->object_id,
                        n->file->version, (long long)n->file->mtime, n->file->enabled,
                        (int)sec_len(n->file->bytes), (const char *)sec_bytes(n->file->bytes));
        fprintf(f, "\n");
}

static void write_folder(FILE *f, struct tree *t, const struct node *dir, const char *path)
{
        for (size_t i = 0; i < dir->n_entries; i++) {
                const struct entry *e = &dir->entries[i];
                char *name = NULL;

                cr_assert_geq(asprintf(&name, "%s%s%s", path, e->name, e->node->dir ? "/" : ""), 0);
                fprintf(f, "%s%s", e->staged ? "staged " : "", name);
                if (e->node->dir)
                        fprintf(f, "\n");
                write_node(f, t, e->node);
                if (e->node->dir)
                        write_folder(f, t, e->node, name);
                free(name);
        }
}

static int by_id(const void *a, const void *b)
{
        const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;

        return x->id < y->id ? -1 : x->id > y->id;
}

char *twin_text(struct tree *t)
{
        char *text = NULL;
        size_t len = 0, n = 0;
        FILE *f = open_memstream(&text, &len);
        const struct node **loose = calloc(t->nodes.n_nodes + 1, sizeof *loose);

        cr_assert(f && loose);
        write_node(f, t, t->root);
        write_folder(f, t, t->root, "");
        for (size_t i = 0; i < t->nodes.n_buckets; i++)
                for (const struct node *k = t->nodes.buckets[i]; k; k = k->next)
                        if (!k->linked && !k->dir)
                                loose[n++] = k;
        qsort(loose, n, sizeof *loose, by_id);
        for (size_t i = 0; i < n; i++) {
                fprintf(f, "superseded");
                write_node(f, t, loose[i]);
        }
        if (t->plan.pending || t->plan.applied)
                fprintf(f, "plan %s %llx %s -> %s\n", t->plan.pending ? "pending" : "applied",
                        (unsigned long long)t->plan.parent, t->plan.staged, t->plan.name);
        free(loose);
        cr_assert_eq(fclose(f), 0);
        return text;
}

void twin_compare(struct twin *w)
{
        struct tree *t = twin_restore(w);
        _cleanup_free_ char *is = twin_text(t), *expected = twin_text(w->tree);

        /* The first line that differs: values are long. */
        for (const char *x = is, *y = expected; *x || *y;) {
                size_t n = strcspn(x, "\n"), k = strcspn(y, "\n");

                if (n != k || memcmp(x, y, n) != 0)
                        cr_assert_fail("restored: %.*s\nexpected: %.*s", (int)MIN(n, 200UL), x,
                                (int)MIN(k, 200UL), y);
                x += n + (x[n] == '\n');
                y += k + (y[k] == '\n');
        }
        tree_free(t);
}

void twin_age(struct twin *w)
{
        struct node_table *nodes = &w->tree->nodes;

        for (size_t i = 0; i < nodes->n_buckets; i++)
                for (struct node *n = nodes->buckets[i]; n; n = n->next)
                        n->mtime = 1000000000 + n->ino;
        twin_area(w);
}

/* --- areas --- */

static size_t room(struct twin *w)
{
        struct journal *j = twin_journal(w);
        size_t n = journal_size(j) - journal_used(j);

        journal_free(j);
        return n;
}

void twin_area(struct twin *w)
{
        unsigned areas = w->areas;

        twin_fill(w);
        tree_make_room(w->tree, 8192);
        cr_assert_eq(w->areas, areas + 1);
}

void twin_fill(struct twin *w)
{
        unsigned areas = w->areas;
        char *blob = calloc(1, 1 << 16);

        cr_assert_not_null(blob);
        for (size_t len = 1 << 16; len >= 64; len /= 2)
                while (room(w) > len + 4096 + 64 + 64) {
                        struct iovec part = {blob, len - 16};
                        tree_write_raw(w->tree, RECORD_INIT, &part, 1);
                }
        cr_assert_eq(w->areas, areas);
        free(blob);
}
