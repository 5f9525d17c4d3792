#include "fs/keeper_resend.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "tests/unit/fs/support.h"

TestSuite(keeper_resend, .timeout = 60);

Test(keeper_resend, the_kernels_version_says_whether_it_can)
{
        struct utsname u;
        unsigned major = 0, minor = 0;

        unsetenv("AKVFS_NO_RESEND");
        cr_assert_eq(uname(&u), 0);
        cr_assert_eq(sscanf(u.release, "%u.%u", &major, &minor), 2);
        cr_assert_eq(keeper_can_resend(), major * 1000 + minor >= 6009);
        setenv("AKVFS_NO_RESEND", "1", 1);
        cr_assert_not(keeper_can_resend());
}

Test(keeper_resend, is_a_notification_without_a_body)
{
        struct answer *a = malloc(sizeof *a);
        int kernel, daemon;

        cr_assert_not_null(a);
        fuse_pair(&kernel, &daemon);
        cr_assert_eq(keeper_resend(daemon), 0);
        cr_assert(get_answer(kernel, a));
        cr_assert_eq(a->h.unique, 0);
        cr_assert_eq(a->h.error, 7);
        cr_assert_eq(a->len, 0);
        safe_close(kernel);
        safe_close(daemon);
        free(a);
}

Test(keeper_resend, what_is_no_connection)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        cr_assert_eq(keeper_resend(-1), -EBADF);
        cr_assert_lt(keeper_clone(null), 0);
        cr_assert_lt(keeper_clone(-1), 0);
        if (!private_namespace())
                return;
        int blank = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        cr_assert_geq(blank, 0);
        cr_assert_lt(keeper_clone(blank), 0, "nothing is mounted with it");
        cr_assert_lt(keeper_resend(blank), 0);
        safe_close(blank);
        safe_close(null);
}
