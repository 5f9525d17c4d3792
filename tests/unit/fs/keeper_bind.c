/* Bind mounts in a mount namespace of the test's own; what a child sees there is the test's too. */
#include "fs/keeper_bind.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/log.h"
#include "tests/unit/fs/support.h"

#define FILES 3
#define VOLUME 7

static char at[] = "/tmp/akvfs-unit-XXXXXX";
static bool have_root;
static unsigned minor_here;
static struct keeper_binds binds;
static struct {
        unsigned bound, unbound;
        uint64_t ino[8];
} told;

static void path_of(char *buf, size_t size, const char *what, unsigned i)
{
        (void)snprintf(buf, size, "%s/%s%u", at, what, i);
}

static void init(void)
{
        struct stat st;

        cr_assert_not_null(mkdtemp(at));
        have_root = private_namespace();
        if (!have_root)
                return;
        cr_assert_eq(mount("unit", at, "tmpfs", 0, NULL), 0);
        cr_assert_eq(stat(at, &st), 0);
        minor_here = minor(st.st_dev);
        for (unsigned i = 0; i < FILES; i++) {
                char path[64];
                for (int target = 0; target < 2; target++) {
                        path_of(path, sizeof path, target ? "target" : "file", i);
                        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                        cr_assert_geq(fd, 0);
                        close(fd);
                }
        }
}

static void fini(void)
{
        keeper_binds_stop(&binds);
        keeper_binds_done(&binds);
        (void)umount2(at, MNT_DETACH);
        cr_expect_eq(rmdir(at), 0);
}

TestSuite(keeper_bind, .init = init, .fini = fini, .timeout = 60);

static uint64_t volume_of(void *userdata, int mnt_id, unsigned dev_minor, const char *fstype)
{
        return dev_minor == minor_here && streq(fstype, "tmpfs") ? VOLUME : 0;
}

static void on_told(void *userdata, uint64_t volume, uint64_t ino, bool bound)
{
        cr_assert_eq(volume, VOLUME);
        if (bound)
                told.ino[told.bound++] = ino;
        else
                told.unbound++;
}

static void bind_file(unsigned i)
{
        char from[64], to[64];

        path_of(from, sizeof from, "file", i);
        path_of(to, sizeof to, "target", i);
        cr_assert_eq(mount(from, to, NULL, MS_BIND, NULL), 0);
}

static uint64_t ino_of(unsigned i)
{
        char path[64];
        struct stat st;

        path_of(path, sizeof path, "file", i);
        cr_assert_eq(stat(path, &st), 0);
        return st.st_ino;
}

/* As the keeper's loop does, until no child is at work. */
static void settle(void)
{
        while (binds.fd >= 0) {
                struct pollfd p = {.fd = binds.fd, .events = POLLIN};
                cr_assert_geq(poll(&p, 1, keeper_binds_timeout(&binds)), 0);
                if (p.revents)
                        keeper_binds_receive(&binds);
                if (keeper_binds_timeout(&binds) == 0)
                        keeper_binds_give_up(&binds);
        }
}

static bool was_told(uint64_t ino)
{
        for (unsigned i = 0; i < told.bound; i++)
                if (told.ino[i] == ino)
                        return true;
        return false;
}

Test(keeper_bind, learns_which_inode_each_shows_and_when_it_goes)
{
        char path[64];

        if (!have_root)
                return;
        keeper_binds_init(&binds, volume_of, on_told, NULL);
        cr_assert_eq(keeper_binds_timeout(&binds), -1);
        keeper_binds_read(&binds);
        settle();
        cr_assert_eq(told.bound, 0, "the volume's own mount is none");
        bind_file(0);
        bind_file(1);
        keeper_binds_read(&binds);
        settle();
        cr_assert_eq(told.bound, 2);
        cr_assert(was_told(ino_of(0)) && was_told(ino_of(1)));
        keeper_binds_tell(&binds);
        cr_assert_eq(told.bound, 4, "a new worker hears of all");
        path_of(path, sizeof path, "target", 0);
        cr_assert_eq(umount2(path, MNT_DETACH), 0);
        keeper_binds_read(&binds);
        settle();
        cr_assert_eq(told.unbound, 1);
        cr_assert_eq(told.bound, 4, "nobody asks twice");
}

