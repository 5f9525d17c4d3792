#include <criterion/criterion.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sec.h"
#include "cli/hygiene.h"
#include "cli/sandbox.h"

/* Each is tried by a child of its own: the list cannot be left again. */
static int status_in(bool listens, void (*fn)(void))
{
        const struct rlimit none = {0, 0};
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                (void)setrlimit(RLIMIT_CORE, &none);
                /* Criterion's own reporting of crashes is not what is tested. */
                signal(SIGSYS, SIG_DFL);
                if (sandbox_enter(listens, NULL) < 0)
                        _exit(99);
                fn();
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        return status;
}

static int status_of(void (*fn)(void))
{
        return status_in(false, fn);
}

static void need_filter(void)
{
        if (CLI_SANITIZED)
                cr_skip("sanitized builds are not bound; make test-sandbox tests one that is");
        unsetenv("AKVFS_SECCOMP");
}

static void try_execve(void)
{
        char *argv[] = {(char[]){"true"}, NULL};

        execve("/bin/true", argv, argv + 1);
}

static void try_fork(void)
{
        if (fork() == 0)
                _exit(0);
}

static void try_ptrace(void)
{
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void try_mount(void)
{
        (void)mount("none", "/nonexistent", "tmpfs", 0, NULL);
}

static void try_packet(void)
{
        (void)socket(AF_PACKET, SOCK_RAW, 0);
}

static void try_kill(void)
{
        (void)kill(getppid(), 0);
}

static void try_setuid(void)
{
        (void)setuid(getuid());
}

Test(sandbox, what_a_worker_never_does_ends_it)
{
        static void (*const tries[])(void) = {
                try_execve, try_fork, try_ptrace, try_mount, try_packet, try_kill, try_setuid};

        need_filter();
        for (size_t i = 0; i < ELEMENTSOF(tries); i++) {
                int status = status_of(tries[i]);
                cr_assert(WIFSIGNALED(status), "%zu", i);
                cr_assert_eq(WTERMSIG(status), SIGSYS, "%zu", i);
        }
}

static void *in_thread(void *p)
{
        return p;
}

static void do_work(void)
{
        struct sec *s = NULL;
        pthread_t thread;
        struct addrinfo *list = NULL;
        static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

        if (sec_new("x", 1, &s) < 0)
                _exit(1);
        sec_unref(s);
        if (pthread_create(&thread, NULL, in_thread, NULL) != 0 || pthread_join(thread, NULL) != 0)
                _exit(2);
        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                int fd = socket(families[i], families[i] == AF_NETLINK ? SOCK_RAW : SOCK_STREAM, 0);
                if (fd < 0 && errno != EAFNOSUPPORT)
                        _exit(3);
                safe_close(fd);
        }
        if (getaddrinfo("localhost", "443", NULL, &list) == 0)
                freeaddrinfo(list);
        int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                _exit(4);
        safe_close(fd);
}

Test(sandbox, what_a_worker_does_is_allowed)
{
        need_filter();
        int status = status_of(do_work);
        cr_assert(WIFEXITED(status), "signal %d", WTERMSIG(status));
        cr_assert_eq(WEXITSTATUS(status), 0);
}

static void try_listen(void)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (listen(fd, 1) < 0)
                _exit(1);
}

Test(sandbox, who_has_pages_to_serve_may_listen_and_nobody_else)
{
        need_filter();
        int status = status_in(true, try_listen);
        cr_assert(WIFEXITED(status), "signal %d", WTERMSIG(status));
        cr_assert_eq(WEXITSTATUS(status), 0);
        status = status_in(false, try_listen);
        cr_assert(WIFSIGNALED(status));
        cr_assert_eq(WTERMSIG(status), SIGSYS);
}

Test(sandbox, a_list_that_only_logs)
{
        need_filter();
        setenv("AKVFS_SECCOMP", "log", 1);
        cr_assert_eq(status_of(try_setuid), 0);
}
