/* Real mounts, in a mount namespace of the test's own. Nothing serves them: what the kernel asks
 * stays unanswered, and nothing here may wait for it. */
#include "fs/keeper_mount.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/mountinfo.h"
#include "tests/unit/fs/support.h"

static char folder[] = "/tmp/akvfs-unit-XXXXXX";
static char at[64];
static char detail[KEEPER_NAME_SIZE];
static bool have_root;

static void init(void)
{
        cr_assert_not_null(mkdtemp(folder));
        (void)snprintf(at, sizeof at, "%s/mnt", folder);
        cr_assert_eq(mkdir(at, 0755), 0);
        have_root = private_namespace();
}

static void fini(void)
{
        while (have_root && umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                ;
        (void)rmdir(at);
        char path[96];
        static const char *const left[] = {"file", "link", "dir/inner", "dir/out", "dir"};
        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                (void)snprintf(path, sizeof path, "%s/%s", folder, left[i]);
                (void)remove(path);
        }
        cr_expect_eq(rmdir(folder), 0);
}

TestSuite(keeper_mount, .init = init, .fini = fini, .timeout = 60);

static struct keeper_msg request(const char *path, uint32_t flags)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_MOUNT, 1);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, path), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "akvfs:unit"), 0);
        m.flags = flags;
        return m;
}

static struct keeper_mount make(uint32_t flags)
{
        struct keeper_msg m = request(at, flags);
        struct keeper_mount mount;

        cr_assert_eq(keeper_mount_make(&m, NULL, &mount, detail), 0, "%s", detail);
        return mount;
}

/* The line of mountinfo of what is mounted there last; "" for none. */
static void line_of(const char *path, char *out, size_t size)
{
        char line[4096], needle[96];
        FILE *f = fopen("/proc/self/mountinfo", "re");

        cr_assert_not_null(f);
        out[0] = '\0';
        (void)snprintf(needle, sizeof needle, " %s ", path);
        while (fgets(line, sizeof line, f))
                if (strstr(line, needle))
                        (void)snprintf(out, size, "%s", line);
        (void)fclose(f);
}

static int open_descriptors(void)
{
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* --- as root --- */

Test(keeper_mount, users_see_it_read_only_and_the_keeper_does_not)
{
        char line[4096];

        if (!have_root)
                return;
        struct keeper_mount m = make(KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER);
        line_of(at, line, sizeof line);
        cr_assert_not_null(strstr(line, " ro,nosuid,nodev,noexec"), "%s", line);
        cr_assert_not_null(strstr(line, " fuse.akvfs akvfs:unit "), "%s", line);
        cr_assert_not_null(strstr(line, "default_permissions"), "%s", line);
        cr_assert_not_null(strstr(line, "allow_other"), "%s", line);
        cr_assert_eq(mountinfo_attached(m.mnt_id), 1);
        cr_assert(m.privileged);
        cr_assert_str_eq(m.mountpoint, at);

        /* The kernel's INIT is there to be read, the private mount is attached nowhere. */
        struct pollfd p = {.fd = m.fuse_fd, .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 10000), 1);
        cr_assert(fcntl(m.fuse_fd, F_GETFL) & O_NONBLOCK);
        cr_assert(fcntl(m.fuse_fd, F_GETFD) & FD_CLOEXEC);
        cr_assert(fcntl(m.private_fd, F_GETFD) & FD_CLOEXEC);
        int private_id = mountinfo_id_of_fd(m.private_fd);
        cr_assert_neq(private_id, m.mnt_id);
        cr_assert_eq(mountinfo_attached(private_id), 0);

        cr_assert_eq(keeper_mount_unmount(&m, NULL, false, detail), 0, "%s", detail);
        cr_assert_eq(mountinfo_attached(m.mnt_id), 0);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, false, detail), 0, "gone already");
        keeper_mount_done(&m);
        keeper_mount_done(&m); /* twice is once */
}

Test(keeper_mount, without_allow_other_others_are_kept_out)
{
        char line[4096];

        if (!have_root)
                return;
        struct keeper_mount m = make(KEEPER_PRIVILEGED);
        line_of(at, line, sizeof line);
        cr_assert_null(strstr(line, "allow_other"), "%s", line);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, false, detail), 0);
        keeper_mount_done(&m);
}

Test(keeper_mount, in_use_is_busy_and_detaching_works_all_the_same)
{
        if (!have_root)
                return;
        struct keeper_mount m = make(KEEPER_PRIVILEGED);
        int user = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(user, 0);
        cr_assert_eq(mountinfo_id_of_fd(user), m.mnt_id);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, false, detail), -EBUSY);
        cr_assert_not_null(strstr(detail, at), "%s", detail);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, true, detail), 0, "%s", detail);
        cr_assert_eq(mountinfo_attached(m.mnt_id), 0);
        safe_close(user);
        keeper_mount_done(&m);
}

