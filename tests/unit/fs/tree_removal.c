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

Test(tree_removal, a_later_worker_goes_on_with_a_generation)
{
        struct tree_plan plan;

        put_text(twin.tree, "f", "1");
        for (int i = 0; i < 2; i++) {
                cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
                cr_assert_eq(tree_put_data(twin.tree), 0);
        }
        cr_assert_eq(tree_drop_generation(twin.tree, 0), 0);
        for (int whole = 0; whole < 2; whole++) {
                if (whole)
                        twin_area(&twin);
                struct tree *t = twin_restore(&twin);
                cr_assert_eq(absent(t, TREE_ROOT, "..1"), -ENOENT);
                cr_assert_eq(tree_plan_removal(t, &plan), 0);
                cr_assert(plan.away);
                cr_assert_str_eq(plan.name, "..1");
                cr_assert_eq(tree_rename(t, TREE_ROOT, "..1", TREE_ROOT, plan.staged), -EINTR);
                tree_removed(t);
                cr_assert_not(tree_has_removals(t));
                tree_free(t);
        }
}

/* What a dead worker had shown and the kernel never asked for. */
Test(tree_removal, a_generation_that_the_kernel_never_knew_is_wiped)
{
        uint64_t ids[8];

        put_text(twin.tree, "d/f", "secret");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(twin.tree), 0);
        put_text(twin.tree, "d/f", "");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(twin.tree), 0);
        twin_take_over(&twin);
        cr_assert_eq(tree_drop_generation(twin.tree, 0), 0);
        size_t held = sec_total(), n = tree_suspects(twin.tree, ids, ELEMENTSOF(ids));
        cr_assert_gt(n, 0);
        for (size_t i = 0; i < n; i++)
                tree_unknown(twin.tree, ids[i]);
        cr_assert_eq(sec_total(), held - strlen("secret"));
}

/* What went with its folder does not come back with the journal. */
Test(tree_removal, a_wiped_generation_stays_wiped_for_a_later_worker)
{
        put_text(twin.tree, "d/f", "secret");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(twin.tree), 0);
        put_text(twin.tree, "d/f", "");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(twin.tree), 0);
        cr_assert_eq(tree_drop_generation(twin.tree, 0), 0);
        size_t held = sec_total();
        struct tree *t = twin_restore(&twin);
        cr_assert_eq(sec_total(), held);
        tree_free(t);
}
