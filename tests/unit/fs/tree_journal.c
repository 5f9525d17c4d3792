/* What is written down of a table, and the table that a successor makes of it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/fs/area.h"
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

TestSuite(tree_journal, .init = init, .fini = fini, .timeout = 300);

Test(tree_journal, a_table_comes_back_as_it_was)
{
        put_text(twin.tree, "a", "one");
        put_text(twin.tree, "d/b", "two");
        put_text(twin.tree, "d/e/c", "");
        put_text(twin.tree, "a", "three");
        twin_compare(&twin);
        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        struct stat was, is;
        uint64_t a = find(twin.tree, TREE_ROOT, "a");
        cr_assert_eq(find(t, TREE_ROOT, "a"), a);
        cr_assert_eq(tree_getattr(twin.tree, a, &was), 0);
        cr_assert_eq(tree_getattr(t, a, &is), 0);
        cr_assert_eq(is.st_ino, was.st_ino);
        cr_assert_eq(is.st_mode, was.st_mode);
        cr_assert_eq(is.st_mtime, was.st_mtime);
        cr_assert(holds(t, a, "three"));
        struct tree_stats stats;
        tree_get_stats(t, &stats);
        cr_assert_eq(stats.files, 3);
        cr_assert_eq(stats.bytes, strlen("threetwo"));
        cr_assert_eq(stats.superseded, 0, "nobody had looked the first one up");
        struct view_file **files;
        cr_assert_eq(tree_files(t, &files), 3);
        for (int i = 0; i < 3; i++)
                view_file_unref(files[i]);
        free(files);
        _cleanup_(view_file_unrefp) struct view_file *b = tree_shown(t, "d/b");
        cr_assert_str_eq(b->path, "d/b");
        cr_assert_null(tree_shown(t, "d"));
        cr_assert_null(tree_shown(t, "d/none"));
        cr_assert_null(tree_shown(t, "none/b"));
}

Test(tree_journal, a_superseded_version_is_read_until_the_kernel_forgets_it)
{
        put_text(twin.tree, "a", "one");
        uint64_t one = find(twin.tree, TREE_ROOT, "a");
        put_text(twin.tree, "a", "two");
        twin_compare(&twin);

        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        uint64_t two = find(t, TREE_ROOT, "a");
        struct stat st;
        cr_assert_neq(two, one);
        cr_assert(holds(t, two, "two"));
        cr_assert(holds(t, one, "one"), "whoever opened it reads on");
        cr_assert_eq(tree_getattr(t, one, &st), 0);
        cr_assert_eq(st.st_nlink, 0);
        tree_forget(t, one, 1);
        cr_assert_eq(tree_getattr(t, one, &st), -ESTALE);

        tree_forget(twin.tree, one, 1);
        _cleanup_(tree_freep) struct tree *later = twin_restore(&twin);
        cr_assert_eq(tree_getattr(later, one, &st), -ESTALE, "forgotten is written down");
        twin_compare(&twin);
}

/* How often the last worker was asked is not known. Whatever the kernel says first, what has a name
 * stays, and what has none goes for good. */
Test(tree_journal, forgetting_what_an_earlier_worker_told)
{
        put_text(twin.tree, "a", "one");
        uint64_t id = find(twin.tree, TREE_ROOT, "a");
        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        struct stat st;

        tree_forget(t, id, 1);
        cr_assert_eq(tree_getattr(t, id, &st), 0, "it has its name");
        cr_assert_eq(find(t, TREE_ROOT, "a"), id);
        put_text(t, "a", "two");
        cr_assert(holds(t, id, "one"), "looked up since");
        tree_forget(t, id, 1);
        cr_assert_eq(tree_getattr(t, id, &st), -ESTALE);
}

/* A volume is withdrawn by invalidating all that the kernel may have. */
Test(tree_journal, what_an_earlier_worker_told_counts_as_known)
{
        uint64_t ids[8];

        put_text(twin.tree, "a", "one");
        put_text(twin.tree, "d/b", "two");
        uint64_t a = find(twin.tree, TREE_ROOT, "a");
        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        size_t n = tree_known(t, ids, ELEMENTSOF(ids));
        cr_assert_eq(n, 4, "the root, a, d and b: %zu", n);
        bool found = false;
        for (size_t i = 0; i < n; i++)
                found |= ids[i] == a;
        cr_assert(found);
}

