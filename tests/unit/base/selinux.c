#include "base/selinux.h"

#include <criterion/criterion.h>

TestSuite(selinux);

Test(selinux, what_kubelet_and_people_write_is_plain)
{
        static const char *const good[] = {
                "system_u:object_r:container_file_t",
                "system_u:object_r:container_file_t:s0",
                "system_u:object_r:container_file_t:s0:c1,c2",
                "system_u:object_r:container_file_t:s0-s15:c0.c1023",
                "u:r:t",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                cr_expect(selinux_context_is_plain(good[i]), "%s", good[i]);
}

Test(selinux, anything_else_is_not)
{
        static const char *const bad[] = {"", ":", "::", "a:b", "a:b:", ":b:c", "a::c",
                "a:b:c:", "a:b:c:s0,", "a:b:c:s0:", "a b:c:d", "a:b:c d", "a:b:c\n", "a:b:c\"",
                "a:b:c,rw", "a:b:c:s0\",allow_other", "a:b:c:s0 ro", "a:b:c=d", "\xc3\xa4:b:c",
                "a:b:c\\"};
        char longest[SELINUX_CONTEXT_SIZE + 1] = "u:r:";

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_not(selinux_context_is_plain(bad[i]), "%s", bad[i]);
        memset(longest + 4, 't', sizeof longest - 5);
        cr_expect_not(selinux_context_is_plain(longest));
        longest[SELINUX_CONTEXT_SIZE - 1] = '\0';
        cr_expect(selinux_context_is_plain(longest));
}
