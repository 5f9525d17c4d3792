#include "fs/session.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

static struct rig rig;
static struct answer answer;
static _Alignas(16) char buf[SESSION_BUFFER];

TestSuite(session, .timeout = 60);

static unsigned rearmed;

static void count_rearm(struct session *s)
{
        rearmed++;
}

static int handle(void)
{
        static _Alignas(16) char bounce[SESSION_READ_MAX];
        const struct session_scratch scratch = {buf, bounce};

        return session_handle(rig.session, &scratch, count_rearm);
}

/* --- INIT --- */

Test(session, init_is_negotiated)
{
        rig_new(&rig, true, false);
        ask_init(rig.kernel);
        cr_assert_eq(rig.ready, 0);
        cr_assert_eq(handle(), 1);
        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert_eq(answer.h.error, 0);
        const struct fuse_init_out *out = init_answer(&answer);
        cr_assert_eq(out->major, FUSE_KERNEL_VERSION);
        cr_assert_eq(out->max_write, 4096);
        cr_assert_eq(out->max_pages, SESSION_READ_MAX / 4096);
        uint32_t on =
                FUSE_PARALLEL_DIROPS | FUSE_CACHE_SYMLINKS | FUSE_ABORT_ERROR | FUSE_MAX_PAGES;
        cr_assert_eq(out->flags & on, on);
        uint32_t off = FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                       FUSE_ATOMIC_O_TRUNC | FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS |
                       FUSE_FLOCK_LOCKS | FUSE_POSIX_ACL;
        cr_assert_eq(out->flags & off, 0);
        cr_assert_eq(rig.ready, 1);
        rig_done(&rig);
}

/* Linux 6.12, protocol 7.41: not in older headers. */
#define ALLOW_IDMAP_2 (1U << 8)

Test(session, an_id_mapped_clone_is_allowed_when_the_kernel_offers_it)
{
        rig_new(&rig, true, false);
        ask_init(rig.kernel);
        cr_assert_eq(handle(), 1);
        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert(init_answer(&answer)->flags & FUSE_INIT_EXT);
        cr_assert_eq(init_answer(&answer)->flags2, ALLOW_IDMAP_2, "this and nothing else");
        rig_done(&rig);

        struct fuse_init_in in = {.major = 7, .minor = 38, .flags = ~0U, .flags2 = ~ALLOW_IDMAP_2};
        rig_new(&rig, true, false);
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(init_answer(&answer)->flags2 & ALLOW_IDMAP_2, 0, "not offered");
        rig_done(&rig);

        in.flags = ~(uint32_t)FUSE_INIT_EXT;
        in.flags2 = ~0U;
        rig_new(&rig, true, false);
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(
                init_answer(&answer)->flags2 & ALLOW_IDMAP_2, 0, "flags2 is not said to be there");
        rig_done(&rig);
}

Test(session, what_the_kernel_does_not_offer_is_not_taken)
{
        struct fuse_init_in in = {.major = 7, .minor = 31, .flags = FUSE_ASYNC_READ};

        rig_new(&rig, true, false);
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(init_answer(&answer)->flags &
                             (FUSE_PARALLEL_DIROPS | FUSE_CACHE_SYMLINKS | FUSE_ABORT_ERROR),
                0);
        rig_done(&rig);
}

Test(session, nothing_is_served_before_init)
{
        struct fuse_getattr_in in = {0};

        rig_new(&rig, true, false);
        cr_assert_eq(call(&rig, &answer, FUSE_GETATTR, 1, &in, sizeof in, NULL, NULL), -EIO);
        cr_assert_eq(rig.ready, 0);
        rig_done(&rig);
}

Test(session, a_bad_init_is_no_start)
{
        struct fuse_init_in in = {.major = 7, .minor = 38, .flags = FUSE_INIT_EXT};

        rig_new(&rig, true, false);
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &in, 4, NULL, NULL), -EINVAL);
        in.major = 6;
        cr_assert_lt(call(&rig, &answer, FUSE_INIT, 0, &in, sizeof in, NULL, NULL), 0);
        in.major = 8;
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(((const struct fuse_init_out *)(const void *)answer.body)->major, 7,
                "ours is named, and the kernel asks again");
        cr_assert_eq(rig.ready, 0);
        in.major = 7;
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &in, sizeof in, NULL, NULL), 0);
        cr_assert_eq(rig.ready, 1);
        rig_done(&rig);
}

Test(session, a_second_init_is_refused_and_starts_nothing)
{
        rig_start(&rig, true, false);
        ask_init(rig.kernel);
        cr_assert_eq(handle(), 1);
        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert_eq(answer.h.error, -EIO);
        cr_assert_eq(rig.ready, 1);
        rig_done(&rig);
}

Test(session, the_next_request_is_not_taken_up_before_init_is_answered)
{
        rig_new(&rig, true, false);
        rearmed = 0;
        cr_assert_eq(handle(), 0, "nothing there");
        cr_assert_eq(rearmed, 1);
        ask_init(rig.kernel);
        cr_assert_eq(handle(), 1);
        cr_assert_eq(rearmed, 2, "once, afterwards");
        rig_done(&rig);
}

/* --- malformed --- */

