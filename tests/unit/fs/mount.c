/* The whole life of a mount, its keeper and its kernel played by the test. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/unit/fs/stage.h"

static struct stage stage;
static struct answer answer;

static void init(void)
{
        stage_new(&stage);
}

static void fini(void)
{
        stage_done(&stage);
}

TestSuite(mount, .init = init, .fini = fini, .timeout = 120);

/* Everything that may come late has come: nothing is told twice. */
static void check_events(unsigned mounted, unsigned gone)
{
        for (int i = 0; i < 5; i++)
                cr_assert_geq(loop_turn(stage.loop, 5 * USEC_PER_MSEC), 0);
        cr_assert_eq(stage.mounted, mounted);
        cr_assert_eq(stage.gone, gone);
}

static void update(const char *path, const char *text)
{
        struct view_file *f = make_file(path, text);

        fs_mount_update(stage.mount, &f, 1);
        view_file_unref(f);
}

static bool reads_as(uint64_t id, const char *text)
{
        struct fuse_read_in in = {.size = 4096};

        return stage_call(&stage, &answer, FUSE_READ, id, &in, sizeof in, NULL, NULL) == 0 &&
               answer.len == strlen(text) && memcmp(answer.body, text, answer.len) == 0;
}

/* --- the beginning --- */

Test(mount, asks_for_what_was_configured)
{
        stage_mount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        cr_assert_str_eq(m.path, "/mnt/stage");
        cr_assert_str_eq(m.name, "akvfs:stage");
        cr_assert_eq(m.flags, KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER);
        stage_answer(&stage, KEEPER_MOUNTED, &m, -EPERM, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
}

Test(mount, is_ready_when_init_has_been_answered)
{
        stage_mount(&stage);
        stage_connect(&stage);
        check_events(0, 0);
        ask_init(stage.kernel);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, 0);
        cr_assert(get_answer(stage.kernel, &answer));
        cr_assert(reads_as(stage_lookup(&stage, TREE_ROOT, "f"), "old"));

        struct fs_mount_stats stats;
        fs_mount_get_stats(stage.mount, &stats);
        cr_assert_eq(stats.requests, 3);
        cr_assert_eq(stats.refused, 0);
        cr_assert_eq(stats.generation, 1);
        cr_assert_eq(stats.keeper_pid, getpid());

        stage_leave(&stage);
}

Test(mount, a_refusal_says_why_and_what_to_do)
{
        static const struct {
                int error;
                const char *hint;
        } cases[] = {
                {-ENODEV, "modprobe fuse"},
                {-ENOENT, "/dev/fuse is missing"},
                {-EPERM, "CAP_SYS_ADMIN"},
                {-EBUSY, ""},
        };

        for (unsigned i = 0; i < ELEMENTSOF(cases); i++) {
                stage_mount(&stage);
                struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
                stage_answer(&stage, KEEPER_MOUNTED, &m, cases[i].error, -EBADF);
                wait_for_count(stage.loop, &stage.mounted, i + 1);
                cr_assert_eq(stage.mounted_code, cases[i].error);
                cr_assert_not_null(strstr(stage.text, "/mnt/stage"), "%s", stage.text);
                cr_assert_not_null(strstr(stage.text, "the keeper says"), "%s", stage.text);
                cr_assert_not_null(strstr(stage.text, cases[i].hint), "%s", stage.text);
        }
        check_events(ELEMENTSOF(cases), 0);
        cr_assert(stage_quiet(&stage));
}