Test(tree_journal, a_plan_that_was_not_applied_is_still_expected)
{
        put_text(twin.tree, "d/a", "one");
        struct tree_plan plan = stage(twin.tree, "d/a", "two");
        twin_compare(&twin);

        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        uint64_t d = find(t, TREE_ROOT, "d");
        _cleanup_(view_file_unrefp) struct view_file *pending = tree_pending(t);
        cr_assert_not_null(pending);
        cr_assert_str_eq(pending->path, "d/a");
        struct tree_plan again;
        cr_assert_eq(tree_pending_plan(t, &again), 0);
        cr_assert_eq(again.parent, d);
        cr_assert_str_eq(again.staged, plan.staged);
        cr_assert_str_eq(again.folder, "d");
        cr_assert_str_eq(again.name, "a");
        cr_assert_not(again.away);
        cr_assert_not(tree_applied(t));
        cr_assert(holds(t, find(t, d, "a"), "one"));
        cr_assert_eq(tree_rename(t, d, plan.staged, d, "b"), -EROFS);
        cr_assert_eq(apply(t, &plan), 0);
        cr_assert_eq(tree_pending_plan(t, &again), -ENOENT);
        cr_assert(tree_applied(t));
        cr_assert(holds(t, find(t, d, "a"), "two"));
        cr_assert_null(tree_pending(t));
}

Test(tree_journal, an_applied_rename_is_answered_again)
{
        struct tree_stats stats;

        put_text(twin.tree, "a", "one");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(twin.tree), 0);
        struct tree_plan plan = stage(twin.tree, "a", "two");
        twin_area(&twin); /* PLAN, STAGED, then APPLIED behind it */
        cr_assert_eq(apply(twin.tree, &plan), 0);

        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        cr_assert(tree_applied(t));
        cr_assert_null(tree_pending(t));
        cr_assert(holds(t, find(t, TREE_ROOT, "a"), "two"));
        cr_assert_eq(apply(t, &plan), 0, "the kernel sends it again");
        cr_assert_eq(tree_rename(t, TREE_ROOT, "a", TREE_ROOT, plan.staged), -EROFS);
        tree_get_stats(t, &stats);
        cr_assert_eq(stats.generation, 1);

        /* The same when a new area was begun since: the plan is in it. */
        twin_area(&twin);
        _cleanup_(tree_freep) struct tree *later = twin_restore(&twin);
        cr_assert_eq(apply(later, &plan), 0);
        tree_get_stats(later, &stats);
        cr_assert_eq(stats.generation, 1);
}

static uint64_t generation_of(struct tree *t)
{
        struct tree_stats stats;

        tree_get_stats(t, &stats);
        return stats.generation;
}

Test(tree_journal, generations_come_back_with_bytes_written_once)
{
        char target[TREE_GENERATION_SIZE];
        struct tree_plan plan;

        put_text(twin.tree, "a", "one");
        put_text(twin.tree, "d/b", "two");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(twin.tree), 0);
        put_text(twin.tree, "a", "three");
        cr_assert_eq(tree_make_generation(twin.tree, NULL, 0), 0);
        cr_assert_eq(tree_stage_data(twin.tree, &plan), 0);
        for (int round = 0; round < 2; round++) { /* as it was written; then from a new area */
                size_t held = sec_total();
                _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
                cr_assert_eq(sec_total() - held, strlen("one") + strlen("two") + strlen("three"));
                uint64_t one = find(t, TREE_ROOT, "..1"), two = find(t, TREE_ROOT, "..2");
                cr_assert(holds(t, find(t, one, "a"), "one"));
                cr_assert(holds(t, find(t, find(t, one, "d"), "b"), "two"));
                cr_assert(holds(t, find(t, two, "a"), "three"));
                cr_assert_eq(tree_readlink(t, find(t, TREE_ROOT, TREE_DATA), target), 0);
                cr_assert_str_eq(target, "..1");
                cr_assert(tree_pending_data(t));
                struct tree_plan again;
                cr_assert_eq(tree_pending_plan(t, &again), 0);
                cr_assert_str_eq(again.staged, plan.staged);
                cr_assert_str_eq(again.name, TREE_DATA);
                cr_assert_str_empty(again.folder);
                cr_assert_eq(generation_of(t), 1);
                cr_assert_eq(apply(t, &plan), 0);
                cr_assert_eq(generation_of(t), 2);
                cr_assert_not(tree_generation_is_stale(t));
                cr_assert_eq(tree_make_generation(t, NULL, 0), 0);
                cr_assert_neq(find(t, TREE_ROOT, "..3"), 0, "numbers go on");
                twin_area(&twin);
        }
}

