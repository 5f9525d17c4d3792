#include "fs/keeper_queue.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

TestSuite(keeper_queue, .timeout = 60);

static struct keeper_queue queue;
static int ours, theirs;

static void begin(void)
{
        int pair[2];

        cr_assert_eq(
                socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        ours = pair[0];
        theirs = pair[1];
        keeper_queue_init(&queue);
}

static void end(void)
{
        keeper_queue_done(&queue);
        safe_close(ours);
        safe_close(theirs);
}

static void push(uint64_t n, int fd)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_GONE, n);
        cr_assert_eq(keeper_queue_push(&queue, &m, fd), 0);
}

static int hear(uint64_t *ret_n)
{
        struct keeper_msg m;
        int fd = -EBADF;

        int r = keeper_recv(theirs, &m, &fd);
        if (r == 1)
                *ret_n = m.mount;
        safe_close(fd);
        return r;
}

Test(keeper_queue, everything_comes_in_order_however_full_the_socket)
{
        enum { N = 500 };
        uint64_t heard = 0, n;
        unsigned full = 0;

        begin();
        cr_assert_not(keeper_queue_waits(&queue));
        cr_assert_eq(keeper_queue_flush(&queue, ours), 0);
        for (uint64_t i = 1; i <= N; i++)
                push(i, -EBADF);
        while (heard < N) {
                int r = keeper_queue_flush(&queue, ours);
                cr_assert(r == 0 || r == -EAGAIN, "%d", r);
                cr_assert_eq(keeper_queue_waits(&queue), r == -EAGAIN);
                full += r == -EAGAIN;
                while (hear(&n) == 1)
                        cr_assert_eq(n, ++heard);
        }
        cr_assert_gt(full, 0);
        cr_assert_not(keeper_queue_waits(&queue));
        push(N + 1, -EBADF);
        cr_assert_eq(keeper_queue_flush(&queue, ours), 0, "it can be used again");
        cr_assert_eq(hear(&n), 1);
        end();
}

/* The end of a pipe tells whether somebody still holds the other. */
static bool held(int reader)
{
        char c;

        return read(reader, &c, 1) < 0 && errno == EAGAIN;
}

Test(keeper_queue, a_descriptor_is_held_until_it_is_sent_or_dropped)
{
        int p[2];
        uint64_t n;

        begin();
        cr_assert_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        push(1, p[1]);
        push(2, p[1]);
        safe_close(p[1]);
        cr_assert(held(p[0]));
        cr_assert_eq(keeper_queue_flush(&queue, ours), 0);
        cr_assert(held(p[0]), "on its way");
        cr_assert_eq(hear(&n), 1);
        cr_assert_eq(hear(&n), 1);
        cr_assert_not(held(p[0]));
        safe_close(p[0]);

        cr_assert_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        push(3, p[1]);
        safe_close(p[1]);
        keeper_queue_done(&queue);
        cr_assert_not(held(p[0]));
        cr_assert_not(keeper_queue_waits(&queue));
        safe_close(p[0]);
        end();
}

Test(keeper_queue, a_descriptor_that_is_none_is_refused)
{
        struct keeper_msg m;

        begin();
        keeper_msg_init(&m, KEEPER_GONE, 1);
        cr_assert_eq(keeper_queue_push(&queue, &m, 1000), -EBADF);
        cr_assert_not(keeper_queue_waits(&queue));
        end();
}

Test(keeper_queue, the_other_end_is_gone)
{
        begin();
        (void)signal(SIGPIPE, SIG_IGN);
        push(1, -EBADF);
        theirs = safe_close(theirs);
        int r = keeper_queue_flush(&queue, ours);
        cr_assert(r == -EPIPE || r == -ECONNRESET, "%d", r);
        end();
}