Test(mount, an_answer_without_descriptor_is_a_failure)
{
        stage_mount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        stage_answer(&stage, KEEPER_MOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_lt(stage.mounted_code, 0);
        check_events(1, 0);
}

Test(mount, a_descriptor_with_a_refusal_is_closed)
{
        int pair[2];
        char byte;

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        stage_mount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        stage_answer(&stage, KEEPER_MOUNTED, &m, -EIO, pair[1]);
        safe_close(pair[1]);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(recv(pair[0], &byte, 1, MSG_DONTWAIT), 0, "end of file");
        safe_close(pair[0]);
}

/* A descriptor on which epoll cannot wait: the mount is taken away again. */
Test(mount, what_cannot_be_served_is_unmounted)
{
        stage_mount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        FILE *regular = tmpfile();
        cr_assert_not_null(regular);
        stage_answer(&stage, KEEPER_MOUNTED, &m, 0, fileno(regular));
        m = stage_take(&stage, KEEPER_UNMOUNT);
        cr_assert_eq(m.flags, KEEPER_DETACH);
        check_events(0, 0);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_not_null(strstr(stage.text, "cannot be served"), "%s", stage.text);
        check_events(1, 0);
        (void)fclose(regular);
}

Test(mount, what_changed_meanwhile_is_shown_from_the_start)
{
        stage_mount(&stage);
        update("f", "newer");
        stage_connect(&stage);
        ask_init(stage.kernel);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert(get_answer(stage.kernel, &answer));
        cr_assert(reads_as(stage_lookup(&stage, TREE_ROOT, "f"), "newer"));
        cr_assert(stage_quiet(&stage), "no rename was needed");
        stage.keeper = safe_close(stage.keeper);
        stage_drain(&stage);
        wait_for_count(stage.loop, &stage.gone, 1);
}

/* --- rotations --- */

static void leave(void)
{
        stage_leave(&stage);
        check_events(1, 1);
}

/* `..data` follows when the plain names are in place. */
static void rename_data(void)
{
        struct fuse_rename_in rename = {.newdir = TREE_ROOT};

        struct keeper_msg m = stage_take(&stage, KEEPER_RENAME);
        cr_assert_str_eq(m.name, TREE_DATA);
        cr_assert_str_empty(m.path);
        cr_assert_eq(stage_call(&stage, &answer, FUSE_RENAME, TREE_ROOT, &rename, sizeof rename,
                             m.staged, m.name),
                0);
        stage_answer(&stage, KEEPER_RENAMED, &m, 0, -EBADF);
}

Test(mount, a_new_version_is_renamed_in)
{
        struct fuse_rename_in rename = {.newdir = TREE_ROOT};
        struct fs_mount_stats stats;

        stage_ready(&stage);
        uint64_t old = stage_lookup(&stage, TREE_ROOT, "f");
        update("f", "newer");
        struct keeper_msg m = stage_take(&stage, KEEPER_RENAME);
        cr_assert_str_empty(m.path);
        cr_assert_str_eq(m.name, "f");
        uint64_t staged = stage_lookup(&stage, TREE_ROOT, m.staged);
        cr_assert_eq(stage_call(&stage, &answer, FUSE_RENAME, TREE_ROOT, &rename, sizeof rename,
                             m.staged, m.name),
                0);
        stage_answer(&stage, KEEPER_RENAMED, &m, 0, -EBADF);
        cr_assert_eq(stage_lookup(&stage, TREE_ROOT, "f"), staged);
        cr_assert(reads_as(staged, "newer"));
        cr_assert(reads_as(old, "old"));
        rename_data();
        update("d/g", "deeper");
        m = stage_take(&stage, KEEPER_RENAME);
        cr_assert_str_eq(m.path, "d");
        cr_assert_eq((uint32_t)m.seq, 3);
        fs_mount_get_stats(stage.mount, &stats);
        cr_assert_eq(stats.generation, 2);
        leave();
}

/* What the next removal asks for, and what the kernel and the child make of it. */
static void unlink_next(const char *folder, uint64_t parent, const char *name)
{
        struct keeper_msg m = stage_take(&stage, KEEPER_RENAME);

        cr_assert_eq(m.flags, KEEPER_UNLINK);
        cr_assert_str_eq(m.path, folder);
        cr_assert_str_eq(m.name, name);
        cr_assert_eq(stage_call(&stage, &answer, FUSE_UNLINK, parent, NULL, 0, m.name, NULL), 0);
        stage_answer(&stage, KEEPER_RENAMED, &m, 0, -EBADF);
}

Test(mount, a_removed_file_is_unlinked_and_its_rotation_forgotten)
{
        static const char *const paths[] = {"f", "d/g", "never there"};
        struct fuse_rename_in rename = {.newdir = TREE_ROOT};

        stage_ready(&stage);
        uint64_t d = stage_lookup(&stage, TREE_ROOT, "d");
        update("f", "newer");
        update("d/g", "deeper");
        struct keeper_msg m = stage_take(&stage, KEEPER_RENAME);
        fs_mount_remove(stage.mount, paths, ELEMENTSOF(paths));
        for (int i = 0; i < 2; i++)
                cr_assert_eq(stage_notification(&stage, &answer), FUSE_NOTIFY_INVAL_INODE);
        cr_assert_eq(stage_call(&stage, &answer, FUSE_RENAME, TREE_ROOT, &rename, sizeof rename,
                             m.staged, m.name),
                -EROFS, "its rename comes too late");
        stage_answer(&stage, KEEPER_RENAMED, &m, -EROFS, -EBADF);
        cr_assert_eq(stage_lookup(&stage, TREE_ROOT, "f"), 0, "and it stays away");
        unlink_next("", TREE_ROOT, "f");
        unlink_next("d", d, "g");
        rename_data();
        update("new", "one");
        m = stage_take(&stage, KEEPER_RENAME);
        cr_assert_eq(stage_call(&stage, &answer, FUSE_RENAME, TREE_ROOT, &rename, sizeof rename,
                             m.staged, m.name),
                0);
        stage_answer(&stage, KEEPER_RENAMED, &m, 0, -EBADF);
        rename_data();
        m = stage_take(&stage, KEEPER_RENAME);
        cr_assert_eq(m.flags, KEEPER_AWAY);
        cr_assert_str_eq(m.name, "..1");
        cr_assert_eq(stage_call(&stage, &answer, FUSE_RENAME, TREE_ROOT, &rename, sizeof rename,
                             m.name, m.staged),
                -EINTR, "so that the kernel forgets the name");
        stage_answer(&stage, KEEPER_RENAMED, &m, 0, -EBADF);
        cr_assert(stage_quiet(&stage));
        cr_assert_eq(stage_call(&stage, &answer, FUSE_UNLINK, TREE_ROOT, NULL, 0, "new", NULL),
                -EROFS, "what is there cannot be unlinked");
        leave();
}

Test(mount, a_refused_change_is_counted_and_its_pages_go)
{
        struct fuse_setattr_in in = {.valid = FATTR_SIZE};
        struct fs_mount_stats stats;

        stage_ready(&stage);
        uint64_t f = stage_lookup(&stage, TREE_ROOT, "f");
        ask(stage.kernel, FUSE_SETATTR, f, &in, sizeof in, NULL, NULL);
        bool refused = false, invalidated = false;
        while (!refused || !invalidated) {
                stage_hear(&stage, &answer);
                refused |= answer.h.unique != 0 && answer.h.error == -EROFS;
                invalidated |= answer.h.unique == 0 && answer.h.error == FUSE_NOTIFY_INVAL_INODE;
        }
        fs_mount_get_stats(stage.mount, &stats);
        cr_assert_eq(stats.refused, 1);
        leave();
}

Test(mount, xattrs_tell_the_state)
{
        struct fuse_getxattr_in in = {.size = 100};

        stage_ready(&stage);
        uint64_t f = stage_lookup(&stage, TREE_ROOT, "f");
        fs_mount_set_state(stage.mount, "f", 0, "it broke");
        cr_assert_eq(stage_call(&stage, &answer, FUSE_GETXATTR, f, &in, sizeof in,
                             "user.akvfs.last_error", NULL),
                0);
        cr_assert_arr_eq(answer.body, "it broke", 8);
        leave();
}

/* --- the end --- */

Test(mount, ends_as_umount_does)
{
        stage_ready(&stage);
        fs_mount_end(stage.mount);
        fs_mount_end(stage.mount); /* twice is once */
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        cr_assert_eq(m.flags, 0);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        m = stage_take(&stage, KEEPER_UNMOUNT);
        cr_assert_eq(m.flags, KEEPER_DETACH);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        stage_drain(&stage);
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_eq(stage.gone_code, 0);
        check_events(1, 1);
}

Test(mount, with_open_files_bytes_are_withdrawn_before_it_is_detached)
{
        stage_ready(&stage);
        uint64_t f = stage_lookup(&stage, TREE_ROOT, "f");
        fs_mount_end(stage.mount);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, -EBUSY, -EBADF);
        bool root = false, file = false;
        while (!root || !file) {
                cr_assert_eq(stage_notification(&stage, &answer), FUSE_NOTIFY_INVAL_INODE);
                uint64_t id =
                        ((const struct fuse_notify_inval_inode_out *)(const void *)answer.body)
                                ->ino;
                root |= id == TREE_ROOT;
                file |= id == f;
        }
        m = stage_take(&stage, KEEPER_UNMOUNT);
        cr_assert_eq(m.flags, KEEPER_DETACH);
        struct fuse_read_in in = {.size = 10};
        cr_assert_eq(stage_call(&stage, &answer, FUSE_READ, f, &in, sizeof in, NULL, NULL), -EIO,
                "a reader that loops brings nothing back");
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_eq(stage.gone_code, 0);
}

