/* The worker as a process: this very program, started again, that plays it. */
#include "fs/keeper_worker.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define WORKER "akvfs-unit-restart"

/* Says which of its descriptors are open, in a message, and waits for the end. */
__attribute__((constructor)) static void worker_main(int argc, char *argv[])
{
        struct keeper_msg m;
        sigset_t blocked;

        if (argc != 2 || !streq(argv[0], WORKER))
                return;
        (void)alarm(60);
        keeper_msg_init(&m, KEEPER_SERVING, 0);
        for (int fd = 0; fd < 200; fd++)
                if (fcntl(fd, F_GETFD) >= 0 && (size_t)fd < sizeof m.path - 1)
                        m.mount |= fd < 64 ? (uint64_t)1 << fd : (uint64_t)1 << 63;
        sigprocmask(SIG_BLOCK, NULL, &blocked);
        m.seq = (uint64_t)sigismember(&blocked, SIGTERM);
        if (keeper_send(KEEPER_WORKER_FD, &m, -EBADF) < 0)
                _exit(1);
        int fd = -EBADF;
        while (keeper_recv(KEEPER_WORKER_FD, &m, &fd) == 1)
                if (m.op == KEEPER_UNMOUNTED)
                        _exit(7);
        _exit(0);
}

static struct keeper_worker worker;
static struct keeper_options options;

static void start(const int *fds, size_t n)
{
        static const char *const argv[] = {WORKER, "x", NULL};
        static struct keeper_options o;

        o = (struct keeper_options){.worker_argv = argv, .pass_fds = fds, .n_pass_fds = n};
        options = o;
        keeper_worker_init(&worker, &options);
        cr_assert_eq(worker.fd, -EBADF);
        cr_assert_eq(keeper_worker_timeout(&worker), -1);
        cr_assert_eq(keeper_worker_start(&worker), 0);
}

static struct keeper_msg hear(void)
{
        struct pollfd p = {.fd = worker.fd, .events = POLLIN};
        struct keeper_msg m;
        int fd = -EBADF;

        cr_assert_eq(poll(&p, 1, 20000), 1);
        cr_assert_eq(keeper_recv(worker.fd, &m, &fd), 1);
        return m;
}

static int reap(void)
{
        int status;

        cr_assert_eq(waitpid(worker.pid, &status, 0), worker.pid);
        return status;
}

TestSuite(keeper_worker, .timeout = 60);

Test(keeper_worker, it_gets_its_socket_what_is_passed_and_nothing_else)
{
        int fds[] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDONLY)};

        sigset_t term;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        start(fds, 2);
        struct keeper_msg m = hear();
        cr_assert_eq(m.mount & ~(uint64_t)7, 1 << 3 | 1 << 4 | 1 << 5, "%llx",
                (unsigned long long)m.mount);
        cr_assert_eq(m.seq, 0, "no signal is blocked");
        cr_assert_eq(worker.starts, 1);
        keeper_worker_done(&worker);
        cr_assert_eq(reap(), 0, "its socket has ended");
}

Test(keeper_worker, it_is_told_what_happens_and_how_it_ended_is_known)
{
        struct keeper_msg m;

        start(NULL, 0);
        (void)hear();
        keeper_msg_init(&m, KEEPER_GONE, 1);
        keeper_worker_tell(&worker, &m, STDIN_FILENO);
        keeper_msg_init(&m, KEEPER_UNMOUNTED, 1);
        keeper_worker_tell(&worker, &m, -EBADF);
        int status = reap();
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        keeper_worker_died(&worker, status, false);
        cr_assert_eq(worker.status, status);
        cr_assert_eq(worker.pid, 0);
        cr_assert_eq(worker.fd, -EBADF);
        cr_assert_eq(keeper_worker_timeout(&worker), -1, "nobody wants another one");
        keeper_worker_tell(&worker, &m, -EBADF);
        cr_assert_not(keeper_queue_waits(&worker.out), "nothing waits for one that is not there");
        keeper_worker_done(&worker);
}

