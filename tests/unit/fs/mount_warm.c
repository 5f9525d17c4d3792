/* A mount that is kept warm; its keeper and its kernel are played by the test. */
#include <criterion/criterion.h>

#include "tests/unit/fs/stage.h"

#define AT_ONCE 8 /* looks that the keeper is asked for: fs/mount_warm.c */

static struct stage stage;
static struct answer answer;

/* The kernel's ends of all connections but the last one's. */
static int kernels[AT_ONCE + 2];
static unsigned n_kernels;

static void init(void)
{
        stage_new(&stage);
        stage.warm = true;
        stage_mount(&stage);
        stage_connect(&stage);
        ask_init(stage.kernel);
}

static void fini(void)
{
        stage_done(&stage);
        while (n_kernels > 0)
                safe_close(kernels[--n_kernels]);
}

TestSuite(mount_warm, .init = init, .fini = fini, .timeout = 120);

/* INIT has been answered by then. */
static struct keeper_msg first_look(void)
{
        struct keeper_msg m = stage_take(&stage, KEEPER_WARM);

        cr_assert(get_answer(stage.kernel, &answer));
        return m;
}

static void get_ready(void)
{
        struct keeper_msg m = first_look();

        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, 0);
}

static void update(const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);

        fs_mount_update(stage.mount, &f, 1);
        view_file_unref(f);
}

/* What the kernel and the child make of the next rename. */
static void rename_next(const char *name)
{
        struct fuse_rename_in rename = {.newdir = TREE_ROOT};
        struct keeper_msg m = stage_take(&stage, KEEPER_RENAME);

        cr_assert_str_eq(m.name, name);
        cr_assert_eq(m.flags, KEEPER_KEEP_WARM);
        cr_assert_eq(stage_call(&stage, &answer, FUSE_RENAME, TREE_ROOT, &rename, sizeof rename,
                             m.staged, m.name),
                0);
        stage_answer(&stage, KEEPER_RENAMED, &m, 0, -EBADF);
}

Test(mount_warm, is_ready_when_everything_was_looked_at)
{
        struct keeper_msg m = first_look();

        cr_assert(stage_quiet(&stage));
        cr_assert_eq(stage.mounted, 0);
        m.seq++;
        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        cr_assert(stage_quiet(&stage));
        cr_assert_eq(stage.mounted, 0, "the answer to some other question");
        m.seq--;
        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, 0);
        cr_assert_not(fs_mount_busy(stage.mount));
        stage_leave(&stage);
}

Test(mount_warm, is_ready_when_that_fails_too)
{
        struct keeper_msg m = first_look();

        stage_answer(&stage, KEEPER_WARMED, &m, -EIO, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, 0);
        stage_leave(&stage);
}

Test(mount_warm, each_set_of_changes_is_looked_at_when_it_is_done)
{
        get_ready();
        for (int i = 0; i < 3; i++) {
                update("f", i % 2 ? "one" : "other");
                rename_next("f");
                rename_next(TREE_DATA);
                if (i > 0) {
                        struct keeper_msg away = stage_take(&stage, KEEPER_RENAME);
                        cr_assert_eq(away.flags, KEEPER_AWAY);
                        cr_assert(fs_mount_busy(stage.mount));
                        stage_answer(&stage, KEEPER_RENAMED, &away, 0, -EBADF);
                }
                struct keeper_msg m = stage_take(&stage, KEEPER_WARM);
                cr_assert(fs_mount_busy(stage.mount));
                stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
                cr_assert(stage_quiet(&stage));
                cr_assert_not(fs_mount_busy(stage.mount));
        }
        stage_leave(&stage);
}

Test(mount_warm, what_changes_during_a_look_is_looked_at_again)
{
        struct keeper_msg first = first_look();

        update("f", "newer");
        rename_next("f");
        rename_next(TREE_DATA);
        cr_assert(stage_quiet(&stage), "one at a time");
        stage_answer(&stage, KEEPER_WARMED, &first, 0, -EBADF);
        struct keeper_msg m = stage_take(&stage, KEEPER_WARM);
        cr_assert_neq(m.seq, first.seq);
        wait_for_count(stage.loop, &stage.mounted, 1);
        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        cr_assert(stage_quiet(&stage));
        stage_leave(&stage);
}

Test(mount_warm, one_that_ends_meanwhile_never_was_ready)
{
        struct keeper_msg m = first_look();

        fs_mount_end(stage.mount);
        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        stage_unmount(&stage);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, -ECANCELED);
        cr_assert_eq(stage.gone, 0);
}

/* --- many mounts --- */

/* The first mount and these others, as many looks under way as may be. */
static void mount_more(unsigned n, struct keeper_msg looks[AT_ONCE])
{
        looks[0] = first_look();
        for (unsigned i = 1; i <= n; i++) {
                kernels[n_kernels++] = stage.kernel;
                stage_mount(&stage);
                stage_connect(&stage);
                ask_init(stage.kernel);
                if (i < AT_ONCE) {
                        looks[i] = first_look();
                        continue;
                }
                cr_assert(stage_quiet(&stage), "more than %d at once", AT_ONCE);
                cr_assert(get_answer(stage.kernel, &answer));
        }
        cr_assert(stage_quiet(&stage), "more than %d at once", AT_ONCE);
        cr_assert_eq(stage.mounted, 0);
}

Test(mount_warm, few_are_looked_at_at_once_and_each_has_its_turn)
{
        struct keeper_msg looks[AT_ONCE];

        mount_more(AT_ONCE + 1, looks);
        for (unsigned i = 0; i < 2; i++) {
                stage_answer(&stage, KEEPER_WARMED, &looks[i], i ? -EIO : 0, -EBADF);
                struct keeper_msg m = stage_take(&stage, KEEPER_WARM);
                for (unsigned k = 0; k < AT_ONCE; k++)
                        cr_assert_neq(m.mount, looks[k].mount, "it has had its turn");
                cr_assert(stage_quiet(&stage), "one for one");
                wait_for_count(stage.loop, &stage.mounted, i + 1);
                looks[i] = m;
        }
        for (unsigned i = 0; i < AT_ONCE; i++)
                stage_answer(&stage, KEEPER_WARMED, &looks[i], 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, AT_ONCE + 2);
        cr_assert(stage_quiet(&stage));
}

Test(mount_warm, one_that_ends_leaves_its_turn_to_another)
{
        struct keeper_msg looks[AT_ONCE];

        struct fs_mount *one = stage.mount;
        mount_more(AT_ONCE, looks);
        fs_mount_end(one);
        stage_unmount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_WARM);
        cr_assert_eq(stage.mounted, 1, "the one that ended: nobody was given up");
        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 2);
        cr_assert(stage_quiet(&stage));
}