Test(session, truncated_messages_are_answered_with_an_error)
{
        static const char zeros[128];

        rig_start(&rig, true, true);
        for (uint32_t opcode = 0; opcode < 64; opcode++) {
                if (opcode == FUSE_DESTROY) /* ends the session, as it should */
                        continue;
                if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET ||
                        opcode == FUSE_NOTIFY_REPLY) {
                        tell(&rig, opcode, 1, NULL, 0);
                        continue;
                }
                int e = call(&rig, &answer, opcode, 1, NULL, 0, NULL, NULL);
                if (opcode == FUSE_STATFS)
                        cr_assert_eq(e, 0, "%u", opcode);
                else
                        cr_assert(e == -EINVAL || e == -ENOSYS || e == -EIO, "%u: %d", opcode, e);
                call(&rig, &answer, opcode, 1, zeros, 7, NULL, NULL);
        }
        put_text(rig.tree, "f", "x");
        int64_t id = lookup(&rig, TREE_ROOT, "f");
        cr_assert_gt(id, 0, "and goes on: %lld", (long long)id);
        rig_done(&rig);
}

Test(session, a_length_that_lies_is_malformed)
{
        struct fuse_in_header in = {.len = 4000, .opcode = FUSE_LOOKUP, .unique = 8, .nodeid = 1};

        rig_start(&rig, true, false);
        cr_assert_eq(send(rig.kernel, &in, sizeof in, 0), (ssize_t)sizeof in);
        cr_assert_eq(handle(), 1);
        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert_eq(answer.h.error, -EINVAL);
        cr_assert_eq(answer.h.unique, 8);
        rig_done(&rig);
}

Test(session, an_oversized_message_is_cut_and_refused)
{
        static char huge[2 * SESSION_BUFFER];
        struct fuse_in_header in = {
                .len = sizeof huge, .opcode = FUSE_LOOKUP, .unique = 8, .nodeid = 1};

        rig_start(&rig, true, false);
        memset(huge, 'x', sizeof huge);
        memcpy(huge, &in, sizeof in);
        cr_assert_eq(send(rig.kernel, huge, sizeof huge, 0), (ssize_t)sizeof huge);
        cr_assert_eq(handle(), 1);
        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert_eq(answer.h.error, -EINVAL);
        rig_done(&rig);
}

Test(session, unknown_requests_and_interrupts_are_not_asked_again)
{
        struct fuse_interrupt_in interrupt = {.unique = 2};

        rig_start(&rig, true, false);
        cr_assert_eq(call(&rig, &answer, 4000, 1, NULL, 0, NULL, NULL), -ENOSYS);
        cr_assert_eq(
                call(&rig, &answer, FUSE_INTERRUPT, 0, &interrupt, sizeof interrupt, NULL, NULL),
                -ENOSYS);
        rig_done(&rig);
}

/* --- the end --- */

Test(session, the_end_of_the_connection_is_told_once)
{
        rig_start(&rig, true, false);
        rearmed = 0;
        cr_assert_eq(shutdown(rig.kernel, SHUT_WR), 0);
        cr_assert_eq(handle(), -ENODEV);
        cr_assert_eq(handle(), -ENODEV);
        cr_assert_eq(rig.dead, 1);
        cr_assert_eq(rearmed, 0);
        rig_done(&rig);
}

Test(session, less_than_a_header_is_the_end)
{
        rig_start(&rig, true, false);
        cr_assert_eq(send(rig.kernel, "x", 1, 0), 1);
        cr_assert_eq(handle(), -ENODEV);
        cr_assert_eq(rig.dead, 1);
        rig_done(&rig);
}

Test(session, the_last_reference_closes_the_connection)
{
        rig_start(&rig, true, false);
        struct session *other = session_ref(rig.session);
        rig.session = session_unref(rig.session);
        cr_assert_eq(rig.freed, 0);
        rig.session = other;
        cr_assert_null(session_unref(rig.session));
        cr_assert_eq(rig.freed, 1);
        cr_assert_not(get_answer(rig.kernel, &answer), "end of file");
        safe_close(rig.kernel);
        tree_free(rig.tree);
        cr_assert_null(session_unref(NULL));
}

/* --- notifications --- */

Test(session, nothing_is_notified_before_init)
{
        rig_new(&rig, true, false);
        cr_assert_eq(session_inval_inode(rig.session, 5, false), -ENOSYS);
        rig_done(&rig);
}

Test(session, notifications_have_the_kernel_s_form)
{
        rig_start(&rig, true, false);
        cr_assert_eq(session_inval_inode(rig.session, 5, false), 0);
        cr_assert(get_answer(rig.kernel, &answer));
        cr_assert_eq(answer.h.unique, 0);
        cr_assert_eq(answer.h.error, FUSE_NOTIFY_INVAL_INODE);
        const struct fuse_notify_inval_inode_out *inode = (const void *)answer.body;
        cr_assert_eq(inode->ino, 5);
        cr_assert_eq(inode->off, 0);
        cr_assert_leq(inode->len, 0, "to the end");
        rig_done(&rig);
}

Test(session, counts_what_it_was_asked)
{
        rig_start(&rig, true, false);
        cr_assert_eq(session_requests(rig.session), 1);
        lookup(&rig, TREE_ROOT, "x");
        cr_assert_eq(session_requests(rig.session), 2);
        cr_assert_eq(session_refused(rig.session), 0);
        cr_assert_eq(session_number(rig.session), 0);
        session_set_number(rig.session, 9);
        cr_assert_eq(session_number(rig.session), 9);
        rig_done(&rig);
}
