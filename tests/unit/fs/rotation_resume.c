/* A rotation that an earlier worker had begun. The keeper is asked again for what was planned; what
 * the kernel then does is the test's. */
#include <criterion/criterion.h>

#include "tests/unit/fs/rotor.h"

static void init(void)
{
        rotor_start((const char *const[]){"d/f"}, 1);
}

static void fini(void)
{
        cr_assert_eq(keeper.forgotten, 0);
        rotor_fini();
}

TestSuite(rotation_resume, .init = init, .fini = fini, .timeout = 60);

static bool file_is(const char *text)
{
        return holds(rig.tree, find(rig.tree, find(rig.tree, TREE_ROOT, "d"), "f"), text);
}

Test(rotation_resume, goes_on_for_a_worker_that_had_planned_data)
{
        struct tree_plan plan;

        cr_assert_eq(tree_make_generation(rig.tree, NULL, 0), 0);
        cr_assert_eq(tree_stage_data(rig.tree, &plan), 0);
        rotation_resume(rotation, NULL);
        cr_assert(rotation_busy(rotation));
        cr_assert_eq(keeper.asked, 1, "it may never have been asked for");
        cr_assert_str_eq(keeper.plan.staged, plan.staged, "and it may be under way");
        cr_assert_str_eq(keeper.plan.name, TREE_DATA);
        cr_assert_str_empty(keeper.plan.folder);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_applied(rotation);
        cr_assert_eq(generation(), 2);
        rotation_ended(rotation, keeper.seq, -ENOENT, "the other one was first");
        cr_assert_not(rotation_busy(rotation));
}

Test(rotation_resume, goes_on_for_a_worker_that_had_not_come_to_data)
{
        put_text(rig.tree, "d/f", "new");
        rotation_resume(rotation, NULL);
        cr_assert_str_eq(keeper.plan.name, TREE_DATA);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_applied(rotation);
        cr_assert_eq(generation(), 2);
        rotation_resume(rotation, NULL);
        cr_assert_eq(keeper.asked, 1, "nothing is left to do");
}

/* A worker that had planned a file: its plan, taken up. */
static void resume_file(void)
{
        _cleanup_(view_file_unrefp) struct view_file *f = make_file("d/f", "new");
        struct tree_plan plan;

        cr_assert_eq(tree_stage(rig.tree, f, &plan), 0);
        rotation_resume(rotation, f);
        cr_assert_eq(keeper.asked, 1);
        cr_assert_str_eq(keeper.plan.staged, plan.staged);
        cr_assert_str_eq(keeper.plan.folder, "d");
        cr_assert_str_eq(keeper.plan.name, "f");
}

/* What the last worker had asked for comes first; what this one asked for finds nothing. */
Test(rotation_resume, of_two_renames_one_counts)
{
        resume_file();
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_ended(rotation, keeper.seq, -ENOENT, "the other one was first");
        cr_assert(file_is("new"));
        cr_assert_eq(rotation_count(rotation), 1);
}

Test(rotation_resume, one_that_fails_is_tried_again_under_a_new_name)
{
        char staged[KEEPER_STAGE_LEN + 1];

        resume_file();
        memcpy(staged, keeper.plan.staged, sizeof staged);
        rotation_ended(rotation, keeper.seq, -EBUSY, "busy");
        cr_assert(file_is("old"));
        while (keeper.asked == 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_str_neq(keeper.plan.staged, staged);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_applied(rotation);
        cr_assert(file_is("new"));
}

/* It died between the record of a staged folder and that of what is in it. */
Test(rotation_resume, goes_on_for_a_worker_that_had_not_written_a_plan_to_its_end)
{
        struct tree_plan plan;
        struct view_file *f = make_file("new/f", "new");

        cr_assert_eq(tree_stage(rig.tree, f, &plan), 0);
        rotation_resume(rotation, NULL);
        rotation_add(rotation, &f, 1);
        cr_assert_str_eq(keeper.plan.name, "new");
        cr_assert_str_neq(keeper.plan.staged, plan.staged);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        view_file_unref(f);
}

Test(rotation_resume, goes_on_for_a_worker_that_had_planned_a_folder)
{
        _cleanup_(view_file_unrefp) struct view_file *f = make_file("d/e/g/f", "new");
        _cleanup_(view_file_unrefp) struct view_file *pending = NULL;
        struct tree_plan plan;

        cr_assert_eq(tree_stage(rig.tree, f, &plan), 0);
        pending = tree_pending(rig.tree);
        rotation_resume(rotation, pending);
        cr_assert_eq(keeper.asked, 1);
        cr_assert_str_eq(keeper.plan.staged, plan.staged);
        cr_assert_str_eq(keeper.plan.folder, "d");
        cr_assert_str_eq(keeper.plan.name, "e");
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_applied(rotation);
        cr_assert_eq(rotation_count(rotation), 1);
}

/* Two exchanges would be none: the one that may be under way is refused. */
Test(rotation_resume, an_exchange_is_planned_anew)
{
        _cleanup_(view_file_unrefp) struct view_file *f = make_file("d", "new");
        struct tree_plan plan;

        cr_assert_eq(tree_stage(rig.tree, f, &plan), 0);
        cr_assert(plan.exchange);
        rotation_resume(rotation, f);
        cr_assert_eq(keeper.asked, 1);
        cr_assert(keeper.plan.exchange);
        cr_assert_str_neq(keeper.plan.staged, plan.staged);
        cr_assert_eq(apply(rig.tree, &plan), -EROFS);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_applied(rotation);
        cr_assert(holds(rig.tree, find(rig.tree, TREE_ROOT, "d"), "new"));
}

Test(rotation_resume, goes_on_with_removals)
{
        uint64_t parent;

        cr_assert_eq(tree_remove(rig.tree, "d/f", &parent), 0);
        rotation_resume(rotation, NULL);
        cr_assert_eq(keeper.unlinked, 1);
        cr_assert_str_eq(keeper.plan.folder, "d");
        cr_assert_str_eq(keeper.plan.name, "f");
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_not(tree_has_removals(rig.tree));
        cr_assert_str_eq(keeper.plan.name, TREE_DATA);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_eq(keeper.idle, 1, "and is warmed");
}

Test(rotation_resume, goes_on_with_a_generation)
{
        cr_assert_eq(tree_make_generation(rig.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(rig.tree), 0);
        cr_assert_eq(tree_drop_generation(rig.tree, 0), 0);
        rotation_resume(rotation, NULL);
        cr_assert_eq(keeper.away, 1);
        cr_assert(keeper.plan.away);
        cr_assert_str_eq(keeper.plan.name, "..1");
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_not(tree_has_removals(rig.tree));
        cr_assert_not(rotation_busy(rotation));
}

/* Since when the last worker had it, nobody knows. */
Test(rotation_resume, begins_the_time_of_the_generation_before_anew)
{
        cr_assert_eq(tree_make_generation(rig.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(rig.tree), 0);
        usec_t start = loop_now(loop);
        rotation_resume(rotation, NULL);
        cr_assert_not(rotation_busy(rotation));
        cr_assert_eq(keeper.away, 0);
        next_timer();
        cr_assert_eq(loop_now(loop) - start, GRACE);
        cr_assert(keeper.plan.away);
        cr_assert_str_eq(keeper.plan.name, "..1");
}
