#include "fs/keeper_guardian.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fs/keeper_proto.h"

TestSuite(keeper_guardian, .timeout = 60);

/* A keeper that has a guardian and waits to be killed. The guardian says on its channel whose heir
 * it is once it knows. `heir` is the worker's end. */
static pid_t start_keeper(int *ret_heir, int *ret_pair)
{
        int pair[2];
        struct keeper_msg m;
        int heir = -EBADF;

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        pid_t pid = fork();
        if (pid == 0) {
                struct guardian g;
                guardian_init(&g);
                pid_t me = getpid();
                int r = guardian_fork(&g);
                if (r == 1) {
                        close(pair[0]);
                        close(pair[1]);
                        guardian_wait(&g);
                        keeper_msg_init(&m, KEEPER_ATTACHED, (uint64_t)me);
                        (void)keeper_send(g.channel, &m, -EBADF);
                        _exit(0);
                }
                keeper_msg_init(&m, KEEPER_HEIR, (uint64_t)g.pid);
                if (r < 0 || keeper_send(pair[1], &m, g.heir_fd) < 0)
                        _exit(1);
                char c;
                close(pair[0]);
                (void)!read(pair[1], &c, 1);
                guardian_end(&g);
                _exit(0);
        }
        close(pair[1]);
        cr_assert_eq(keeper_recv(pair[0], &m, &heir), 1);
        cr_assert_geq(heir, 0);
        *ret_heir = heir;
        *ret_pair = pair[0];
        if (m.mount == 0)
                cr_assert_fail("no guardian");
        return pid;
}

Test(keeper_guardian, wakes_when_the_keeper_is_killed_and_not_before)
{
        struct keeper_msg m;
        int heir, pair, fd = -EBADF;
        pid_t keeper = start_keeper(&heir, &pair);
        struct pollfd p = {.fd = heir, .events = POLLIN};

        cr_assert_eq(poll(&p, 1, 100), 0);
        cr_assert_eq(kill(keeper, SIGKILL), 0);
        cr_assert_eq(keeper_recv(heir, &m, &fd), 1);
        cr_assert_eq(m.op, KEEPER_ATTACHED);
        cr_assert_eq(m.mount, (uint64_t)keeper);
        cr_assert_eq(waitpid(keeper, NULL, 0), keeper);
        close(pair);
        close(heir);
}

Test(keeper_guardian, ends_with_a_keeper_that_ends_by_itself)
{
        struct keeper_msg m;
        int heir, pair, fd = -EBADF, status;
        pid_t keeper = start_keeper(&heir, &pair);

        close(pair); /* it reads an end of file, and leaves */
        cr_assert_eq(waitpid(keeper, &status, 0), keeper);
        cr_assert_eq(status, 0);
        cr_assert_eq(keeper_recv(heir, &m, &fd), 0, "nobody takes over");
        close(heir);
}

Test(keeper_guardian, the_sender_is_the_kernel_s_word)
{
        struct guardian g;
        struct keeper_msg m;
        int fd = -EBADF, back[2];
        pid_t sender = 0;

        cr_assert_eq(pipe(back), 0);
        guardian_init(&g);
        int r = guardian_fork(&g);
        cr_assert_geq(r, 0);
        if (r == 1) {
                if (keeper_recv_from(g.channel, &m, &fd, &sender) != 1)
                        sender = -1;
                (void)!write(back[1], &sender, sizeof sender);
                _exit(0);
        }
        keeper_msg_init(&m, KEEPER_SERVING, 1);
        cr_assert_eq(keeper_send(g.heir_fd, &m, -EBADF), 0);
        cr_assert_eq(read(back[0], &sender, sizeof sender), sizeof sender);
        cr_assert_eq(sender, getpid());
        guardian_end(&g);
        cr_assert_eq(g.heir_fd, -EBADF);
}
