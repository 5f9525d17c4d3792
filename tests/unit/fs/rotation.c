#include "fs/rotation.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/unit/fs/trees.h"

static struct rig rig;
static struct loop *loop;
static struct notifier *notifier;
static struct rotation *rotation;
static struct answer answer;

/* The keeper, as far as a rotation sees it. */
static struct {
        unsigned asked, away; /* away: names of generations to be forgotten */
        unsigned unlinked, forgotten, idle;
        uint64_t forgotten_in;
        int forget_fails; /* what asking that answers */
        uint64_t seq, away_seq;
        struct tree_plan plan;
        char name[256];
        int fail; /* what asking answers */
} keeper;

static int ask_rename(void *userdata, uint64_t seq, const struct tree_plan *plan)
{
        cr_assert_eq(userdata, &keeper);
        if (plan->away) {
                keeper.away++;
                keeper.away_seq = seq;
                cr_assert(startswith(plan->name, TREE_GENERATION_PREFIX));
                return keeper.fail;
        }
        keeper.asked += !plan->unlink;
        keeper.unlinked += plan->unlink;
        keeper.seq = seq;
        keeper.plan = *plan;
        (void)snprintf(keeper.name, sizeof keeper.name, "%s", plan->name);
        return keeper.fail;
}

static int ask_forget(void *userdata, uint64_t seq, uint64_t parent, const char *name)
{
        cr_assert_eq(userdata, &keeper);
        keeper.forgotten++;
        keeper.seq = seq;
        keeper.forgotten_in = parent;
        (void)snprintf(keeper.name, sizeof keeper.name, "%s", name);
        return keeper.forget_fails;
}

static void on_idle(void *userdata)
{
        cr_assert_eq(userdata, &keeper);
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
                .idle = on_idle,
                .userdata = &keeper};
        cr_assert_eq(rotation_new(&cfg, &rotation), 0);
        put_text(rig.tree, "f", "old");
        put_text(rig.tree, "g", "old");
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

TestSuite(rotation, .init = init, .fini = fini, .timeout = 60);

static void add(const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);

        rotation_add(rotation, &f, 1);
        view_file_unref(f);
}

/* What the kernel does with the child's renameat. */
static int kernel_renames(void)
{
        return tree_rename(
                rig.tree, keeper.plan.parent, keeper.plan.staged, keeper.plan.parent, keeper.name);
}

/* The same for `..data`, which must be what was asked for. */
static void rename_data(void)
{
        cr_assert_str_eq(keeper.name, TREE_DATA);
        cr_assert_str_empty(keeper.plan.folder);
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
}

static bool shows_in(uint64_t folder, const char *name, const char *text)
{
        _cleanup_(view_file_unrefp) struct view_file *f = NULL;
        struct stat st;
        uint64_t id;
        bool cacheable;

        if (tree_lookup(rig.tree, folder, name, &id, &st, &cacheable) < 0 ||
                tree_read(rig.tree, id, &f) < 0)
                return false;
        tree_forget(rig.tree, id, 1);
        return sec_len(f->bytes) == strlen(text) &&
               memcmp(sec_bytes(f->bytes), text, strlen(text)) == 0;
}

static bool shows(const char *name, const char *text)
{
        return shows_in(TREE_ROOT, name, text);
}

/* Through `..data`, as a reader walks. */
static bool data_shows(const char *name, const char *text)
{
        char target[TREE_GENERATION_SIZE];
        struct stat st;
        uint64_t link, folder;
        bool cacheable;

        cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, TREE_DATA, &link, &st, &cacheable), 0);
        cr_assert_eq(tree_readlink(rig.tree, link, target), 0);
        tree_forget(rig.tree, link, 1);
        cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, target, &folder, &st, &cacheable), 0);
        bool shown = shows_in(folder, name, text);
        tree_forget(rig.tree, folder, 1);
        return shown;
}

static uint64_t generation(void)
{
        struct tree_stats stats;

        tree_get_stats(rig.tree, &stats);
        return stats.generation;
}