Test(tree_journal, a_plan_that_was_given_up_is_refused)
{
        put_text(twin.tree, "a", "one");
        struct tree_plan plan = stage(twin.tree, "a", "two");
        uint64_t staged = find(twin.tree, TREE_ROOT, plan.staged);
        cr_assert(tree_unstage(twin.tree));

        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        struct stat st;
        cr_assert_null(tree_pending(t));
        cr_assert_eq(apply(t, &plan), -EROFS);
        cr_assert(holds(t, find(t, TREE_ROOT, "a"), "one"));
        cr_assert_eq(tree_getattr(t, staged, &st), -ESTALE);
        plan = stage(t, "a", "three");
        cr_assert_eq(apply(t, &plan), 0, "the next one is not in its way");
}

/* Nor does its content stay in memory for a FORGET that never comes. */
Test(tree_journal, a_plan_that_a_successor_gives_up_leaves_nothing)
{
        put_text(twin.tree, "a", "one");
        struct tree_plan plan = stage(twin.tree, "a", "two");
        twin_take_over(&twin);
        cr_assert(tree_unstage(twin.tree));
        struct tree_stats stats;
        tree_get_stats(twin.tree, &stats);
        cr_assert_eq(stats.superseded, 0);
        cr_assert_eq(apply(twin.tree, &plan), -EROFS);
        twin_compare(&twin);
}

Test(tree_journal, a_planned_folder_comes_back_with_its_file)
{
        put_text(twin.tree, "a", "one");
        for (int whole = 0; whole < 2; whole++) {
                struct tree_plan plan = stage(twin.tree, "d/e/f", "deep");
                if (whole)
                        twin_area(&twin);
                twin_compare(&twin);
                twin_take_over(&twin);
                _cleanup_(view_file_unrefp) struct view_file *f = tree_pending(twin.tree);
                cr_assert_not_null(f);
                cr_assert_str_eq(f->path, "d/e/f");
                cr_assert_not(tree_pending_data(twin.tree));
                if (!whole) {
                        cr_assert(tree_unstage(twin.tree));
                        twin_compare(&twin);
                        continue;
                }
                cr_assert_eq(apply(twin.tree, &plan), 0);
                twin_compare(&twin);
                _cleanup_(view_file_unrefp) struct view_file *shown =
                        tree_shown(twin.tree, "d/e/f");
                cr_assert_not_null(shown);
        }
}

Test(tree_journal, an_exchange_is_done_by_the_successor)
{
        static const char *const paths[] = {"x/f", "x"};

        put_text(twin.tree, "x", "file");
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                struct tree_plan plan = stage(twin.tree, paths[i], "next");
                cr_assert(plan.exchange);
                twin_take_over(&twin);
                cr_assert_eq(
                        tree_rename(twin.tree, plan.parent, plan.staged, plan.parent, plan.name),
                        -EROFS);
                cr_assert_eq(apply(twin.tree, &plan), 0);
                twin_compare(&twin);
                twin_take_over(&twin);
                cr_assert_eq(apply(twin.tree, &plan), 0, "and again by the one after it");
                _cleanup_(view_file_unrefp) struct view_file *f = tree_shown(twin.tree, paths[i]);
                cr_assert_not_null(f);
                twin_area(&twin);
                twin_compare(&twin);
        }
}

