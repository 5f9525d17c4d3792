#include "fs/tree.h"

#include <criterion/criterion.h>

#include "tests/unit/fs/trees.h"
#include "tests/unit/fs/twin.h"

static struct twin twin;

static void init(void)
{
        twin_new(&twin);
}

static void fini(void)
{
        twin_done(&twin);
}

TestSuite(tree_removal, .init = init, .fini = fini);

static uint64_t removed(struct tree *t, const char *path)
{
        uint64_t parent = 0;

        cr_assert_eq(tree_remove(t, path, &parent), 0, "%s", path);
        return parent;
}

Test(tree_removal, they_are_told_in_their_order)
{
        struct tree_plan plan;

        put_text(twin.tree, "f", "1");
        put_text(twin.tree, "d/e/g", "2");
        cr_assert_not(tree_has_removals(twin.tree));
        cr_assert_eq(tree_plan_removal(twin.tree, &plan), -ENOENT);
        cr_assert_eq(removed(twin.tree, "f"), TREE_ROOT);
        uint64_t e = removed(twin.tree, "d/e/g");

        cr_assert(tree_has_removals(twin.tree));
        cr_assert_eq(tree_plan_removal(twin.tree, &plan), 0);
        cr_assert(plan.unlink && !plan.away && !plan.exchange);
        cr_assert_str_empty(plan.folder);
        cr_assert_str_eq(plan.name, "f");
        cr_assert_eq(plan.parent, TREE_ROOT);
        tree_removed(twin.tree);
        cr_assert_eq(tree_plan_removal(twin.tree, &plan), 0);
        cr_assert_str_eq(plan.folder, "d/e");
        cr_assert_str_eq(plan.name, "g");
        cr_assert_eq(plan.parent, e);
        tree_removed(twin.tree);
        cr_assert_not(tree_has_removals(twin.tree));
        tree_removed(twin.tree);
}

Test(tree_removal, only_what_is_no_more_can_be_unlinked)
{
        put_text(twin.tree, "f", "1");
        cr_assert_eq(tree_unlink(twin.tree, TREE_ROOT, "f"), -EROFS);
        (void)removed(twin.tree, "f");
        cr_assert_eq(tree_unlink(twin.tree, TREE_ROOT, "f"), 0);
        cr_assert_eq(tree_unlink(twin.tree, TREE_ROOT, "f"), 0, "and for a later worker again");
        cr_assert_eq(tree_unlink(twin.tree, 4711, "f"), -EROFS);
        put_text(twin.tree, "f", "2");
        cr_assert_eq(tree_unlink(twin.tree, TREE_ROOT, "f"), -EROFS);
}

Test(tree_removal, a_later_worker_goes_on_with_them)
{
        struct tree_plan plan;

        put_text(twin.tree, "a", "1");
        put_text(twin.tree, "b", "2");
        put_text(twin.tree, "d/c", "3");
        (void)removed(twin.tree, "a");
        (void)removed(twin.tree, "b");
        uint64_t d = removed(twin.tree, "d/c");
        tree_removed(twin.tree);
        for (int whole = 0; whole < 2; whole++) {
                if (whole)
                        twin_area(&twin);
                struct tree *t = twin_restore(&twin);
                cr_assert_eq(tree_plan_removal(t, &plan), 0);
                cr_assert_str_eq(plan.name, "b");
                tree_removed(t);
                cr_assert_eq(tree_plan_removal(t, &plan), 0);
                cr_assert_str_eq(plan.folder, "d");
                cr_assert_eq(plan.parent, d);
                tree_removed(t);
                cr_assert_not(tree_has_removals(t));
                tree_free(t);
        }
}