Test(keeper_mount, a_connection_is_aborted_whoever_holds_it)
{
        static const char control[] = "/sys/fs/fuse/connections";

        if (!have_root)
                return;
        /* The namespace is the test's own: what is mounted or not there may differ. */
        cr_assert(mount("none", control, "fusectl", 0, NULL) == 0 || errno == EBUSY, "%s",
                strerror(errno));
        struct keeper_mount m = make(KEEPER_PRIVILEGED);
        struct pollfd connection = {.fd = m.fuse_fd, .events = POLLIN};
        cr_assert_eq(poll(&connection, 1, 0), 1, "INIT waits");
        cr_assert_not(connection.revents & POLLERR);
        cr_assert_eq(keeper_mount_abort(&m), 0);
        cr_assert_eq(poll(&connection, 1, 0), 1);
        cr_assert(connection.revents & POLLERR, "it is over although it is held");
        cr_assert_eq(mountinfo_attached(m.mnt_id), 1);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, true, detail), 0, "%s", detail);

        /* Its number may be another's as soon as nothing holds the superblock. */
        m.private_fd = safe_close(m.private_fd);
        cr_assert_eq(keeper_mount_abort(&m), -ESTALE);
        keeper_mount_done(&m);
        (void)umount2(control, MNT_DETACH);
}

Test(keeper_mount, what_is_mounted_on_top_is_not_touched)
{
        char line[4096];

        if (!have_root)
                return;
        struct keeper_mount m = make(KEEPER_PRIVILEGED);
        cr_assert_eq(mount("other", at, "tmpfs", 0, NULL), 0);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, true, detail), -EBUSY);
        cr_assert_not_null(strstr(detail, "on top"), "%s", detail);
        line_of(at, line, sizeof line);
        cr_assert_not_null(strstr(line, " tmpfs other "), "%s", line);
        cr_assert_eq(umount(at), 0);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, true, detail), 0, "%s", detail);
        keeper_mount_done(&m);
}

/* The kernel gives a mount's id to the next one at once. */
Test(keeper_mount, another_mount_with_its_id_is_not_taken_for_it)
{
        char line[4096];

        if (!have_root)
                return;
        struct keeper_mount m = make(KEEPER_PRIVILEGED);
        cr_assert_eq(umount(at), 0);
        cr_assert_eq(mount("other", at, "tmpfs", 0, NULL), 0);
        struct keeper_mount taken = m;
        int other = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        taken.mnt_id = mountinfo_id_of_fd(other); /* if the kernel has not done so itself */
        safe_close(other);
        cr_assert_eq(keeper_mount_unmount(&taken, NULL, true, detail), 0, "ours is gone");
        line_of(at, line, sizeof line);
        cr_assert_not_null(strstr(line, " tmpfs other "), "and theirs is there: %s", line);
        cr_assert_eq(umount(at), 0);
        keeper_mount_done(&m);
}

Test(keeper_mount, is_told_by_id_superblock_and_type)
{
        struct keeper_mount m = {.mnt_id = 40, .dev_minor = 50};

        cr_assert(keeper_mount_is(&m, 40, 50, "fuse.akvfs"));
        cr_assert(keeper_mount_is(&m, 40, 50, "fuse"));
        cr_assert_not(keeper_mount_is(&m, 41, 50, "fuse.akvfs"));
        cr_assert_not(keeper_mount_is(&m, 40, 51, "fuse.akvfs"));
        cr_assert_not(keeper_mount_is(&m, 40, 50, "tmpfs"));
}

Test(keeper_mount, what_fails_leaves_nothing)
{
        char path[96];
        struct keeper_mount mount;

        if (!have_root)
                return;
        int before = open_descriptors();
        struct keeper_msg m = request("/nowhere/at/all", KEEPER_PRIVILEGED);
        cr_assert_eq(keeper_mount_make(&m, NULL, &mount, detail), -ENOENT);
        cr_assert_not_null(strstr(detail, "/nowhere/at/all"), "%s", detail);

        (void)snprintf(path, sizeof path, "%s/file", folder);
        safe_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        m = request(path, KEEPER_PRIVILEGED);
        cr_assert_lt(keeper_mount_make(&m, NULL, &mount, detail), 0, "a file");

        (void)snprintf(path, sizeof path, "%s/link", folder);
        cr_assert_eq(symlink("mnt", path), 0);
        m = request(path, KEEPER_PRIVILEGED);
        cr_assert_lt(keeper_mount_make(&m, NULL, &mount, detail), 0, "a symlink is not followed");
        char line[4096];
        line_of(at, line, sizeof line);
        cr_assert_str_empty(line);
        cr_assert_eq(open_descriptors(), before);
}