Test(keeper_worker, what_waits_for_a_dead_worker_is_dropped)
{
        struct keeper_msg m;

        start(NULL, 0);
        (void)hear();
        cr_assert_eq(kill(worker.pid, SIGSTOP), 0);
        keeper_msg_init(&m, KEEPER_GONE, 1);
        for (int i = 0; i < 1000; i++)
                keeper_worker_tell(&worker, &m, -EBADF);
        cr_assert(keeper_queue_waits(&worker.out));
        cr_assert_eq(kill(worker.pid, SIGKILL), 0);
        keeper_worker_died(&worker, reap(), true);
        cr_assert_not(keeper_queue_waits(&worker.out));
        cr_assert_leq(keeper_worker_timeout(&worker), 0, "at once");
        cr_assert_eq(keeper_worker_start(&worker), 0);
        cr_assert_eq(worker.start_at, 0);
        cr_assert_eq(worker.starts, 2);
        (void)hear();
        keeper_worker_done(&worker);
        cr_assert_eq(reap(), 0);
}

Test(keeper_worker, one_that_does_not_take_over_is_killed)
{
        start(NULL, 0);
        (void)hear();
        int left = keeper_worker_timeout(&worker);
        cr_assert(left > 0 && left <= TAKEOVER_MS);
        keeper_worker_hurry(&worker);
        cr_assert_eq(kill(worker.pid, 0), 0);
        keeper_worker_serves(&worker);
        cr_assert_eq(keeper_worker_timeout(&worker), -1, "it has all the time");
        keeper_worker_hurry(&worker);

        worker.serve_by = 1;
        worker.serving_at = 0;
        cr_assert_eq(keeper_worker_timeout(&worker), 0);
        keeper_worker_hurry(&worker);
        int status = reap();
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        cr_assert_eq(keeper_worker_timeout(&worker), -1, "once is enough");
        keeper_worker_died(&worker, status, true);
        cr_assert_eq(worker.deaths, 1);
        keeper_worker_done(&worker);
}

/* The first successor comes at once, the next ones later and later, up to a limit. */
Test(keeper_worker, workers_that_keep_dying_are_started_with_growing_pauses)
{
        int last = 0;

        keeper_worker_init(&worker, &options);
        keeper_worker_died(&worker, SIGKILL, true);
        cr_assert_eq(worker.deaths, 1);
        cr_assert_eq(keeper_worker_timeout(&worker), 0);
        for (unsigned deaths = 2; deaths < 40; deaths++) {
                keeper_worker_died(&worker, 1 << 8, true);
                cr_assert_eq(worker.deaths, deaths);
                int pause = keeper_worker_timeout(&worker);
                cr_assert_gt(pause, last / 2);
                cr_assert_leq(pause, 10000);
                last = pause;
        }
        cr_assert_gt(last, 5000);
        cr_assert_geq(worker.deaths, DEATHS_MAX);
}

Test(keeper_worker, one_that_has_served_makes_up_for_those_before)
{
        keeper_worker_init(&worker, &options);
        for (int i = 0; i < 10; i++)
                keeper_worker_died(&worker, SIGKILL, true);
        keeper_worker_serves(&worker);
        worker.serving_at -= HEALTHY_MS;
        keeper_worker_died(&worker, SIGKILL, true);
        cr_assert_eq(worker.deaths, 0);
        cr_assert_eq(keeper_worker_timeout(&worker), 0);

        /* One that died in the middle of taking over does not. */
        keeper_worker_init(&worker, &options);
        keeper_worker_died(&worker, SIGKILL, true);
        keeper_worker_serves(&worker);
        worker.serving_at += 1000;
        keeper_worker_died(&worker, SIGKILL, true);
        cr_assert_eq(worker.deaths, 2);
}