Test(mount, what_cannot_be_detached_is_told)
{
        stage_ready(&stage);
        fs_mount_end(stage.mount);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, -EBUSY, -EBADF);
        m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, -EBUSY, -EBADF);
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_eq(stage.gone_code, -EBUSY);
        cr_assert_not_null(strstr(stage.text, "umount -l /mnt/stage"), "%s", stage.text);
}

Test(mount, somebody_else_s_umount_withdraws_too)
{
        struct keeper_msg gone;

        stage_ready(&stage);
        uint64_t f = stage_lookup(&stage, TREE_ROOT, "f");
        keeper_msg_init(&gone, KEEPER_GONE, 1);
        cr_assert_eq(keeper_send(stage.keeper, &gone, -EBADF), 0);
        cr_assert_eq(keeper_send(stage.keeper, &gone, -EBADF), 0);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        struct fuse_read_in in = {.size = 10};
        cr_assert_eq(stage_call(&stage, &answer, FUSE_READ, f, &in, sizeof in, NULL, NULL), -EIO,
                "who still has it open, after umount -l, reads no more");
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_eq(stage.gone_code, 0);
        check_events(1, 1);
}

Test(mount, a_dead_connection_is_the_end)
{
        stage_ready(&stage);
        stage.kernel = safe_close(stage.kernel);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        cr_assert_eq(m.flags, KEEPER_DETACH);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.gone, 1);
        check_events(1, 1);
}

