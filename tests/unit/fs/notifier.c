#include "fs/notifier.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>

#include "tests/unit/fs/support.h"

static struct rig rig;
static struct loop *loop;
static struct notifier *notifier;
static struct answer answer;

static void init(void)
{
        cr_assert_eq(loop_new(&loop), 0);
        cr_assert_eq(notifier_new(loop, &notifier), 0);
        rig_start(&rig, true, false);
}

static void fini(void)
{
        notifier_free(notifier);
        rig_done(&rig);
        loop_free(loop);
}

TestSuite(notifier, .init = init, .fini = fini, .timeout = 60);

static void flushed(void *userdata)
{
        ++*(_Atomic unsigned *)userdata;
}

static void flush(void)
{
        _Atomic unsigned n = 0;

        cr_assert_eq(notifier_flush(notifier, NULL, flushed, (void *)&n), 0);
        wait_for_count(loop, &n, 1);
}

Test(notifier, sends_in_the_order_queued)
{
        static const struct {
                int64_t id, offset;
        } expected[] = {{5, 0}, {7, -1}, {6, 0}};

        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 5), 0);
        cr_assert_eq(notifier_probe(notifier, rig.session, 7), 0);
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 6), 0);
        flush();
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                const struct fuse_notify_inval_inode_out *out = (const void *)answer.body;
                cr_assert(get_answer(rig.kernel, &answer));
                cr_assert_eq(answer.h.error, FUSE_NOTIFY_INVAL_INODE);
                cr_assert_eq((int64_t)out->ino, expected[i].id);
                cr_assert_eq(out->off, expected[i].offset);
        }
}

static void note_flush(void *userdata)
{
        ((struct rig *)userdata)->renamed++;
}

Test(notifier, a_flush_comes_before_its_session_is_gone)
{
        struct rig other;

        rig_start(&other, true, false);
        cr_assert_eq(notifier_flush(notifier, other.session, note_flush, &other), 0);
        other.session = session_unref(other.session);
        /* What an owner posts from `freed` is behind it. */
        wait_for_count(NULL, &other.freed, 1);
        cr_assert_eq(other.renamed, 0);
        cr_assert_geq(loop_turn(loop, USEC_PER_SEC), 0);
        cr_assert_eq(other.renamed, 1);
        safe_close(other.kernel);
        tree_free(other.tree);
}

Test(notifier, flush_comes_on_the_loop_when_all_before_has_been_sent)
{
        struct pollfd p = {.fd = rig.kernel, .events = POLLIN};

        for (uint64_t i = 0; i < 50; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, 100 + i), 0);
        flush();
        for (uint64_t i = 0; i < 50; i++) {
                cr_assert_eq(poll(&p, 1, 0), 1, "sent already");
                cr_assert(get_answer(rig.kernel, &answer));
                const struct fuse_notify_inval_inode_out *out = (const void *)answer.body;
                cr_assert_eq(out->ino, (int64_t)(100 + i));
        }
        cr_assert_eq(poll(&p, 1, 0), 0);
}

Test(notifier, what_is_queued_holds_the_session)
{
        struct rig other;

        rig_start(&other, true, false);
        cr_assert_eq(notifier_inval_inode(notifier, other.session, 5), 0);
        other.session = session_unref(other.session);
        wait_for_count(NULL, &other.freed, 1);
        cr_assert(get_answer(other.kernel, &answer), "it was sent before");
        cr_assert_not(get_answer(other.kernel, &answer));
        safe_close(other.kernel);
        tree_free(other.tree);
}

/* The connection takes nothing more, so that all of it waits: as when a writer is faster. */
Test(notifier, the_same_inode_does_not_wait_twice)
{
        enum { SAME = 7, LAST = 8 };
        unsigned same = 0;

        cr_assert_eq(fcntl(session_fd(rig.session), F_SETFL, 0), 0);
        for (uint64_t i = 0; i < 5000; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, 1000 + i), 0);
        for (int i = 0; i < 1000; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, SAME), 0);
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, LAST), 0);
        for (uint64_t id = 0; id != LAST; same += id == SAME) {
                cr_assert(get_answer(rig.kernel, &answer));
                id = ((const struct fuse_notify_inval_inode_out *)(const void *)answer.body)->ino;
        }
        cr_assert_eq(same, 1);
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, SAME), 0);
        cr_assert(get_answer(rig.kernel, &answer), "once it was sent it may be asked for again");
}

Test(notifier, a_dead_connection_is_no_matter)
{
        rig.kernel = safe_close(rig.kernel);
        for (uint64_t i = 0; i < 10; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, i), 0);
        flush();
}

Test(notifier, what_was_not_sent_is_given_up_at_the_end)
{
        struct notifier *other;

        cr_assert_eq(notifier_new(loop, &other), 0);
        for (uint64_t i = 0; i < 1000; i++)
                cr_assert_eq(notifier_inval_inode(other, rig.session, i), 0);
        notifier_free(other);
        notifier_free(NULL);
        /* fini: the session's last reference is the rig's again. */
}
