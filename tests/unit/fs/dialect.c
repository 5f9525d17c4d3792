#include "fs/dialect.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

TestSuite(dialect, .timeout = 120);

static ssize_t take_nothing(struct iovec *iov, int count)
{
        return -1;
}

static struct dialect *make(void)
{
        struct dialect *d = NULL;

        cr_assert_eq(dialect_new(take_nothing, &d), 0);
        return d;
}

Test(dialect, connections_that_began_alike_share_one)
{
        struct dialects *all;

        cr_assert_eq(dialects_new(&all), 0);
        struct dialect *first = dialect_share(all, make(), 31, 5);
        struct dialect *same = dialect_share(all, make(), 31, 5);
        struct dialect *older = dialect_share(all, make(), 30, 5);
        struct dialect *poorer = dialect_share(all, make(), 31, 4);
        cr_expect_eq(same, first);
        cr_expect_neq(older, first);
        cr_expect_neq(poorer, first);
        cr_expect_neq(poorer, older);

        dialect_unref(first);
        cr_expect_eq(dialect_share(all, make(), 31, 5), first, "it is still in use");
        dialect_unref(same);
        dialect_unref(first);
        first = dialect_share(all, make(), 31, 5);
        dialect_unref(first);
        dialect_unref(older);
        dialect_unref(poorer);
        first = dialect_share(all, make(), 31, 5);
        same = dialect_share(all, make(), 31, 5);
        dialects_leave(all); /* while some are in use: the sanitizers see what becomes of it */
        dialect_unref(first);
        dialect_unref(same);
        cr_assert_null(dialect_unref(NULL));
        dialect_unref(make());
        dialects_leave(NULL);
}

/* --- many connections --- */

#define SESSIONS 1200 /* more than PTHREAD_KEYS_MAX */

static _Atomic unsigned freed;

static void count_freed(void *userdata)
{
        freed++;
}

static unsigned keys_left(void)
{
        static pthread_key_t keys[2048];
        unsigned n = 0;

        while (n < ELEMENTSOF(keys) && pthread_key_create(&keys[n], NULL) == 0)
                n++;
        for (unsigned i = 0; i < n; i++)
                (void)pthread_key_delete(keys[i]);
        return n;
}

/* As after a change of worker: each is shown the INIT that an earlier one answered. */
Test(dialect, a_process_has_more_sessions_than_thread_specific_keys)
{
        static const struct session_events events = {.freed = count_freed};
        static struct session *sessions[SESSIONS];
        const struct {
                struct fuse_in_header h;
                struct fuse_init_in in;
        } init = {.h = {.len = sizeof init, .opcode = FUSE_INIT, .unique = 2},
                .in = {.major = FUSE_KERNEL_VERSION, .minor = 38, .flags = ~0U}};
        const struct session_config cfg = {.tree = make_tree(),
                .dialects = test_dialects(),
                .label = "x",
                .init = &init,
                .init_len = sizeof init,
                .events = &events};
        struct rlimit limit;

        /* As the keeper raises it for its workers. */
        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        unsigned keys = keys_left();
        cr_assert_leq(keys, 1024);
        for (size_t i = 0; i < SESSIONS; i++) {
                int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

                cr_assert_geq(fd, 0);
                cr_assert_eq(session_new(fd, &cfg, &sessions[i]), 0, "%zu", i);
        }
        cr_expect_eq(keys_left(), keys - 1);
        for (size_t i = 0; i < SESSIONS; i++)
                session_unref(sessions[i]);
        cr_expect_eq(freed, SESSIONS);
        cr_expect_eq(keys_left(), keys);
        tree_free(cfg.tree);
}

/* --- who is answered --- */

/* Two that share one libfuse session differ in all that is theirs: table, attributes, opens. */
Test(dialect, each_connection_is_answered_as_its_own)
{
        static struct answer answer;
        struct rig plain, rich;
        struct fuse_getxattr_in in = {.size = 0};

        rig_start(&plain, true, false);
        rig_start(&rich, false, true);
        put_text(plain.tree, "f", "one");
        put_text(rich.tree, "f", "three");
        int64_t a = lookup(&plain, TREE_ROOT, "f"), b = lookup(&rich, TREE_ROOT, "f");
        cr_assert_gt(a, 0);
        cr_assert_gt(b, 0);
        for (int i = 0; i < 3; i++) {
                cr_expect_eq(read_node(&plain, &answer, (uint64_t)a, 0, 100), 0);
                cr_expect_eq(answer.len, 3);
                cr_expect_eq(read_node(&rich, &answer, (uint64_t)b, 0, 100), 0);
                cr_expect_eq(answer.len, 5);
        }
        cr_expect_eq(call(&plain, &answer, FUSE_LISTXATTR, (uint64_t)a, &in, sizeof in, NULL, NULL),
                -ENOSYS);
        cr_expect_eq(call(&plain, &answer, FUSE_GETXATTR, (uint64_t)a, &in, sizeof in,
                             "user.akvfs.version", NULL),
                -ENOSYS);
        cr_expect_eq(
                call(&rich, &answer, FUSE_LISTXATTR, (uint64_t)b, &in, sizeof in, NULL, NULL), 0);
        struct fuse_open_in open_in = {.flags = O_RDONLY};
        cr_expect_eq(
                call(&plain, &answer, FUSE_OPEN, (uint64_t)a, &open_in, sizeof open_in, NULL, NULL),
                -ENOSYS);
        cr_expect_eq(
                call(&rich, &answer, FUSE_OPEN, (uint64_t)b, &open_in, sizeof open_in, NULL, NULL),
                0);

        /* The end of one is none of the other's. */
        cr_expect_eq(call(&plain, &answer, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
        rig_done(&plain);
        cr_expect_eq(read_node(&rich, &answer, (uint64_t)b, 0, 100), 0);
        cr_expect_eq(session_inval_inode(rich.session, 7, false), 0);
        cr_assert(get_answer(rich.kernel, &answer));
        cr_expect_eq(answer.h.error, FUSE_NOTIFY_INVAL_INODE);
        rig_done(&rich);
}
