/* The keeper as a whole: see tests/unit/fs/keeper_parts.h. */
#include "fs/keeper.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fs/server.h"
#include "tests/unit/fs/keeper_parts.h"
#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

#define WORKER "akvfs-unit-worker"

/* --- the worker's parts --- */

static void part_exit(const char *path)
{
        _exit(REACHED);
}

static void part_killed(const char *path)
{
        (void)raise(SIGKILL);
}

static void part_garbage(const char *path)
{
        if (is_mounted(path))
                _exit(0); /* the one after */
        int fd = do_mount(1, path);

        CHECK(send(KEEPER_WORKER_FD, "garbage", 7, 0) == 7);
        (void)fd;
        for (;;)
                pause(); /* until it is ended */
}

static void part_invalid(const char *path)
{
        say(KEEPER_MOUNT, 1, KEEPER_PRIVILEGED, "relative");
        for (;;)
                pause();
}

static void part_mount_and_leave(const char *path)
{
        do_mount(1, path);
        _exit(0);
}

static void part_life(const char *path)
{
        int fd = do_mount(1, path), other;

        say(KEEPER_MOUNT, 1, KEEPER_PRIVILEGED, path);
        CHECK(hear(KEEPER_MOUNTED, 1, &other).result == -EEXIST);
        CHECK(other < 0);
        say(KEEPER_MOUNT, 2, KEEPER_PRIVILEGED, "/nowhere/at/all");
        struct keeper_msg m = hear(KEEPER_MOUNTED, 2, &other);
        CHECK(m.result == -ENOENT);
        CHECK(strstr(m.detail, "/nowhere/at/all"));

        int user = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        say(KEEPER_UNMOUNT, 1, 0, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == -EBUSY);
        say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        say(KEEPER_UNMOUNT, 1, 0, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        safe_close(user);
        safe_close(fd);
        _exit(0);
}

static void part_gone(const char *path)
{
        do_mount(1, path);
        CHECK(umount(path) == 0);
        CHECK(hear(KEEPER_GONE, 1, NULL).result == 0);
        /* Once, and what comes in its place is somebody else's. */
        CHECK(mount("other", path, "tmpfs", 0, NULL) == 0);
        say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        CHECK(umount(path) == 0);
        _exit(0);
}

/* Under a mount of somebody else it cannot be detached: readers must not hang for it. */
static void part_covered(const char *path)
{
        int user, fd = do_mount(1, path);

        user = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        CHECK(mount("other", path, "tmpfs", 0, NULL) == 0);
        say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == -EBUSY);
        safe_close(fd); /* the last one: the connection ends */
        CHECK(faccessat(user, "f", F_OK, 0) == -1 && errno == ENOTCONN);
        CHECK(umount(path) == 0);
        _exit(0);
}

/* The next worker has nothing to serve it with, and serves what else there is. */
static void part_left_covered(const char *path)
{
        struct keeper_msg m;
        bool first = !is_mounted(path);
        unsigned volumes = 0;
        int fd;

        if (first) {
                do_mount(1, path);
                CHECK(mount("other", path, "tmpfs", 0, NULL) == 0);
                say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
                CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == -EBUSY);
                (void)raise(SIGKILL);
        }
        do {
                CHECK(keeper_recv(KEEPER_WORKER_FD, &m, &fd) == 1);
                volumes += m.op == KEEPER_VOLUME;
        } while (m.op != KEEPER_START);
        CHECK(volumes == 0);
        CHECK(umount(path) == 0);
        _exit(0);
}

static void nothing(void *userdata)
{
}

static void count(void *userdata)
{
        ++*(_Atomic unsigned *)userdata;
}

static void refused(void *userdata, struct session *s, uint64_t id)
{
}

static void send_rename(
        uint64_t id, uint64_t seq, const char *folder, const char *name, const char *staged)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_RENAME, id);
        m.seq = seq;
        CHECK(keeper_msg_set(m.path, sizeof m.path, folder) == 0);
        CHECK(keeper_msg_set(m.name, sizeof m.name, name) == 0);
        CHECK(keeper_msg_set(m.staged, sizeof m.staged, staged) == 0);
        CHECK(keeper_send(KEEPER_WORKER_FD, &m, -EBADF) == 0);
}

