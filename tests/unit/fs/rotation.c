#include "fs/rotation.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

static struct rig rig;
static struct loop *loop;
static struct notifier *notifier;
static struct rotation *rotation;
static struct answer answer;

/* The keeper, as far as a rotation sees it. */
static struct {
        unsigned asked, away; /* away: names of generations to be forgotten */
        uint64_t seq;
        struct tree_plan plan;
        char name[256];
        int fail; /* what asking answers */
} keeper;

static int ask_rename(void *userdata, uint64_t seq, const struct tree_plan *plan)
{
        cr_assert_eq(userdata, &keeper);
        if (plan->away) {
                keeper.away++;
                cr_assert(startswith(plan->name, TREE_GENERATION_PREFIX));
                return keeper.fail;
        }
        keeper.asked++;
        keeper.seq = seq;
        keeper.plan = *plan;
        (void)snprintf(keeper.name, sizeof keeper.name, "%s", plan->name);
        return keeper.fail;
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

static bool notified(int32_t code, uint64_t parent, const char *name)
{
        cr_assert(get_answer(rig.kernel, &answer));
        if (answer.h.error != code)
                return false;
        if (code == FUSE_NOTIFY_INVAL_INODE)
                return ((const struct fuse_notify_inval_inode_out *)(const void *)answer.body)
                               ->ino == parent;
        const struct fuse_notify_inval_entry_out *e = (const void *)answer.body;
        return e->parent == parent && streq(answer.body + sizeof *e, name);
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
        cr_assert(notified(FUSE_NOTIFY_INVAL_ENTRY, TREE_ROOT, TREE_DATA));
        cr_assert(notified(FUSE_NOTIFY_INVAL_INODE, TREE_ROOT, NULL));
}

Test(rotation, a_removal_makes_a_generation)
{
        uint64_t parent, child;

        rotation_cancel(rotation, "g");
        cr_assert_eq(tree_remove(rig.tree, "g", &parent, &child), 0);
        rotation_removed(rotation);
        cr_assert(data_shows("g", "old"));
        rename_data();
        cr_assert(data_shows("f", "old"));
        cr_assert_not(data_shows("g", "old"));
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
        while (rotation_count(rotation) == 0) {
                cr_assert_eq(keeper.asked, ++tries);
                rotation_ended(rotation, keeper.seq, -EPERM, "not permitted");
                if (rotation_count(rotation) == 0)
                        next_timer();
        }
        cr_assert_eq(tries, 5);
        cr_assert(shows("f", "new"));
        cr_assert(notified(FUSE_NOTIFY_INVAL_ENTRY, TREE_ROOT, "f"));
        cr_assert(notified(FUSE_NOTIFY_INVAL_INODE, TREE_ROOT, NULL));
        rename_data();
        add("g", "next");
        cr_assert_str_eq(keeper.name, "g", "and the next goes the usual way");
}

Test(rotation, a_keeper_that_cannot_be_asked_is_a_failure_too)
{
        keeper.fail = -ENOTCONN;
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
        cr_assert_eq(rotation_count(rotation), 1);
        cr_assert(notified(FUSE_NOTIFY_INVAL_ENTRY, TREE_ROOT, "f"));
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

Test(rotation, a_new_folder_needs_no_rename)
{
        add("d/e/f", "new");
        cr_assert_eq(keeper.asked, 1);
        rename_data();
        cr_assert_eq(rotation_count(rotation), 1);
        cr_assert(notified(FUSE_NOTIFY_INVAL_ENTRY, TREE_ROOT, "d"));
        cr_assert(notified(FUSE_NOTIFY_INVAL_INODE, TREE_ROOT, NULL));
        struct stat st;
        uint64_t d;
        bool cacheable;
        cr_assert_eq(tree_lookup(rig.tree, TREE_ROOT, "d", &d, &st, &cacheable), 0);
        add("d/x/f", "new");
        cr_assert(notified(FUSE_NOTIFY_INVAL_ENTRY, d, "x"));
        cr_assert(notified(FUSE_NOTIFY_INVAL_INODE, d, NULL));
        rename_data();
        cr_assert_eq(keeper.away, 1);
        cr_assert(notified(FUSE_NOTIFY_INVAL_INODE, TREE_ROOT, NULL), "the listing lacks ..1");
        add("d/e/f", "newer");
        cr_assert_eq(keeper.asked, 3, "it is there now");
        cr_assert_str_eq(keeper.plan.folder, "d/e");
}

static void *read_until_last(void *userdata)
{
        struct answer *a = malloc(sizeof *a);
        const char *name = a->body + sizeof(struct fuse_notify_inval_entry_out);

        cr_assert_not_null(a);
        do
                cr_assert(get_answer(rig.kernel, a));
        while (a->h.error != FUSE_NOTIFY_INVAL_ENTRY || !streq(name, userdata));
        free(a);
        return NULL;
}

/* Not a frame of the stack for each of them. */
Test(rotation, thousands_of_new_folders)
{
        enum { N = 5000 };
        static struct view_file *files[N];
        pthread_t reader;
        char path[32];

        cr_assert_eq(fcntl(session_fd(rig.session), F_SETFL, 0), 0);
        cr_assert_eq(pthread_create(&reader, NULL, read_until_last, (void *)"d4999"), 0);
        for (int i = 0; i < N; i++) {
                (void)snprintf(path, sizeof path, "d%d/f", i);
                files[i] = make_file(path, "x");
        }
        rotation_add(rotation, files, N);
        cr_assert_eq(rotation_count(rotation), N);
        cr_assert_eq(pthread_join(reader, NULL), 0);
        for (int i = 0; i < N; i++)
                view_file_unref(files[i]);
        cr_assert_eq(keeper.asked, 1, "..data");
}

Test(rotation, what_cannot_be_shown_is_not_counted_and_blocks_nobody)
{
        put_text(rig.tree, "dir/x", "x");
        add("dir", "a file where a folder is");
        add("f", "new");
        for (int i = 0; i < 10 && keeper.asked == 0; i++)
                next_timer();
        cr_assert_eq(rotation_count(rotation), 0);
        rename_data();
        cr_assert_str_eq(keeper.name, "f");
}

/* --- removal --- */

Test(rotation, what_is_cancelled_does_not_come_back)
{
        add("f", "1");
        add("g", "2");
        struct tree_plan first = keeper.plan;
        uint64_t seq = keeper.seq;
        rotation_cancel(rotation, "g");
        rotation_cancel(rotation, "f");
        rotation_cancel(rotation, "nothing of that name");
        cr_assert_eq(tree_rename(rig.tree, first.parent, first.staged, first.parent, "f"), -EROFS);
        rotation_ended(rotation, seq, -EROFS, "refused");
        rename_data();
        cr_assert_eq(loop_turn(loop, 0), 0, "nothing is tried again");
        cr_assert_eq(keeper.asked, 2);
        cr_assert_eq(rotation_count(rotation), 0);
        cr_assert(shows("f", "old") && shows("g", "old"));
        add("g", "3");
        cr_assert_eq(keeper.asked, 3);
}

Test(rotation, cancelling_lets_the_next_one_go)
{
        add("f", "1");
        add("g", "2");
        rotation_cancel(rotation, "f");
        rename_data();
        cr_assert_str_eq(keeper.name, "g");
        cr_assert_eq(kernel_renames(), 0);
        rotation_applied(rotation);
        cr_assert(shows("g", "2"));
}

Test(rotation, cancelled_during_the_pause)
{
        add("f", "1");
        rotation_ended(rotation, keeper.seq, -EIO, "x");
        rotation_cancel(rotation, "f");
        rename_data();
        cr_assert_eq(loop_turn(loop, USEC_PER_SEC), 0);
        cr_assert_eq(keeper.asked, 2);
}

Test(rotation, cancelled_when_it_was_applied_already)
{
        add("f", "1");
        cr_assert_eq(kernel_renames(), 0);
        rotation_cancel(rotation, "f");
        cr_assert_eq(rotation_count(rotation), 1);
        cr_assert(shows("f", "1"), "the caller removes it");
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
