#include <criterion/criterion.h>
#include <stdio.h>

#include "fs/tree_private.h"
#include "tests/unit/fs/trees.h"

TestSuite(tree_generation, .init = trees_init, .fini = trees_fini);

static int look(uint64_t parent, const char *name, bool *ret_cacheable)
{
        struct stat st;
        uint64_t id;

        int r = tree_lookup(tree, parent, name, &id, &st, ret_cacheable);
        if (r == 0)
                tree_forget(tree, id, 1);
        return r;
}

static void next_generation(void)
{
        cr_assert_eq(tree_make_generation(tree, NULL, 0), 0);
        cr_assert_eq(tree_put_data(tree), 0);
}

/* But for `keep` that are older than what is pointed to. */
static bool drop(unsigned keep, const char *name)
{
        struct tree_plan plan;

        int r = tree_drop_generation(tree, keep);
        if (r < 0) {
                cr_assert_eq(r, -ENOENT);
                cr_assert_not(tree_has_removals(tree));
                return false;
        }
        cr_assert_eq(tree_plan_removal(tree, &plan), 0);
        cr_assert(plan.away && !plan.unlink && !plan.forget);
        cr_assert_eq(plan.parent, TREE_ROOT);
        cr_assert_str_empty(plan.folder);
        cr_assert_str_eq(plan.name, name);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, name, TREE_ROOT, plan.staged), -EINTR);
        tree_removed(tree);
        return true;
}

Test(tree_generation, numbers)
{
        cr_assert_eq(tree_generation_of("..1"), 1);
        cr_assert_eq(tree_generation_of("..184"), 184);
        cr_assert_eq(tree_generation_of("..data"), 0);
        cr_assert_eq(tree_generation_of(".."), 0);
        cr_assert_eq(tree_generation_of("..0"), 0);
        cr_assert_eq(tree_generation_of("1"), 0);
        cr_assert_eq(tree_generation_of("..-1"), 0);
}

Test(tree_generation, has_inodes_of_its_own_and_the_same_bytes)
{
        struct stat plain, own;

        put_text(tree, "f", "1");
        put_text(tree, "d/g", "2");
        size_t held = sec_total();
        next_generation();
        cr_assert_eq(sec_total(), held, "bytes are shared");
        uint64_t g = find(tree, TREE_ROOT, "..1");
        uint64_t f = find(tree, g, "f"), d = find(tree, g, "d");
        cr_assert(holds(tree, f, "1") && holds(tree, find(tree, d, "g"), "2"));
        cr_assert_neq(d, find(tree, TREE_ROOT, "d"));
        cr_assert_eq(tree_getattr(tree, f, &own), 0);
        cr_assert_eq(tree_getattr(tree, find(tree, TREE_ROOT, "f"), &plain), 0);
        cr_assert_neq(own.st_ino, plain.st_ino);
        cr_assert_eq(own.st_nlink, 1);
        cr_assert_eq(plain.st_nlink, 1);
        cr_assert_eq(own.st_mode, plain.st_mode);
        cr_assert_eq(own.st_size, plain.st_size);
}

Test(tree_generation, data_is_a_symlink_to_it)
{
        char target[TREE_GENERATION_SIZE];
        struct view_file *file;
        struct stat st;

        put_text(tree, "f", "1");
        next_generation();
        uint64_t link = find(tree, TREE_ROOT, TREE_DATA);
        cr_assert_eq(tree_getattr(tree, link, &st), 0);
        cr_assert_eq(st.st_mode, S_IFLNK | 0777);
        cr_assert_eq(st.st_size, 3);
        cr_assert_eq(st.st_nlink, 1);
        cr_assert_eq(tree_readlink(tree, link, target), 0);
        cr_assert_str_eq(target, "..1");
        cr_assert_eq(tree_read(tree, link, &file), -EINVAL);
        cr_assert_eq(tree_readlink(tree, find(tree, TREE_ROOT, "f"), target), -EINVAL);
        cr_assert_eq(tree_readlink(tree, TREE_ROOT, target), -EINVAL);
        cr_assert_eq(tree_readlink(tree, 4711, target), -ESTALE);
}