static void part_rename(const char *path)
{
        static const struct session_events events = {.ready = count,
                .renamed = nothing,
                .refused = refused,
                .dead = nothing,
                .freed = nothing};
        struct tree_config tree_cfg = {.epoch = 5, .mode = 0644};
        _Atomic unsigned ready = 0;
        struct server *server;
        struct session_config cfg = {.dialects = test_dialects(),
                .label = path,
                .no_open = true,
                .events = &events,
                .userdata = (void *)&ready};
        struct session *session;
        struct tree_plan plan;

        int fd = do_mount(1, path);
        CHECK(tree_new(&tree_cfg, &cfg.tree) == 0);
        put_text(cfg.tree, "f", "old");
        CHECK(server_new(2, &server) == 0);
        CHECK(session_new(fd, &cfg, &session) == 0);
        CHECK(server_add(server, session) == 0);
        while (ready == 0)
                sched_yield();

        for (uint64_t seq = 1; seq <= 100; seq++) {
                struct view_file *f = make_file("f", seq % 2 ? "odd" : "even");
                CHECK(tree_stage(cfg.tree, f, &plan) == 0);
                send_rename(1, seq, plan.folder, plan.name, plan.staged);
                struct keeper_msg m = hear(KEEPER_RENAMED, 1, NULL);
                CHECK(m.seq == seq);
                CHECK(m.result == 0);
                CHECK(tree_applied(cfg.tree));
                view_file_unref(f);
        }
        send_rename(1, 101, "", "f", plan.staged);
        struct keeper_msg m = hear(KEEPER_RENAMED, 1, NULL);
        CHECK(m.seq == 101);
        CHECK(m.result == -ENOENT);
        CHECK(m.detail[0]);
        send_rename(9, 102, "", "f", plan.staged);
        CHECK(hear(KEEPER_RENAMED, 9, NULL).result == -ENODEV);
        say(KEEPER_UNMOUNT, 1, 0, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        _exit(0);
}

/* Renames that hang for ever must not keep the keeper from anything else. */
static int invalidate(uint64_t node, int fuse_fd)
{
        struct keeper_msg m;
        int fd;

        keeper_msg_init(&m, KEEPER_INVALIDATE, 0);
        m.node = node;
        CHECK(keeper_send(KEEPER_WORKER_FD, &m, fuse_fd) == 0);
        do
                CHECK(keeper_recv(KEEPER_WORKER_FD, &m, &fd) == 1);
        while (m.op != KEEPER_INVALIDATED);
        return m.result;
}

/* Through no other than a connection, for the child that writes to it is root. */
static void part_invalidate(const char *path)
{
        int fd = do_mount(1, path), no_connection = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        FILE *regular = tmpfile();

        CHECK(regular);
        CHECK(invalidate(1, fd) == 0);
        CHECK(invalidate(4711, fd) == -ENOENT);
        CHECK(invalidate(1, -EBADF) == -EBADF);
        CHECK(invalidate(1, no_connection) == -EBADF);
        CHECK(invalidate(1, fileno(regular)) == -EBADF);
        CHECK(lseek(fileno(regular), 0, SEEK_END) == 0);
        say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        _exit(0);
}

static void part_hang(const char *path)
{
        static const char staged[] = KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcdef";
        int fd = do_mount(1, path);

        for (uint64_t i = 0; i < 5; i++)
                send_rename(1, i, "", "f", staged);
        say(KEEPER_UNMOUNT, 7, 0, "");
        CHECK(hear(KEEPER_UNMOUNTED, 7, NULL).result == 0);
        say(KEEPER_UNMOUNT, 1, KEEPER_DETACH, "");
        CHECK(hear(KEEPER_UNMOUNTED, 1, NULL).result == 0);
        safe_close(fd);
        for (uint64_t i = 0; i < 5; i++) {
                struct keeper_msg m = hear(KEEPER_RENAMED, 1, NULL);
                CHECK(m.result == -ENOTCONN || m.result == -ECONNABORTED);
        }
        _exit(0);
}

static void part_signal(const char *path)
{
        static const int order[] = {SIGHUP, SIGINT, SIGTERM};
        sigset_t set;

        sigfillset(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                struct timespec limit = {.tv_sec = 20};
                CHECK(write(4, "r", 1) == 1);
                CHECK(sigtimedwait(&set, NULL, &limit) == order[i]);
        }
        _exit(REACHED);
}

static void part_descriptors(const char *path)
{
        char text[8] = "";
        struct stat st;
        sigset_t mask;

        for (int fd = 6; fd < 256; fd++)
                CHECK(fcntl(fd, F_GETFD) < 0);
        CHECK(fstat(KEEPER_WORKER_FD, &st) == 0 && S_ISSOCK(st.st_mode));
        CHECK(read(4, text, 4) == 4 && streq(text, "four"));
        CHECK(read(5, text, 4) == 4 && streq(text, "five"));
        CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
        CHECK(!sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGCHLD));
        _exit(0);
}

