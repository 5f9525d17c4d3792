#include "fs/tree.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/fs/trees.h"

TestSuite(tree_plan, .init = trees_init, .fini = trees_fini);

Test(tree_plan, a_plan_names_the_folder)
{
        struct tree_plan plan;

        put_text(tree, "a/b/c", "1");
        uint64_t b = find(tree, find(tree, TREE_ROOT, "a"), "b");
        struct view_file *f = make_file("a/b/c", "2");
        cr_assert_eq(tree_stage(tree, f, &plan), 0);
        cr_assert_eq(plan.parent, b);
        cr_assert_str_eq(plan.folder, "a/b");
        cr_assert_str_eq(plan.name, "c");
        cr_assert_not_null(startswith(plan.staged, KEEPER_STAGE_PREFIX));
        cr_assert_eq(strlen(plan.staged), KEEPER_STAGE_LEN);
        cr_assert(tree_unstage(tree));
        view_file_unref(f);

        f = make_file("top", "1");
        cr_assert_eq(tree_stage(tree, f, &plan), 0);
        cr_assert_str_empty(plan.folder);
        cr_assert_str_eq(plan.name, "top");
        view_file_unref(f);
}

Test(tree_plan, a_staged_name_is_found_but_not_listed)
{
        struct tree_plan plan;
        struct names names;

        put_text(tree, "f", "1");
        plan = stage(tree, "f", "2");
        cr_assert(holds(tree, find(tree, TREE_ROOT, plan.staged), "2"));
        cr_assert(holds(tree, find(tree, TREE_ROOT, "f"), "1"));
        list(TREE_ROOT, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. f ");
}

Test(tree_plan, only_the_planned_rename_is_accepted)
{
        struct tree_plan plan;

        put_text(tree, "f", "1");
        put_text(tree, "g", "1");
        put_text(tree, "d/f", "1");
        uint64_t d = find(tree, TREE_ROOT, "d");

        cr_assert_eq(tree_rename(tree, TREE_ROOT, "f", TREE_ROOT, "g"), -EROFS, "none planned");
        plan = stage(tree, "f", "2");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "g"), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, "g", TREE_ROOT, "f"), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, d, "f"), -EROFS);
        cr_assert_eq(tree_rename(tree, d, plan.staged, d, "f"), -EROFS);
        cr_assert_not(tree_applied(tree));
        cr_assert(holds(tree, find(tree, TREE_ROOT, "f"), "1"));
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), 0);
        cr_assert(tree_applied(tree));
        cr_assert(holds(tree, find(tree, TREE_ROOT, "f"), "2"));
        cr_assert_eq(absent(tree, TREE_ROOT, plan.staged), -ENOENT);
}

Test(tree_plan, an_applied_rename_is_answered_with_success_again)
{
        struct tree_plan plan;

        put_text(tree, "f", "1");
        plan = stage(tree, "f", "2");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), 0);
        uint64_t id = find(tree, TREE_ROOT, "f");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), 0);
        cr_assert_eq(find(tree, TREE_ROOT, "f"), id, "and changes nothing");
        cr_assert_not(tree_unstage(tree), "too late");
        (void)stage(tree, "f", "3");
        cr_assert_not(tree_applied(tree), "that was the one before");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), -EROFS);
}

Test(tree_plan, a_plan_that_was_given_up_is_refused)
{
        struct tree_plan plan;

        put_text(tree, "f", "1");
        size_t held = sec_total();
        plan = stage(tree, "f", "22");
        cr_assert(tree_unstage(tree));
        cr_assert_eq(sec_total(), held);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), -EROFS);
        cr_assert_eq(absent(tree, TREE_ROOT, plan.staged), -ENOENT);
        cr_assert(tree_unstage(tree), "twice is once");
}

Test(tree_plan, one_plan_at_a_time)
{
        struct tree_plan plan;
        struct view_file *f = make_file("g", "x");

        plan = stage(tree, "f", "1");
        cr_assert_eq(tree_stage(tree, f, &plan), -EBUSY);
        cr_assert(tree_unstage(tree));
        cr_assert_eq(tree_stage(tree, f, &plan), 0);
        view_file_unref(f);
}

Test(tree_plan, a_new_name_can_be_renamed_in)
{
        struct names names;

        put_text(tree, "a", "1");
        rotate("a-new-name-that-is-longer-than-the-staged-one-by-far-and-then-some-more", "2");
        list(TREE_ROOT, 0, 0, &names);
        cr_assert_str_eq(names.text,
                ". .. a a-new-name-that-is-longer-than-the-staged-one-by-far-and-then-some-more ");
}

/* --- folders --- */

