#include "fs/keeper_folder.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fs/keeper_mount.h"
#include "tests/unit/fs/support.h"

static char below[] = "/tmp/akvfs-folder-XXXXXX";
static char target[96], detail[KEEPER_NAME_SIZE];
static bool have_root;

static void init(void)
{
        char path[64];

        cr_assert_not_null(mkdtemp(below));
        (void)snprintf(path, sizeof path, "%s/pod", below);
        cr_assert_eq(mkdir(path, 0755), 0);
        (void)snprintf(target, sizeof target, "%s/pod/mount", below);
        have_root = private_namespace();
}

static void fini(void)
{
        static const char *const left[] = {
                "pod/mount/file", "pod/mount", "pod/link", "pod", "link"};

        while (have_root && umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                ;
        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                char path[96];
                (void)snprintf(path, sizeof path, "%s/%s", below, left[i]);
                (void)remove(path);
        }
        cr_expect_eq(rmdir(below), 0);
}

TestSuite(keeper_folder, .init = init, .fini = fini, .timeout = 60);

static struct keeper_mount mounted(void)
{
        struct keeper_mount mount;
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_MOUNT, 1);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, target), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "akvfs:unit"), 0);
        m.flags = KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER;
        cr_assert_eq(keeper_mount_make(&m, below, &mount, detail), 0, "%s", detail);
        return mount;
}

Test(keeper_folder, is_made_where_there_is_none)
{
        enum keeper_folder_was was = KEEPER_FOLDER_PLAIN;
        int fd = -EBADF;
        struct stat st;

        cr_assert_eq(keeper_folder_make(below, target, &was, &fd, detail), 0, "%s", detail);
        cr_assert_eq(was, KEEPER_FOLDER_NONE);
        cr_assert_eq(fstat(fd, &st), 0);
        cr_assert_eq(st.st_mode & 07777 & ~0750U, 0U);
        cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        safe_close(fd);
        cr_assert_eq(keeper_folder_make(below, target, &was, &fd, detail), 0, "%s", detail);
        cr_assert_eq(was, KEEPER_FOLDER_PLAIN, "it is there");
        safe_close(fd);
        cr_assert_eq(keeper_folder_clear(below, target, detail), 0, "%s", detail);
        cr_assert_eq(access(target, F_OK), -1);
        cr_assert_eq(keeper_folder_clear(below, target, detail), 0, "gone already");
}

Test(keeper_folder, no_symlink_is_followed)
{
        char path[128], link[96];
        enum keeper_folder_was was;
        int fd = -EBADF;

        (void)snprintf(link, sizeof link, "%s/link", below);
        cr_assert_eq(symlink("pod", link), 0);
        (void)snprintf(path, sizeof path, "%s/link/mount", below);
        cr_assert_eq(keeper_folder_make(below, path, &was, &fd, detail), -ELOOP);
        cr_assert_not_null(strstr(detail, path), "%s", detail);
        cr_assert_eq(keeper_folder_clear(below, path, detail), -ELOOP);

        (void)snprintf(link, sizeof link, "%s/pod/link", below);
        cr_assert_eq(symlink("/tmp", link), 0);
        cr_assert_eq(keeper_folder_make(below, link, &was, &fd, detail), -ELOOP);
        cr_assert_eq(keeper_folder_clear(below, link, detail), -ELOOP);
        cr_assert_eq(access("/tmp", F_OK), 0);
}

Test(keeper_folder, nothing_outside_is_touched)
{
        static const char *const outside[] = {"/tmp/elsewhere/mount", "%sx/mount", "%s", "%s/",
                "%s/pod/..", "%s/pod/.", "%s/pod/../../x", "%s/../x/mount"};

        for (size_t i = 0; i < ELEMENTSOF(outside); i++) {
                char path[128] = "";
                enum keeper_folder_was was;
                int fd = -EBADF;

                /* only the formats above */
                const char *rest = startswith(outside[i], "%s");
                (void)snprintf(
                        path, sizeof path, "%s%s", rest ? below : "", rest ? rest : outside[i]);
                cr_expect_lt(keeper_folder_make(below, path, &was, &fd, detail), 0, "%s", path);
        }
        cr_assert_eq(access("/tmp/elsewhere", F_OK), -1);
}

Test(keeper_folder, a_volume_is_mounted_in_it_and_leaves_nothing)
{
        struct stat st;

        if (!have_root)
                return;
        struct keeper_mount m = mounted();
        cr_assert_eq(keeper_mount_unmount(&m, below, false, detail), 0, "%s", detail);
        cr_assert_eq(lstat(target, &st), -1, "the folder is gone too");
        cr_assert_eq(keeper_mount_unmount(&m, below, true, detail), 0, "gone already");
        keeper_mount_done(&m);
}

Test(keeper_folder, what_a_dead_keeper_left_is_taken_away)
{
        struct stat st;
        enum keeper_folder_was was = KEEPER_FOLDER_NONE;
        int fd = -EBADF;

        if (!have_root)
                return;
        for (unsigned i = 0; i < 2; i++) {
                struct keeper_mount m = mounted();
                keeper_mount_done(&m); /* nobody holds the connection any more */
        }
        cr_assert_eq(stat(target, &st), -1);
        cr_assert_eq(errno, ENOTCONN);
        cr_assert_eq(keeper_folder_make(below, target, &was, &fd, detail), 0, "%s", detail);
        cr_assert_eq(was, KEEPER_FOLDER_MOUNTED);
        safe_close(fd);
        cr_assert_eq(stat(target, &st), 0, "a plain folder");

        struct keeper_mount m = mounted();
        keeper_mount_done(&m);
        cr_assert_eq(keeper_folder_clear(below, target, detail), 0, "%s", detail);
        cr_assert_eq(lstat(target, &st), -1);
}

/* Pods that were there before akvfs took that driver's place. */
Test(keeper_folder, what_the_upstream_driver_left_is_taken_away)
{
        static const char *const folders[] = {"pod/volumes", "pod/volumes/kubernetes.io~csi",
                "pod/volumes/kubernetes.io~csi/s", "pod/volumes/kubernetes.io~csi/s/mount"};
        char path[128] = "";

        if (!have_root)
                return;
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                (void)snprintf(path, sizeof path, "%s/%s", below, folders[i]);
                cr_assert_eq(mkdir(path, 0755), 0);
        }
        cr_assert_eq(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
        cr_assert_eq(keeper_folder_clear(below, path, detail), 0, "%s", detail);
        cr_assert_eq(access(path, F_OK), -1);
        for (size_t i = ELEMENTSOF(folders) - 1; i-- > 0;) {
                (void)snprintf(path, sizeof path, "%s/%s", below, folders[i]);
                cr_assert_eq(rmdir(path), 0);
        }
}

Test(keeper_folder, what_is_somebody_else_s_stays)
{
        char path[128];
        enum keeper_folder_was was;
        int fd = -EBADF;

        if (!have_root)
                return;
        cr_assert_eq(mkdir(target, 0755), 0);
        cr_assert_eq(mount("other", target, "tmpfs", 0, NULL), 0);
        cr_assert_eq(keeper_folder_make(below, target, &was, &fd, detail), -EBUSY);
        cr_assert_eq(keeper_folder_clear(below, target, detail), -EBUSY);
        cr_assert_eq(umount(target), 0);

        (void)snprintf(path, sizeof path, "%s/file", target);
        safe_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        cr_assert_eq(keeper_folder_clear(below, target, detail), -ENOTEMPTY);
        cr_assert_eq(access(path, F_OK), 0);
}
