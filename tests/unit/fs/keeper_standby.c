/* The standby as a process: this very program, started again, that plays it. */
#include "fs/keeper_standby.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define STANDBY "akvfs-unit-standby"

/* Silent until it is spoken to; then it says what it heard, and ends with its socket. */
__attribute__((constructor)) static void standby_main(int argc, char *argv[])
{
        struct keeper_msg m;
        int fd = -EBADF;

        if (argc != 2 || !streq(argv[0], STANDBY))
                return;
        (void)alarm(60);
        while (keeper_recv(KEEPER_WORKER_FD, &m, &fd) == 1)
                if (keeper_send(KEEPER_WORKER_FD, &m, -EBADF) < 0)
                        _exit(1);
        _exit(0);
}

static const char *const argv[] = {STANDBY, "x", NULL};
static const struct keeper_options options = {.worker_argv = argv};
static struct keeper_standby standby;
static struct keeper_worker worker;

static void init(void)
{
        keeper_standby_init(&standby, &options);
        keeper_worker_init(&worker, &options);
}

TestSuite(keeper_standby, .init = init, .timeout = 60);

static void reap(pid_t pid, int expected)
{
        int status;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, expected);
}

Test(keeper_standby, becomes_the_worker)
{
        struct pollfd p = {.events = POLLIN};
        struct keeper_msg m;
        int fd = -EBADF;

        cr_assert_not(keeper_standby_promote(&standby, &worker), "there is none yet");
        cr_assert_eq(keeper_standby_timeout(&standby), 0, "at once");
        keeper_standby_start(&standby, -EBADF);
        cr_assert_gt(standby.pid, 0);
        cr_assert_eq(keeper_standby_timeout(&standby), -1, "there is one");
        pid_t first = standby.pid;
        keeper_standby_start(&standby, -EBADF);
        cr_assert_eq(standby.pid, first, "one is enough");

        worker.starts = 3;
        worker.start_at = 1;
        cr_assert(keeper_standby_promote(&standby, &worker));
        cr_assert_eq(worker.pid, first);
        cr_assert_eq(worker.starts, 4);
        cr_assert_eq(worker.start_at, 0);
        cr_assert_eq(standby.pid, 0);
        cr_assert_eq(standby.fd, -EBADF);
        cr_assert_eq(keeper_standby_timeout(&standby), 0, "the next one");

        keeper_msg_init(&m, KEEPER_HELLO, 0);
        m.seq = 4;
        keeper_worker_tell(&worker, &m, -EBADF);
        p.fd = worker.fd;
        cr_assert_eq(poll(&p, 1, 20000), 1);
        cr_assert_eq(keeper_recv(worker.fd, &m, &fd), 1);
        cr_assert_eq(m.seq, 4);
        keeper_worker_done(&worker);
        reap(first, 0);
}

Test(keeper_standby, one_that_is_dead_is_not_taken)
{
        keeper_standby_start(&standby, -EBADF);
        pid_t pid = standby.pid;
        struct pollfd p = {.fd = standby.fd};
        cr_assert_eq(kill(pid, SIGKILL), 0);
        cr_assert_eq(poll(&p, 1, 20000), 1, "its end is closed");
        cr_assert_not(keeper_standby_promote(&standby, &worker));
        cr_assert_eq(worker.pid, 0);
        reap(pid, SIGKILL);
        keeper_standby_died(&standby);
        cr_assert_eq(standby.pid, 0);
        cr_assert_eq(standby.fd, -EBADF);
}

Test(keeper_standby, those_that_keep_dying_are_started_with_growing_pauses)
{
        int last = 0;

        for (int i = 0; i < 40; i++) {
                keeper_standby_died(&standby);
                int pause = keeper_standby_timeout(&standby);
                cr_assert_gt(pause, last / 2);
                cr_assert_leq(pause, 60000);
                keeper_standby_start(&standby, -EBADF);
                cr_assert_eq(standby.pid, 0, "its time has not come");
                last = pause;
        }
        cr_assert_gt(last, 30000);
        standby.start_at = 0;
        keeper_standby_start(&standby, -EBADF);
        cr_assert_gt(standby.pid, 0);
        pid_t pid = standby.pid;
        cr_assert(keeper_standby_promote(&standby, &worker));
        cr_assert_eq(standby.deaths, 0, "one was good for something");
        keeper_worker_done(&worker);
        reap(pid, 0);
}

Test(keeper_standby, ends_when_it_is_told_to_and_with_its_socket)
{
        keeper_standby_start(&standby, -EBADF);
        pid_t pid = standby.pid;
        keeper_standby_end(&standby);
        cr_assert_eq(standby.pid, 0);
        cr_assert_eq(waitpid(pid, NULL, WNOHANG), -1);
        cr_assert_eq(errno, ECHILD, "it was waited for");
        keeper_standby_end(&standby);

        keeper_standby_start(&standby, -EBADF);
        pid = standby.pid;
        cr_assert_gt(pid, 0);
        keeper_standby_forget(&standby);
        reap(pid, 0);
}
