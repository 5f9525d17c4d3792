/* A worker's successor. The first worker is left as it is when it "dies": its connection and socket
 * go on, but nobody speaks to it any more. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>

#include "tests/unit/fs/area.h"
#include "tests/unit/fs/stage.h"

TestSuite(adopt, .timeout = 120);

static struct stage first, next;
static struct answer *answer;

static void begin(void)
{
        answer = malloc(sizeof *answer);
        cr_assert_not_null(answer);
        stage_new(&first);
        stage_ready(&first);
        /* INIT is written down before the owner hears of the mount; the area is with the keeper. */
        cr_assert(stage_quiet(&first));
        cr_assert_geq(first.area, 0);
}

static void take_over(uint32_t flags)
{
        int worker_end = stage_socket(&next);

        stage_hand_over(&next, 2, flags, first.area, 1);
        cr_assert_eq(stage_start(&next, worker_end, NULL), 0);
        cr_assert_eq(fs_adopted(next.fs, &next.mount, 1), 1);
}

static void shows(struct stage *s, uint64_t id, const char *text)
{
        struct fuse_read_in in = {.size = 4096};

        cr_assert_eq(stage_call(s, answer, FUSE_READ, id, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(answer->len, strlen(text));
        cr_assert_arr_eq(answer->body, text, strlen(text));
}

Test(adopt, a_successor_goes_on_where_the_last_worker_ended)
{
        begin();
        uint64_t f = stage_lookup(&first, TREE_ROOT, "f");
        uint64_t d = stage_lookup(&first, TREE_ROOT, "d");
        uint64_t g = stage_lookup(&first, d, "g");

        take_over(KEEPER_RESEND);
        cr_assert_eq(next.area, -EBADF);
        (void)stage_take(&next, KEEPER_SERVING);
        cr_assert_geq(next.area, 0, "the keeper has the new journal before that");
        shows(&next, f, "old"); /* no look-up of its own */
        shows(&next, g, "deep");
        cr_assert_eq(stage_lookup(&next, TREE_ROOT, "f"), f);
        cr_assert_eq(stage_lookup(&next, d, "g"), g);
        struct fuse_getattr_in getattr = {0};
        cr_assert_eq(
                stage_call(&next, answer, FUSE_GETATTR, f, &getattr, sizeof getattr, NULL, NULL),
                0);
        cr_assert_eq(
                stage_call(&first, answer, FUSE_GETATTR, f, &getattr, sizeof getattr, NULL, NULL),
                0);

        struct fs_mount_stats stats;
        fs_mount_get_stats(next.mount, &stats);
        cr_assert_eq(stats.generation, 1);
        struct view_file **files;
        cr_assert_eq(fs_mount_files(next.mount, &files), 2);
        for (int i = 0; i < 2; i++)
                view_file_unref(files[i]);
        free(files);
}

static unsigned resends(struct stage *s)
{
        unsigned n = 0;

        /* What the kernel was told up to the answer of a look-up. */
        uint64_t unique = ask(s->kernel, FUSE_LOOKUP, TREE_ROOT, NULL, 0, "f", NULL);
        do {
                cr_assert(get_answer(s->kernel, answer));
                n += answer->h.unique == 0 && answer->h.error == 7;
        } while (answer->h.unique != unique);
        return n;
}

Test(adopt, unanswered_requests_are_asked_for_where_the_kernel_can)
{
        begin();
        take_over(KEEPER_RESEND);
        cr_assert_eq(resends(&next), 1);
}

Test(adopt, and_not_where_it_cannot)
{
        begin();
        take_over(0);
        cr_assert_eq(resends(&next), 0);
}

Test(adopt, a_rename_that_was_planned_is_answered_and_not_made_again)
{
        begin();
        struct view_file *f = make_file("f", "new");
        fs_mount_update(first.mount, &f, 1);
        struct keeper_msg m = stage_take(&first, KEEPER_RENAME);
        cr_assert(stage_quiet(&first));

        take_over(KEEPER_RESEND);
        struct fuse_rename2_in in = {.newdir = TREE_ROOT};
        cr_assert_eq(stage_call(&next, answer, FUSE_RENAME2, TREE_ROOT, &in, sizeof in, m.staged,
                             m.name),
                0);
        uint64_t id = stage_lookup(&next, TREE_ROOT, "f");
        shows(&next, id, "new");
        /* The kernel may send it once more: to this worker, and to the next. */
        cr_assert_eq(stage_call(&next, answer, FUSE_RENAME2, TREE_ROOT, &in, sizeof in, m.staged,
                             m.name),
                0);
        cr_assert_eq(stage_lookup(&next, TREE_ROOT, "f"), id);
        cr_assert_eq(
                stage_call(&next, answer, FUSE_RENAME2, TREE_ROOT, &in, sizeof in, m.staged, "g"),
                -EROFS);
        view_file_unref(f);
}

static _Atomic unsigned gone;

static void on_gone(void *userdata, const struct err *error)
{
        gone++;
}

Test(adopt, its_owner_goes_on_with_it)
{
        static const struct fs_mount_events events = {.gone = on_gone};

        begin();
        take_over(KEEPER_RESEND);
        cr_assert_null(fs_mount_state(next.mount), "none was given");
        (void)stage_take(&next, KEEPER_SERVING);
        fs_mount_attach(next.mount, &events, NULL);
        cr_assert_eq(fs_adopted(next.fs, NULL, 0), 0);

        /* Only what differs is rotated. */
        struct view_file *same[] = {make_file("f", "old"), make_file("d/g", "deep")};
        fs_mount_sync(next.mount, same, 2);
        cr_assert(stage_quiet(&next));
        struct view_file *other = make_file("d/g", "deeper");
        struct view_file *files[] = {same[0], other};
        fs_mount_sync(next.mount, files, 2);
        struct keeper_msg m = stage_take(&next, KEEPER_RENAME);
        cr_assert_str_eq(m.path, "d");
        cr_assert_str_eq(m.name, "g");
        for (int i = 0; i < 2; i++)
                view_file_unref(same[i]);
        view_file_unref(other);

        fs_mount_end(next.mount);
        stage_unmount(&next);
        wait_for_count(next.loop, &gone, 1);
        stage_done(&next);
}

/* --- what cannot be gone on with --- */

static void nothing_is_adopted(int area, uint64_t mount)
{
        int worker_end = stage_socket(&next);

        stage_hand_over(&next, 2, KEEPER_RESEND, area, mount);
        cr_assert_eq(stage_start(&next, worker_end, NULL), 0);
        cr_assert_eq(fs_adopted(next.fs, NULL, 0), 0);
        struct keeper_msg m = stage_take(&next, KEEPER_UNMOUNT);
        cr_assert_eq(m.mount, mount);
        cr_assert(m.flags & KEEPER_DETACH);
        (void)stage_take(&next, KEEPER_SERVING);
        struct answer *a = malloc(sizeof *a);
        cr_assert_not_null(a);
        cr_assert_not(get_answer(next.kernel, a), "its connection is let go");
        free(a);
        stage_done(&next);
}

Test(adopt, without_a_journal_a_mount_is_taken_down)
{
        nothing_is_adopted(-EBADF, 1);
}

Test(adopt, with_a_journal_that_is_none_too)
{
        struct area_head bad = {.magic = 1};
        int fd = area_of(&bad, JOURNAL_SIZE_MIN);

        nothing_is_adopted(fd, 1);
        safe_close(fd);
}

Test(adopt, and_one_that_the_journal_does_not_know)
{
        begin();
        nothing_is_adopted(first.area, 99);
}

Test(adopt, and_one_that_was_not_ready)
{
        stage_new(&first);
        stage_mount(&first);
        stage_connect(&first);
        cr_assert(stage_quiet(&first));
        nothing_is_adopted(first.area, 1);
}

Test(adopt, and_one_that_the_journal_says_is_gone)
{
        begin();
        struct journal *j;
        cr_assert_eq(journal_open(fcntl(first.area, F_DUPFD_CLOEXEC, 3), &j), 0);
        cr_assert_eq(journal_append(j, RECORD_GONE, 1, NULL, 0, true), 0);
        journal_free(j);
        nothing_is_adopted(first.area, 1);
}

/* A record that makes no sense ends one mount, not the worker and not its neighbours. */
Test(adopt, a_bad_record_costs_its_own_mount)
{
        begin();
        struct journal *j;
        uint64_t id = 12345;
        struct iovec part = {&id, sizeof id};
        cr_assert_eq(journal_open(fcntl(first.area, F_DUPFD_CLOEXEC, 3), &j), 0);
        cr_assert_eq(journal_append(j, RECORD_APPLIED, 1, &part, 1, true), 0);
        cr_assert_eq(journal_append(j, 4711, 2, &part, 1, true), 0);
        journal_free(j);
        nothing_is_adopted(first.area, 1);
}

Test(adopt, the_other_mounts_go_on)
{
        begin();
        struct journal *j;
        cr_assert_eq(journal_open(fcntl(first.area, F_DUPFD_CLOEXEC, 3), &j), 0);
        cr_assert_eq(journal_append(j, 4711, 2, NULL, 0, true), 0);
        journal_free(j);
        take_over(0);
        cr_assert_eq(resends(&next), 0);
        (void)stage_take(&next, KEEPER_SERVING);
        /* Nor does a new mount get a number that the journal has seen. */
        stage_mount(&next);
        struct keeper_msg m = stage_take(&next, KEEPER_MOUNT);
        cr_assert_gt(m.mount, 2);
}

/* --- a keeper that cannot be understood --- */

static void refused(enum keeper_op op, int fd)
{
        _cleanup_err_ struct err e = {0};
        struct keeper_msg m;
        int worker_end = stage_socket(&next);

        keeper_msg_init(&m, op, 1);
        cr_assert_eq(keeper_send(next.keeper, &m, fd), 0);
        keeper_msg_init(&m, KEEPER_START, 0);
        cr_assert_eq(keeper_send(next.keeper, &m, -EBADF), 0);
        cr_assert_lt(stage_start(&next, worker_end, &e), 0);
        cr_assert_not_null(strstr(err_text(&e), "cannot be understood"), "%s", err_text(&e));
        cr_assert_null(next.fs);
        stage_done(&next);
}

Test(adopt, a_hello_that_is_none_is_refused)
{
        refused(KEEPER_VOLUME, -EBADF);
        refused(KEEPER_MOUNTED, -EBADF);
        refused(KEEPER_RENAMED, STDIN_FILENO);
}

Test(adopt, a_keeper_that_leaves_in_the_middle)
{
        _cleanup_err_ struct err e = {0};
        struct keeper_msg m;
        int worker_end = stage_socket(&next);

        keeper_msg_init(&m, KEEPER_HELLO, 0);
        cr_assert_eq(keeper_send(next.keeper, &m, -EBADF), 0);
        next.keeper = safe_close(next.keeper);
        cr_assert_lt(stage_start(&next, worker_end, &e), 0);
        stage_done(&next);
}
