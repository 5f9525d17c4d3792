#include <criterion/criterion.h>

#include "fs/tree_private.h"
#include "tests/unit/fs/trees.h"

TestSuite(tree_bind, .init = trees_init, .fini = trees_fini);

/* Looked up once, as a bind mount's source is. */
static uint64_t find_ino(uint64_t parent, const char *name, uint64_t *ret_ino)
{
        uint64_t id = find(tree, parent, name);
        struct stat st;

        cr_assert_eq(tree_getattr(tree, id, &st), 0);
        *ret_ino = st.st_ino;
        return id;
}

Test(tree_bind, only_what_is_bound_adopts)
{
        uint64_t ino, ids[4];

        put_text(tree, "f", "1");
        uint64_t one = find_ino(TREE_ROOT, "f", &ino);
        tree_bind(tree, ino, true);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0, "it is current");
        put_text(tree, "f", "22");
        uint64_t two = find(tree, TREE_ROOT, "f");
        cr_assert(holds(tree, one, "1"));
        cr_assert_eq(tree_adopt(tree, ids, 4), 1);
        cr_assert_eq(ids[0], one);
        cr_assert(holds(tree, one, "22"));
        put_text(tree, "f", "333");
        cr_assert_eq(tree_adopt(tree, ids, 4), 1, "again at each rotation");
        cr_assert(holds(tree, one, "333"));
        cr_assert(holds(tree, two, "22"), "a descriptor by name keeps its version");
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
}

Test(tree_bind, not_any_more_when_the_bind_is_gone)
{
        uint64_t ino, ids[4];

        put_text(tree, "f", "1");
        uint64_t one = find_ino(TREE_ROOT, "f", &ino);
        tree_bind(tree, ino, true);
        tree_bind(tree, ino, true);
        tree_bind(tree, ino, false);
        put_text(tree, "f", "2");
        cr_assert_eq(tree_adopt(tree, ids, 4), 1, "one of two is left");
        tree_bind(tree, ino, false);
        put_text(tree, "f", "3");
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
        cr_assert(holds(tree, one, "2"));
        tree_bind(tree, ino, false);
        tree_bind(tree, 4711, true);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
}

/* The last worker wrote down that it has other bytes, and may have died before it told the kernel.
 */
Test(tree_bind, what_an_earlier_worker_had_shown_may_be_cached_as_it_was)
{
        uint64_t ino;

        put_text(tree, "f", "1");
        uint64_t one = find_ino(TREE_ROOT, "f", &ino);
        cr_assert_eq(tree_bind(tree, ino, true), 0);
        node_find(&tree->nodes, one)->inherited = true;
        cr_assert_eq(tree_bind(tree, ino, true), one);
        cr_assert_eq(tree_bind(tree, ino, false), 0);
        cr_assert_eq(tree_bind(tree, 4711, true), 0);
}

Test(tree_bind, a_removed_name_leaves_the_last_bytes)
{
        uint64_t ino, ids[4], parent;

        put_text(tree, "d/f", "1");
        uint64_t one = find_ino(find(tree, TREE_ROOT, "d"), "f", &ino);
        tree_bind(tree, ino, true);
        cr_assert_eq(tree_remove(tree, "d/f", &parent), 0);
        cr_assert_eq(tree_adopt(tree, ids, 4), 0);
        cr_assert(holds(tree, one, "1"));
}

Test(tree_bind, one_that_the_kernel_forgets_is_bound_no_more)
{
        uint64_t ino, ids[4];

        put_text(tree, "f", "1");
        uint64_t one = find_ino(TREE_ROOT, "f", &ino);
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
                find_ino(TREE_ROOT, (char[]){c, '\0'}, &ino);
                tree_bind(tree, ino, true);
                put_text(tree, (char[]){c, '\0'}, "2");
        }
        do
                all += n = tree_adopt(tree, ids, 2);
        while (n == 2);
        cr_assert_eq(all, N);
}
