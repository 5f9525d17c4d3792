/* Binds of a tmpfs, in a mount namespace of the test's own. */
#include "fs/keeper_bind.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/unit/fs/support.h"

#define VOLUME ((uint64_t)7)

static char at[] = "/tmp/akvfs-unit-XXXXXX";
static bool have_root;
static unsigned minor_number;
static struct keeper_binds binds;
static struct {
        unsigned bound, unbound;
        uint64_t ino; /* of the last */
} told;

static uint64_t volume_of(void *userdata, int mnt_id, unsigned dev_minor, const char *fstype)
{
        return streq(fstype, "tmpfs") && dev_minor == minor_number ? VOLUME : 0;
}

static void note(void *userdata, uint64_t volume, uint64_t ino, bool bound)
{
        cr_assert_eq(volume, VOLUME);
        told.bound += bound;
        told.unbound += !bound;
        told.ino = ino;
}

static const char *path_of(const char *name)
{
        static char paths[2][96];
        static unsigned next;
        char *path = paths[next++ % 2];

        (void)snprintf(path, sizeof paths[0], "%s/%s", at, name);
        return path;
}

static void make(const char *name)
{
        int fd = open(path_of(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        cr_assert_geq(fd, 0, "%s", strerror(errno));
        safe_close(fd);
}

static void init(void)
{
        struct stat st;

        cr_assert_not_null(mkdtemp(at));
        have_root = private_namespace();
        keeper_binds_init(&binds, volume_of, note, NULL);
        if (!have_root)
                return;
        cr_assert_eq(mount("volume", at, "tmpfs", 0, NULL), 0);
        cr_assert_eq(stat(at, &st), 0);
        minor_number = minor(st.st_dev);
        make("file");
        make("other");
        make("target");
        cr_assert_eq(mkdir(path_of("folder"), 0700), 0);
        cr_assert_eq(mkdir(path_of("below"), 0700), 0);
}

static void fini(void)
{
        keeper_binds_done(&binds);
        while (umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                ;
        cr_expect_eq(rmdir(at), 0);
}

TestSuite(keeper_bind, .init = init, .fini = fini, .timeout = 60);

static uint64_t ino_of(const char *name)
{
        struct stat st;

        cr_assert_eq(stat(path_of(name), &st), 0);
        return st.st_ino;
}

static void bind_file(const char *from, const char *to)
{
        cr_assert_eq(
                mount(path_of(from), path_of(to), NULL, MS_BIND, NULL), 0, "%s", strerror(errno));
}

/* Until no child is at work. */
static void look(void)
{
        keeper_binds_read(&binds);
        while (binds.fd >= 0) {
                struct pollfd p = {.fd = binds.fd, .events = POLLIN};
                cr_assert_eq(poll(&p, 1, 20000), 1, "the child does not end");
                keeper_binds_receive(&binds);
        }
}

Test(keeper_bind, tells_which_inode_is_bound_and_when_it_is_not_any_more)
{
        if (!have_root)
                return;
        look();
        cr_assert_eq(told.bound, 0);
        uint64_t ino = ino_of("file");
        bind_file("file", "target");
        look();
        look();
        cr_assert_eq(told.bound, 1, "once");
        cr_assert_eq(told.ino, ino);
        keeper_binds_tell(&binds);
        cr_assert_eq(told.bound, 2, "a new worker is told as well");
        cr_assert_eq(umount(path_of("target")), 0);
        look();
        cr_assert_eq(told.unbound, 1);
        cr_assert_eq(told.ino, ino);
        keeper_binds_tell(&binds);
        cr_assert_eq(told.bound, 2);
}

Test(keeper_bind, each_bind_of_a_file_counts)
{
        if (!have_root)
                return;
        bind_file("file", "target");
        bind_file("file", "other");
        look();
        cr_assert_eq(told.bound, 2);
        cr_assert_eq(umount(path_of("other")), 0);
        look();
        cr_assert_eq(told.unbound, 1);
}

Test(keeper_bind, what_is_no_file_is_not_told)
{
        if (!have_root)
                return;
        bind_file("folder", "below");
        look();
        cr_assert_eq(told.bound, 0);
        cr_assert_eq(umount(path_of("below")), 0);
        look();
        cr_assert_eq(told.unbound, 0, "of what was never told");
}

/* Its path leads to what is on top, which is another mount. */
Test(keeper_bind, what_is_covered_is_not_taken_for_what_covers_it)
{
        if (!have_root)
                return;
        uint64_t top = ino_of("other");
        bind_file("file", "target");
        bind_file("other", "target");
        look();
        cr_assert_eq(told.bound, 1);
        cr_assert_eq(told.ino, top);
}

Test(keeper_bind, other_file_systems_are_not_looked_at)
{
        if (!have_root)
                return;
        minor_number++;
        bind_file("file", "target");
        look();
        cr_assert_eq(told.bound, 0);
        cr_assert_eq(binds.n, 0);
}
