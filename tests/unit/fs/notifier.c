#include "fs/notifier.h"

#include <criterion/criterion.h>
#include <poll.h>

#include "tests/unit/fs/support.h"

static struct rig rig;
static struct loop *loop;
static struct notifier *notifier;
static struct answer answer;

/* The keeper, as far as a notifier sees it. */
static struct {
        unsigned asked;
        uint64_t seq, id;
        bool attributes;
        int fails; /* what asking answers */
} keeper;

static int ask_keeper(void *userdata, struct session *s, uint64_t seq, uint64_t id, bool attributes)
{
        cr_assert_eq(userdata, &keeper);
        keeper.asked++;
        keeper.seq = seq;
        keeper.id = id;
        keeper.attributes = attributes;
        return keeper.fails;
}

static struct notifier *new_notifier(void)
{
        struct notifier_config cfg = {.loop = loop, .ask = ask_keeper, .userdata = &keeper};
        struct notifier *n;

        cr_assert_eq(notifier_new(&cfg, &n), 0);
        return n;
}

static void init(void)
{
        cr_assert_eq(loop_new(&loop), 0);
        loop_simulate(loop, USEC_PER_SEC, 1700000000);
        notifier = new_notifier();
        rig_start(&rig, true, false);
}

static void fini(void)
{
        notifier_free(notifier);
        rig_done(&rig);
        loop_free(loop);
}

TestSuite(notifier, .init = init, .fini = fini, .timeout = 60);

static void turn(void)
{
        while (loop_turn(loop, 0) > 0)
                ;
}

static void expect_asked(unsigned count, uint64_t id, bool attributes)
{
        turn();
        cr_assert_eq(keeper.asked, count);
        cr_assert_eq(keeper.id, id);
        cr_assert_eq(keeper.attributes, attributes);
}

static bool kernel_was_told(void)
{
        struct pollfd p = {.fd = rig.kernel, .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

static void note_flush(void *userdata)
{
        ++*(unsigned *)userdata;
}

Test(notifier, asks_in_the_order_queued_one_at_a_time)
{
        unsigned flushed = 0;

        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 5), 0);
        cr_assert_eq(notifier_probe(notifier, rig.session, 7), 0);
        cr_assert_eq(notifier_flush(notifier, rig.session, note_flush, &flushed), 0);
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 6), 0);
        expect_asked(1, 5, false);
        notifier_answered(notifier, keeper.seq + 1, 0);
        expect_asked(1, 5, false);
        notifier_answered(notifier, keeper.seq, 0);
        expect_asked(2, 7, true);
        cr_assert_eq(flushed, 0);
        notifier_answered(notifier, keeper.seq, -ENOENT);
        expect_asked(3, 6, false);
        cr_assert_eq(flushed, 1);
        notifier_answered(notifier, keeper.seq, 0);
        notifier_answered(notifier, keeper.seq, 0);
        turn();
        cr_assert_eq(keeper.asked, 3);
        cr_assert_not(kernel_was_told(), "not by this process");
}

static void note_order(void *userdata)
{
        struct rig *other = userdata;

        cr_assert_eq(other->freed, 1, "its own reference was the last");
        other->renamed++;
}

Test(notifier, a_flush_comes_before_its_session_is_gone)
{
        struct rig other;

        rig_start(&other, true, false);
        cr_assert_eq(notifier_flush(notifier, other.session, note_order, &other), 0);
        other.session = session_unref(other.session);
        cr_assert_eq(other.freed, 0, "what is queued holds it");
        /* What an owner posts from `freed` is behind it. */
        turn();
        cr_assert_eq(other.freed, 1);
        cr_assert_eq(other.renamed, 1);
        safe_close(other.kernel);
        tree_free(other.tree);
}

Test(notifier, what_is_asked_for_holds_the_session)
{
        struct rig other;

        rig_start(&other, true, false);
        cr_assert_eq(notifier_inval_inode(notifier, other.session, 5), 0);
        other.session = session_unref(other.session);
        expect_asked(1, 5, false);
        cr_assert_eq(other.freed, 0);
        notifier_answered(notifier, keeper.seq, 0);
        cr_assert_eq(other.freed, 1);
        safe_close(other.kernel);
        tree_free(other.tree);
}

/* As when somebody who tries to write is faster than the keeper. */
Test(notifier, the_same_inode_does_not_wait_twice)
{
        for (int i = 0; i < 1000; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, 7), 0);
        expect_asked(1, 7, false);
        for (int i = 0; i < 1000; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, 7), 0);
        notifier_answered(notifier, keeper.seq, 0);
        expect_asked(2, 7, false);
        notifier_answered(notifier, keeper.seq, 0);
        turn();
        cr_assert_eq(keeper.asked, 2, "what was queued while it was asked for came later");
}

