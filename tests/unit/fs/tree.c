#include "fs/tree.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/fs/trees.h"

TestSuite(tree, .init = trees_init, .fini = trees_fini);

/* --- what is put is there --- */

Test(tree, shows_what_was_put)
{
        struct stat st;
        uint64_t id;
        bool cacheable;

        put_text(tree, "password", "hunter2");
        cr_assert_eq(tree_lookup(tree, TREE_ROOT, "password", &id, &st, &cacheable), 0);
        cr_assert(holds(tree, id, "hunter2"));
        cr_assert_eq(st.st_mode, S_IFREG | 0640, "the mount's mode where the class has none");
        cr_assert_eq(st.st_size, 7);
        cr_assert_eq(st.st_blocks, 1);
        cr_assert_eq(st.st_uid, 1000);
        cr_assert_eq(st.st_gid, 1001);
        cr_assert_eq(st.st_nlink, 1);
        cr_assert_eq(st.st_mtime, 1700000000);
        cr_assert_lt(st.st_ino, (uint64_t)1 << 32);
        cr_assert_neq(id, st.st_ino, "the node id carries the epoch");
}

Test(tree, the_class_s_mode_wins)
{
        struct view_file *f = make_file("key", "x");
        struct stat st;

        f->mode = 0400;
        cr_assert_eq(tree_put(tree, f), 0);
        view_file_unref(f);
        cr_assert_eq(tree_getattr(tree, find(tree, TREE_ROOT, "key"), &st), 0);
        cr_assert_eq(st.st_mode, S_IFREG | 0400);
}

Test(tree, makes_folders_on_the_way)
{
        struct view_file *f = make_file("a/b/c", "x");
        uint64_t deepest = 0;
        struct stat st;

        cr_assert_eq(tree_replace(tree, f, &deepest), 0);
        view_file_unref(f);
        cr_assert_eq(deepest, TREE_ROOT);
        uint64_t a = find(tree, TREE_ROOT, "a"), b = find(tree, a, "b");
        cr_assert(holds(tree, find(tree, b, "c"), "x"));
        cr_assert_eq(tree_getattr(tree, a, &st), 0);
        cr_assert_eq(st.st_mode, S_IFDIR | 0755);
        cr_assert_eq(st.st_nlink, 3);
        cr_assert_eq(st.st_uid, 2000);
        cr_assert_eq(st.st_gid, 2001);

        f = make_file("a/d/e", "y");
        cr_assert_eq(tree_replace(tree, f, &deepest), 0);
        view_file_unref(f);
        cr_assert_eq(deepest, a, "the deepest that was there before");
        cr_assert_eq(tree_getattr(tree, a, &st), 0);
        cr_assert_eq(st.st_nlink, 4);
}

Test(tree, refuses_paths_that_cannot_be)
{
        static const struct {
                const char *path;
                int error;
        } cases[] = {
                {"file/below", -ENOTDIR},
                {"dir", -EISDIR},
                {"", -EINVAL},
                {"dir/", -EINVAL},
                {"/x", -EINVAL},
                {"dir//x", -EINVAL},
        };
        char name[300];

        put_text(tree, "file", "x");
        put_text(tree, "dir/x", "x");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct view_file *f = make_file(cases[i].path, "y");
                struct tree_plan plan;
                cr_assert_eq(tree_put(tree, f), cases[i].error, "%s", cases[i].path);
                if (cases[i].error == -EINVAL) /* the others change places: tree_plan.c */
                        cr_assert_eq(tree_stage(tree, f, &plan), -EINVAL, "%s", cases[i].path);
                view_file_unref(f);
        }
        memset(name, 'n', sizeof name);
        name[256] = '\0';
        struct view_file *f = make_file(name, "y");
        cr_assert_eq(tree_put(tree, f), -EINVAL, "256 characters");
        view_file_unref(f);
        f = make_file(name + 1, "y");
        cr_assert_eq(tree_put(tree, f), 0, "255 characters");
        view_file_unref(f);
}

Test(tree, unknown_nodes_are_stale)
{
        struct stat st;
        struct view_file *f;
        struct names names = {0};

        cr_assert_eq(absent(tree, 77, "x"), -ESTALE);
        cr_assert_eq(tree_getattr(tree, 77, &st), -ESTALE);
        cr_assert_eq(tree_read(tree, 77, &f), -ESTALE);
        cr_assert_eq(tree_readdir(tree, 77, 0, add_name, &names), -ESTALE);
        cr_assert_eq(tree_read(tree, TREE_ROOT, &f), -EISDIR);
        put_text(tree, "f", "x");
        uint64_t id = find(tree, TREE_ROOT, "f");
        cr_assert_eq(absent(tree, id, "x"), -ESTALE, "no folder");
        cr_assert_eq(tree_readdir(tree, id, 0, add_name, &names), -ESTALE);
}

/* --- listings --- */

