/* Names that go from a rotation's table: unlinked, renamed away, or forgotten. */
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

static void nothing(void *userdata)
{
}

static void pass(usec_t time)
{
        struct loop_timer *t;
        usec_t end = loop_now(loop) + time;

        cr_assert_eq(loop_timer_new(loop, nothing, NULL, &t), 0);
        cr_assert_eq(loop_timer_at(t, end), 0);
        while (loop_now(loop) < end)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        loop_timer_free(t);
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
        pass(USEC_PER_SEC);
        cr_assert_eq(keeper.asked, 2, "nothing is tried again");
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

/* --- generations --- */

/* One set of changes, up to where nothing is asked any more but for what goes by it. */
static void change(const char *text)
{
        add("f", text);
        cr_assert_eq(kernel_renames(), 0);
        rotation_ended(rotation, keeper.seq, 0, "");
        rename_data();
        if (!keeper.plan.away)
                rotation_ended(rotation, keeper.seq, 0, "");
}

Test(rotation_removal, the_generation_before_goes_when_its_time_is_up)
{
        change("new");
        cr_assert_not(rotation_busy(rotation));
        cr_assert_eq(keeper.idle, 1);
        cr_assert_eq(absent(rig.tree, TREE_ROOT, "..1"), 0);
        usec_t start = loop_now(loop);
        next_timer();
        cr_assert_eq(loop_now(loop) - start, GRACE);
        generation_goes("..1");
        cr_assert(listing_goes(TREE_ROOT));
        cr_assert_eq(keeper.away, 1);
        cr_assert_eq(keeper.idle, 2, "and the top folder is looked at again");
        cr_assert(data_shows("f", "new"));
        cr_assert_not(tree_has_removals(rig.tree));
        cr_assert_eq(loop_turn(loop, 0), 0, "nothing more is due");
}

/* The one between has its time from then on. */
Test(rotation_removal, a_rotation_meanwhile_takes_the_generation_before)
{
        change("2");
        pass(GRACE / 2);
        usec_t second = loop_now(loop);
        change("3");
        generation_goes("..1");
        rotation_ended(rotation, keeper.seq - 1, 0, "");
        next_timer();
        cr_assert_eq(loop_now(loop), second + GRACE);
        generation_goes("..2");
        cr_assert(data_shows("f", "3"));
}

Test(rotation_removal, a_generation_goes_when_the_file_that_is_renamed_is_in_place)
{
        change("2");
        pass(GRACE - USEC_PER_SEC);
        add("f", "3");
        cr_assert_str_eq(keeper.name, "f");
        pass(USEC_PER_SEC);
        cr_assert_eq(absent(rig.tree, TREE_ROOT, "..1"), -ENOENT);
        cr_assert_eq(keeper.away, 0);
        cr_assert_eq(kernel_renames(), 0);
        rotation_ended(rotation, keeper.seq, 0, "");
        generation_goes("..1");
        rename_data();
        cr_assert(data_shows("f", "3"));
        cr_assert_eq(absent(rig.tree, TREE_ROOT, "..2"), 0);
}

Test(rotation_removal, a_generation_that_is_not_forgotten_is_asked_for_again)
{
        change("new");
        next_timer();
        for (unsigned i = 1; i <= 5; i++) {
                cr_assert_eq(keeper.away, i);
                rotation_ended(rotation, keeper.seq, -EBUSY, "something is mounted there");
                if (i < 5)
                        next_timer();
        }
        cr_assert_eq(keeper.forgotten, 1);
        forgets(TREE_ROOT, "..1");
        cr_assert_not(tree_has_removals(rig.tree));
        cr_assert_not(rotation_busy(rotation));
}

/* The last one's child may have come to it. */
Test(rotation_removal, a_dead_keepers_heir_is_asked_for_a_generation)
{
        change("new");
        next_timer();
        rotation_lost(rotation);
        next_timer();
        cr_assert_eq(keeper.away, 2);
        rotation_ended(rotation, keeper.seq, -ENOENT, "the kernel asked");
        cr_assert_not(tree_has_removals(rig.tree));
        cr_assert_not(rotation_busy(rotation));
}
