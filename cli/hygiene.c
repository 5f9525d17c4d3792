#include "cli/hygiene.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int hygiene_protect(void)
{
        const struct rlimit none = {0, 0};

        umask(077);
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_CORE, &none) < 0)
                return -errno;
        /* An ordinary user's leak checker could not attach to its own process any more. */
        if (CLI_SANITIZED && geteuid() != 0)
                return 0;
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int hygiene_close_from(int first)
{
        /* Linux 5.9; by number, because C libraries learnt the name later. */
        if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
                return 0;
        if (errno != ENOSYS)
                return -errno;
        long max = sysconf(_SC_OPEN_MAX);
        for (int fd = first; fd < max; fd++)
                (void)close(fd);
        return 0;
}

static bool keep(const char *entry)
{
        static const char *const names[] = {"PATH=", "HOME=", "LANG=", "LANGUAGE=", "LC_",
                "TZ=", "XDG_", "http_proxy=", "https_proxy=", "HTTPS_PROXY=", "all_proxy=",
                "ALL_PROXY=", "no_proxy=", "NO_PROXY=", "AKVFS_SECCOMP="};
        static const char *const sanitizers[] = {
                "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS="};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (startswith(entry, names[i]))
                        return true;
        for (size_t i = 0; CLI_SANITIZED && i < ELEMENTSOF(sanitizers); i++)
                if (startswith(entry, sanitizers[i]))
                        return true;
        return false;
}

char **hygiene_environment(char *const *environment)
{
        size_t n = 0, kept = 0;

        while (environment[n])
                n++;
        char **list = calloc(n + 1, sizeof *list);
        for (size_t i = 0; list && i < n; i++)
                if (keep(environment[i]))
                        list[kept++] = environment[i];
        return list;
}
