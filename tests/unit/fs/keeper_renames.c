/* Who does what a worker asks for; how it is done: tests/unit/fs/keeper.c and keeper_rename.c. A
 * plain folder stands for the private mount. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/keeper_private.h"

#define STAGED KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcdef"

static char at[] = "/tmp/akvfs-unit-XXXXXX";
static int worker; /* its end */
static struct volume volume;
static struct keeper keeper;

static void init(void)
{
        int pair[2];

        cr_assert_not_null(mkdtemp(at));
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        worker = pair[1];
        volume = (struct volume){.id = 1,
                .mount = {.privileged = true,
                        .fuse_fd = -EBADF,
                        .private_fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC)}};
        cr_assert_geq(volume.mount.private_fd, 0);
        keeper = (struct keeper){.volumes = &volume, .n_volumes = 1};
        keeper_worker_init(&keeper.worker, &keeper.options);
        keeper.worker.fd = pair[0];
}

static void fini(void)
{
        while (keeper.n_renamers > 0) {
                const struct renamer *r = &keeper.renamers[--keeper.n_renamers];
                renamer_done(&keeper.renamers[keeper.n_renamers]);
                (void)waitpid(r->pid, NULL, 0);
        }
        keeper_worker_done(&keeper.worker);
        safe_close(volume.mount.private_fd);
        safe_close(worker);
        cr_expect_eq(rmdir(at), 0);
}

TestSuite(keeper_renames, .init = init, .fini = fini, .timeout = 60);

static void ask(uint64_t seq)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_RENAME, 1);
        m.seq = seq;
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "f"), 0);
        cr_assert_eq(keeper_msg_set(m.staged, sizeof m.staged, STAGED), 0);
        keeper_on_rename(&keeper, &m);
}

static void serve_until_answered(void)
{
        struct pollfd p = {.fd = worker, .events = POLLIN};

        while (poll(&p, 1, 0) == 0) {
                cr_assert_eq(keeper.n_renamers, 1);
                struct pollfd r = {.fd = keeper.renamers[0].fd, .events = POLLIN};
                cr_assert_eq(poll(&r, 1, 20000), 1);
                keeper_on_renamer(&keeper, &keeper.renamers[0]);
        }
}

static int answer_to(uint64_t seq)
{
        struct keeper_msg m;
        int fd;

        cr_assert_eq(keeper_recv(worker, &m, &fd), 1);
        cr_assert_eq(m.op, KEEPER_RENAMED);
        cr_assert_eq(m.seq, seq);
        return m.result;
}

static int renamed(uint64_t seq)
{
        ask(seq);
        serve_until_answered();
        return answer_to(seq);
}

static void kill_renamer(void)
{
        pid_t pid = keeper.renamers[0].pid;

        cr_assert_eq(kill(pid, SIGKILL), 0);
        cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(keeper_renames, one_that_was_killed_while_idle_is_nobody_s_loss)
{
        cr_assert_eq(renamed(1), -ENOENT, "nothing is staged");
        for (uint64_t seq = 2; seq < 5; seq++) {
                kill_renamer();
                cr_assert_eq(renamed(seq), -ENOENT, "another one did it");
                cr_assert_eq(keeper.n_renamers, 1);
        }
}

Test(keeper_renames, what_one_was_killed_at_is_answered)
{
        struct keeper_msg m;
        int fd;

        cr_assert_eq(renamed(1), -ENOENT);
        pid_t pid = keeper.renamers[0].pid;
        cr_assert_eq(kill(pid, SIGSTOP), 0);
        cr_assert_eq(waitpid(pid, NULL, WUNTRACED), pid);
        ask(2);
        ask(3);
        cr_assert_eq(keeper.n_renamers, 2, "the first one is busy");
        kill_renamer();
        keeper_on_renamer(&keeper, &keeper.renamers[0]);
        cr_assert_eq(keeper.n_renamers, 1);
        cr_assert_eq(keeper_recv(worker, &m, &fd), 1);
        cr_assert_eq(m.seq, 2);
        cr_assert_eq(m.result, -EINTR, "to be planned again");
        serve_until_answered();
        cr_assert_eq(answer_to(3), -ENOENT);
}
