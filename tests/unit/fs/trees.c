#include "tests/unit/fs/trees.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct tree *tree;

struct tree *make_tree_of(uint32_t epoch)
{
        struct tree_config cfg = {.epoch = epoch,
                .uid = 1000,
                .gid = 1001,
                .dir_uid = 2000,
                .dir_gid = 2001,
                .mode = 0640};
        struct tree *t;

        cr_assert_eq(tree_new(&cfg, &t), 0);
        return t;
}

struct tree *make_tree(void)
{
        return make_tree_of(0x2bcdef);
}

void trees_init(void)
{
        tree = make_tree();
}

void trees_fini(void)
{
        tree_free(tree);
}

void put_text(struct tree *t, const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);

        cr_assert_eq(tree_put(t, f), 0);
        view_file_unref(f);
}

struct tree_plan stage(struct tree *t, const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);
        struct tree_plan plan;

        cr_assert_eq(tree_stage(t, f, &plan), 0);
        view_file_unref(f);
        return plan;
}

int apply(struct tree *t, const struct tree_plan *plan)
{
        return (plan->exchange ? tree_exchange : tree_rename)(
                t, plan->parent, plan->staged, plan->parent, plan->name);
}

uint64_t find(struct tree *t, uint64_t parent, const char *name)
{
        struct stat st;
        uint64_t id = 0;
        bool cacheable;

        cr_assert_eq(tree_lookup(t, parent, name, &id, &st, &cacheable), 0, "%s", name);
        return id;
}

int absent(struct tree *t, uint64_t parent, const char *name)
{
        struct stat st;
        uint64_t id;
        bool cacheable;

        return tree_lookup(t, parent, name, &id, &st, &cacheable);
}

bool holds(struct tree *t, uint64_t id, const char *text)
{
        _cleanup_(view_file_unrefp) struct view_file *f = NULL;
        struct stat st;

        return tree_read(t, id, &f) == 0 && tree_getattr(t, id, &st) == 0 &&
               st.st_size == (off_t)strlen(text) && sec_len(f->bytes) == strlen(text) &&
               memcmp(sec_bytes(f->bytes), text, strlen(text)) == 0;
}

void rotate(const char *path, const char *text)
{
        struct tree_plan plan = stage(tree, path, text);

        cr_assert_eq(apply(tree, &plan), 0);
}

nlink_t links(uint64_t id)
{
        struct stat st;

        cr_assert_eq(tree_getattr(tree, id, &st), 0);
        return st.st_nlink;
}

bool add_name(void *userdata, const char *name, const struct stat *st, off_t next)
{
        struct names *names = userdata;

        cr_assert_lt(names->n, ELEMENTSOF(names->cookies));
        strcat(strcat(names->text, name), " ");
        names->cookies[names->n++] = next;
        return names->n != names->stop_after;
}

void list(uint64_t id, off_t offset, size_t stop_after, struct names *ret)
{
        *ret = (struct names){.stop_after = stop_after};
        cr_assert_eq(tree_readdir(tree, id, offset, add_name, ret), 0);
}

unsigned roll(uint64_t *random, unsigned n)
{
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(*random >> 33) % n;
}

void path_of(unsigned number, char *out, size_t size)
{
        static const char *const folders[] = {"", "d/", "d/e/"};

        (void)snprintf(out, size, "%sfile%u", folders[number % 3], number);
}