Test(tree_journal, what_a_bind_mount_adopted_stays_adopted)
{
        struct stat st;
        uint64_t ids[4];

        put_text(twin.tree, "a", "one");
        uint64_t bound = find(twin.tree, TREE_ROOT, "a");
        cr_assert_eq(tree_getattr(twin.tree, bound, &st), 0);
        tree_bind(twin.tree, st.st_ino, true);
        cr_assert(tree_unstage(twin.tree));
        struct tree_plan plan = stage(twin.tree, "a", "three");
        cr_assert_eq(apply(twin.tree, &plan), 0);
        cr_assert_eq(tree_adopt(twin.tree, ids, ELEMENTSOF(ids)), 1);
        for (int whole = 0; whole < 2; whole++) {
                twin_take_over(&twin);
                cr_assert(holds(twin.tree, bound, "three"), "before anybody tells of the bind");
                twin_compare(&twin);
        }
}

Test(tree_journal, a_removed_name_stays_removed)
{
        uint64_t parent;

        put_text(twin.tree, "d/a", "one");
        put_text(twin.tree, "d/b", "two");
        uint64_t child = find(twin.tree, find(twin.tree, TREE_ROOT, "d"), "a");
        cr_assert_eq(tree_remove(twin.tree, "d/a", &parent), 0);
        twin_compare(&twin);
        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        cr_assert_null(tree_shown(t, "d/a"));
        cr_assert(holds(t, child, "one"), "for those who hold it");
}

static int64_t time_of(struct tree *t, uint64_t id)
{
        struct stat st;

        cr_assert_eq(tree_getattr(t, id, &st), 0);
        return st.st_mtime;
}

/* A folder is as old as the last change in it, whoever shows it. */
Test(tree_journal, folders_and_links_keep_their_times)
{
        struct tree *t = twin.tree;
        uint64_t parent;

        put_text(t, "d/a", "one");
        put_text(t, "d/b", "two");
        put_text(t, "e/f", "three");
        cr_assert_eq(tree_make_generation(t, NULL, 0), 0);
        cr_assert_eq(tree_put_data(t), 0);
        uint64_t d = find(t, TREE_ROOT, "d"), e = find(t, TREE_ROOT, "e");

        for (int change = 0; change < 5; change++) {
                struct tree_plan plan;

                twin_age(&twin);
                twin_compare(&twin);
                switch (change) {
                case 0:
                        plan = stage(t, "d/a", "other");
                        cr_assert_eq(apply(t, &plan), 0);
                        break;
                case 1:
                        cr_assert_eq(tree_remove(t, "d/a", &parent), 0);
                        break;
                case 2:
                        put_text(t, "d/c", "new");
                        break;
                case 3:
                        put_text(t, "d/sub/g", "new");
                        break;
                default:
                        cr_assert_eq(tree_make_generation(t, NULL, 0), 0);
                        break;
                }
                cr_assert_geq(time_of(t, change < 4 ? d : TREE_ROOT), 1700000000, "%d", change);
                cr_assert_lt(time_of(t, e), 1700000000, "%d", change);
                twin_compare(&twin);
        }
}

/* Nothing but the area's end holds a class back that drops all its objects at once. */
Test(tree_journal, many_removals_in_a_nearly_full_area)
{
        enum { N = 1000 };
        uint64_t parent;
        char path[32];

        for (int i = 0; i < N; i++) {
                (void)snprintf(path, sizeof path, "f%d", i);
                put_text(twin.tree, path, "x");
        }
        twin_area(&twin);
        twin_fill(&twin);
        for (int i = 0; i < N; i++) {
                (void)snprintf(path, sizeof path, "f%d", i);
                cr_assert_eq(tree_remove(twin.tree, path, &parent), 0);
        }
        put_text(twin.tree, "last", "y");
        struct tree_plan plan = stage(twin.tree, "last", "z");
        cr_assert_eq(apply(twin.tree, &plan), 0);
        twin_compare(&twin);
}

Test(tree_journal, a_path_as_deep_as_can_be_fits_into_the_room_made_for_it)
{
        char path[SPC_PATH_MAX];

        for (size_t i = 0; i + 2 < sizeof path; i += 2)
                memcpy(path + i, "p/", 2);
        path[sizeof path - 2] = 'f';
        path[sizeof path - 1] = '\0';
        twin_area(&twin);
        twin_fill(&twin);
        put_text(twin.tree, path, "deep");
        twin_compare(&twin);
        _cleanup_(tree_freep) struct tree *t = twin_restore(&twin);
        _cleanup_(view_file_unrefp) struct view_file *f = tree_shown(t, path);
        cr_assert_not_null(f);
}