Test(tree_plan, a_missing_folder_comes_with_all_below_it)
{
        struct tree_plan plan;
        struct names names;

        put_text(tree, "a/x", "1");
        plan = stage(tree, "a/new/sub/f", "2");
        cr_assert_str_eq(plan.folder, "a");
        cr_assert_str_eq(plan.name, "new");
        cr_assert_not(plan.exchange);
        uint64_t a = find(tree, TREE_ROOT, "a"), staged = find(tree, a, plan.staged);
        cr_assert(holds(tree, find(tree, find(tree, staged, "sub"), "f"), "2"));
        cr_assert_eq(absent(tree, a, "new"), -ENOENT);
        list(a, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. x ");
        cr_assert_eq(links(a), 2, "it does not count yet");
        cr_assert_eq(tree_rename(tree, a, plan.staged, a, "new"), 0);
        cr_assert_eq(find(tree, a, "new"), staged);
        cr_assert_eq(absent(tree, a, plan.staged), -ENOENT);
        cr_assert_eq(links(a), 3);
}

Test(tree_plan, a_folder_that_was_given_up_leaves_nothing)
{
        struct tree_plan plan;

        put_text(tree, "f", "1");
        size_t held = sec_total();
        plan = stage(tree, "d/e/g", "secret");
        cr_assert(tree_unstage(tree));
        cr_assert_eq(sec_total(), held);
        cr_assert_eq(links(TREE_ROOT), 2);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "d"), -EROFS);
}

Test(tree_plan, a_file_becomes_a_folder_by_exchange)
{
        struct tree_plan plan;

        put_text(tree, "x", "file");
        uint64_t old = find(tree, TREE_ROOT, "x");
        plan = stage(tree, "x/f", "inner");
        cr_assert(plan.exchange);
        cr_assert_str_eq(plan.name, "x");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "x"), -EROFS,
                "rename(2) cannot, so it is not what was planned");
        cr_assert_eq(tree_exchange(tree, TREE_ROOT, plan.staged, TREE_ROOT, "x"), 0);
        cr_assert_eq(tree_exchange(tree, TREE_ROOT, plan.staged, TREE_ROOT, "x"), 0, "again");
        cr_assert(holds(tree, find(tree, find(tree, TREE_ROOT, "x"), "f"), "inner"));
        cr_assert(holds(tree, old, "file"), "for those who have it");
        cr_assert_eq(links(TREE_ROOT), 3);
        cr_assert_eq(absent(tree, TREE_ROOT, plan.staged), -ENOENT);
        cr_assert_eq(
                tree_unlink(tree, TREE_ROOT, plan.staged), 0, "where the kernel has the old one");
}

Test(tree_plan, a_folder_becomes_a_file_by_exchange)
{
        static const char other[] = KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcdef";
        struct tree_plan plan;

        put_text(tree, "x/sub/f", "inner");
        uint64_t folder = find(tree, TREE_ROOT, "x"), sub = find(tree, folder, "sub");
        plan = stage(tree, "x", "file");
        cr_assert(plan.exchange);
        cr_assert_eq(tree_exchange(tree, TREE_ROOT, plan.staged, TREE_ROOT, "x"), 0);
        cr_assert(holds(tree, find(tree, TREE_ROOT, "x"), "file"));
        cr_assert_eq(links(TREE_ROOT), 2);
        cr_assert(holds(tree, find(tree, sub, "f"), "inner"), "who is in there goes on");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, other), -EINTR,
                "the kernel is made to forget where the old folder is now");
        cr_assert_eq(tree_rename(tree, TREE_ROOT, "y", TREE_ROOT, other), -EROFS);
        tree_forget(tree, folder, 1);
        cr_assert(holds(tree, find(tree, sub, "f"), "inner"));
        struct names names;
        list(sub, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. f ", "its folder is no more");
}

Test(tree_plan, an_exchange_is_only_for_what_needs_one)
{
        struct tree_plan plan;

        put_text(tree, "f", "1");
        plan = stage(tree, "f", "2");
        cr_assert_not(plan.exchange);
        cr_assert_eq(tree_exchange(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), -EROFS);
        cr_assert(holds(tree, find(tree, TREE_ROOT, "f"), "1"));
}

/* Without a rename: what is put at once takes the place of what is in its way, too. */
Test(tree_plan, put_at_once_it_takes_the_place_as_well)
{
        struct view_file *below = make_file("x/f", "inner"), *above = make_file("x", "again");
        uint64_t parent;

        put_text(tree, "x", "file");
        cr_assert_eq(tree_replace(tree, below, &parent), 0);
        cr_assert_eq(parent, TREE_ROOT);
        cr_assert(holds(tree, find(tree, find(tree, TREE_ROOT, "x"), "f"), "inner"));
        cr_assert_eq(links(TREE_ROOT), 3);
        cr_assert_eq(tree_replace(tree, above, &parent), 0);
        view_file_unref(below);
        view_file_unref(above);
        cr_assert(holds(tree, find(tree, TREE_ROOT, "x"), "again"));
        cr_assert_eq(links(TREE_ROOT), 2);
}

Test(tree_plan, a_generation_has_what_takes_the_place)
{
        struct view_file *newer[] = {make_file("x/f", "inner"), make_file("y", "file")};
        struct names names;

        put_text(tree, "x", "file");
        put_text(tree, "y/f", "inner");
        cr_assert_eq(tree_make_generation(tree, newer, ELEMENTSOF(newer)), 0);
        uint64_t g = find(tree, TREE_ROOT, "..1");
        list(g, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. x y ");
        cr_assert(holds(tree, find(tree, find(tree, g, "x"), "f"), "inner"));
        cr_assert(holds(tree, find(tree, g, "y"), "file"));
        for (size_t i = 0; i < ELEMENTSOF(newer); i++)
                view_file_unref(newer[i]);
}