/* Until the next timer has run. */
static void next_timer(void)
{
        usec_t before = loop_now(loop);

        while (loop_now(loop) == before)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

static bool listing_goes(uint64_t parent)
{
        cr_assert(get_answer(rig.kernel, &answer));
        const struct fuse_notify_inval_inode_out *out = (const void *)answer.body;
        return answer.h.error == FUSE_NOTIFY_INVAL_INODE && out->ino == parent;
}

/* The kernel has been made to forget this name, which is the end of a change without a rename. */
static void forgets(uint64_t parent, const char *name)
{
        cr_assert_str_eq(keeper.name, name);
        cr_assert_eq(keeper.forgotten_in, parent);
        rotation_ended(rotation, keeper.seq, 0, "");
        cr_assert(listing_goes(parent));
}

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

static void remove_path(const char *path)
{
        rotation_remove(rotation, &path, 1, false);
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

Test(rotation, a_removal_makes_a_generation)
{
        remove_path("g");
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
        for (int i = 0; i < 2; i++) { /* the second time the first generation goes */
                add("f", "new");
                uint64_t file = keeper.seq;
                cr_assert_eq(kernel_renames(), 0);
                rotation_applied(rotation);
                uint64_t data = keeper.seq;
                rename_data();
                rotation_ended(rotation, data, 0, "");
                rotation_ended(rotation, file, 0, "");
        }
        cr_assert_eq(keeper.away, 1);
        cr_assert_eq(keeper.idle, 1);
        usec_t start = loop_now(loop);
        next_timer();
        cr_assert_eq(loop_now(loop) - start, 10 * USEC_PER_SEC);
        cr_assert_eq(keeper.idle, 2);
        cr_assert_not(rotation_busy(rotation));
        rotation_ended(rotation, keeper.away_seq, -EINTR, "late");
        cr_assert_eq(keeper.idle, 2);
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

/* --- removal --- */

Test(rotation, what_is_removed_does_not_come_back)
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

Test(rotation, removing_one_lets_the_next_one_go)
{
        add("f", "1");
        add("g", "2");
        remove_path("f");
        unlinked("", "f");
        rename_data();
        cr_assert_str_eq(keeper.name, "g");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("g", "2"));
}

Test(rotation, removed_during_the_pause)
{
        add("f", "1");
        rotation_ended(rotation, keeper.seq, -EIO, "x");
        remove_path("f");
        unlinked("", "f");
        rename_data();
        cr_assert_eq(keeper.asked, 2);
}

Test(rotation, removed_when_it_was_applied_already)
{
        add("f", "1");
        cr_assert_eq(kernel_renames(), 0);
        remove_path("f");
        cr_assert_eq(rotation_count(rotation), 1);
        unlinked("", "f");
}

Test(rotation, a_removal_that_fails_is_tried_again_and_then_forgotten)
{
        remove_path("f");
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

Test(rotation, a_removal_whose_folder_is_no_more_is_done)
{
        remove_path("f");
        rotation_ended(rotation, keeper.seq, -ENOTDIR, "no folder");
        cr_assert_not(tree_has_removals(rig.tree));
        rename_data();
}

/* An unlink of what the kernel knows to be absent would not reach it. */
Test(rotation, what_was_not_there_and_is_refused_is_forgotten)
{
        const char *path = "h";

        rotation_remove(rotation, &path, 1, true);
        cr_assert_eq(keeper.unlinked, 0);
        cr_assert_eq(keeper.forgotten, 1);
        forgets(TREE_ROOT, "h");
        cr_assert_not(tree_has_removals(rig.tree));
        rename_data();
        rotation_remove(rotation, &path, 1, true);
        cr_assert_eq(keeper.forgotten, 1, "the kernel remembers no refusal");
}

Test(rotation, what_is_refused_from_now_on_is_unlinked)
{
        const char *path = "f";

        rotation_remove(rotation, &path, 1, true);
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

Test(rotation, a_removal_that_does_not_come_is_given_up)
{
        remove_path("f");
        next_timer();
        cr_assert_eq(keeper.forgotten, 1);
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
