#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/mountpoint.h"

static char base[] = "/tmp/akvfs-unit-XXXXXX";
static char path[80];
static struct err e;

static void set_up(void)
{
        cr_assert_not_null(mkdtemp(base));
        snprintf(path, sizeof path, "%s/m", base);
}

static void tear_down(void)
{
        char command[128];

        snprintf(command, sizeof command, "rm -rf %s", base);
        cr_assert_eq(system(command), 0); /* NOLINT: the name is mkdtemp's */
        err_done(&e);
}

TestSuite(mountpoint, .init = set_up, .fini = tear_down);

Test(mountpoint, names_are_made_whole)
{
        _cleanup_free_ char *real = NULL, *dots = NULL, *link = NULL, *none = NULL;
        char text[128];

        cr_assert_eq(mkdir(path, 0755), 0);
        cr_assert_eq(mountpoint_resolve(path, &real, &e), 0);
        cr_assert_str_eq(real, path);
        snprintf(text, sizeof text, "%s/../m//", path);
        cr_assert_eq(mountpoint_resolve(text, &dots, &e), 0);
        cr_assert_str_eq(dots, path);
        snprintf(text, sizeof text, "%s/l", base);
        cr_assert_eq(symlink(path, text), 0);
        cr_assert_eq(mountpoint_resolve(text, &link, &e), 0);
        cr_assert_str_eq(link, path);
        snprintf(text, sizeof text, "%s/none", base);
        cr_assert_eq(mountpoint_resolve(text, &none, &e), -ENOENT);
        cr_assert_not_null(strstr(e.hint, "mkdir -p"));
}

Test(mountpoint, an_empty_folder_is_right)
{
        cr_assert_eq(mkdir(path, 0755), 0);
        cr_assert_eq(mountpoint_check(path, &e), 0, "%s", err_text(&e));
}

Test(mountpoint, what_is_not_is_said)
{
        char inside[128];

        safe_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        cr_assert_eq(mountpoint_check(path, &e), -ENOTDIR);
        cr_assert_eq(unlink(path), 0);
        cr_assert_eq(mountpoint_check(path, &e), -ENOENT);
        cr_assert_eq(mkdir(path, 0755), 0);
        snprintf(inside, sizeof inside, "%s/x", path);
        cr_assert_eq(mkdir(inside, 0755), 0);
        cr_assert_eq(mountpoint_check(path, &e), -ENOTEMPTY);
        cr_assert_not_null(e.hint);
}

Test(mountpoint, another_users_folder_is_refused)
{
        if (geteuid() != 0)
                cr_skip_test("only root can become somebody else");
        cr_assert_eq(mkdir(path, 0755), 0);
        cr_assert_eq(chmod(base, 0755), 0);
        cr_assert_eq(setresuid(12345, 12345, 0), 0);
        cr_assert_eq(mountpoint_check(path, &e), -EACCES);
        cr_assert_not_null(strstr(err_text(&e), "12345"));
        cr_assert_eq(setresuid(0, 0, 0), 0);
}

Test(mountpoint, nothing_of_ours_is_mounted_on_the_root)
{
        char *class = NULL;

        cr_assert_eq(mountpoint_class("/", &class), 0);
        cr_assert_eq(mountpoint_class("/no/such/place", &class), 0);
}

Test(mountpoint, fuse_conf)
{
        cr_assert(mountpoint_fuse_conf_allows("# x\n  user_allow_other \nmount_max = 3\n"));
        cr_assert(mountpoint_fuse_conf_allows("user_allow_other"));
        cr_assert_not(mountpoint_fuse_conf_allows("#user_allow_other\n"));
        cr_assert_not(mountpoint_fuse_conf_allows("user_allow_others\n"));
        cr_assert_not(mountpoint_fuse_conf_allows(""));
}

Test(mountpoint, fusermount_is_found_by_path)
{
        _cleanup_free_ char *found = NULL;
        char program[128];

        snprintf(program, sizeof program, "%s/fusermount3", base);
        int fd = open(program, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
        cr_assert_geq(fd, 0);
        safe_close(fd);
        _cleanup_free_ char *before = strdup(getenv("PATH"));
        setenv("PATH", base, 1);
        cr_assert_eq(mountpoint_fusermount(&found), 0);
        cr_assert_str_eq(found, program);
        setenv("PATH", before, 1);
}