Test(tree_generation, never_changes)
{
        uint64_t parent;

        put_text(tree, "f", "1");
        put_text(tree, "d/g", "1");
        next_generation();
        uint64_t g = find(tree, TREE_ROOT, "..1"), d = find(tree, g, "d");
        put_text(tree, "f", "2");
        put_text(tree, "d/g", "2");
        put_text(tree, "d/new", "2");
        cr_assert_eq(tree_remove(tree, "f", &parent), 0);
        next_generation();
        bool cacheable;
        cr_assert(holds(tree, find(tree, g, "f"), "1") && holds(tree, find(tree, d, "g"), "1"));
        cr_assert_eq(look(d, "new", &cacheable), -ENOENT);
        uint64_t g2 = find(tree, TREE_ROOT, "..2");
        cr_assert_eq(look(g2, "f", &cacheable), -ENOENT);
        cr_assert(holds(tree, find(tree, find(tree, g2, "d"), "new"), "2"));
}

Test(tree_generation, takes_what_waits_for_its_plain_name)
{
        struct view_file *newer[] = {make_file("f", "2"), make_file("d/e/new", "2")};

        put_text(tree, "f", "1");
        put_text(tree, "g", "1");
        cr_assert_eq(tree_make_generation(tree, newer, ELEMENTSOF(newer)), 0);
        uint64_t g = find(tree, TREE_ROOT, "..1");
        cr_assert(holds(tree, find(tree, g, "f"), "2") && holds(tree, find(tree, g, "g"), "1"));
        cr_assert(holds(tree, find(tree, find(tree, find(tree, g, "d"), "e"), "new"), "2"));
        cr_assert(holds(tree, find(tree, TREE_ROOT, "f"), "1"));
        cr_assert(tree_generation_is_stale(tree), "nothing points to it");
        cr_assert_eq(tree_put_data(tree), 0);
        cr_assert(tree_generation_is_stale(tree), "plain names lag behind");
        for (size_t i = 0; i < ELEMENTSOF(newer); i++)
                view_file_unref(newer[i]);
}

Test(tree_generation, is_stale_when_plain_names_differ)
{
        uint64_t parent;

        put_text(tree, "d/g", "1");
        next_generation();
        cr_assert_not(tree_generation_is_stale(tree));
        put_text(tree, "d/g", "2");
        cr_assert(tree_generation_is_stale(tree));
        next_generation();
        cr_assert_not(tree_generation_is_stale(tree));
        cr_assert_eq(tree_remove(tree, "d/g", &parent), 0);
        cr_assert(tree_generation_is_stale(tree));
}

Test(tree_generation, data_is_replaced_by_the_announced_rename)
{
        char target[TREE_GENERATION_SIZE];
        struct tree_stats stats;
        struct tree_plan plan;

        put_text(tree, "f", "1");
        next_generation();
        uint64_t old = find(tree, TREE_ROOT, TREE_DATA);
        cr_assert_eq(tree_stage_data(tree, &plan), -ENOENT, "it points to the newest");
        cr_assert_eq(tree_make_generation(tree, NULL, 0), 0);
        cr_assert_eq(tree_stage_data(tree, &plan), 0);
        cr_assert_str_eq(plan.name, TREE_DATA);
        cr_assert_str_empty(plan.folder);
        cr_assert_not(plan.away);
        cr_assert(tree_pending_data(tree));
        cr_assert_null(tree_pending(tree));
        cr_assert_eq(tree_stage_data(tree, &plan), -EBUSY);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, "f"), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, plan.staged, TREE_ROOT, TREE_DATA), 0);
        cr_assert_not(tree_pending_data(tree));
        uint64_t fresh = find(tree, TREE_ROOT, TREE_DATA);
        cr_assert_neq(fresh, old, "an inode of its own: the kernel keeps targets");
        cr_assert_eq(tree_readlink(tree, fresh, target), 0);
        cr_assert_str_eq(target, "..2");
        cr_assert_eq(tree_readlink(tree, old, target), 0);
        cr_assert_str_eq(target, "..1");
        tree_get_stats(tree, &stats);
        cr_assert_eq(stats.generation, 2);
        cr_assert_eq(stats.files, 1, "each file counts once");
}

