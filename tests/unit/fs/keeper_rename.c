/* A rename through a real mount, served by this process's own threads. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/fs/renaming.h"

TestSuite(keeper_rename, .init = renaming_init, .fini = renaming_fini, .timeout = 60);

Test(keeper_rename, a_renamer_leaves_when_its_keeper_does, .timeout = 60)
{
        struct renamer r;
        int result, status;

        cr_assert_eq(renamer_start(&r), 0);
        cr_assert_eq(renamer_receive(&r, &result), -EAGAIN);
        pid_t pid = r.pid;
        renamer_done(&r);
        renamer_done(&r);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
}

Test(keeper_rename, a_renamer_that_dies_is_noticed, .timeout = 60)
{
        struct renamer r;
        int result = 77;

        cr_assert_eq(renamer_start(&r), 0);
        cr_assert_eq(kill(r.pid, SIGKILL), 0);
        struct pollfd p = {.fd = r.fd, .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 20000), 1);
        cr_assert_eq(renamer_receive(&r, &result), 0);
        cr_assert_eq(result, 77);
        cr_assert_eq(waitpid(r.pid, NULL, 0), r.pid);
        renamer_done(&r);
}

static void rotate_and_look(void)
{
        int old = open_below("f");
        expect_text(old, "old");
        struct keeper_msg m = plan("f", "newer");
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), 0);
        cr_assert(tree_applied(mount_rig.tree));
        wait_for_count(NULL, &mount_rig.renamed, 1);
        int fresh = open_below("f");
        expect_text(fresh, "newer");
        expect_text(old, "old");
        safe_close(old);
        safe_close(fresh);

        m = plan("d/g", "newer");
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), 0);
        fresh = open_below("d/g");
        expect_text(fresh, "newer");
        safe_close(fresh);
        cr_assert_eq(mount_rig.refused, 0);
}

Test(keeper_rename, the_next_open_sees_it_and_the_last_one_does_not)
{
        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER);
        serve();
        rotate_and_look();
        end();
}

Test(keeper_rename, through_the_only_mount_of_an_ordinary_user)
{
        if (!have_root)
                return;
        begin(0);
        serve();
        rotate_and_look();
        end();
}

Test(keeper_rename, of_an_ordinary_user_whose_mount_point_has_a_long_path)
{
        size_t top = strlen(at);

        if (!have_root)
                return;
        while (strlen(at) < 3500) {
                (void)snprintf(at + strlen(at), 202, "/%0200d", 1);
                cr_assert_eq(mkdir(at, 0755), 0);
        }
        begin(0);
        serve();
        rotate_and_look();
        end();
        for (; strlen(at) > top; *strrchr(at, '/') = '\0')
                cr_expect_eq(rmdir(at), 0);
}

Test(keeper_rename, what_was_not_planned_is_refused)
{
        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        struct keeper_msg m = plan("f", "newer");
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "other"), 0);
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), -EROFS);
        cr_assert_eq(mount_rig.refused, 1);
        cr_assert(tree_unstage(mount_rig.tree));
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, "missing"), 0);
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), -ENOENT);
        end();
}

/* Users cannot: theirs is read-only. */
Test(keeper_rename, nobody_else_changes_anything)
{
        char path[PATH_MAX + 256], other[PATH_MAX + 256];

        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER);
        serve();
        (void)snprintf(path, sizeof path, "%s/f", at);
        (void)snprintf(other, sizeof other, "%s/x", at);
        cr_assert_eq(open(path, O_WRONLY | O_CLOEXEC), -1);
        cr_assert_eq(errno, EROFS);
        cr_assert_eq(rename(path, other), -1);
        cr_assert_eq(errno, EROFS);
        cr_assert_eq(unlink(path), -1);
        cr_assert_eq(errno, EROFS);
        cr_assert_eq(mount_rig.refused, 0, "the kernel did not even ask");
        end();
}

Test(keeper_rename, a_mount_over_it_is_none_of_ours)
{
        if (!have_root)
                return;
        begin(0);
        serve();
        cr_assert_eq(mount("other", at, "tmpfs", 0, NULL), 0);
        struct keeper_msg m = plan("f", "newer");
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), -ENODEV);
        cr_assert_eq(umount(at), 0);
        cr_assert(tree_unstage(mount_rig.tree));
        end();
}

/* Nobody serves: it waits, and goes when the connection does. It would keep the connection alive if
 * it had inherited a descriptor of it. */
Test(keeper_rename, a_hanging_one_holds_no_connection)
{
        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        struct keeper_msg m = plan("f", "newer");
        struct pollfd p = {.fd = mount_made.fuse_fd, .events = POLLIN};
        start_rename(&mount_made, &m);
        cr_assert_eq(poll(&p, 1, 10000), 1);
        mount_made.fuse_fd = safe_close(mount_made.fuse_fd);
        int r = end_rename();
        cr_assert(r == -ENOTCONN || r == -ECONNABORTED, "%d", r);
        char detail[KEEPER_NAME_SIZE];
        cr_assert_eq(keeper_mount_unmount(&mount_made, NULL, true, detail), 0);
        keeper_mount_done(&mount_made);
        tree_free(mount_rig.tree);
}

/* --- what else is done inside a mount --- */