/* A successor counts on from its own epoch: no node id of an earlier worker comes back. */
Test(tree_journal, ids_are_never_used_again)
{
        uint64_t first, second;

        put_text(twin.tree, "a", "one");
        first = find(twin.tree, TREE_ROOT, "a");
        put_text(twin.tree, "a", "two");
        second = find(twin.tree, TREE_ROOT, "a");
        tree_forget(twin.tree, first, 1);
        tree_forget(twin.tree, second, 1);
        for (unsigned workers = 0; workers < 5; workers++) {
                struct stat st;

                twin_take_over(&twin);
                for (int i = 0; i < 20; i++) {
                        put_text(twin.tree, "a", "x");
                        uint64_t id = find(twin.tree, TREE_ROOT, "a");
                        cr_assert_neq(id, first);
                        cr_assert_neq(id, second);
                        cr_assert_eq(tree_getattr(twin.tree, id, &st), 0);
                        cr_assert_leq(st.st_ino, UINT32_MAX);
                        tree_forget(twin.tree, id, 1);
                        first = second;
                        second = id;
                }
        }
}

Test(tree_journal, a_withdrawn_table_without_a_snapshot)
{
        struct tree *t = make_tree();

        put_text(t, "a", "x");
        tree_make_room(t, 1 << 20);
        tree_write_raw(t, RECORD_INIT, NULL, 0);
        tree_drop_snapshot(t);
        tree_free(t);
        tree_drop_snapshot(twin.tree);
        put_text(twin.tree, "late", "x");
        cr_assert_eq(twin_records(&twin, RECORD_GONE), 1);
        tree_drop_snapshot(twin.tree);
        cr_assert_eq(twin_records(&twin, RECORD_GONE), 1, "once");
}

/* A worker that dies between any two bytes of its journal: what is restored is one of the states
 * that the table had, never something between. */
Test(tree_journal, cut_at_every_byte_the_table_is_one_that_was)
{
        char *states[64];
        size_t n = 0;
        uint64_t parent;

        twin_age(&twin);
        struct journal *j = twin_journal(&twin);
        const size_t begin = journal_used(j); /* an area is handed over with all that is true */
        states[n++] = twin_text(twin.tree);
        put_text(twin.tree, "a", "one");
        states[n++] = twin_text(twin.tree);
        /* The folder comes into being first. */
        put_text(twin.tree, "d/b", "two");
        states[n++] = twin_text(twin.tree);
        (void)find(twin.tree, TREE_ROOT, "a");
        for (int i = 0; i < 6; i++) {
                struct tree_plan plan = stage(twin.tree, i % 2 ? "d/b" : "a", i % 3 ? "x" : "yy");
                states[n++] = twin_text(twin.tree);
                if (i == 4)
                        cr_assert(tree_unstage(twin.tree));
                else
                        cr_assert_eq(apply(twin.tree, &plan), 0);
                states[n++] = twin_text(twin.tree);
        }
        cr_assert_eq(tree_remove(twin.tree, "d/b", &parent), 0);
        states[n++] = twin_text(twin.tree);

        size_t state = 0, end = journal_used(j);
        for (size_t cut = begin; cut <= end; cut++) {
                struct journal *copy = area_cut(j, cut);
                struct tree *t = twin_restore_from(copy);
                char *text = twin_text(t);
                size_t is = state;

                /* A folder without its file, or a version that is superseded and not yet said to be
                 * forgotten, lies between two states as twin_text() has them. */
                while (is < n && !streq(text, states[is]))
                        is++;
                if (is < n)
                        state = is;
                else
                        cr_assert(strstr(text, "d/\n") || strstr(text, "superseded"),
                                "cut at %zu, after state %zu:\n%s", cut, state, text);
                free(text);
                tree_free(t);
                journal_free(copy);
        }
        cr_assert_eq(state, n - 1, "every state in its turn: %zu of %zu", state, n);
        journal_free(j);
        while (n > 0)
                free(states[--n]);
}