Test(tree_generation, the_oldest_go)
{
        bool cacheable;

        put_text(tree, "f", "1");
        next_generation();
        cr_assert_not(drop(0, NULL));
        next_generation();
        cr_assert_not(drop(1, NULL), "the one before stays");
        cr_assert_eq(tree_make_generation(tree, NULL, 0), 0);
        cr_assert_not(drop(1, NULL), "nothing points to the third yet");
        cr_assert_eq(tree_put_data(tree), 0);
        cr_assert(drop(1, "..1"));
        cr_assert_not(drop(1, NULL));
        cr_assert_eq(look(TREE_ROOT, "..1", &cacheable), -ENOENT);
        cr_assert_eq(look(TREE_ROOT, "..2", &cacheable), 0);
        cr_assert_eq(look(TREE_ROOT, "..3", &cacheable), 0);
        cr_assert_eq(tree_make_generation(tree, NULL, 0), 0);
        cr_assert(drop(0, "..2"));
        cr_assert_not(drop(0, NULL), "what is pointed to stays, and what is newer");
        cr_assert_eq(look(TREE_ROOT, "..3", &cacheable), 0);
        cr_assert_eq(look(TREE_ROOT, "..4", &cacheable), 0);
}

Test(tree_generation, whoever_is_in_a_dropped_one_goes_on)
{
        struct view_file *f;
        struct stat st;

        put_text(tree, "d/f", "old");
        next_generation();
        uint64_t g = find(tree, TREE_ROOT, "..1"), d = find(tree, g, "d");
        put_text(tree, "d/f", "newer");
        next_generation();
        next_generation();
        cr_assert(drop(1, "..1"));
        uint64_t id = find(tree, d, "f");
        cr_assert(holds(tree, id, "old"));
        size_t held = sec_total();
        tree_forget(tree, g, 1);
        cr_assert_eq(tree_getattr(tree, g, &st), -ESTALE);
        cr_assert_eq(tree_getattr(tree, d, &st), 0);
        tree_forget(tree, d, 1);
        cr_assert_eq(tree_getattr(tree, d, &st), -ESTALE);
        cr_assert(holds(tree, id, "old"), "an open file");
        cr_assert_eq(sec_total(), held);
        tree_forget(tree, id, 1);
        cr_assert_eq(tree_read(tree, id, &f), -ESTALE);
        cr_assert_eq(sec_total(), held - 3, "nobody holds the old version");
}

Test(tree_generation, one_that_nobody_looked_at_goes_at_once)
{
        put_text(tree, "f", "secret");
        next_generation();
        put_text(tree, "f", "");
        next_generation();
        size_t held = sec_total();
        next_generation();
        cr_assert(drop(1, "..1"));
        cr_assert_eq(sec_total(), held - 6);
}

Test(tree_generation, only_a_dropped_one_can_be_renamed_away)
{
        static const char staged[] = KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcdef";

        put_text(tree, "f", "1");
        next_generation();
        cr_assert_eq(tree_rename(tree, TREE_ROOT, "..1", TREE_ROOT, staged), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, "f", TREE_ROOT, staged), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, TREE_DATA, TREE_ROOT, staged), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, "..7", TREE_ROOT, "f"), -EROFS);
        cr_assert_eq(tree_rename(tree, TREE_ROOT, "..7", TREE_ROOT, staged), -EINTR);
}

Test(tree_generation, its_names_are_no_file_s)
{
        static const char *const paths[] = {"..data", "..1", "..1/f", "..x/y", "d/..5"};
        bool cacheable = true;

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                struct view_file *f = make_file(paths[i], "x");
                struct tree_plan plan;
                uint64_t parent;
                cr_assert_lt(tree_put(tree, f), 0, "%s", paths[i]);
                cr_assert_lt(tree_stage(tree, f, &plan), 0, "%s", paths[i]);
                cr_assert_lt(tree_remove(tree, paths[i], &parent), 0, "%s", paths[i]);
                view_file_unref(f);
        }
        cr_assert_eq(look(TREE_ROOT, "..1", &cacheable), -ENOENT);
        cr_assert_not(cacheable, "it may be made at any time");
}
