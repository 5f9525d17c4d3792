#include "fs/keeper_spare.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/fs/support.h"

TestSuite(keeper_spare, .timeout = 60);

Test(keeper_spare, each_request_has_its_error)
{
        static const struct {
                uint32_t opcode;
                int error;
        } answers[] = {{FUSE_LOOKUP, EIO}, {FUSE_GETATTR, EIO}, {FUSE_READ, EIO}, {FUSE_OPEN, EIO},
                {FUSE_READDIR, EIO}, {FUSE_READDIRPLUS, EIO}, {FUSE_IOCTL, ENOTTY},
                {FUSE_GETXATTR, EOPNOTSUPP}, {FUSE_LISTXATTR, EOPNOTSUPP}, {FUSE_WRITE, EROFS},
                {FUSE_SETATTR, EROFS}, {FUSE_CREATE, EROFS}, {FUSE_UNLINK, EROFS},
                {FUSE_MKDIR, EROFS}, {FUSE_SETXATTR, EROFS}, {FUSE_FALLOCATE, EROFS},
                {FUSE_FLUSH, 0}, {FUSE_RELEASE, 0}, {FUSE_RELEASEDIR, 0},
                {FUSE_STATFS, SPARE_STATFS}, {FUSE_FORGET, SPARE_SILENCE},
                {FUSE_BATCH_FORGET, SPARE_SILENCE}, {FUSE_INTERRUPT, SPARE_SILENCE},
                {FUSE_RENAME, SPARE_SILENCE}, {FUSE_RENAME2, SPARE_SILENCE}, {4711, EIO}};

        for (size_t i = 0; i < ELEMENTSOF(answers); i++)
                cr_assert_eq(keeper_spare_answer(answers[i].opcode), answers[i].error, "opcode %u",
                        answers[i].opcode);
}

static void end_spare(pid_t pid)
{
        int status;

        cr_assert_eq(kill(pid, SIGKILL), 0);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSIGNALED(status), "it was alive");
}

Test(keeper_spare, answers_for_all_connections_and_takes_up_what_was_left)
{
        enum { N = 3 };
        struct answer *a = malloc(sizeof *a);
        int kernel[N], daemon[N];

        cr_assert_not_null(a);
        for (int i = 0; i < N; i++)
                fuse_pair(&kernel[i], &daemon[i]);
        uint64_t early = ask(kernel[0], FUSE_LOOKUP, 1, NULL, 0, "name", NULL);
        pid_t pid = keeper_spare_start(daemon, N);
        cr_assert_gt(pid, 0);
        for (int i = 0; i < N; i++) {
                cr_assert(get_answer(kernel[i], a));
                cr_assert_eq(a->h.unique, 0, "asked for first");
                cr_assert_eq(a->h.error, 7);
        }
        cr_assert(get_answer(kernel[0], a));
        cr_assert_eq(a->h.unique, early);
        cr_assert_eq(a->h.error, -EIO);
        for (int i = N; i-- > 0;) {
                /* No answer to a rename, nor to what is no request. */
                struct fuse_rename2_in rename = {.newdir = 1};
                cr_assert_eq(send(kernel[i], "short", 5, 0), 5);
                (void)ask(kernel[i], FUSE_RENAME2, 1, &rename, sizeof rename, "a", "b");
                struct fuse_forget_in forget = {.nlookup = 1};
                (void)ask(kernel[i], FUSE_FORGET, 1, &forget, sizeof forget, NULL, NULL);
                uint64_t unique = ask(kernel[i], FUSE_WRITE, 1, NULL, 0, "x", NULL);
                cr_assert(get_answer(kernel[i], a));
                cr_assert_eq(a->h.unique, unique);
                cr_assert_eq(a->h.error, -EROFS);
        }
        uint64_t statfs = ask(kernel[0], FUSE_STATFS, 1, NULL, 0, NULL, NULL);
        cr_assert(get_answer(kernel[0], a));
        cr_assert_eq(a->h.unique, statfs);
        cr_assert_eq(a->h.error, 0);
        struct fuse_statfs_out st;
        cr_assert_eq(a->len, sizeof st);
        memcpy(&st, a->body, sizeof st);
        cr_assert_eq(st.st.bsize, 4096);
        cr_assert_eq(st.st.namelen, 255);
        /* One is unmounted; the others are answered as before. */
        safe_close(kernel[1]);
        safe_close(daemon[1]);
        uint64_t unique = ask(kernel[2], FUSE_READ, 1, NULL, 0, NULL, NULL);
        cr_assert(get_answer(kernel[2], a));
        cr_assert_eq(a->h.unique, unique);
        cr_assert_eq(a->h.error, -EIO);
        end_spare(pid);
        for (int i = 0; i < N; i += 2) {
                safe_close(kernel[i]);
                safe_close(daemon[i]);
        }
        free(a);
}
