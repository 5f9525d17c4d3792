#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "cli/log_target.h"

static char base[] = "/tmp/akvfs-unit-XXXXXX";
static char path[64];

static void set_up(void)
{
        cr_assert_not_null(mkdtemp(base));
        snprintf(path, sizeof path, "%s/log", base);
}

static void tear_down(void)
{
        unlink(path);
        rmdir(base);
}

TestSuite(log_target, .init = set_up, .fini = tear_down);

Test(log_target, a_file_is_appended_to_and_for_nobody_else)
{
        _cleanup_free_ char *text = NULL;
        struct stat st;
        int fd = -EBADF;

        int old = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        cr_assert_eq(write_all(old, "before\n", 7), 0);
        safe_close(old);
        cr_assert_eq(log_target_open(path, &fd, NULL), 0);
        cr_assert_geq(fd, 0);
        log_info("hello %d", 7);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 0777, 0600);
        cr_assert_eq(read_whole_file(path, 4096, &text, NULL), 0);
        cr_assert_not_null(startswith(text, "before\nI"));
        cr_assert_not_null(strstr(text, "] hello 7\n"));
}

Test(log_target, a_symlink_is_refused)
{
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(symlink("/dev/null", path), 0);
        cr_assert_lt(log_target_open(path, NULL, &e), 0);
        cr_assert_not_null(strstr(err_text(&e), path));
}

Test(log_target, the_default_is_syslog_or_a_file)
{
        _cleanup_free_ char *target = NULL;
        struct stat st;
        bool has_syslog = stat("/dev/log", &st) == 0 && S_ISSOCK(st.st_mode);

        cr_assert_eq(log_target_default("/run/akvfs", &target), 0);
        cr_assert_str_eq(target, has_syslog ? "syslog" : "/run/akvfs/akvfs.log");
}
