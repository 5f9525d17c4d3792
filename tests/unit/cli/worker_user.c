#include <criterion/criterion.h>

#include "cli/worker_user.h"

Test(worker_user, root_gets_an_account_that_is_not_root)
{
        char text[WORKER_USER_SIZE] = "";
        uid_t uid = 0;
        gid_t gid = 0;

        if (geteuid() != 0) {
                cr_assert_not(worker_user_find(text), "an ordinary user's worker is that user's");
                return;
        }
        if (!worker_user_find(text))
                cr_skip("this user namespace has no id to give");
        cr_assert_eq(worker_user_parse(text, &uid, &gid), 0, "%s", text);
        cr_assert_neq(uid, 0);
        cr_assert_neq(gid, 0);
}

Test(worker_user, what_is_no_account)
{
        static const char *const bad[] = {"", ":", "1", "1:", ":1", "0:1", "1:0", "1:2:3", "-1:1",
                "a:b", "4294967295:1", "1:4294967295", "4294967296:1",
                "00000000000000000000000000000001:1"};
        uid_t uid = 7;
        gid_t gid = 7;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_assert_eq(worker_user_parse(bad[i], &uid, &gid), -EINVAL, "\"%s\"", bad[i]);
        cr_assert_eq(uid, 7);
        cr_assert_eq(worker_user_parse("65533:65532", &uid, &gid), 0);
        cr_assert_eq(uid, 65533);
        cr_assert_eq(gid, 65532);
}
