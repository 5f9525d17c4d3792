/* A rotation that an earlier worker had begun. The keeper is asked again for what was planned; what
 * the kernel then does is the test's. */
#include <criterion/criterion.h>

#include "fs/rotation.h"
#include "tests/unit/fs/trees.h"

static struct rig rig;
static struct loop *loop;
static struct notifier *notifier;
static struct rotation *rotation;

static struct {
        unsigned asked, idle;
        uint64_t seq;
        struct tree_plan plan;
} keeper;

static int ask_rename(void *userdata, uint64_t seq, const struct tree_plan *plan)
{
        cr_assert_not(plan->away);
        keeper.asked++;
        keeper.seq = seq;
        keeper.plan = *plan;
        return 0;
}

static int ask_forget(void *userdata, uint64_t seq, uint64_t parent, const char *name)
{
        cr_assert_fail("%s", name);
        return 0;
}

static void on_idle(void *userdata)
{
        keeper.idle++;
}

static void init(void)
{
        rig_start(&rig, true, false);
        cr_assert_eq(loop_new(&loop), 0);
        loop_simulate(loop, USEC_PER_SEC, 1700000000);
        cr_assert_eq(notifier_new(loop, &notifier), 0);
        struct rotation_config cfg = {.loop = loop,
                .tree = rig.tree,
                .session = rig.session,
                .notifier = notifier,
                .label = "/mnt/test",
                .rename = ask_rename,
                .forget = ask_forget,
                .idle = on_idle};
        cr_assert_eq(rotation_new(&cfg, &rotation), 0);
        put_text(rig.tree, "d/f", "old");
        cr_assert_eq(tree_make_generation(rig.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(rig.tree), 0);
}

static void fini(void)
{
        rotation_free(rotation);
        notifier_free(notifier);
        rig_done(&rig);
        loop_free(loop);
}

TestSuite(rotation_resume, .init = init, .fini = fini, .timeout = 60);

static bool shows(const char *text)
{
        return holds(rig.tree, find(rig.tree, find(rig.tree, TREE_ROOT, "d"), "f"), text);
}

static uint64_t generation(void)
{
        struct tree_stats stats;

        tree_get_stats(rig.tree, &stats);
        return stats.generation;
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
        cr_assert(shows("new"));
        cr_assert_eq(rotation_count(rotation), 1);
}

Test(rotation_resume, one_that_fails_is_tried_again_under_a_new_name)
{
        char staged[KEEPER_STAGE_LEN + 1];

        resume_file();
        memcpy(staged, keeper.plan.staged, sizeof staged);
        rotation_ended(rotation, keeper.seq, -EBUSY, "busy");
        cr_assert(shows("old"));
        while (keeper.asked == 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_str_neq(keeper.plan.staged, staged);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_applied(rotation);
        cr_assert(shows("new"));
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
        cr_assert_eq(keeper.asked, 1);
        cr_assert(keeper.plan.unlink);
        cr_assert_str_eq(keeper.plan.folder, "d");
        cr_assert_str_eq(keeper.plan.name, "f");
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_not(tree_has_removals(rig.tree));
        cr_assert_str_eq(keeper.plan.name, TREE_DATA);
        cr_assert_eq(apply(rig.tree, &keeper.plan), 0);
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert_eq(keeper.idle, 1, "and is warmed");
}
