#include "fs/keeper_client.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/unit/fs/support.h"

static struct loop *loop;
static struct keeper_client *client;
static int keeper;

static struct {
        _Atomic unsigned answers, descriptors, gone;
        struct keeper_msg last;
} got;

static void on_answer(void *userdata, const struct keeper_msg *m, int fd)
{
        cr_assert_eq(userdata, &got);
        if (!m) {
                got.gone++;
                return;
        }
        got.last = *m;
        got.descriptors += fd >= 0;
        safe_close(fd);
        got.answers++;
}

static void init(void)
{
        int pair[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(keeper_client_new(loop, pair[0], on_answer, &got, &client), 0);
        keeper = pair[1];
}

static void fini(void)
{
        keeper_client_free(client);
        loop_free(loop);
        safe_close(keeper);
}

TestSuite(keeper_client, .init = init, .fini = fini, .timeout = 60);

static struct keeper_msg unmount_request(uint64_t id)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_UNMOUNT, id);
        return m;
}

Test(keeper_client, knows_the_keeper_s_pid)
{
        cr_assert_eq(keeper_client_pid(client), getpid(), "who made the pair");
}

Test(keeper_client, asks_and_hears)
{
        struct keeper_msg m = unmount_request(3);
        int fd = -EBADF;

        cr_assert_eq(keeper_client_send(client, &m, -EBADF), 0);
        cr_assert_eq(keeper_recv(keeper, &m, &fd), 1);
        cr_assert_eq(m.mount, 3);
        m.op = KEEPER_MOUNTED;
        memset(m.detail, 'x', sizeof m.detail);
        cr_assert_eq(keeper_send(keeper, &m, keeper), 0);
        wait_for_count(loop, &got.answers, 1);
        cr_assert_eq(got.last.op, KEEPER_MOUNTED);
        cr_assert_eq(got.descriptors, 1);
        cr_assert_eq(strlen(got.last.detail), sizeof m.detail - 1, "always ended");
}

Test(keeper_client, what_the_keeper_would_end_the_worker_for_is_not_sent)
{
        struct keeper_msg m;
        struct pollfd p = {.fd = keeper, .events = POLLIN};

        keeper_msg_init(&m, KEEPER_MOUNT, 1);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, "relative"), 0);
        cr_assert_eq(keeper_client_send(client, &m, -EBADF), -EINVAL);
        keeper_msg_init(&m, KEEPER_GONE, 1);
        cr_assert_eq(keeper_client_send(client, &m, -EBADF), -EINVAL);
        cr_assert_eq(poll(&p, 1, 0), 0);
}

/* Both sides with a full socket must not wait for each other. */
Test(keeper_client, never_blocks_and_keeps_the_order)
{
        enum { N = 500 };

        for (uint64_t i = 0; i < N; i++) {
                struct keeper_msg m = unmount_request(i);
                cr_assert_eq(keeper_client_send(client, &m, -EBADF), 0);
        }
        for (uint64_t i = 0; i < N; i++) {
                struct keeper_msg m;
                int fd = -EBADF;
                struct pollfd p = {.fd = keeper, .events = POLLIN};
                for (int turns = 0; poll(&p, 1, 0) == 0; turns++) {
                        cr_assert_lt(turns, 1000);
                        cr_assert_geq(loop_turn(loop, 10 * USEC_PER_MSEC), 0);
                }
                cr_assert_eq(keeper_recv(keeper, &m, &fd), 1);
                cr_assert_eq(m.mount, i);
        }
}

Test(keeper_client, a_keeper_that_goes_is_told_once)
{
        struct keeper_msg m = unmount_request(1);

        keeper = safe_close(keeper);
        wait_for_count(loop, &got.gone, 1);
        cr_assert_eq(keeper_client_send(client, &m, -EBADF), -ENOTCONN);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_eq(got.gone, 1);
}

Test(keeper_client, what_came_before_the_end_is_heard)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_GONE, 4);
        for (int i = 0; i < 3; i++)
                cr_assert_eq(keeper_send(keeper, &m, -EBADF), 0);
        keeper = safe_close(keeper);
        wait_for_count(loop, &got.gone, 1);
        cr_assert_eq(got.answers, 3);
}

Test(keeper_client, nonsense_is_the_end)
{
        cr_assert_eq(send(keeper, "nonsense", 8, 0), 8);
        wait_for_count(loop, &got.gone, 1);
        cr_assert_eq(got.answers, 0);
}

Test(keeper_client, is_freed_with_what_was_not_sent)
{
        for (uint64_t i = 0; i < 500; i++) {
                struct keeper_msg m = unmount_request(i);
                cr_assert_eq(keeper_client_send(client, &m, -EBADF), 0);
        }
        keeper_client_free(client);
        client = NULL;
        keeper_client_free(NULL);
}

Test(keeper_client, a_descriptor_that_is_none_is_an_error)
{
        struct keeper_client *other;

        cr_assert_lt(keeper_client_new(loop, 1000, on_answer, &got, &other), 0);
}
