/* On ordinary folders; tests/unit/fs/keeper_rename.c has a real mount,
 * tests/integration/test_lifeless.py what it is for. */
#include "fs/keeper_warm.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/util.h"

static char at[] = "/tmp/akvfs-unit-XXXXXX";
static int root = -EBADF;

static void init(void)
{
        cr_assert_not_null(mkdtemp(at));
        root = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(root, 0);
}

static void fini(void)
{
        char command[64];

        safe_close(root);
        (void)snprintf(command, sizeof command, "rm -rf %s", at);
        cr_expect_eq(system(command), 0); // NOLINT(cert-env33-c): a path of our own
}

TestSuite(keeper_warm, .init = init, .fini = fini, .timeout = 60);

static void make(const char *name, off_t size)
{
        int fd = openat(root, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        cr_assert_geq(fd, 0, "%s", strerror(errno));
        cr_assert_eq(ftruncate(fd, size), 0);
        safe_close(fd);
}

Test(keeper_warm, goes_through_everything)
{
        make("f", 300000);
        make("empty", 0);
        cr_assert_eq(mkdirat(root, "d", 0700), 0);
        cr_assert_eq(mkdirat(root, "d/e", 0700), 0);
        make("d/e/g", 10);
        cr_assert_eq(symlinkat("d", root, "link"), 0);
        cr_assert_eq(keeper_warm_all(root), 0);
        cr_assert_eq(keeper_warm_name(root, "f"), 0);
        cr_assert_eq(keeper_warm_name(root, "d"), 0);
        cr_assert_eq(keeper_warm_name(root, "link"), 0);
        cr_assert_eq(keeper_warm_name(root, "none"), -ENOENT);
        keeper_warm_stat(root, "none");
}

/* A worker that was taken over must not lead a root process anywhere, nor hold it up. */
Test(keeper_warm, follows_nothing_and_opens_nothing_else)
{
        cr_assert_eq(symlinkat("/proc/kmsg", root, "link"), 0);
        cr_assert_eq(symlinkat("link", root, "loop"), 0);
        cr_assert_eq(mkfifoat(root, "pipe", 0600), 0);
        cr_assert_eq(keeper_warm_all(root), 0);
}

Test(keeper_warm, large_files_are_left_out)
{
        make("just", WARM_FILE_MAX);
        cr_assert_eq(keeper_warm_all(root), 0);
        make("large", WARM_FILE_MAX + 1);
        cr_assert_eq(keeper_warm_all(root), -E2BIG);
}

Test(keeper_warm, depth_is_bounded)
{
        char path[2 * (WARM_DEPTH_MAX + 2) + 1] = "";

        for (int i = 0; i < WARM_DEPTH_MAX; i++) {
                (void)strcat(path, i ? "/d" : "d");
                cr_assert_eq(mkdirat(root, path, 0700), 0);
        }
        cr_assert_eq(keeper_warm_all(root), 0);
        (void)strcat(path, "/d");
        cr_assert_eq(mkdirat(root, path, 0700), 0);
        cr_assert_eq(keeper_warm_all(root), -E2BIG);
}

/* What cannot be looked at does not keep the rest from being looked at. */
Test(keeper_warm, tells_of_the_first_failure_and_goes_on)
{
        make("a", WARM_FILE_MAX + 1);
        make("b", 10);
        cr_assert_eq(keeper_warm_all(root), -E2BIG);
        cr_assert_eq(keeper_warm_all(-EBADF), -EBADF);
}