static size_t lines_of(FILE *log)
{
        size_t n = 0;
        int c;

        rewind(log);
        while ((c = getc(log)) != EOF)
                n += c == '\n';
        return n;
}

Test(keeper_bind, too_many_are_said_once)
{
        FILE *log = tmpfile();
        char path[64];

        if (!have_root)
                return;
        cr_assert_not_null(log);
        log_set_fd(fileno(log));
        keeper_binds_init(&binds, volume_of, on_told, NULL);
        binds.max = 2;
        for (unsigned i = 0; i < FILES; i++)
                bind_file(i);
        for (int look = 0; look < 3; look++) {
                keeper_binds_read(&binds);
                settle();
        }
        cr_assert_eq(told.bound, 2);
        cr_assert_eq(lines_of(log), 1);
        path_of(path, sizeof path, "target", 0);
        cr_assert_eq(umount2(path, MNT_DETACH), 0);
        for (int look = 0; look < 2; look++) { /* there is room again at the second one */
                keeper_binds_read(&binds);
                settle();
        }
        cr_assert(was_told(ino_of(2)), "the third one follows now");
        cr_assert_eq(lines_of(log), 1);
        log_set_fd(STDERR_FILENO);
        (void)fclose(log);
}

/* The way to the second one hangs. */
static uint64_t hang_at_target1(const char *path, int mnt_id)
{
        struct stat st;

        while (strstr(path, "target1"))
                (void)poll(NULL, 0, -1);
        return stat(path, &st) == 0 ? st.st_ino : 0;
}

Test(keeper_bind, one_that_hangs_does_not_keep_the_others)
{
        if (!have_root)
                return;
        keeper_binds_init(&binds, volume_of, on_told, NULL);
        binds.look = hang_at_target1;
        binds.patience_ms = 200;
        for (unsigned i = 0; i < FILES; i++)
                bind_file(i);
        keeper_binds_read(&binds);
        cr_assert_gt(binds.child, 0);
        pid_t child = binds.child;
        settle();
        cr_assert_eq(told.bound, 2);
        cr_assert(was_told(ino_of(0)) && was_told(ino_of(2)));
        cr_assert_neq(waitpid(child, NULL, 0), -1, "it was killed");
        /* What hung is not asked for again. */
        keeper_binds_read(&binds);
        cr_assert_eq(binds.fd, -EBADF);
}

static int go[2];

