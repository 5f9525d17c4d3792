#include "cli/deadmount.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cli/mountpoint.h"

static char path[64];
static struct err e;

static void set_up(void)
{
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                cr_assert_null(getenv("CI"), "needs root, and CI has to give it");
                cr_skip_test("needs root and a mount namespace");
        }
        strcpy(path, "/tmp/akvfs-dead-XXXXXX");
        cr_assert_not_null(mkdtemp(path));
}

static void tear_down(void)
{
        while (umount2(path, MNT_DETACH) == 0)
                ;
        (void)rmdir(path);
        err_done(&e);
}

TestSuite(deadmount, .init = set_up, .fini = tear_down);

/* A mount that its server answers no request of; its end of the connection, which the caller
 * closes. */
static int mounted(const char *source)
{
        char options[128];

        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
        cr_assert_eq(mount(source, path, "fuse.akvfs", MS_RDONLY, options), 0);
        return fd;
}

static bool is_ours(void)
{
        _cleanup_free_ char *class = NULL;

        return mountpoint_class(path, &class) > 0;
}

Test(deadmount, a_folder_with_nothing_on_it)
{
        cr_assert_eq(deadmount_clear(path, &e), 0);
}

Test(deadmount, a_dead_mount_goes)
{
        struct stat st;

        safe_close(mounted("akvfs:app"));
        cr_assert_lt(stat(path, &st), 0);
        cr_assert_eq(errno, ENOTCONN);
        cr_assert(is_ours());
        cr_assert_eq(deadmount_clear(path, &e), 0, "%s", err_text(&e));
        cr_assert_not(is_ours());
        cr_assert_eq(stat(path, &st), 0);
}

Test(deadmount, what_is_not_ours_stays)
{
        safe_close(mounted("other:thing"));
        cr_assert_eq(deadmount_clear(path, &e), 0);
        cr_assert_eq(umount2(path, MNT_DETACH), 0, "it was taken away");
}

Test(deadmount, one_that_only_stands_still_stays)
{
        _cleanup_close_ int fd = mounted("akvfs:app");

        cr_assert_eq(deadmount_clear(path, &e), 0);
        cr_assert(is_ours());
}
