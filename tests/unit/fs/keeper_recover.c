#include "fs/keeper_recover.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "tests/unit/fs/support.h"

static int heir[2]; /* 0: the next keeper's, 1: the worker's, which is this process too */

static void init(void)
{
        int on = 1;

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, heir), 0);
        cr_assert_eq(setsockopt(heir[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
}

TestSuite(keeper_recover, .init = init, .timeout = 60);

static void say(enum keeper_op op, uint64_t mount, const char *path, uint32_t flags, int fd)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, mount);
        m.flags = flags;
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, path), 0);
        cr_assert_eq(keeper_send(heir[1], &m, fd), 0);
}

static void say_returned(uint64_t starts, int count)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_RETURNED, 0);
        m.seq = starts;
        m.result = count;
        cr_assert_eq(keeper_send(heir[1], &m, -EBADF), 0);
}

static int recover(struct keeper_returned *r)
{
        return keeper_recover(heir[0], false, 20000, r);
}

Test(keeper_recover, gets_the_journal_and_knows_the_worker)
{
        struct keeper_returned r;
        int area = memfd_create("area", MFD_CLOEXEC);

        say(KEEPER_AREA, 0, "", 0, area);
        say_returned(7, 0);
        cr_assert_eq(recover(&r), 0);
        cr_assert_eq(r.worker, getpid());
        cr_assert_eq(r.starts, 7);
        cr_assert_eq(r.n, 0);
        cr_assert_geq(r.area_fd, 0);
        keeper_returned_done(&r);
        cr_assert_eq(r.area_fd, -EBADF);
}

Test(keeper_recover, a_worker_that_is_dead_has_nothing)
{
        struct keeper_returned r;

        close(heir[1]);
        cr_assert_eq(recover(&r), -ENODATA);
}

/* Stopped, say: it has the other end, and is silent; also in the middle. */
Test(keeper_recover, a_silent_worker_is_not_waited_for_for_ever)
{
        struct keeper_returned r;

        cr_assert_eq(keeper_recover(heir[0], false, 50, &r), -ETIMEDOUT);
        say(KEEPER_AREA, 0, "", 0, memfd_create("area", MFD_CLOEXEC));
        cr_assert_eq(keeper_recover(heir[0], false, 250, &r), -ETIMEDOUT);
}

Test(keeper_recover, who_is_told_to_end_waits_no_longer)
{
        struct keeper_returned r;
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        cr_assert_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        cr_assert_eq(raise(SIGTERM), 0);
        cr_assert_eq(recover(&r), -EINTR);
        cr_assert_eq(sigpending(&set), 0);
        cr_assert(sigismember(&set, SIGTERM), "it is for the loop");
}

Test(keeper_recover, counts_that_differ_are_refused)
{
        struct keeper_returned r;

        say_returned(1, 2);
        cr_assert_eq(recover(&r), -EPROTO);
}

Test(keeper_recover, a_mount_without_a_connection_is_refused)
{
        struct keeper_returned r;

        say(KEEPER_RETURN, 1, "/mnt/x", 0, -EBADF);
        cr_assert_eq(recover(&r), -EPROTO);
}

Test(keeper_recover, what_belongs_elsewhere_is_refused)
{
        struct keeper_returned r;

        say(KEEPER_MOUNT, 1, "/mnt/x", KEEPER_PRIVILEGED, -EBADF);
        cr_assert_eq(recover(&r), -EPROTO);
        init();
        say(KEEPER_RETURN, 1, "relative", 0, -EBADF);
        cr_assert_eq(recover(&r), -EPROTO);
        init();
        say_returned(0, 0);
        cr_assert_eq(recover(&r), -EPROTO);
}

/* /dev/null has no connection in it: it is left out, and the rest taken over. */
Test(keeper_recover, what_is_no_connection_is_left_out)
{
        struct keeper_returned r;
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        say(KEEPER_RETURN, 1, "/mnt/x", 0, null);
        say_returned(1, 1);
        cr_assert_eq(recover(&r), 0);
        cr_assert_eq(r.n, 0);
        keeper_returned_done(&r);
}

Test(keeper_recover, makes_the_private_mount_again_without_asking_who_serves)
{
        static char at[] = "/tmp/akvfs-unit-XXXXXX";
        char detail[KEEPER_NAME_SIZE];
        struct keeper_mount made;
        struct keeper_returned r;
        struct keeper_msg m;

        if (!private_namespace())
                return;
        cr_assert_not_null(mkdtemp(at));
        keeper_msg_init(&m, KEEPER_MOUNT, 5);
        m.flags = KEEPER_PRIVILEGED;
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, at), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "akvfs:unit"), 0);
        cr_assert_eq(keeper_mount_make(&m, NULL, &made, detail), 0, "%s", detail);

        /* Nobody answers on this connection: a single request would hang here. */
        say(KEEPER_RETURN, 5, at, KEEPER_PRIVILEGED, made.fuse_fd);
        say(KEEPER_RETURN, 6, "/somewhere/else", KEEPER_PRIVILEGED, made.fuse_fd);
        say_returned(3, 2);
        cr_assert_eq(recover(&r), 0);
        cr_assert_eq(r.n, 2);
        cr_assert_eq(r.mounts[0].id, 5);
        cr_assert_eq(r.mounts[0].mount.mnt_id, made.mnt_id);
        cr_assert_eq(r.mounts[0].mount.dev_minor, made.dev_minor);
        cr_assert_geq(r.mounts[0].mount.private_fd, 0);
        cr_assert_eq(r.mounts[1].mount.mnt_id, -1, "that place shows nothing of this superblock");
        cr_assert_eq(keeper_mount_unmount(&r.mounts[0].mount, NULL, true, detail), 0, "%s", detail);
        keeper_returned_done(&r);
        keeper_mount_done(&made);
        cr_expect_eq(rmdir(at), 0);
}
