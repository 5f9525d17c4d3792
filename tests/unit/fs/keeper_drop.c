#include <criterion/criterion.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fs/keeper_drop.h"

/* What a child is left with, as a line of /proc/self/status says it; its exit status says whether
 * it is as expected. A child, because nothing of it can be taken back. */
static bool line_is(const char *key, const char *expected)
{
        FILE *f = fopen("/proc/self/status", "re");
        char line[256];
        bool same = false;

        while (f && fgets(line, sizeof line, f))
                if (startswith(line, key))
                        same = streq(line + strlen(key), expected);
        if (f)
                (void)fclose(f);
        return same;
}

static int in_child(int (*fn)(void))
{
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
                _exit(fn());
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void need_root(void)
{
        if (geteuid() != 0)
                cr_skip("gives up root, so it needs root");
}

static int another_account(void)
{
        const gid_t groups[] = {4, 27};

        if (setgroups(ELEMENTSOF(groups), groups) < 0 || keeper_drop(65533, 65532) < 0)
                return 1;
        if (!line_is("Uid:", "\t65533\t65533\t65533\t65533\n") ||
                !line_is("Gid:", "\t65532\t65532\t65532\t65532\n"))
                return 2;
        if (getgroups(0, NULL) != 0)
                return 3;
        if (!line_is("NoNewPrivs:", "\t1\n"))
                return 4;
        return setresuid(0, 0, 0) == 0 ? 5 : 0;
}

Test(keeper_drop, another_account_without_groups_and_no_way_back)
{
        need_root();
        cr_assert_eq(in_child(another_account), 0);
}

/* CAP_IPC_LOCK at the most, as root has it where a container leaves it to root. */
static const char *most(void)
{
        bool had = geteuid() == 0 && prctl(PR_CAPBSET_READ, CAP_IPC_LOCK, 0, 0, 0) == 1;

        return had ? "\t0000000000004000\n" : "\t0000000000000000\n";
}

static bool has_only(const char *set)
{
        return line_is("CapPrm:", set) && line_is("CapEff:", set) && line_is("CapInh:", set) &&
               line_is("CapAmb:", set);
}

static int one_capability(void)
{
        const char *one = most();

        if (keeper_drop(65533, 65533) < 0)
                return 1;
        return has_only(one) && line_is("CapBnd:", one) ? 0 : 2;
}

Test(keeper_drop, locking_memory_is_all_it_may)
{
        need_root();
        cr_assert_eq(in_child(one_capability), 0);
}

static int still_root(void)
{
        return keeper_drop(0, 65533) == -EINVAL && keeper_drop(65533, 0) == -EINVAL ? 0 : 1;
}

Test(keeper_drop, never_to_root)
{
        need_root();
        cr_assert_eq(in_child(still_root), 0);
}

static int own_account(void)
{
        const char *one = most();
        uid_t uid = geteuid();

        if (keeper_drop((uid_t)-1, (gid_t)-1) < 0 || geteuid() != uid)
                return 1;
        return line_is("NoNewPrivs:", "\t1\n") && has_only(one) ? 0 : 2;
}

Test(keeper_drop, who_is_no_root_keeps_the_account)
{
        cr_assert_eq(in_child(own_account), 0);
}
