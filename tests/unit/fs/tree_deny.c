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
        uint64_t dir, parent, id;

        cr_assert_eq(look(TREE_ROOT, "dir", &dir), 0);
        cr_assert_eq(tree_deny(tree, "dir/f", true), 0);
        cr_assert_not(tree_has_removals(tree));
        cr_assert_eq(look(dir, "f", &id), 0, "it is there still");
        cr_assert_eq(tree_remove(tree, "dir/f", &parent), 0);
        cr_assert_eq(look(dir, "f", &id), -EACCES);
        cr_assert_eq(look(dir, "e", &id), -ENOENT);
        cr_assert_eq(look(TREE_ROOT, "f", &id), -ENOENT, "of that folder alone");
        put_text(tree, "dir/f", "again");
        cr_assert_eq(look(dir, "f", &id), 0);
}

Test(tree_deny, is_taken_back)
{
        uint64_t parent, id;

        cr_assert_eq(tree_deny(tree, "g", true), 0);
        cr_assert_eq(tree_deny(tree, "g", true), 0, "twice is once");
        cr_assert_eq(tree_remove(tree, "g", &parent), 0);
        cr_assert_eq(look(TREE_ROOT, "g", &id), -EACCES);
        cr_assert_eq(tree_deny(tree, "g", false), 0);
        cr_assert_eq(look(TREE_ROOT, "g", &id), -ENOENT);
        cr_assert_eq(tree_deny(tree, "g", false), 0);
}

/* The kernel may remember that it was not there. */
Test(tree_deny, an_absence_is_to_be_forgotten)
{
        struct tree_plan plan;
        uint64_t dir;

        cr_assert_eq(look(TREE_ROOT, "dir", &dir), 0);
        cr_assert_eq(tree_deny(tree, "dir/e", true), 0);
        cr_assert_eq(tree_plan_removal(tree, &plan), 0);
        cr_assert(plan.forget && !plan.unlink);
        cr_assert_eq(plan.parent, dir);
        cr_assert_str_eq(plan.name, "e");
        tree_removed(tree);
        cr_assert_eq(tree_deny(tree, "dir/e", true), 0);
        cr_assert_not(tree_has_removals(tree), "it is not remembered any more");
}

/* Or the kernel could not put it there. */
Test(tree_deny, who_puts_a_file_there_is_not_refused)
{
        struct stat st;
        bool cacheable = true;
        uint64_t id;

        cr_assert_eq(tree_deny(tree, "h", true), 0);
        struct tree_plan plan = stage(tree, "h", "3");
        cr_assert_eq(tree_lookup(tree, TREE_ROOT, "h", &id, &st, &cacheable), -ENOENT);
        cr_assert_not(cacheable);
        cr_assert(tree_unstage(tree));
        cr_assert_eq(look(TREE_ROOT, "h", &id), -EACCES);
        plan = stage(tree, "h", "3");
        cr_assert_eq(apply(tree, &plan), 0);
        cr_assert_eq(look(TREE_ROOT, "h", &id), 0);
}

Test(tree_deny, needs_the_folder)
{
        cr_assert_eq(tree_deny(tree, "nowhere/f", true), -ENOENT);
        cr_assert_eq(tree_deny(tree, "g/f", true), -ENOTDIR);
}

/* Node ids are never used twice, so what is refused in a folder that went is never asked for. */
Test(tree_deny, goes_with_its_folder)
{
        uint64_t dir, parent;

        for (int i = 0; i < 10; i++) {
                cr_assert_eq(look(TREE_ROOT, "dir", &dir), 0);
                cr_assert_eq(tree_deny(tree, "dir/f", true), 0);
                cr_assert_eq(tree_deny(tree, "dir/e", true), 0);
                cr_assert_eq(tree_deny(tree, "g", true), 0);
                struct view_file *f = make_file("dir", "a file now");
                cr_assert_eq(tree_replace(tree, f, &parent), 0);
                view_file_unref(f);
                cr_assert_eq(tree->n_denied, 3, "somebody is still in the folder");
                tree_forget(tree, dir, 1);
                cr_assert_eq(tree->n_denied, 1);
                f = make_file("dir/f", "a folder again");
                cr_assert_eq(tree_replace(tree, f, &parent), 0);
                view_file_unref(f);
        }
}