/* SELinux is off, or its policy knows no such label: either way it is not mounted without it. */
Test(keeper_mount, a_label_that_is_not_taken_is_told_and_leaves_nothing)
{
        struct keeper_mount mount;
        char line[4096];

        if (!have_root)
                return;
        int before = open_descriptors();
        struct keeper_msg m = request(at, KEEPER_PRIVILEGED);
        cr_assert_eq(keeper_msg_set(m.context, sizeof m.context, "nobody_u:no_r:nothing_t:s0"), 0);
        cr_assert_eq(keeper_mount_make(&m, NULL, &mount, detail), -EOPNOTSUPP);
        cr_assert_not_null(strstr(detail, "the SELinux label: "), "%s", detail);
        line_of(at, line, sizeof line);
        cr_assert_str_empty(line);
        cr_assert_eq(open_descriptors(), before);
}

/* --- as an ordinary user --- */

Test(keeper_mount, the_helper_mounts_and_unmounts)
{
        char line[4096];

        if (!have_root)
                return;
        cr_assert_eq(access("/usr/bin/fusermount3", X_OK), 0, "needs the package fuse3");
        int before = open_descriptors();
        struct keeper_mount m = make(0);
        cr_assert_not(m.privileged);
        cr_assert_lt(m.private_fd, 0);
        line_of(at, line, sizeof line);
        cr_assert_not_null(strstr(line, "nosuid,nodev,noexec"), "%s", line);
        cr_assert_not_null(strstr(line, " fuse.akvfs akvfs:unit "), "%s", line);
        cr_assert(fcntl(m.fuse_fd, F_GETFL) & O_NONBLOCK);
        cr_assert(fcntl(m.fuse_fd, F_GETFD) & FD_CLOEXEC);
        struct pollfd p = {.fd = m.fuse_fd, .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 10000), 1);
        int user = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, false, detail), -EBUSY, "%s", detail);
        cr_assert_eq(keeper_mount_unmount(&m, NULL, true, detail), 0, "%s", detail);
        cr_assert_eq(mountinfo_attached(m.mnt_id), 0);
        safe_close(user);
        keeper_mount_done(&m);
        cr_assert_eq(open_descriptors(), before);
}

Test(keeper_mount, the_helper_s_own_words_are_told)
{
        struct keeper_mount mount;
        struct keeper_msg m = request("/nowhere/at/all", 0);

        if (!have_root)
                return;
        int before = open_descriptors();
        cr_assert_lt(keeper_mount_make(&m, NULL, &mount, detail), 0);
        cr_assert_not_null(strstr(detail, "/nowhere/at/all"), "%s", detail);
        cr_assert_eq(setenv("PATH", folder, 1), 0);
        cr_assert_eq(keeper_mount_make(&m, NULL, &mount, detail), -ENOENT);
        cr_assert_not_null(strstr(detail, "fuse3"), "%s", detail);
        cr_assert_eq(open_descriptors(), before);
}

/* --- folders inside --- */

Test(keeper_mount, a_folder_is_found_without_leaving_the_mount)
{
        char path[96];

        (void)snprintf(path, sizeof path, "%s/dir", folder);
        cr_assert_eq(mkdir(path, 0700), 0);
        (void)snprintf(path, sizeof path, "%s/dir/inner", folder);
        cr_assert_eq(mkdir(path, 0700), 0);
        (void)snprintf(path, sizeof path, "%s/dir/out", folder);
        cr_assert_eq(symlink("/tmp", path), 0);

        _cleanup_close_ int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int top = keeper_mount_folder(root, ""),
                            inner = keeper_mount_folder(root, "dir/inner");
        struct stat a, b;
        cr_assert_geq(top, 0);
        cr_assert_geq(inner, 0);
        cr_assert(fcntl(inner, F_GETFD) & FD_CLOEXEC);
        cr_assert_eq(fstat(inner, &a), 0);
        cr_assert_eq(fstatat(root, "dir/inner", &b, 0), 0);
        cr_assert_eq(a.st_ino, b.st_ino);
        cr_assert_eq(keeper_mount_folder(root, "dir/out"), -ELOOP);
        cr_assert_eq(keeper_mount_folder(root, "dir/out/x"), -ELOOP);
        cr_assert_eq(keeper_mount_folder(root, "dir/missing"), -ENOENT);
        cr_assert_lt(keeper_mount_folder(root, ".."), 0);
        cr_assert_lt(keeper_mount_folder(root, "/tmp"), 0);
        if (!have_root)
                return;
        cr_assert_eq(mount("other", at, "tmpfs", 0, NULL), 0);
        cr_assert_eq(keeper_mount_folder(root, "mnt"), -EXDEV, "another file system inside");
        cr_assert_eq(umount(at), 0);
}
