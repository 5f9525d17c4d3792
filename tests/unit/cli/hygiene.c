#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/hygiene.h"

/* Criterion runs each test in a process of its own; what is closed and set ends with it. */

Test(hygiene, no_dump_no_core_no_files_for_others)
{
        struct rlimit core;

        cr_assert_eq(hygiene_protect(), 0);
        if (!CLI_SANITIZED || geteuid() == 0)
                cr_assert_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
        cr_assert_eq(getrlimit(RLIMIT_CORE, &core), 0);
        cr_assert_eq(core.rlim_cur, 0);
        cr_assert_eq(core.rlim_max, 0);
        cr_assert_eq(umask(0), 077);
}

Test(hygiene, descriptors_from_one_on_are_closed)
{
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
                int high = fcntl(0, F_DUPFD, 200), low = fcntl(0, F_DUPFD, 50);
                if (high < 0 || low < 0 || hygiene_close_from(high) < 0)
                        _exit(2);
                _exit(fcntl(high, F_GETFD) < 0 && fcntl(low, F_GETFD) >= 0 ? 0 : 1);
        }
        int status = -1;
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
}

Test(hygiene, a_daemons_environment_has_no_credentials)
{
        static char *const all[] = {
                (char *)(uintptr_t) "AZURE_CLIENT_SECRET=x",
                (char *)(uintptr_t) "PATH=/bin",
                (char *)(uintptr_t) "CREDENTIALS_DIRECTORY=/run/c",
                (char *)(uintptr_t) "https_proxy=http://p",
                (char *)(uintptr_t) "LC_ALL=C",
                (char *)(uintptr_t) "LD_PRELOAD=/evil.so",
                (char *)(uintptr_t) "PATHOLOGY=1",
                (char *)(uintptr_t) "XDG_RUNTIME_DIR=/run/user/1",
                (char *)(uintptr_t) "HTTP_PROXY=http://q",
                NULL,
        };
        _cleanup_free_ char **kept = hygiene_environment(all);

        cr_assert_not_null(kept);
        cr_assert_str_eq(kept[0], "PATH=/bin");
        cr_assert_str_eq(kept[1], "https_proxy=http://p");
        cr_assert_str_eq(kept[2], "LC_ALL=C");
        cr_assert_str_eq(kept[3], "XDG_RUNTIME_DIR=/run/user/1");
        cr_assert_null(kept[4]);
}