Test(keeper_rename, a_file_and_a_folder_are_exchanged)
{
        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        int file = open_below("f");
        struct tree_plan p = stage(mount_rig.tree, "f/below", "inner");
        cr_assert(p.exchange);
        send_plan(&p, 0, -ENOTDIR);
        send_plan(&p, KEEPER_EXCHANGE, 0);
        expect_file("f/below", "inner");
        expect_text(file, "old");
        cr_assert_not(is_there(p.staged), "the old one is nowhere");

        expect_file("d/g", "old");
        int folder = open_below("d");
        p = stage(mount_rig.tree, "d", "a file now");
        cr_assert(p.exchange);
        send_plan(&p, KEEPER_EXCHANGE | KEEPER_KEEP_WARM, 0);
        expect_file("d", "a file now");
        cr_assert_not(is_there(p.staged));
        int inside = openat(folder, "g", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(inside, 0, "who is in the folder stays there: %s", strerror(errno));
        expect_text(inside, "old");
        safe_close(inside);
        safe_close(folder);
        safe_close(file);
        cr_assert_eq(mount_rig.refused, 0);
        end();
}

/* Whether that sends no request. Others on this machine may empty the kernel's caches, which are
 * everybody's: then another time. */
static void costs_nothing(void (*warm)(void), void (*look)(void))
{
        for (int i = 0; i < 50; i++) {
                warm();
                uint64_t before = session_requests(mount_rig.session);
                look();
                if (session_requests(mount_rig.session) == before)
                        return;
        }
        cr_assert_fail("it was asked for each time");
}

static void rotate_warm(void)
{
        struct tree_plan p = stage(mount_rig.tree, "d/g", "newer");

        expect_file("f", "old"); /* the way there is warm */
        send_plan(&p, KEEPER_KEEP_WARM, 0);
}

static void look_at_new(void)
{
        struct stat st;

        int fd = open_below("d/g");
        expect_text(fd, "newer");
        cr_assert_eq(fstat(fd, &st), 0);
        safe_close(fd);
}

Test(keeper_rename, what_was_read_before_is_warm)
{
        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        costs_nothing(rotate_warm, look_at_new);
        end();
}

static void warm_all(void)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_WARM, 1);
        start_rename(&mount_made, &m);
        cr_assert_eq(end_rename(), 0);
}

static void look_at_all(void)
{
        char path[PATH_MAX + 256];
        unsigned n = 0;

        expect_file("f", "old");
        expect_file("d/g", "old");
        (void)snprintf(path, sizeof path, "%s/d", at);
        DIR *d = opendir(path);
        cr_assert_not_null(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        cr_assert_eq(n, 3);
}

Test(keeper_rename, everything_is_warm)
{
        if (!have_root)
                return;
        begin(KEEPER_PRIVILEGED);
        serve();
        costs_nothing(warm_all, look_at_all);
        end();
}

/* An ordinary user's is reached by its path, and not kept warm. */
Test(keeper_rename, only_what_it_has_a_descriptor_for)
{
        struct keeper_mount none = {.mountpoint = at, .fuse_fd = -EBADF, .private_fd = -EBADF};
        struct keeper_msg m;
        struct renamer r;

        cr_assert_eq(renamer_start(&r), 0);
        keeper_msg_init(&m, KEEPER_WARM, 1);
        cr_assert_eq(renamer_send(&r, &none, &m), -EBADF);
        m.op = KEEPER_FORGET;
        cr_assert_eq(renamer_send(&r, &none, &m), -EBADF);
        m.op = KEEPER_INVALIDATE;
        cr_assert_eq(renamer_send(&r, &none, &m), -EBADF);
        cr_assert_not(r.busy);
        renamer_done(&r);
        cr_assert_eq(waitpid(r.pid, NULL, 0), r.pid);
}

/* What a folder is, the worker tells: a symlink there must not lead a root process outside. */
Test(keeper_rename, a_symlink_inside_leads_nowhere)
{
        char path[PATH_MAX + 256], outside[] = "/tmp/akvfs-unit-out-XXXXXX",
                                   staged[KEEPER_STAGE_LEN + 1];
        struct keeper_msg m;

        cr_assert_not_null(mkdtemp(outside));
        (void)snprintf(staged, sizeof staged, "%s%032d", KEEPER_STAGE_PREFIX, 7);
        (void)snprintf(path, sizeof path, "%s/%s", outside, staged);
        safe_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        (void)snprintf(path, sizeof path, "%s/out", at);
        cr_assert_eq(symlink("/tmp", path), 0);

        struct keeper_mount fake = {.mountpoint = at,
                .privileged = true,
                .fuse_fd = -EBADF,
                .private_fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC)};
        keeper_msg_init(&m, KEEPER_RENAME, 1);
        (void)snprintf(m.path, sizeof m.path, "out/%s", strrchr(outside, '/') + 1);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "victim"), 0);
        cr_assert_eq(keeper_msg_set(m.staged, sizeof m.staged, staged), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        start_rename(&fake, &m);
        int r = end_rename();
        safe_close(fake.private_fd);
        (void)snprintf(path, sizeof path, "%s/victim", outside);
        bool renamed = access(path, F_OK) == 0;
        (void)remove(path);
        (void)snprintf(path, sizeof path, "%s/%s", outside, staged);
        (void)remove(path);
        (void)rmdir(outside);
        cr_assert_not(renamed);
        cr_assert_eq(r, -ELOOP);
}