/* Its keeper was started with 0, 1 and 2 closed: no connection may stand there. */
static void part_stdio(const char *path)
{
        char link[64], target[64];

        do_mount(1, path);
        for (int fd = 0; fd < 3; fd++) {
                (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", getppid(), fd);
                ssize_t n = readlink(link, target, sizeof target - 1);
                CHECK(n > 0);
                target[n] = '\0';
                CHECK(streq(target, "/dev/null"));
        }
        _exit(0);
}

static const struct part parts[] = {
        {"exit", part_exit},
        {"killed", part_killed},
        {"garbage", part_garbage},
        {"invalid", part_invalid},
        {"mount-and-leave", part_mount_and_leave},
        {"life", part_life},
        {"gone", part_gone},
        {"covered", part_covered},
        {"left_covered", part_left_covered},
        {"rename", part_rename},
        {"invalidate", part_invalidate},
        {"hang", part_hang},
        {"signal", part_signal},
        {"descriptors", part_descriptors},
        {"stdio", part_stdio},
};

__attribute__((constructor)) static void worker_main(int argc, char *argv[])
{
        play_part(WORKER, parts, ELEMENTSOF(parts), argc, argv);
}

/* --- the tests --- */

static char at[] = "/tmp/akvfs-unit-XXXXXX";
static bool have_root;

static void init(void)
{
        cr_assert_not_null(mkdtemp(at));
        have_root = private_namespace();
}

static void fini(void)
{
        (void)umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW);
        cr_expect_eq(rmdir(at), 0);
}

TestSuite(keeper, .init = init, .fini = fini, .timeout = 120);

static pid_t start(const char *part, const int *fds, size_t n_fds, bool close_stdio)
{
        struct keeper_options options = {.pass_fds = fds, .n_pass_fds = n_fds};

        return start_keeper(options, WORKER, part, at, close_stdio);
}

static int run(const char *part)
{
        return finish_keeper(start(part, NULL, 0, false));
}

static bool mounted(void)
{
        return is_mounted(at);
}

Test(keeper, ends_as_its_worker_does)
{
        cr_assert_eq(run("exit"), REACHED);
        cr_assert_eq(run("killed"), 1);
}

Test(keeper, the_worker_has_what_it_was_given_and_nothing_else)
{
        int four[2], five[2];

        cr_assert_eq(pipe2(four, O_CLOEXEC), 0);
        cr_assert_eq(pipe2(five, O_CLOEXEC), 0);
        cr_assert_eq(write(four[1], "four", 4), 4);
        cr_assert_eq(write(five[1], "five", 4), 4);
        int fds[] = {four[0], five[0]};
        cr_assert_eq(finish_keeper(start("descriptors", fds, 2, false)), 0);
}

Test(keeper, signals_are_passed_on)
{
        static const int order[] = {SIGHUP, SIGINT, SIGTERM};
        int ready[2];
        char byte;

        cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
        pid_t pid = start("signal", &ready[1], 1, false);
        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                cr_assert_eq(read(ready[0], &byte, 1), 1);
                cr_assert_eq(kill(pid, order[i]), 0);
        }
        cr_assert_eq(finish_keeper(pid), REACHED);
}

Test(keeper, a_request_that_makes_no_sense_ends_the_worker)
{
        cr_assert_eq(run("invalid"), 1);
}

Test(keeper, a_worker_that_sends_garbage_is_ended_and_its_mounts_go)
{
        if (!have_root)
                return;
        cr_assert_eq(run("garbage"), 0, "the one after it leaves as asked");
        cr_assert_not(mounted());
}

Test(keeper, what_a_worker_leaves_is_unmounted)
{
        if (!have_root)
                return;
        cr_assert_eq(run("mount-and-leave"), 0);
        cr_assert_not(mounted());
}

Test(keeper, mounts_and_unmounts)
{
        if (!have_root)
                return;
        cr_assert_eq(run("life"), 0);
        cr_assert_not(mounted());
}

Test(keeper, somebody_else_s_umount_is_told_and_what_follows_is_theirs)
{
        if (!have_root)
                return;
        cr_assert_eq(run("gone"), 0);
        cr_assert_not(mounted());
}

Test(keeper, what_cannot_be_detached_hangs_nobody)
{
        if (!have_root)
                return;
        cr_assert_eq(run("covered"), 0);
        cr_assert_not(mounted());
}

Test(keeper, what_could_not_be_detached_is_no_next_worker_s)
{
        if (!have_root)
                return;
        cr_assert_eq(run("left_covered"), 0);
        cr_assert_not(mounted());
}

Test(keeper, renames)
{
        if (!have_root)
                return;
        cr_assert_eq(run("rename"), 0);
        cr_assert_not(mounted());
}

Test(keeper, invalidates_inodes_of_connections)
{
        if (!have_root)
                return;
        cr_assert_eq(run("invalidate"), 0);
        cr_assert_not(mounted());
}

Test(keeper, renames_that_hang_are_in_nobody_s_way)
{
        if (!have_root)
                return;
        cr_assert_eq(run("hang"), 0);
        cr_assert_not(mounted());
}

Test(keeper, closed_standard_descriptors_are_filled_first)
{
        if (!have_root)
                return;
        cr_assert_eq(finish_keeper(start("stdio", NULL, 0, true)), 0);
        cr_assert_not(mounted());
}
