#include <criterion/criterion.h>

#include "fs/tree_private.h"
#include "tests/unit/fs/support.h"

static struct tree *tree;

static void init(void)
{
        tree = make_tree();
}

static void fini(void)
{
        tree_free(tree);
}

TestSuite(tree_bind, .init = init, .fini = fini);

/* Looked up once, as a bind mount's source is. */
static uint64_t find(uint64_t parent, const char *name, uint64_t *ret_ino)
{
        struct stat st;
        uint64_t id;
        bool cacheable;

        cr_assert_eq(tree_lookup(tree, parent, name, &id, &st, &cacheable), 0, "%s", name);
        if (ret_ino)
                *ret_ino = st.st_ino;
        return id;
}

static bool holds(uint64_t id, const char *text)
{
        _cleanup_(view_file_unrefp) struct view_file *f = NULL;
        struct stat st;

        return tree_read(tree, id, &f) == 0 && tree_getattr(tree, id, &st) == 0 &&
               st.st_size == (off_t)strlen(text) && sec_len(f->bytes) == strlen(text) &&
               memcmp(sec_bytes(f->bytes), text, strlen(text)) == 0;
}

Test(tree_bind, only_what_is_bound_adopts)
{
        uint64_t ino, ids[4];

        put_text(tree, "f", "1");
        uint64_t one = find(TREE_ROOT, "f", &ino);
        tree_bind(tree, ino, true);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0, "it is current");
        put_text(tree, "f", "22");
        uint64_t two = find(TREE_ROOT, "f", NULL);
        cr_assert(holds(one, "1"));
        cr_assert_eq(tree_adopt(tree, ids, 4), 1);
        cr_assert_eq(ids[0], one);
        cr_assert(holds(one, "22"));
        put_text(tree, "f", "333");
        cr_assert_eq(tree_adopt(tree, ids, 4), 1, "again at each rotation");
        cr_assert(holds(one, "333"));
        cr_assert(holds(two, "22"), "a descriptor by name keeps its version");
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
}

Test(tree_bind, not_any_more_when_the_bind_is_gone)
{
        uint64_t ino, ids[4];

        put_text(tree, "f", "1");
        uint64_t one = find(TREE_ROOT, "f", &ino);
        tree_bind(tree, ino, true);
        tree_bind(tree, ino, true);
        tree_bind(tree, ino, false);
        put_text(tree, "f", "2");
        cr_assert_eq(tree_adopt(tree, ids, 4), 1, "one of two is left");
        tree_bind(tree, ino, false);
        put_text(tree, "f", "3");
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
        cr_assert(holds(one, "2"));
        tree_bind(tree, ino, false);
        tree_bind(tree, 4711, true);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
}

Test(tree_bind, a_removed_name_leaves_the_last_bytes)
{
        uint64_t ino, ids[4], parent;

        put_text(tree, "d/f", "1");
        uint64_t one = find(find(TREE_ROOT, "d", NULL), "f", &ino);
        tree_bind(tree, ino, true);
        cr_assert_eq(tree_remove(tree, "d/f", &parent), 0);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
        cr_assert(holds(one, "1"));
}

Test(tree_bind, one_that_the_kernel_forgets_is_bound_no_more)
{
        uint64_t ino, ids[4];

        put_text(tree, "f", "1");
        uint64_t one = find(TREE_ROOT, "f", &ino);
        tree_bind(tree, ino, true);
        put_text(tree, "f", "2");
        tree_forget(tree, one, 1);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
        cr_assert_eq(tree->n_bound, 0);
}

Test(tree_bind, in_portions)
{
        enum { N = 5 };
        uint64_t ino, ids[2];
        size_t n, all = 0;

        for (char c = 'a'; c < 'a' + N; c++) {
                put_text(tree, (char[]){c, '\0'}, "1");
                find(TREE_ROOT, (char[]){c, '\0'}, &ino);
                tree_bind(tree, ino, true);
                put_text(tree, (char[]){c, '\0'}, "2");
        }
        do
                all += n = tree_adopt(tree, ids, 2);
        while (n == 2);
        cr_assert_eq(all, N);
}