Test(notifier, what_the_kernel_does_not_know_is_wiped)
{
        /* A version that an earlier worker had shown. */
        struct view_file *f = make_file("f", "secret");
        struct journal *j;
        struct journal_record r;
        size_t offset = 0, held = sec_total();

        struct record_node old = {.id = 99, .ino = 99, .file = f};
        cr_assert_eq(journal_new(0, false, &j), 0);
        cr_assert_eq(record_put_node(j, RECORD_NODE, 1, &old), 0);
        cr_assert(journal_next(j, &offset, &r));
        cr_assert_eq(tree_restore(rig.tree, &r), 0);
        journal_free(j);
        cr_assert_eq(sec_total(), held + strlen("secret"));
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 99), 0);
        cr_assert_eq(notifier_probe(notifier, rig.session, 99), 0);
        turn();
        notifier_answered(notifier, keeper.seq, -ENOENT);
        cr_assert_eq(sec_total(), held + strlen("secret"), "that was not asked");
        notifier_answered(notifier, keeper.seq, -ENOENT);
        cr_assert_eq(sec_total(), held);
        view_file_unref(f);
}

Test(notifier, where_no_child_is_free_it_is_asked_again)
{
        static const int transient[] = {-EAGAIN, -EINTR, -ENOMEM};

        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 7), 0);
        expect_asked(1, 7, false);
        for (unsigned i = 0; i < ELEMENTSOF(transient); i++) {
                notifier_answered(notifier, keeper.seq, transient[i]);
                cr_assert_eq(keeper.asked, i + 1, "after a pause");
                cr_assert_eq(loop_turn(loop, USEC_INFINITY), 1);
                cr_assert_eq(keeper.asked, i + 2);
        }
        notifier_answered(notifier, keeper.seq, 0);
        cr_assert_eq(loop_turn(loop, 0), 0);
}

Test(notifier, what_does_not_come_back_holds_nobody_up)
{
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 7), 0);
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 8), 0);
        expect_asked(1, 7, false);
        uint64_t first = keeper.seq;
        usec_t start = loop_now(loop);
        while (keeper.asked == 1)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        cr_assert_eq(loop_now(loop) - start, 10 * USEC_PER_SEC);
        expect_asked(2, 8, false);
        notifier_answered(notifier, first, 0);
        notifier_answered(notifier, keeper.seq, 0);
        cr_assert_eq(loop_turn(loop, 0), 0);
}

Test(notifier, an_heir_is_asked_again)
{
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 7), 0);
        expect_asked(1, 7, false);
        uint64_t first = keeper.seq;
        notifier_lost(notifier);
        expect_asked(2, 7, false);
        cr_assert_neq(keeper.seq, first);
        notifier_answered(notifier, keeper.seq, 0);
        notifier_lost(notifier);
        cr_assert_eq(keeper.asked, 2);
}

static void expect_told(uint64_t id, int64_t offset)
{
        const struct fuse_notify_inval_inode_out *out = (const void *)answer.body;

        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert_eq(answer.h.error, FUSE_NOTIFY_INVAL_INODE);
        cr_assert_eq(out->ino, id);
        cr_assert_eq(out->off, offset);
}

Test(notifier, without_a_keeper_the_kernel_is_told_from_here)
{
        unsigned flushed = 0;

        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 5), 0);
        expect_asked(1, 5, false);
        keeper.fails = -ENOTCONN;
        notifier_lost(notifier);
        cr_assert_eq(notifier_probe(notifier, rig.session, 7), 0);
        cr_assert_eq(notifier_flush(notifier, NULL, note_flush, &flushed), 0);
        turn();
        cr_assert_eq(flushed, 1);
        expect_told(5, 0);
        expect_told(7, -1);
}

/* An ordinary user's, in a sandbox of its own. */
Test(notifier, a_keeper_without_a_device_leaves_it_to_this_process)
{
        cr_assert_eq(notifier_inval_inode(notifier, rig.session, 5), 0);
        turn();
        cr_assert_not(kernel_was_told());
        notifier_answered(notifier, keeper.seq, -EBADF);
        expect_told(5, 0);
}

Test(notifier, a_dead_connection_is_no_matter)
{
        rig.kernel = safe_close(rig.kernel);
        keeper.fails = -ENODEV;
        for (uint64_t i = 0; i < 10; i++)
                cr_assert_eq(notifier_inval_inode(notifier, rig.session, i), 0);
        turn();
        cr_assert_eq(keeper.asked, 10);
}

Test(notifier, what_was_not_asked_for_is_given_up_at_the_end)
{
        struct notifier *other = new_notifier();

        for (uint64_t i = 0; i < 1000; i++)
                cr_assert_eq(notifier_inval_inode(other, rig.session, i), 0);
        turn();
        notifier_free(other);
        notifier_free(NULL);
        /* fini: the session's last reference is the rig's again. */
}
