/* The gate, with a keeper of which nothing runs but that, and visitors that are children of this
 * process. tests/integration/csi/test_keeper_pod.py has the whole. */
#include "fs/keeper_gate.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "fs/keeper_private.h"

#define TAKEN 0
#define UNLIKE 9 /* what came is not what was said */

static struct keeper k;
static struct sockaddr_un at = {.sun_family = AF_UNIX};
static int passed[2];

static void init(void)
{
        static const char name[] = "akvfs-gate";

        k = (struct keeper){.options = {.gated = true, .lasting = true, .n_pass_fds = 2},
                .area_fd = -EBADF,
                .previous = -EBADF,
                .signal_fd = -EBADF,
                .mountinfo_fd = -EBADF};
        keeper_worker_init(&k.worker, &k.options);
        keeper_worker_init(&k.next, &k.options);
        keeper_standby_init(&k.standby, &k.options);
        keeper_upgrade_init(&k.upgrade, -EBADF);
        keeper_store_init(&k.store, NULL);
        guardian_init(&k.guardian);
        cr_assert_eq(pipe2(passed, O_CLOEXEC), 0);
        k.options.pass_fds = passed;
        k.gate = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "%s-%d", name, (int)getpid());
        cr_assert_eq(bind(k.gate, (const struct sockaddr *)&at, sizeof at), 0);
        cr_assert_eq(setsockopt(k.gate, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
        cr_assert_eq(listen(k.gate, 8), 0);
        cr_assert(keeper_gate_is_open(&k));
}

static void fini(void)
{
        keeper_worker_drop(&k.next);
        keeper_worker_done(&k.worker);
        keeper_upgrade_release(&k.upgrade);
        safe_close(k.gate);
        safe_close(passed[0]);
        safe_close(passed[1]);
}

TestSuite(keeper_gate, .init = init, .fini = fini, .timeout = 60);

/* --- who comes --- */

static int call(void)
{
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) < 0)
                _exit(UNLIKE);
        return fd;
}

/* Its exit status: TAKEN, or a positive errno. It lives on until it is killed, or hung up on. */
static void visit(bool again, int back)
{
        struct keeper_passed got;
        char detail[KEEPER_NAME_SIZE] = "", byte;
        int heir[2];

        int fd = call();
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, heir) < 0)
                _exit(UNLIKE);
        int r = keeper_come(fd, heir[0], back, again, &got, detail);
        if (r < 0)
                _exit(-r);
        /* They are the pipe, in its order. */
        if (got.n != 2 || write(got.fds[1], "x", 1) != 1 || read(got.fds[0], &byte, 1) != 1)
                _exit(UNLIKE);
        struct pollfd p = {.fd = fd};
        (void)poll(&p, 1, -1);
        _exit(TAKEN);
}

static pid_t visitor(bool again, int back)
{
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0)
                visit(again, back);
        return pid;
}

static void await(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};

        cr_assert_eq(poll(&p, 1, 20000), 1);
}

/* The keeper's loop, until whoever has come is the next worker or has been sent away. */
static void receive(void)
{
        await(k.gate);
        keeper_on_gate(&k);
        while (k.upgrade.state == UPGRADE_ASKED) {
                cr_assert_not(keeper_gate_is_open(&k), "one at a time");
                await(k.upgrade.client);
                keeper_gate_hear(&k);
        }
}

static int status_of(pid_t pid)
{
        int status;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* --- tests --- */

Test(keeper_gate, who_comes_is_the_next_worker)
{
        pid_t pid = visitor(false, -EBADF);

        receive();
        cr_assert_eq(k.upgrade.state, UPGRADE_STARTING);
        cr_assert_eq(k.next.pid, pid);
        cr_assert_geq(k.next.pidfd, 0);
        cr_assert_geq(k.next.heir_fd, 0);
        cr_assert_geq(k.next.fd, 0);
        cr_assert(fcntl(k.next.fd, F_GETFL) & O_NONBLOCK);
        cr_assert_not(k.next.ready);
        k.next.fd = safe_close(k.next.fd);
        cr_assert_eq(status_of(pid), TAKEN);
}

Test(keeper_gate, one_that_is_not_wanted_is_killed_but_not_waited_for)
{
        pid_t pid = visitor(false, -EBADF);
        int status;

        receive();
        keeper_upgrade_failed(&k, -ETIMEDOUT, "for the test");
        cr_assert_eq(k.next.pid, 0);
        cr_assert_eq(k.next.heir_fd, -EBADF);
        cr_assert(keeper_gate_is_open(&k));
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(keeper_gate, again_takes_nobodys_place)
{
        pid_t first = visitor(false, -EBADF);

        receive();
        keeper_worker_succeed(&k.worker, &k.next);
        keeper_upgrade_release(&k.upgrade);
        pid_t second = visitor(true, -EBADF);
        receive();
        cr_assert_eq(status_of(second), EALREADY);
        cr_assert_eq(k.upgrade.state, UPGRADE_NONE);
        cr_assert_eq(k.next.pid, 0);

        /* Dead, which nobody has looked at yet. */
        cr_assert_eq(kill(first, SIGKILL), 0);
        await(k.worker.pidfd);
        pid_t third = visitor(true, -EBADF);
        receive();
        cr_assert_eq(k.next.pid, third);
        cr_assert_eq(waitpid(first, NULL, 0), first);
}

Test(keeper_gate, others_are_turned_away_unheard)
{
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
                if (setresuid(65534, 65534, 65534) < 0)
                        _exit(UNLIKE);
                visit(false, -EBADF);
        }
        await(k.gate);
        keeper_on_gate(&k);
        cr_assert_eq(k.upgrade.state, UPGRADE_NONE);
        int status = status_of(pid);
        cr_assert(status == ECONNRESET || status == EPIPE, "%d", status);
}

static void say(int fd, enum keeper_op op, uint32_t version)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, 0);
        m.version = version;
        if (keeper_send(fd, &m, -EBADF) < 0)
                _exit(UNLIKE);
        int passed_fd = -EBADF;
        int r = keeper_recv(fd, &m, &passed_fd);
        _exit(r == 1 && m.op == KEEPER_STAY && m.result < 0 && m.detail[0] ? -m.result : UNLIKE);
}

