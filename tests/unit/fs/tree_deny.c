#include <criterion/criterion.h>

#include "fs/tree_private.h"
#include "tests/unit/fs/trees.h"

static void init(void)
{
        trees_init();
        put_text(tree, "dir/f", "1");
        put_text(tree, "g", "2");
}

TestSuite(tree_deny, .init = init, .fini = trees_fini);

static int look(uint64_t parent, const char *name, uint64_t *ret_id)
{
        struct stat st;
        bool cacheable;

        return tree_lookup(tree, parent, name, ret_id, &st, &cacheable);
}

Test(tree_deny, refuses_a_name_while_nothing_has_it)
{
        uint64_t dir, parent, child, id;

        cr_assert_eq(look(TREE_ROOT, "dir", &dir), 0);
        cr_assert_eq(tree_deny(tree, "dir/f", true, &parent), 0);
        cr_assert_eq(parent, dir);
        cr_assert_eq(look(dir, "f", &id), 0, "it is there still");
        cr_assert_eq(tree_remove(tree, "dir/f", &parent, &child), 0);
        cr_assert_eq(look(dir, "f", &id), -EACCES);
        cr_assert_eq(look(dir, "e", &id), -ENOENT);
        cr_assert_eq(look(TREE_ROOT, "f", &id), -ENOENT, "of that folder alone");
        put_text(tree, "dir/f", "again");
        cr_assert_eq(look(dir, "f", &id), 0);
}

Test(tree_deny, is_taken_back)
{
        uint64_t parent, child, id;

        cr_assert_eq(tree_deny(tree, "g", true, &parent), 0);
        cr_assert_eq(tree_deny(tree, "g", true, &parent), 0, "twice is once");
        cr_assert_eq(tree_remove(tree, "g", &parent, &child), 0);
        cr_assert_eq(look(TREE_ROOT, "g", &id), -EACCES);
        cr_assert_eq(tree_deny(tree, "g", false, &parent), 0);
        cr_assert_eq(look(TREE_ROOT, "g", &id), -ENOENT);
        cr_assert_eq(tree_deny(tree, "g", false, &parent), 0);
}

Test(tree_deny, needs_the_folder)
{
        uint64_t parent;

        cr_assert_eq(tree_deny(tree, "nowhere/f", true, &parent), -ENOENT);
        cr_assert_eq(tree_deny(tree, "g/f", true, &parent), -ENOTDIR);
}
