#include "fs/rotation.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>

#include "tests/unit/fs/rotor.h"

TestSuite(rotation, .init = rotor_init, .fini = rotor_fini, .timeout = 60);

/* --- as it should go --- */

Test(rotation, the_first_content_is_generation_one)
{
        cr_assert_eq(generation(), 1);
        cr_assert_eq(rotation_count(rotation), 0);
}

Test(rotation, a_file_is_staged_renamed_and_counted)
{
        add("f", "new");
        cr_assert_eq(keeper.asked, 1);
        cr_assert_str_eq(keeper.name, "f");
        cr_assert(shows("f", "old"), "until the kernel renames");
        cr_assert_eq(kernel_renames(), 0);
        uint64_t seq = keeper.seq;
        rotation_applied(rotation);
        cr_assert(shows("f", "new"));
        cr_assert_eq(rotation_count(rotation), 1);
        cr_assert_eq(generation(), 1);
        cr_assert(data_shows("f", "old"), "..data comes last");
        rename_data();
        cr_assert_eq(generation(), 2);
        cr_assert(data_shows("f", "new") && data_shows("g", "old"));
        rotation_ended(rotation, seq, 0, "");
        cr_assert_eq(rotation_count(rotation), 1, "the child's end tells nothing new");
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_not(rotation_busy(rotation));
}

Test(rotation, the_child_may_end_before_the_table_s_report_comes)
{
        add("f", "new");
        cr_assert_eq(kernel_renames(), 0);
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_eq(rotation_count(rotation), 1);
        rotation_applied(rotation);
        cr_assert_eq(rotation_count(rotation), 1);
}

Test(rotation, an_applied_rename_counts_whatever_the_child_says)
{
        add("f", "new");
        cr_assert_eq(kernel_renames(), 0);
        rotation_ended(rotation, keeper.seq, -EINTR, "killed");
        cr_assert_eq(rotation_count(rotation), 1);
        cr_assert(shows("f", "new"));
}

Test(rotation, one_after_the_other)
{
        struct view_file *files[] = {make_file("f", "1"), make_file("g", "2"), make_file("h", "3")};

        rotation_add(rotation, files, ELEMENTSOF(files));
        for (unsigned i = 0; i < ELEMENTSOF(files); i++) {
                cr_assert_eq(keeper.asked, i + 1);
                cr_assert_str_eq(keeper.name, files[i]->path);
                cr_assert_eq(keeper.seq, i + 1);
                cr_assert_eq(kernel_renames(), 0);
                rotation_applied(rotation);
                view_file_unref(files[i]);
        }
        cr_assert_eq(rotation_count(rotation), 3);
        cr_assert(shows("f", "1") && shows("g", "2") && shows("h", "3"));
        rename_data();
        cr_assert_eq(keeper.asked, 4, "once for all of them");
        cr_assert(data_shows("f", "1") && data_shows("g", "2") && data_shows("h", "3"));
        cr_assert_eq(generation(), 2);
}

/* What waits for its plain name is in a generation already: each set is whole. */
Test(rotation, changes_without_end_do_not_hold_data_up)
{
        for (unsigned i = 0; i < 10; i++) {
                char text[2] = {(char)('0' + i), '\0'};
                struct view_file *set[] = {make_file("f", text), make_file("g", text)};
                rotation_add(rotation, set, ELEMENTSOF(set));
                view_file_unref(set[0]);
                view_file_unref(set[1]);
                if (keeper.plan.away)
                        generation_goes(keeper.name);
                cr_assert_eq(kernel_renames(), 0);
                rotation_applied(rotation);
                for (char c = '0'; c <= '9'; c++) {
                        char shown[2] = {c, '\0'};
                        cr_assert_eq(data_shows("f", shown), data_shows("g", shown),
                                "one version of both");
                }
        }
        cr_assert_geq(generation(), 4);
}

Test(rotation, the_generation_before_stays_and_older_ones_go)
{
        struct stat st;
        uint64_t id;
        bool cacheable;

        for (unsigned i = 2; i <= 5; i++) {
                char text[2] = {(char)('0' + i), '\0'};
                add("f", text);
                cr_assert_eq(kernel_renames(), 0);
                rotation_applied(rotation);
                rename_data();
                rotation_ended(rotation, keeper.seq, 0, "");
                cr_assert_eq(generation(), i);
                char gone[TREE_GENERATION_SIZE];
                (void)snprintf(gone, sizeof gone, "..%u", i - 2);
                if (i > 2)
                        generation_goes(gone);
        }
        cr_assert_eq(keeper.away, 3);
        static const char *const gone[] = {"..1", "..2", "..3"}, *const there[] = {"..4", "..5"};
        for (size_t i = 0; i < ELEMENTSOF(gone); i++)
                cr_assert_eq(
                        tree_lookup(rig.tree, TREE_ROOT, gone[i], &id, &st, &cacheable), -ENOENT);
        for (size_t i = 0; i < ELEMENTSOF(there); i++)
                cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, there[i], &id, &st, &cacheable), 0);
}

