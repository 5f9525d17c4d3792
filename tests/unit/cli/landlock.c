#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/landlock.h"

/* A control directory with a socket's name, a secret of root's, and a child that is closed off. */
static char dir[] = "/tmp/akvfs-landlock-XXXXXX", socket_path[64], other[64];

static void set_up(void)
{
        strcpy(dir, "/tmp/akvfs-landlock-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        snprintf(socket_path, sizeof socket_path, "%s/w.sock", dir);
        snprintf(other, sizeof other, "%s/other", dir);
        for (int i = 0; i < 2; i++) {
                int fd = open(i ? other : socket_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                cr_assert_geq(fd, 0);
                close(fd);
        }
}

static void tear_down(void)
{
        unlink(socket_path);
        unlink(other);
        rmdir(dir);
}

TestSuite(landlock, .init = set_up, .fini = tear_down);

static bool opens(const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC, 0600);

        safe_close(fd);
        return fd >= 0;
}

static int try_all(void)
{
        char made[80];

        snprintf(made, sizeof made, "%s/made", dir);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return 1;
        int r = landlock_enter(socket_path, NULL, NULL);
        if (r == 0)
                return 77; /* this kernel has none */
        if (r < 0)
                return 2;
        if (!opens("/etc/passwd", O_RDONLY) || !opens("/proc/self/mountinfo", O_RDONLY))
                return 3;
        if (opens(other, O_RDONLY) || opens(other, O_WRONLY) || opens("/root", O_RDONLY))
                return 4;
        if (opens(made, O_WRONLY | O_CREAT) || mkdir(made, 0700) == 0 || rename(other, made) == 0)
                return 5;
        if (opens("/etc/passwd", O_WRONLY))
                return 6;
        return unlink(socket_path) == 0 ? 0 : 7;
}

Test(landlock, reads_what_a_system_has_and_writes_nothing)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                _exit(try_all());
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                cr_skip("this kernel has no Landlock");
        cr_assert_eq(WEXITSTATUS(status), 0);
}