Test(mount, a_connection_that_dies_while_starting_is_a_failure)
{
        stage_mount(&stage);
        stage_connect(&stage);
        stage.kernel = safe_close(stage.kernel);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, -ECANCELED);
        check_events(1, 0);
}

Test(mount, an_end_while_mounting_ends_it_once_it_started)
{
        stage_mount(&stage);
        fs_mount_end(stage.mount);
        stage_connect(&stage);
        ask_init(stage.kernel);
        stage_unmount(&stage);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, -ECANCELED);
        check_events(1, 0);
}

Test(mount, an_end_while_mounting_that_fails_anyway)
{
        stage_mount(&stage);
        fs_mount_end(stage.mount);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        stage_answer(&stage, KEEPER_MOUNTED, &m, -EPERM, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, -EPERM);
        check_events(1, 0);
}

Test(mount, updates_after_the_end_are_nothing)
{
        static const char *const paths[] = {"f"};

        stage_ready(&stage);
        fs_mount_end(stage.mount);
        update("f", "too late");
        fs_mount_remove(stage.mount, paths, 1);
        stage_unmount(&stage);
        wait_for_count(stage.loop, &stage.gone, 1);
        check_events(1, 1);
}

/* --- without a keeper --- */

static void kill_keeper(void)
{
        stage.keeper = safe_close(stage.keeper);
}

Test(mount, the_keeper_dies_while_mounting)
{
        stage_mount(&stage);
        kill_keeper();
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_eq(stage.mounted_code, -EPIPE);
        check_events(1, 0);
}

Test(mount, the_keeper_dies_while_starting)
{
        stage_mount(&stage);
        stage_connect(&stage);
        cr_assert(stage_quiet(&stage));
        kill_keeper();
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_lt(stage.mounted_code, 0);
        check_events(1, 0);
}

/* With nothing served there is no session to withdraw from. */
Test(mount, the_keeper_dies_while_what_cannot_be_served_goes)
{
        stage_mount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        FILE *regular = tmpfile();
        cr_assert_not_null(regular);
        stage_answer(&stage, KEEPER_MOUNTED, &m, 0, fileno(regular));
        stage_take(&stage, KEEPER_UNMOUNT);
        kill_keeper();
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_lt(stage.mounted_code, 0);
        check_events(1, 0);
        (void)fclose(regular);
}

Test(mount, the_keeper_dies_while_ready)
{
        stage_ready(&stage);
        stage_lookup(&stage, TREE_ROOT, "f");
        update("f", "newer");
        kill_keeper();
        cr_assert_geq(stage_drain(&stage), 2, "the root's and the file's pages");
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_eq(stage.gone_code, -EPIPE);
        check_events(1, 1);
}

Test(mount, the_keeper_dies_while_unmounting)
{
        stage_ready(&stage);
        fs_mount_end(stage.mount);
        stage_take(&stage, KEEPER_UNMOUNT);
        kill_keeper();
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_eq(stage.gone_code, -EPIPE);
        check_events(1, 1);
}

Test(mount, the_keeper_dies_while_detaching)
{
        stage_ready(&stage);
        fs_mount_end(stage.mount);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, -EBUSY, -EBADF);
        stage_take(&stage, KEEPER_UNMOUNT);
        kill_keeper();
        wait_for_count(stage.loop, &stage.gone, 1);
        check_events(1, 1);
}

Test(mount, the_keeper_dies_between_withdrawal_and_detaching)
{
        stage_ready(&stage);
        fs_mount_end(stage.mount);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, -EBUSY, -EBADF);
        kill_keeper();
        wait_for_count(stage.loop, &stage.gone, 1);
        check_events(1, 1);
}