Test(rotation, data_is_moved_without_a_rename_when_none_succeeds)
{
        add("f", "new");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        for (unsigned i = 0; i < 5; i++) {
                cr_assert_str_eq(keeper.name, TREE_DATA);
                cr_assert_eq(generation(), 1);
                rotation_ended(rotation, keeper.seq, -EPERM, "not permitted");
                if (i < 4)
                        next_timer();
        }
        cr_assert_eq(generation(), 2);
        cr_assert(data_shows("f", "new"));
        forgets(TREE_ROOT, TREE_DATA);
}

Test(rotation, what_waits_is_overtaken_and_what_runs_is_not)
{
        add("f", "1");
        add("g", "2");
        add("f", "3");
        add("f", "4");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("f", "1"));
        rename_data();
        cr_assert(data_shows("f", "4") && data_shows("g", "2"), "all that was handed in");
        cr_assert_str_eq(keeper.name, "g");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert_str_eq(keeper.name, "f");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("f", "4"));
        cr_assert_eq(keeper.asked, 4);
}

Test(rotation, late_reports_of_an_earlier_rename_are_ignored)
{
        add("f", "1");
        uint64_t first = keeper.seq;
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        add("g", "2");
        rotation_applied(rotation);
        rotation_ended(rotation, first, 0, "");
        rotation_ended(rotation, 999, -EIO, "nonsense");
        cr_assert_eq(rotation_count(rotation), 1);
        rename_data();
        cr_assert_eq(kernel_renames(), 0, "still planned");
        rotation_applied(rotation);
        cr_assert_eq(rotation_count(rotation), 2);
}

/* --- as it should not --- */

Test(rotation, a_failed_rename_is_tried_again_under_a_new_name)
{
        add("f", "new");
        struct tree_plan first = keeper.plan;
        rotation_ended(rotation, keeper.seq, -EBUSY, "busy");
        cr_assert_eq(keeper.asked, 1, "after a pause");
        next_timer();
        cr_assert_eq(keeper.asked, 2);
        cr_assert_str_neq(keeper.plan.staged, first.staged);
        cr_assert_eq(tree_rename(rig.tree, first.parent, first.staged, first.parent, "f"), -EROFS);
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("f", "new"));
        cr_assert_eq(rotation_count(rotation), 1);
}

Test(rotation, success_elsewhere_is_a_failure)
{
        add("f", "new");
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_eq(rotation_count(rotation), 0);
        next_timer();
        cr_assert_eq(keeper.asked, 2);
}

Test(rotation, in_the_end_readers_are_served_without_a_rename)
{
        unsigned tries = 0;

        add("f", "new");
        while (keeper.forgotten == 0) {
                cr_assert_eq(keeper.asked, ++tries);
                rotation_ended(rotation, keeper.seq, -EPERM, "not permitted");
                if (keeper.forgotten == 0)
                        next_timer();
        }
        cr_assert_eq(tries, 5);
        cr_assert(shows("f", "new"));
        cr_assert_eq(rotation_count(rotation), 0, "not as long as readers may see the old one");
        forgets(TREE_ROOT, "f");
        cr_assert_eq(rotation_count(rotation), 1);
        rename_data();
        add("g", "next");
        cr_assert_str_eq(keeper.name, "g", "and the next goes the usual way");
}

Test(rotation, a_keeper_that_cannot_be_asked_is_a_failure_too)
{
        keeper.fail = keeper.forget_fails = -ENOTCONN;
        add("f", "new");
        add("g", "new");
        while (rotation_count(rotation) < 2)
                next_timer();
        cr_assert_eq(keeper.asked, 15, "..data in between");
        cr_assert(shows("f", "new") && shows("g", "new"));
}

Test(rotation, a_rename_that_does_not_come_is_given_up)
{
        add("f", "new");
        struct tree_plan first = keeper.plan;
        uint64_t seq = keeper.seq;
        usec_t start = loop_now(loop);
        next_timer();
        cr_assert_eq(loop_now(loop) - start, 10 * USEC_PER_SEC);
        cr_assert(shows("f", "new"));
        forgets(TREE_ROOT, "f");
        cr_assert_eq(rotation_count(rotation), 1);
        cr_assert_eq(tree_rename(rig.tree, first.parent, first.staged, first.parent, "f"), -EROFS,
                "too late");
        rotation_ended(rotation, seq, -EROFS, "late");
        cr_assert_eq(rotation_count(rotation), 1);
}

Test(rotation, a_rename_that_came_unreported_is_seen_at_the_deadline)
{
        add("f", "new");
        cr_assert_eq(kernel_renames(), 0);
        next_timer();
        cr_assert_eq(rotation_count(rotation), 1);
        struct pollfd p = {.fd = rig.kernel, .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 0), 0, "nothing had to be invalidated");
}

/* --- folders --- */

Test(rotation, a_new_folder_is_renamed_in_with_what_is_in_it)
{
        add("d/e/f", "new");
        cr_assert_str_empty(keeper.plan.folder);
        cr_assert_str_eq(keeper.name, "d");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert_eq(rotation_count(rotation), 1);
        rename_data();
        add("d/x/f", "new");
        cr_assert_str_eq(keeper.plan.folder, "d");
        cr_assert_str_eq(keeper.name, "x");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        rename_data();
        generation_goes("..1");
        add("d/e/f", "newer");
        cr_assert_str_eq(keeper.plan.folder, "d/e");
}