static int answer_to(enum keeper_op op, uint32_t version)
{
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0)
                say(call(), op, version);
        receive();
        cr_assert(keeper_gate_is_open(&k));
        return status_of(pid);
}

Test(keeper_gate, what_makes_no_sense_is_sent_away)
{
        cr_assert_eq(answer_to(KEEPER_COME, KEEPER_VERSION), EPROTO, "without an heir");
        cr_assert_eq(answer_to(KEEPER_TAKE, KEEPER_VERSION), EPROTO);
        cr_assert_eq(answer_to(KEEPER_MOUNT, KEEPER_VERSION), EPROTO);
        cr_assert_eq(answer_to(KEEPER_COME, KEEPER_VERSION + 1), EPROTONOSUPPORT);
}

Test(keeper_gate, one_that_hangs_up_is_forgotten)
{
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
                (void)call();
                _exit(TAKEN);
        }
        receive();
        cr_assert(keeper_gate_is_open(&k));
        cr_assert_eq(status_of(pid), TAKEN);
}

/* The worker that had the other end died before it could give anything back. */
Test(keeper_gate, nothing_comes_back_from_the_dead)
{
        int on = 1, heir[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, heir), 0);
        cr_assert_eq(setsockopt(heir[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
        safe_close(heir[1]);
        pid_t pid = visitor(false, heir[0]);
        await(k.gate);
        keeper_on_gate(&k);
        await(k.upgrade.client);
        keeper_gate_hear(&k);
        cr_assert_eq(k.n_volumes, 0);
        cr_assert_eq(k.guardian.channel, -EBADF);
        cr_assert_eq(k.upgrade.state, UPGRADE_ASKED);
        await(k.upgrade.client);
        keeper_gate_hear(&k);
        cr_assert_eq(k.next.pid, pid);
}

Test(keeper_gate, patience_with_nobody_coming_ends)
{
        cr_assert_eq(keeper_gate_timeout(&k), -1);
        keeper_gate_lost(&k, SIGKILL);
        cr_assert_eq(keeper_gate_timeout(&k), -1, "nothing is mounted");
        k.n_volumes = 1;
        keeper_gate_lost(&k, SIGKILL);
        int left = keeper_gate_timeout(&k);
        cr_assert(left > 0 && left <= ABSENT_MS);
        k.n_volumes = 0;
        keeper_gate_late(&k);
        cr_assert_eq(keeper_gate_timeout(&k), -1);
        cr_assert_eq(k.spare, 0);
}

Test(keeper_gate, what_was_bound_is_counted_anew)
{
        struct volume volumes[] = {{.id = 7}, {.id = 9}};
        int pair[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        k.volumes = volumes;
        k.n_volumes = ELEMENTSOF(volumes);
        k.worker.pid = getpid();
        k.worker.fd = pair[0];
        keeper_gate_keep(&k);
        for (size_t i = 0; i < ELEMENTSOF(volumes); i++) {
                struct keeper_msg m;
                int fd = -EBADF;
                cr_assert_eq(keeper_recv(pair[1], &m, &fd), 1);
                cr_assert_eq(m.op, KEEPER_BOUND);
                cr_assert_eq(m.mount, volumes[i].id);
                cr_assert(m.seq == 0 && m.result == 0);
        }
        cr_assert_eq(keeper_gate_timeout(&k), -1);
        k.worker.pid = 0;
        k.volumes = NULL;
        k.n_volumes = 0;
        safe_close(pair[1]);
}
