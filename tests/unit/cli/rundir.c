#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cli/rundir.h"

static char base[] = "/tmp/akvfs-unit-XXXXXX";
static char path[64];
static struct rundir d = {.fd = -EBADF};
static struct err e;

static void set_up(void)
{
        cr_assert_not_null(mkdtemp(base));
        snprintf(path, sizeof path, "%s/akvfs", base);
}

static void tear_down(void)
{
        rundir_done(&d);
        err_done(&e);
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", base);
        cr_assert_eq(system(command), 0); /* NOLINT: the name is mkdtemp's */
}

TestSuite(rundir, .init = set_up, .fini = tear_down);

Test(rundir, is_made_when_wanted_and_for_nobody_else)
{
        struct stat st;

        cr_assert_eq(rundir_open_at(path, false, &d, &e), -ENOENT);
        umask(0);
        cr_assert_eq(rundir_open_at(path, true, &d, &e), 0, "%s", err_text(&e));
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0700);
}

Test(rundir, one_that_others_can_enter_is_refused)
{
        cr_assert_eq(mkdir(path, 0700), 0);
        cr_assert_eq(chmod(path, 0710), 0);
        cr_assert_eq(rundir_open_at(path, true, &d, &e), -EPERM);
        cr_assert_not_null(e.hint);
}

Test(rundir, one_that_somebody_else_made_is_refused)
{
        if (geteuid() != 0)
                cr_skip_test("only root can give a folder away");
        cr_assert_eq(mkdir(path, 0700), 0);
        cr_assert_eq(chown(path, 12345, 0), 0);
        cr_assert_eq(rundir_open_at(path, true, &d, &e), -EPERM);
}

Test(rundir, a_symlink_is_refused)
{
        char target[80];

        snprintf(target, sizeof target, "%s/real", base);
        cr_assert_eq(mkdir(target, 0700), 0);
        cr_assert_eq(symlink(target, path), 0);
        cr_assert_lt(rundir_open_at(path, true, &d, &e), 0);
}

Test(rundir, sockets_are_found_connected_and_removed)
{
        _cleanup_free_ char *where = NULL;
        char **names = NULL;
        struct stat st;
        int listening = -EBADF, door = -EBADF, fd = -EBADF;

        cr_assert_eq(rundir_open_at(path, true, &d, &e), 0);
        cr_assert_eq(rundir_sockets(&d, &names), 0);
        cr_assert_null(names[0]);
        rundir_names_free(names);

        cr_assert_eq(rundir_listen(&d, &listening, &door, &where, &e), 0, "%s", err_text(&e));
        cr_assert_eq(stat(where, &st), 0);
        cr_assert_eq(st.st_mode & 0777, 0600);
        safe_close(openat(d.fd, "w-x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        cr_assert_eq(rundir_sockets(&d, &names), 0);
        cr_assert_not_null(names[0]);
        cr_assert_null(names[1]);
        cr_assert_str_eq(names[0], where + strlen(path) + 1);

        cr_assert_eq(rundir_connect(&d, names[0], &fd), 0);
        safe_close(fd);
        cr_assert_eq(rundir_knock(&d, names[0], &fd), 0);
        safe_close(fd);
        safe_close(listening);
        safe_close(door);
        cr_assert_eq(rundir_knock(&d, names[0], &fd), -ECONNREFUSED);
        cr_assert_eq(rundir_connect(&d, names[0], &fd), -ECONNREFUSED);
        rundir_sweep(&d);
        cr_assert_eq(rundir_connect(&d, names[0], &fd), -ENOENT);
        cr_assert_eq(rundir_knock(&d, names[0], &fd), -ENOENT, "the door goes with it");
        rundir_names_free(names);
}

Test(rundir, a_socket_in_any_folder_is_its_owner_s_alone)
{
        _cleanup_close_ int dir = -EBADF, fd = -EBADF, again = -EBADF;
        struct stat st;

        dir = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(dir, 0);
        mode_t mask = umask(0);
        cr_assert_eq(socket_listen_at(dir, "s.sock", SOCK_STREAM, &fd), 0);
        cr_assert_eq(umask(mask), 0, "as it was");
        cr_assert_eq(fstatat(dir, "s.sock", &st, 0), 0);
        cr_assert(S_ISSOCK(st.st_mode));
        cr_assert_eq(st.st_mode & 07777, 0600);
        cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        cr_assert_eq(socket_listen_at(dir, "s.sock", SOCK_STREAM, &again), -EADDRINUSE);
        cr_assert_eq(again, -EBADF);
}

Test(rundir, a_door_is_named_after_its_socket)
{
        _cleanup_free_ char *name = NULL, *whole = NULL;

        cr_assert_eq(rundir_door_name("w-0123.sock", &name), 0);
        cr_assert_str_eq(name, "k-0123.sock");
        cr_assert_eq(rundir_door_name("/run/akvfs/w-0123.sock", &whole), 0);
        cr_assert_str_eq(whole, "/run/akvfs/k-0123.sock");
        cr_assert_eq(rundir_door_name("/run/akvfs/lock", &whole), -EINVAL);
        cr_assert_eq(rundir_door_name("w-x", &whole), -EINVAL);
}

Test(rundir, only_one_holds_the_lock)
{
        int one = -EBADF;

        cr_assert_eq(rundir_open_at(path, true, &d, &e), 0);
        cr_assert_eq(rundir_lock(&d, &one, &e), 0);
        int two = openat(d.fd, "lock", O_RDWR | O_CLOEXEC);
        cr_assert_geq(two, 0);
        cr_assert_eq(flock(two, LOCK_EX | LOCK_NB), -1);
        safe_close(one);
        cr_assert_eq(flock(two, LOCK_EX | LOCK_NB), 0);
        safe_close(two);
}