Test(tree, lists_in_pages)
{
        struct names names;

        put_text(tree, "a", "1");
        put_text(tree, "b/x", "2");
        put_text(tree, "c", "3");
        list(TREE_ROOT, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. a b c ");
        /* fn took each name, also the one after which it stopped. */
        off_t offset = 0;
        char all[64] = "";
        for (int i = 0; i < 5; i++) {
                list(TREE_ROOT, offset, 1, &names);
                strcat(all, names.text);
                offset = names.cookies[0];
        }
        cr_assert_str_eq(all, ". .. a b c ");
        list(TREE_ROOT, offset, 0, &names);
        cr_assert_str_empty(names.text);
        list(TREE_ROOT, INT64_MAX, 0, &names);
        cr_assert_str_empty(names.text);
}

Test(tree, cookies_stay_while_a_listing_is_read_and_files_rotate)
{
        struct names first, rest;

        put_text(tree, "a", "1");
        put_text(tree, "b", "2");
        put_text(tree, "c", "3");
        list(TREE_ROOT, 0, 4, &first);
        cr_assert_str_eq(first.text, ". .. a b ");
        rotate("a", "1'");
        rotate("c", "3'");
        rotate("b", "2'");
        (void)stage(tree, "b", "2''");
        list(TREE_ROOT, first.cookies[3], 0, &rest);
        cr_assert_str_eq(rest.text, "c ", "nothing twice, nothing missed, nothing staged");
        uint64_t parent;
        cr_assert_eq(tree_remove(tree, "a", &parent), 0);
        put_text(tree, "d", "4");
        list(TREE_ROOT, first.cookies[3], 0, &rest);
        cr_assert_str_eq(rest.text, "c d ");
}

/* The kernel completes a listing that was left half-way only at the offset where that one ended. */
Test(tree, every_listing_ends_at_the_same_offset)
{
        struct names names;
        uint64_t parent;

        list(TREE_ROOT, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. ");
        cr_assert_eq(names.cookies[1], TREE_LISTING_END, "of an empty folder too");
        put_text(tree, "a", "1");
        put_text(tree, "b", "2");
        list(TREE_ROOT, 0, 0, &names);
        cr_assert_eq(names.cookies[3], TREE_LISTING_END);
        cr_assert_lt(names.cookies[2], TREE_LISTING_END);
        (void)stage(tree, "b", "2'");
        list(TREE_ROOT, 0, 0, &names);
        cr_assert_str_eq(names.text, ". .. a b ");
        cr_assert_eq(names.cookies[3], TREE_LISTING_END, "what is staged is not listed behind it");
        cr_assert_eq(tree_remove(tree, "b", &parent), 0);
        list(TREE_ROOT, names.cookies[2], 0, &names);
        cr_assert_str_empty(names.text);
        list(TREE_ROOT, 0, 0, &names);
        cr_assert_eq(names.cookies[2], TREE_LISTING_END);
}

/* --- rotation --- */

Test(tree, a_superseded_version_is_readable_until_it_is_forgotten)
{
        struct stat st;
        struct tree_stats stats;
        struct view_file *f;

        put_text(tree, "f", "old");
        uint64_t old = find(tree, TREE_ROOT, "f");
        find(tree, TREE_ROOT, "f"); /* a second look-up */
        size_t held = sec_total();
        rotate("f", "newer");
        uint64_t fresh = find(tree, TREE_ROOT, "f");
        cr_assert_neq(fresh, old);
        cr_assert(holds(tree, fresh, "newer"));
        cr_assert(holds(tree, old, "old"));
        cr_assert_eq(tree_getattr(tree, old, &st), 0);
        cr_assert_eq(st.st_nlink, 0);
        cr_assert_eq(st.st_size, 3);
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.superseded, 1);
        cr_assert_eq(stats.files, 1);
        cr_assert_eq(stats.bytes, 5);

        tree_forget(tree, old, 1);
        cr_assert(holds(tree, old, "old"));
        tree_forget(tree, old, 1);
        cr_assert_eq(tree_read(tree, old, &f), -ESTALE);
        cr_assert_eq(tree_getattr(tree, old, &st), -ESTALE);
        cr_assert_eq(sec_total(), held + 5 - 3);
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.superseded, 0);
}

Test(tree, a_version_that_nobody_looked_up_goes_at_once)
{
        put_text(tree, "f", "secret");
        size_t held = sec_total();
        rotate("f", "");
        cr_assert_eq(sec_total(), held - 6);
}

Test(tree, forgetting_too_much_is_harmless)
{
        put_text(tree, "f", "x");
        uint64_t id = find(tree, TREE_ROOT, "f");
        tree_forget(tree, id, UINT64_MAX);
        cr_assert(holds(tree, id, "x"), "it still has its name");
        tree_forget(tree, TREE_ROOT, 100);
        tree_forget(tree, 4711, 1);
        cr_assert_eq(find(tree, TREE_ROOT, "f"), id);
}

