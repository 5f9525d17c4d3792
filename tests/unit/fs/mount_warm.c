/* A mount that is kept warm; its keeper and its kernel are played by the test. */
#include <criterion/criterion.h>

#include "tests/unit/fs/stage.h"

static struct stage stage;
static struct answer answer;

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
}

TestSuite(mount_warm, .init = init, .fini = fini, .timeout = 120);

static void leave(void)
{
        fs_mount_end(stage.mount);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.gone, 1);
}

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
        leave();
}

Test(mount_warm, is_ready_when_that_fails_too)
{
        struct keeper_msg m = first_look();

        stage_answer(&stage, KEEPER_WARMED, &m, -EIO, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, 0);
        leave();
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
                        stage_answer(&stage, KEEPER_RENAMED, &away, -EINTR, -EBADF);
                }
                struct keeper_msg m = stage_take(&stage, KEEPER_WARM);
                cr_assert(fs_mount_busy(stage.mount));
                stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
                cr_assert(stage_quiet(&stage));
                cr_assert_not(fs_mount_busy(stage.mount));
        }
        leave();
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
        leave();
}

Test(mount_warm, one_that_ends_meanwhile_never_was_ready)
{
        struct keeper_msg m = first_look();

        fs_mount_end(stage.mount);
        struct keeper_msg u = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_WARMED, &m, 0, -EBADF);
        stage_answer(&stage, KEEPER_UNMOUNTED, &u, 0, -EBADF);
        u = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &u, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, -ECANCELED);
        cr_assert_eq(stage.gone, 0);
}
