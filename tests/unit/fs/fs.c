#include "fs/fs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "tests/unit/fs/stage.h"

TestSuite(fs, .timeout = 120);

static struct stage stage;

static const struct fs_mount_events no_events;

static int try_mount(const char *mountpoint, const char *fsname, struct view_file *const *files,
        size_t n, struct err *e)
{
        struct fs_mount_config cfg = {.mountpoint = mountpoint, .fsname = fsname, .mode = 0644};
        struct fs_mount *m;

        return fs_mount_new(stage.fs, &cfg, files, n, &no_events, NULL, &m, e);
}

Test(fs, starts_and_stops)
{
        stage_new(&stage);
        stage_done(&stage);
        fs_stop(NULL);
}

Test(fs, a_bad_socket_is_said)
{
        struct loop *l;
        struct fs *fs;
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(loop_new(&l), 0);
        cr_assert_lt(fs_start(l, 1000, &fs, &e), 0);
        cr_assert_not_null(strstr(err_text(&e), "cannot be understood"));
        cr_assert_eq(e.cause, ERR_LOCAL);
        loop_free(l);
}

/* Held ready, and never wanted; but one that was told of mounts cannot go so quietly. */
Test(fs, a_keeper_that_ends_without_a_word_wanted_no_worker)
{
        _cleanup_err_ struct err e = {0};
        struct keeper_msg m;

        int worker_end = stage_socket(&stage);
        stage.keeper = safe_close(stage.keeper);
        cr_assert_eq(stage_start(&stage, worker_end, &e), -ECANCELED);
        loop_free(stage.loop);

        worker_end = stage_socket(&stage);
        keeper_msg_init(&m, KEEPER_HELLO, 0);
        m.seq = 1;
        cr_assert_eq(keeper_send(stage.keeper, &m, -EBADF), 0);
        stage.keeper = safe_close(stage.keeper);
        cr_assert_eq(stage_start(&stage, worker_end, &e), -EPIPE);
        loop_free(stage.loop);
}

/* READY has come, and nobody reads it. */
static void *end_keeper(void *userdata)
{
        struct stage *s = userdata;
        struct pollfd p = {.fd = s->keeper, .events = POLLIN};

        cr_assert_eq(poll(&p, 1, 20000), 1);
        s->keeper = safe_close(s->keeper);
        return NULL;
}

Test(fs, a_keeper_that_ends_after_it_was_told_that_a_worker_is_ready_wanted_none)
{
        _cleanup_err_ struct err e = {0};
        pthread_t keeper;

        int worker_end = stage_socket(&stage);
        cr_assert_eq(pthread_create(&keeper, NULL, end_keeper, &stage), 0);
        cr_assert_eq(stage_start(&stage, worker_end, &e), -ECANCELED);
        cr_assert_eq(pthread_join(keeper, NULL), 0);
        loop_free(stage.loop);
}

Test(fs, what_cannot_be_mounted_is_refused_before_anybody_is_asked)
{
        _cleanup_err_ struct err e = {0};
        struct view_file *files[] = {make_file("a", "x"), make_file("a/b", "x")};
        char endless[5000];

        stage_new(&stage);
        memset(endless, '/', sizeof endless - 1);
        endless[sizeof endless - 1] = '\0';
        cr_assert_eq(try_mount(endless, "akvfs:x", NULL, 0, &e), -ENAMETOOLONG);
        cr_assert_eq(try_mount("relative", "akvfs:x", NULL, 0, &e), -EINVAL);
        cr_assert_eq(try_mount("/mnt/x", "akvfs:x", files, 2, &e), -ENOTDIR);
        cr_assert_not_null(strstr(err_text(&e), "a/b cannot be shown"), "%s", err_text(&e));
        cr_assert(stage_quiet(&stage));
        stage.keeper = safe_close(stage.keeper);
        cr_assert_geq(loop_turn(stage.loop, USEC_PER_SEC), 0);
        cr_assert_eq(try_mount("/mnt/x", "akvfs:x", NULL, 0, &e), -ENOTCONN);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                view_file_unref(files[i]);
        stage_done(&stage);
}

/* A class may be called what an option string cannot hold: the keeper would end the worker. */
Test(fs, any_name_of_a_class_can_be_shown)
{
        static struct fs_mount_config cfg = {.mountpoint = "/mnt/x"};
        char longest[300];
        static const struct fs_mount_events events = {0};
        struct fs_mount *m;

        stage_new(&stage);
        memset(longest, 'n', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        const char *names[] = {"akvfs:a,b\\c\nd", longest, "", NULL};
        const char *shown[] = {"akvfs:a_b_c_d", NULL, "akvfs", "akvfs"};
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                cfg.fsname = names[i];
                cr_assert_eq(fs_mount_new(stage.fs, &cfg, NULL, 0, &events, NULL, &m, NULL), 0);
                struct keeper_msg msg = stage_take(&stage, KEEPER_MOUNT);
                if (shown[i])
                        cr_assert_str_eq(msg.name, shown[i]);
                else
                        cr_assert_eq(strlen(msg.name), KEEPER_NAME_SIZE - 1);
        }
        /* They wait for their answers for ever; the process ends with them. */
}

Test(fs, answers_to_nobody_are_dropped_with_their_descriptors)
{
        struct keeper_msg m;
        int kernel, daemon;
        struct answer *a = malloc(sizeof *a);

        cr_assert_not_null(a);
        stage_new(&stage);
        fuse_pair(&kernel, &daemon);
        keeper_msg_init(&m, KEEPER_MOUNTED, 77);
        stage_answer(&stage, KEEPER_MOUNTED, &m, 0, daemon);
        safe_close(daemon);
        cr_assert_geq(loop_turn(stage.loop, USEC_PER_SEC), 0);
        cr_assert_not(get_answer(kernel, a), "end of file");
        safe_close(kernel);
        free(a);
        stage_done(&stage);
}

Test(fs, can_be_stopped_from_within_the_last_event)
{
        stage_new(&stage);
        stage.stop_in_event = true;
        stage_mount(&stage);
        struct keeper_msg m = stage_take(&stage, KEEPER_MOUNT);
        stage_answer(&stage, KEEPER_MOUNTED, &m, -EPERM, -EBADF);
        wait_for_count(stage.loop, &stage.mounted, 1);
        cr_assert_null(stage.fs);
        stage_done(&stage);

        stage_new(&stage);
        stage_ready(&stage);
        stage.stop_in_event = true;
        stage_leave(&stage);
        cr_assert_null(stage.fs);
        stage_done(&stage);
}

Test(fs, several_mounts_are_told_apart)
{

        stage_new(&stage);
        stage_ready(&stage);
        int first_kernel = stage.kernel;
        struct fs_mount *first = stage.mount;
        stage.mounted = 0;
        stage_ready(&stage);
        cr_assert_neq(stage.mount, first);
        struct keeper_msg gone;
        keeper_msg_init(&gone, KEEPER_GONE, 1);
        cr_assert_eq(keeper_send(stage.keeper, &gone, -EBADF), 0);
        struct keeper_msg m = stage_take(&stage, KEEPER_UNMOUNT);
        cr_assert_eq(m.mount, 1);
        stage_answer(&stage, KEEPER_UNMOUNTED, &m, 0, -EBADF);
        wait_for_count(stage.loop, &stage.gone, 1);
        cr_assert_neq(stage_lookup(&stage, TREE_ROOT, "f"), 0, "the other one is served");
        stage.keeper = safe_close(stage.keeper);
        wait_for_count(stage.loop, &stage.gone, 2);
        safe_close(first_kernel);
        stage_done(&stage);
}
