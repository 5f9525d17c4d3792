#include "base/mountinfo.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Names that mountinfo has to escape. */
static char at[] = "/tmp/akvfs unit\t\\x-XXXXXX";

static void fini(void)
{
        (void)umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW);
        (void)rmdir(at);
}

TestSuite(mountinfo, .fini = fini, .timeout = 60);

/* A tmpfs in a mount namespace of the test's own. */
static bool mount_there(void)
{
        cr_assert_not_null(mkdtemp(at));
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                cr_assert_null(getenv("CI"), "needs root, and CI has to give it");
                (void)fprintf(stderr, "not run: needs root and a mount namespace\n");
                return false;
        }
        cr_assert_eq(mount("a source", at, "tmpfs", 0, NULL), 0);
        return true;
}

struct wanted {
        const char *path;
        int id, seen;
        unsigned dev_minor;
        char fstype[32], source[32];
};

static int note(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct wanted *w = userdata;

        cr_assert_geq(mnt_id, 0);
        cr_assert_eq(path[0], '/');
        if (!streq(path, w->path))
                return 0;
        w->seen++;
        w->id = mnt_id;
        w->dev_minor = dev_minor;
        (void)snprintf(w->fstype, sizeof w->fstype, "%s", fstype);
        (void)snprintf(w->source, sizeof w->source, "%s", source);
        return 0;
}

static int stop(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        ++*(int *)userdata;
        return -EXDEV;
}

Test(mountinfo, every_line_is_read)
{
        struct wanted proc = {.path = "/proc"};

        cr_assert_eq(mountinfo_walk(note, &proc), 0);
        cr_assert_geq(proc.seen, 1);
        cr_assert_str_eq(proc.fstype, "proc");
}

Test(mountinfo, a_walk_can_be_stopped)
{
        int calls = 0;

        cr_assert_eq(mountinfo_walk(stop, &calls), -EXDEV);
        cr_assert_eq(calls, 1);
}

Test(mountinfo, odd_names_come_as_they_are)
{
        struct wanted w = {.path = at};
        struct stat st;

        if (!mount_there())
                return;
        cr_assert_eq(mountinfo_walk(note, &w), 0);
        cr_assert_eq(w.seen, 1);
        cr_assert_str_eq(w.fstype, "tmpfs");
        cr_assert_str_eq(w.source, "a source");
        cr_assert_eq(stat(at, &st), 0);
        cr_assert_eq(w.dev_minor, minor(st.st_dev));
}

Test(mountinfo, a_descriptor_tells_its_mount)
{
        struct wanted w = {.path = at};

        if (!mount_there())
                return;
        int outside = open("/tmp", O_PATH | O_CLOEXEC), inside = open(at, O_PATH | O_CLOEXEC);
        cr_assert_eq(mountinfo_walk(note, &w), 0);
        cr_assert_eq(mountinfo_id_of_fd(inside), w.id);
        cr_assert_neq(mountinfo_id_of_fd(outside), w.id);
        cr_assert_eq(mountinfo_attached(w.id), 1);
        cr_assert_eq(umount2(at, MNT_DETACH), 0);
        cr_assert_eq(mountinfo_attached(w.id), 0);
        cr_assert_eq(mountinfo_id_of_fd(inside), w.id, "also when it is detached");
        safe_close(inside);
        safe_close(outside);
}

Test(mountinfo, no_descriptor_no_mount)
{
        cr_assert_eq(mountinfo_id_of_fd(999), -ENOENT);
        cr_assert_eq(mountinfo_attached(-1), 0);
}