Test(rotation, a_new_folder_that_cannot_be_renamed_is_forgotten_as_a_whole)
{
        for (keeper.fail = -EPERM; keeper.forgotten == 0;)
                if (keeper.asked == 0)
                        add("d/e/f", "new");
                else
                        next_timer();
        keeper.fail = 0;
        forgets(TREE_ROOT, "d");
        rename_data();
        struct stat st;
        uint64_t d;
        bool cacheable;
        cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, "d", &d, &st, &cacheable), 0);
        keeper.fail = -EPERM;
        for (add("d/x/f", "new"); keeper.forgotten == 1;)
                next_timer();
        keeper.fail = 0;
        forgets(d, "x");
}

Test(rotation, a_file_and_a_folder_change_places)
{
        put_text(rig.tree, "dir/x", "x");
        add("dir", "a file where a folder is");
        cr_assert(keeper.plan.exchange);
        cr_assert_eq(tree_exchange(rig.tree, keeper.plan.parent, keeper.plan.staged,
                             keeper.plan.parent, keeper.name),
                0);
        rotation_applied(rotation);
        cr_assert(shows("dir", "a file where a folder is"));
        rename_data();
        add("dir/x", "again");
        cr_assert(keeper.plan.exchange);
        cr_assert_str_eq(keeper.name, "dir");
}

Test(rotation, what_cannot_be_shown_is_not_counted_and_blocks_nobody)
{
        add("d//x", "what no path is");
        add("f", "new");
        for (int i = 0; i < 10 && keeper.asked == 0; i++)
                next_timer();
        cr_assert_eq(rotation_count(rotation), 0);
        cr_assert_eq(keeper.forgotten, 0);
        rename_data();
        cr_assert_str_eq(keeper.name, "f");
}

/* --- being done --- */

Test(rotation, idle_when_the_kernel_is_done_too)
{
        add("f", "new");
        cr_assert_eq(kernel_renames(), 0);
        uint64_t seq = keeper.seq;
        rotation_applied(rotation);
        rename_data();
        cr_assert_eq(keeper.idle, 0, "both children are on their way");
        cr_assert(rotation_busy(rotation));
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_eq(keeper.idle, 0);
        rotation_ended(rotation, seq, 0, "");
        cr_assert_eq(keeper.idle, 1);
        cr_assert_not(rotation_busy(rotation));
        rotation_ended(rotation, seq, 0, "");
        cr_assert_eq(keeper.idle, 1);
}

Test(rotation, a_child_that_hangs_is_waited_for_for_a_while)
{
        add("f", "new");
        uint64_t file = keeper.seq;
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        rename_data();
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_eq(keeper.idle, 0);
        usec_t start = loop_now(loop);
        next_timer();
        cr_assert_eq(loop_now(loop) - start, 10 * USEC_PER_SEC);
        cr_assert_eq(keeper.idle, 1);
        cr_assert_not(rotation_busy(rotation));
        rotation_ended(rotation, file, -EINTR, "late");
        cr_assert_eq(keeper.idle, 1);
}

/* --- forgetting --- */

Test(rotation, a_name_that_is_not_forgotten_is_tried_again)
{
        keeper.fail = -EPERM;
        for (add("f", "new"); keeper.forgotten == 0;)
                next_timer();
        keeper.fail = 0;
        for (unsigned i = 1; i < 5; i++) {
                cr_assert_eq(keeper.forgotten, i);
                rotation_ended(rotation, keeper.seq, -EAGAIN, "no child is free");
                cr_assert_eq(rotation_count(rotation), 0);
                next_timer();
        }
        rotation_ended(rotation, keeper.seq, -EAGAIN, "no child is free");
        cr_assert_eq(rotation_count(rotation), 1, "given up");
        rename_data();
}

Test(rotation, forgetting_is_waited_for_for_a_while)
{
        keeper.fail = -EPERM;
        for (add("f", "new"); keeper.forgotten == 0;)
                next_timer();
        keeper.fail = 0;
        for (unsigned i = 1; rotation_count(rotation) == 0; i++)
                next_timer();
        cr_assert_eq(keeper.forgotten, 5);
        rename_data();
}

Test(rotation, a_dead_keeper_s_heir_is_asked_to_forget)
{
        keeper.fail = -EPERM;
        for (add("f", "new"); keeper.forgotten == 0;)
                next_timer();
        keeper.fail = 0;
        rotation_lost(rotation);
        next_timer();
        cr_assert_eq(keeper.forgotten, 2);
        forgets(TREE_ROOT, "f");
        rename_data();
}

Test(rotation, freed_with_all_that_waits)
{
        size_t held = sec_total();

        add("f", "1");
        add("g", "2");
        cr_assert(tree_unstage(rig.tree));
        rotation_free(rotation);
        rotation = NULL;
        cr_assert_eq(sec_total(), held);
        rotation_free(NULL);
}