static uint64_t wait_to_go(const char *path, int mnt_id)
{
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        struct stat st;

        (void)poll(&p, 1, -1);
        return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* A child that looks only once `go` was written to, which is all that it has beside its pipe. */
static void begin_waiting(void)
{
        cr_assert_eq(pipe(go), 0);
        cr_assert_eq(dup2(go[0], STDIN_FILENO), STDIN_FILENO);
        keeper_binds_init(&binds, volume_of, on_told, NULL);
        binds.look = wait_to_go;
        bind_file(0);
        keeper_binds_read(&binds);
        cr_assert_gt(binds.child, 0);
}

Test(keeper_bind, a_guardian_s_copy_is_dropped_and_the_child_goes_on)
{
        int status;

        if (!have_root)
                return;
        begin_waiting();
        pid_t guardian = fork();
        if (guardian == 0) {
                keeper_binds_done(&binds);
                _exit(0);
        }
        cr_assert_eq(waitpid(guardian, &status, 0), guardian);
        cr_assert_eq(status, 0);
        cr_assert_eq(write(go[1], "x", 1), 1);
        settle();
        cr_assert_eq(told.bound, 1);
        cr_assert_eq(binds.deaths, 0);
}

Test(keeper_bind, what_a_killed_child_had_not_seen_another_one_looks_at)
{
        if (!have_root)
                return;
        begin_waiting();
        cr_assert_eq(kill(binds.child, SIGKILL), 0);
        cr_assert_eq(write(go[1], "x", 1), 1);
        settle();
        cr_assert_eq(told.bound, 1);
        cr_assert_eq(binds.deaths, 1);
}

static void look(void)
{
        keeper_binds_read(&binds);
        settle();
}

static void begin(void)
{
        keeper_binds_init(&binds, volume_of, on_told, NULL);
}

static void bind_path(const char *from, const char *to)
{
        char paths[2][96];

        (void)snprintf(paths[0], sizeof paths[0], "%s/%s", at, from);
        (void)snprintf(paths[1], sizeof paths[1], "%s/%s", at, to);
        cr_assert_eq(mount(paths[0], paths[1], NULL, MS_BIND, NULL), 0, "%s", strerror(errno));
}

static void unbind_path(const char *at_name)
{
        char path[96];

        (void)snprintf(path, sizeof path, "%s/%s", at, at_name);
        cr_assert_eq(umount(path), 0);
}

Test(keeper_bind, each_bind_of_a_file_counts)
{
        if (!have_root)
                return;
        begin();
        bind_path("file0", "target0");
        bind_path("file0", "target1");
        look();
        cr_assert_eq(told.bound, 2);
        unbind_path("target1");
        look();
        cr_assert_eq(told.unbound, 1);
}

/* Linux gives the next mount the number that was last set free. */
Test(keeper_bind, one_in_the_place_of_another_is_a_new_one)
{
        if (!have_root)
                return;
        begin();
        bind_path("file0", "target0");
        look();
        unbind_path("target0");
        bind_path("file1", "target1");
        look();
        cr_assert_eq(told.unbound, 1);
        cr_assert_eq(told.bound, 2);
        cr_assert_eq(told.ino[1], ino_of(1));
        unbind_path("target1");
        bind_path("file2", "target1");
        look();
        cr_assert_eq(told.unbound, 2);
        cr_assert_eq(told.ino[2], ino_of(2));
}

/* What it shows loses its name with each rotation. */
Test(keeper_bind, one_whose_file_has_lost_its_name_is_the_same)
{
        char path[64];

        if (!have_root)
                return;
        begin();
        bind_path("file0", "target0");
        look();
        path_of(path, sizeof path, "file", 0);
        cr_assert_eq(unlink(path), 0);
        for (int i = 0; i < 2; i++)
                look();
        cr_assert_eq(told.bound, 1);
        cr_assert_eq(told.unbound, 0);
}

Test(keeper_bind, what_is_no_file_is_not_told)
{
        char path[96];

        if (!have_root)
                return;
        for (int i = 0; i < 2; i++) {
                (void)snprintf(path, sizeof path, "%s/folder%d", at, i);
                cr_assert_eq(mkdir(path, 0700), 0);
        }
        begin();
        bind_path("folder0", "folder1");
        look();
        cr_assert_eq(told.bound, 0);
        unbind_path("folder1");
        look();
        cr_assert_eq(told.unbound, 0, "of what was never told");
}

/* Its path leads to what is on top, which is another mount. */
Test(keeper_bind, what_is_covered_is_not_taken_for_what_covers_it)
{
        if (!have_root)
                return;
        begin();
        uint64_t top = ino_of(1);
        bind_path("file0", "target0");
        bind_path("file1", "target0");
        look();
        cr_assert_eq(told.bound, 1);
        cr_assert_eq(told.ino[0], top);
}

Test(keeper_bind, other_file_systems_are_not_looked_at)
{
        if (!have_root)
                return;
        begin();
        minor_here++;
        bind_file(0);
        look();
        cr_assert_eq(told.bound, 0);
        cr_assert_eq(binds.n, 0);
}
