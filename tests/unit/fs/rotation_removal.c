/* Names that go from a rotation's table: unlinked, or forgotten. */
#include <criterion/criterion.h>

#include "tests/unit/fs/rotor.h"

TestSuite(rotation_removal, .init = rotor_init, .fini = rotor_fini, .timeout = 60);

static void remove_path(const char *path, bool deny)
{
        rotation_remove(rotation, &path, 1, deny);
}

/* What the kernel does with the child's unlinkat, and its end. */
static void unlinked(const char *folder, const char *name)
{
        cr_assert(keeper.plan.unlink);
        cr_assert_str_eq(keeper.plan.folder, folder);
        cr_assert_str_eq(keeper.name, name);
        cr_assert_eq(tree_unlink(rig.tree, keeper.plan.parent, name), 0);
        rotation_ended(rotation, keeper.seq, 0, "");
}

Test(rotation_removal, a_removal_makes_a_generation)
{
        remove_path("g", false);
        cr_assert_eq(keeper.unlinked, 1);
        cr_assert_eq(tree_unlink(rig.tree, TREE_ROOT, "g"), 0, "gone for whoever looks it up");
        cr_assert(listing_goes(TREE_ROOT));
        unlinked("", "g");
        cr_assert(data_shows("g", "old"));
        rename_data();
        cr_assert(data_shows("f", "old"));
        cr_assert_not(data_shows("g", "old"));
        cr_assert_eq(rotation_count(rotation), 0);
}

Test(rotation_removal, what_is_removed_does_not_come_back)
{
        add("f", "1");
        add("g", "2");
        struct tree_plan first = keeper.plan;
        uint64_t seq = keeper.seq;
        static const char *const paths[] = {"g", "f", "nothing of that name"};
        rotation_remove(rotation, paths, ELEMENTSOF(paths), false);
        cr_assert_eq(tree_rename(rig.tree, first.parent, first.staged, first.parent, "f"), -EROFS);
        rotation_ended(rotation, seq, -EROFS, "refused");
        unlinked("", "g");
        unlinked("", "f");
        rename_data();
        cr_assert_eq(loop_turn(loop, 0), 0, "nothing is tried again");
        cr_assert_eq(keeper.asked, 2);
        cr_assert_eq(rotation_count(rotation), 0);
        add("g", "3");
        cr_assert_eq(keeper.asked, 3);
}

Test(rotation_removal, removing_one_lets_the_next_one_go)
{
        add("f", "1");
        add("g", "2");
        remove_path("f", false);
        unlinked("", "f");
        rename_data();
        cr_assert_str_eq(keeper.name, "g");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("g", "2"));
}

Test(rotation_removal, removed_during_the_pause)
{
        add("f", "1");
        rotation_ended(rotation, keeper.seq, -EIO, "x");
        remove_path("f", false);
        unlinked("", "f");
        rename_data();
        cr_assert_eq(keeper.asked, 2);
}

Test(rotation_removal, removed_when_it_was_applied_already)
{
        add("f", "1");
        cr_assert_eq(kernel_renames(), 0);
        remove_path("f", false);
        cr_assert_eq(rotation_count(rotation), 1);
        unlinked("", "f");
}

Test(rotation_removal, a_removal_that_fails_is_tried_again_and_then_forgotten)
{
        remove_path("f", false);
        for (unsigned i = 1; i <= 5; i++) {
                cr_assert_eq(keeper.unlinked, i);
                rotation_ended(rotation, keeper.seq, -EBUSY, "something is mounted there");
                if (i < 5)
                        next_timer();
        }
        cr_assert_eq(keeper.forgotten, 1);
        cr_assert(listing_goes(TREE_ROOT));
        forgets(TREE_ROOT, "f");
        cr_assert_not(tree_has_removals(rig.tree));
        rename_data();
}

Test(rotation_removal, a_removal_whose_folder_is_no_more_is_done)
{
        remove_path("f", false);
        rotation_ended(rotation, keeper.seq, -ENOTDIR, "no folder");
        cr_assert_not(tree_has_removals(rig.tree));
        rename_data();
}

/* An unlink of what the kernel knows to be absent would not reach it. */
Test(rotation_removal, what_was_not_there_and_is_refused_is_forgotten)
{
        remove_path("h", true);
        cr_assert_eq(keeper.unlinked, 0);
        cr_assert_eq(keeper.forgotten, 1);
        forgets(TREE_ROOT, "h");
        cr_assert_not(tree_has_removals(rig.tree));
        rename_data();
        remove_path("h", true);
        cr_assert_eq(keeper.forgotten, 1, "the kernel remembers no refusal");
}

Test(rotation_removal, what_is_refused_from_now_on_is_unlinked)
{
        remove_path("f", true);
        cr_assert_eq(keeper.unlinked, 1);
        cr_assert_eq(absent(rig.tree, TREE_ROOT, "f"), -EACCES);
        rotation_ended(rotation, keeper.seq, -EACCES, "the kernel asked");
        cr_assert_not(tree_has_removals(rig.tree));
        rename_data();
        add("f", "again");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("f", "again"));
}

Test(rotation_removal, a_removal_that_does_not_come_is_given_up)
{
        remove_path("f", false);
        next_timer();
        cr_assert_eq(keeper.forgotten, 1);
}