Test(tree, staged_absence_is_not_cached)
{
        struct stat st;
        uint64_t id;
        bool cacheable = false;

        cr_assert_eq(tree_lookup(tree, TREE_ROOT, "missing", &id, &st, &cacheable), -ENOENT);
        cr_assert(cacheable);
        cr_assert_eq(
                tree_lookup(tree, TREE_ROOT, KEEPER_STAGE_PREFIX "00000000000000000000000000000000",
                        &id, &st, &cacheable),
                -ENOENT);
        cr_assert_not(cacheable);
}

/* --- removal, withdrawal --- */

Test(tree, a_removed_file_stays_readable_for_those_who_have_it)
{
        uint64_t parent;
        struct stat st;

        put_text(tree, "d/f", "x");
        uint64_t d = find(tree, TREE_ROOT, "d"), id = find(tree, d, "f");
        cr_assert_eq(tree_remove(tree, "d/f", &parent), 0);
        cr_assert_eq(parent, d);
        cr_assert_eq(absent(tree, d, "f"), -ENOENT);
        cr_assert(holds(tree, id, "x"));
        cr_assert_eq(tree_getattr(tree, id, &st), 0);
        cr_assert_eq(st.st_nlink, 0);
        cr_assert_eq(tree_remove(tree, "d/f", &parent), -ENOENT);
        cr_assert_eq(tree_remove(tree, "d", &parent), -ENOENT, "folders stay");
        cr_assert_eq(tree_remove(tree, "q/f", &parent), -ENOENT);
}

Test(tree, withdrawn_is_an_error_for_names_and_bytes)
{
        struct view_file *f;
        struct stat st;
        struct names names = {0};

        put_text(tree, "f", "x");
        uint64_t id = find(tree, TREE_ROOT, "f");
        tree_withdraw(tree);
        cr_assert_eq(absent(tree, TREE_ROOT, "f"), -EIO);
        cr_assert_eq(absent(tree, TREE_ROOT, "missing"), -EIO);
        cr_assert_eq(tree_read(tree, id, &f), -EIO);
        cr_assert_eq(tree_readdir(tree, TREE_ROOT, 0, add_name, &names), -EIO);
        cr_assert_eq(tree_getattr(tree, id, &st), 0);
        tree_forget(tree, id, 1);
}

Test(tree, knows_what_the_kernel_knows)
{
        uint64_t ids[4] = {0};

        put_text(tree, "a", "x");
        put_text(tree, "b", "x");
        cr_assert_eq(tree_known(tree, NULL, 0), 1, "the root");
        uint64_t a = find(tree, TREE_ROOT, "a");
        cr_assert_eq(tree_known(tree, ids, ELEMENTSOF(ids)), 2);
        cr_assert(ids[0] == a || ids[1] == a);
        rotate("a", "y");
        cr_assert_eq(tree_known(tree, ids, 1), 2, "superseded ones too; more than there is room");
        tree_forget(tree, a, 1);
        cr_assert_eq(tree_known(tree, ids, ELEMENTSOF(ids)), 1);
}

Test(tree, the_state_of_a_file_outlives_its_versions)
{
        struct tree_state state;

        put_text(tree, "f", "1");
        uint64_t old = find(tree, TREE_ROOT, "f");
        tree_set_state(tree, "f", 1234, "vault is away");
        cr_assert_eq(tree_get_state(tree, old, &state), 0);
        cr_assert_eq(state.refreshed_at, 1234);
        cr_assert_str_eq(state.error, "vault is away");

        rotate("f", "2");
        cr_assert_eq(tree_get_state(tree, find(tree, TREE_ROOT, "f"), &state), 0);
        cr_assert_eq(state.refreshed_at, 1234);
        cr_assert_str_eq(state.error, "vault is away");
        put_text(tree, "f", "3");
        cr_assert_eq(tree_get_state(tree, find(tree, TREE_ROOT, "f"), &state), 0);
        cr_assert_eq(state.refreshed_at, 1234);
        tree_set_state(tree, "f", 1300, NULL);
        cr_assert_eq(tree_get_state(tree, find(tree, TREE_ROOT, "f"), &state), 0);
        cr_assert_str_empty(state.error);

        tree_set_state(tree, "missing", 1, "x");
        tree_set_state(tree, "no/folder", 1, "x");
        cr_assert_eq(tree_get_state(tree, TREE_ROOT, &state), -ENODATA);
        cr_assert_eq(tree_get_state(tree, 99, &state), -ENODATA);
}

Test(tree, counts)
{
        struct tree_stats stats;

        put_text(tree, "a", "12");
        put_text(tree, "d/b", "345");
        cr_assert_eq(tree_make_generation(tree, NULL, 0), 0);
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.generation, 0, "nothing points to it");
        cr_assert_eq(tree_put_data(tree), 0);
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.files, 2);
        cr_assert_eq(stats.bytes, 5);
        cr_assert_eq(stats.superseded, 0);
        cr_assert_eq(stats.generation, 1);
}
