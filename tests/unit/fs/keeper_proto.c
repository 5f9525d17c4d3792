#include "fs/keeper_proto.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#define STAGED KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcdef"

static int pair[2];

static void init(void)
{
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void fini(void)
{
        safe_close(pair[0]);
        safe_close(pair[1]);
}

TestSuite(keeper_proto, .init = init, .fini = fini, .timeout = 60);

static struct keeper_msg mount_request(void)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_MOUNT, 7);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, "/mnt/secrets"), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "akvfs:demo"), 0);
        return m;
}

static struct keeper_msg rename_request(const char *folder, const char *name, const char *staged)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_RENAME, 7);
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, folder), 0);
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, name), 0);
        cr_assert_eq(keeper_msg_set(m.staged, sizeof m.staged, staged), 0);
        return m;
}

static int open_descriptors(void)
{
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* --- what a request may say --- */

Test(keeper_proto, setting_a_field_never_cuts)
{
        char field[4] = "abc";

        cr_assert_eq(keeper_msg_set(field, sizeof field, "1234"), -ENAMETOOLONG);
        cr_assert_str_eq(field, "abc");
        cr_assert_eq(keeper_msg_set(field, sizeof field, "123"), 0);
        cr_assert_str_eq(field, "123");
}

Test(keeper_proto, a_mount_is_absolute_and_its_name_is_no_option)
{
        static const char *const bad_names[] = {"", "a,b", "a\\b", "a\nb", "akvfs,suid"};
        struct keeper_msg m = mount_request();

        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_PRIVILEGED | KEEPER_ALLOW_OTHER;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_DETACH;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m.flags = 1U << 31;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m = mount_request();
        m.path[0] = 'x';
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        for (size_t i = 0; i < ELEMENTSOF(bad_names); i++) {
                m = mount_request();
                cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, bad_names[i]), 0);
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "'%s'", bad_names[i]);
        }
}

Test(keeper_proto, a_label_is_plain_and_for_mounts_of_root)
{
        static const char *const bad[] = {"x", "a:b:c,suid ro", "a:b:c\"", "a:b:c\n"};
        struct keeper_msg m = mount_request();

        cr_assert_eq(keeper_msg_set(m.context, sizeof m.context, "a:b:c:s0:c1,c2"), 0);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "fusermount3 has no such option");
        m.flags = KEEPER_PRIVILEGED;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_eq(keeper_msg_set(m.context, sizeof m.context, bad[i]), 0);
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "'%s'", bad[i]);
        }
}

Test(keeper_proto, a_rename_stays_inside)
{
        static const struct {
                const char *folder, *name, *staged;
                bool good;
        } cases[] = {
                {"", "f", STAGED, true},
                {"a", "f", STAGED, true},
                {"a/b/c", "f.pem", STAGED, true},
                {"..a", "..b", STAGED, true},
                {"..", "f", STAGED, false},
                {"a/..", "f", STAGED, false},
                {"a/../b", "f", STAGED, false},
                {".", "f", STAGED, false},
                {"a/./b", "f", STAGED, false},
                {"/a", "f", STAGED, false},
                {"a/", "f", STAGED, false},
                {"a//b", "f", STAGED, false},
                {"", "", STAGED, false},
                {"", ".", STAGED, false},
                {"", "..", STAGED, false},
                {"", "a/b", STAGED, false},
                {"", "f", "", false},
                {"", "f", "g", false},
                {"", "f", STAGED "0", false},
                {"", "f", KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcde", false},
                {"", "f", KEEPER_STAGE_PREFIX "0123456789ABCDEF0123456789abcdef", false},
                {"", "f", KEEPER_STAGE_PREFIX "../../../../../../../../etc/pass", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct keeper_msg m =
                        rename_request(cases[i].folder, cases[i].name, cases[i].staged);
                cr_assert_eq(keeper_msg_valid(&m), cases[i].good ? 0 : -EINVAL, "'%s' '%s' '%s'",
                        cases[i].folder, cases[i].name, cases[i].staged);
        }
        struct keeper_msg m = rename_request("", "f", STAGED);
        memset(m.path, 'd', 256);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "a component of 256");
        m.path[255] = '\0';
        cr_assert_eq(keeper_msg_valid(&m), 0);
}

Test(keeper_proto, a_rename_is_one_thing_at_a_time)
{
        static const uint32_t good[] = {0, KEEPER_KEEP_WARM, KEEPER_EXCHANGE,
                KEEPER_EXCHANGE | KEEPER_KEEP_WARM, KEEPER_AWAY, KEEPER_UNLINK};
        struct keeper_msg m = rename_request("d", "f", STAGED);
        unsigned taken = 0;

        for (m.flags = 0; m.flags < KEEPER_WORKER_ALONE << 2; m.flags++)
                taken += keeper_msg_valid(&m) == 0;
        cr_assert_eq(taken, ELEMENTSOF(good));
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                m.flags = good[i];
                cr_assert_eq(keeper_msg_valid(&m), 0, "%u", good[i]);
        }
        m.flags = 1U << 31;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
}

Test(keeper_proto, a_name_to_forget_is_one_name_in_a_folder)
{
        static const char *const bad[] = {"", ".", "..", "a/b", "/"};
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_FORGET, 7);
        m.node = 1;
        cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, "..1"), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_AWAY;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m.flags = 0;
        m.node = 0;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "of no folder");
        m.node = UINT64_MAX;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_eq(keeper_msg_set(m.name, sizeof m.name, bad[i]), 0);
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "'%s'", bad[i]);
        }
        memset(m.name, 'x', sizeof m.name);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
}

Test(keeper_proto, what_is_given_back_has_a_place_and_a_number)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_RETURN, 7);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "nowhere");
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, "/mnt/secrets"), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_PRIVILEGED;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_ALLOW_OTHER;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m.flags = 0;
        m.mount = 0;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);

        keeper_msg_init(&m, KEEPER_RETURNED, 0);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "of no worker");
        m.seq = UINT32_MAX;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.seq++;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m.seq = 1;
        m.result = -1;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m.result = 0;
        m.flags = KEEPER_RESEND;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
}

Test(keeper_proto, what_needs_no_word_has_no_flag)
{
        static const enum keeper_op ops[] = {
                KEEPER_AREA, KEEPER_SERVING, KEEPER_READY, KEEPER_WARM};
        struct keeper_msg m;

        for (size_t i = 0; i < ELEMENTSOF(ops); i++) {
                keeper_msg_init(&m, ops[i], 7);
                cr_assert_eq(keeper_msg_valid(&m), 0, "%d", (int)ops[i]);
                m.flags = KEEPER_KEEP_WARM;
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "%d", (int)ops[i]);
        }
}

Test(keeper_proto, every_string_has_an_end)
{
        struct keeper_msg m = mount_request();

        memset(m.path, '/', sizeof m.path);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m = mount_request();
        memset(m.name, 'x', sizeof m.name);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m = mount_request();
        memset(m.staged, 'x', sizeof m.staged);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m = mount_request();
        memset(m.context, 'x', sizeof m.context);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        m = mount_request();
        memset(m.detail, 'x', sizeof m.detail);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
}

Test(keeper_proto, only_requests_are_requests)
{
        static const uint32_t others[] = {0, KEEPER_CLEAR + 1, 99, UINT32_MAX};
        struct keeper_msg m = mount_request();

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                m.op = others[i];
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "%u", others[i]);
        }
        for (m.op = KEEPER_MOUNTED; m.op <= KEEPER_CLEARED; m.op++)
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "%u is the keeper's", m.op);
        keeper_msg_init(&m, KEEPER_CLEAR, 0);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "no path");
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, "/a"), 0);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_DETACH;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
        keeper_msg_init(&m, KEEPER_UNMOUNT, 3);
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_DETACH;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_PRIVILEGED;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
}

Test(keeper_proto, an_inode_is_invalidated_as_a_whole_or_its_attributes)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_INVALIDATE, 0);
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "which");
        m.node = 1;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_ATTRIBUTES;
        cr_assert_eq(keeper_msg_valid(&m), 0);
        m.flags = KEEPER_DETACH;
        cr_assert_eq(keeper_msg_valid(&m), -EINVAL);
}

/* --- over the socket --- */

Test(keeper_proto, a_message_arrives_as_it_was_sent_and_with_its_descriptor)
{
        struct keeper_msg sent = mount_request(), got;
        int fd = -EBADF, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        cr_assert_eq(keeper_send(pair[0], &sent, -EBADF), 0);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), 1);
        cr_assert_eq(fd, -EBADF);
        cr_assert_eq(memcmp(&sent, &got, sizeof sent), 0);
        cr_assert_eq(keeper_send(pair[0], &sent, null), 0);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), 1);
        cr_assert_geq(fd, 0);
        cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        safe_close(fd);
        safe_close(null);
}

Test(keeper_proto, nothing_there_is_not_the_end)
{
        struct keeper_msg m;
        int fd = 99;

        cr_assert_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
        cr_assert_eq(keeper_recv(pair[1], &m, &fd), -EAGAIN);
        pair[0] = safe_close(pair[0]);
        cr_assert_eq(keeper_recv(pair[1], &m, &fd), 0);
        cr_assert_eq(fd, 99);
        struct keeper_msg request = mount_request();
        cr_assert_eq(keeper_send(pair[1], &request, -EBADF), -EPIPE, "and no signal");
}

Test(keeper_proto, another_size_magic_or_version_is_refused)
{
        struct keeper_msg m = mount_request(), got;
        char longer[sizeof m + 1] = {0};
        int fd = 99, before = open_descriptors();

        cr_assert_eq(send(pair[0], &m, sizeof m - 1, 0), (ssize_t)sizeof m - 1);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTO);
        memcpy(longer, &m, sizeof m);
        cr_assert_eq(send(pair[0], longer, sizeof longer, 0), (ssize_t)sizeof longer);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTO);
        m.magic++;
        cr_assert_eq(keeper_send(pair[0], &m, pair[1]), 0);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTO);
        m.magic--;
        m.version++;
        cr_assert_eq(keeper_send(pair[0], &m, pair[1]), 0);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTONOSUPPORT);
        cr_assert_eq(got.version, KEEPER_VERSION + 1, "whose it is can be said");
        /* Of another version everything behind it may be different, the size too. */
        cr_assert_eq(send(pair[0], &m, 8, 0), 8);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTONOSUPPORT);
        cr_assert_eq(send(pair[0], &m, 7, 0), 7);
        cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTO);
        cr_assert_eq(fd, 99);
        cr_assert_eq(open_descriptors(), before, "what came along was closed");
}

static int visit(enum keeper_op op, uint32_t flags, const char *path)
{
        struct keeper_msg m;

        keeper_msg_init(&m, op, 1);
        m.flags = flags;
        cr_assert_eq(keeper_msg_set(m.path, sizeof m.path, path), 0);
        return keeper_visit_valid(&m);
}

Test(keeper_proto, what_a_visitor_of_the_keeper_may_say)
{
        struct keeper_msg m;

        for (uint32_t op = KEEPER_TAKE; op <= KEEPER_STAY; op++)
                if (op != KEEPER_GIVE)
                        cr_assert_eq(visit((enum keeper_op)op, 0, ""), 0, "%u", op);
        cr_assert_eq(visit(KEEPER_UPGRADE, KEEPER_WORKER_ALONE, ""), 0);
        cr_assert_eq(visit(KEEPER_UPGRADE, KEEPER_DETACH, ""), -EINVAL);
        cr_assert_eq(visit(KEEPER_TAKE, KEEPER_PRIVILEGED, ""), -EINVAL);
        cr_assert_eq(visit(KEEPER_GIVE, KEEPER_PRIVILEGED, "/mnt/x"), 0);
        cr_assert_eq(visit(KEEPER_GIVE, KEEPER_ALLOW_OTHER, "/mnt/x"), -EINVAL);
        cr_assert_eq(visit(KEEPER_GIVE, 0, "relative"), -EINVAL);
        cr_assert_eq(visit(KEEPER_MOUNT, KEEPER_PRIVILEGED, "/mnt/x"), -EINVAL, "a worker's");
        keeper_msg_init(&m, KEEPER_GIVE, 0);
        m.path[0] = '/';
        cr_assert_eq(keeper_visit_valid(&m), -EINVAL, "without a number");
        keeper_msg_init(&m, KEEPER_READY, 0);
        memset(m.detail, 'x', sizeof m.detail);
        cr_assert_eq(keeper_visit_valid(&m), -EINVAL);
}

Test(keeper_proto, a_worker_may_say_none_of_it)
{
        struct keeper_msg m;

        for (uint32_t op = KEEPER_UPGRADE; op <= KEEPER_STAY; op++) {
                keeper_msg_init(&m, (enum keeper_op)op, 1);
                m.path[0] = '/';
                cr_assert_eq(keeper_msg_valid(&m), -EINVAL, "%u", op);
        }
}

Test(keeper_proto, more_than_one_descriptor_is_refused_and_none_is_kept)
{
        int before = open_descriptors();

        for (size_t n = 2; n <= 16; n += 7) {
                struct keeper_msg m = mount_request(), got;
                union {
                        char buf[CMSG_SPACE(16 * sizeof(int))];
                        struct cmsghdr align;
                } control = {0};
                struct iovec iov = {&m, sizeof m};
                struct msghdr msg = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = CMSG_SPACE(n * sizeof(int))};
                struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(n * sizeof(int));
                for (size_t i = 0; i < n; i++)
                        memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
                cr_assert_eq(sendmsg(pair[0], &msg, 0), (ssize_t)sizeof m);
                int fd = 99;
                cr_assert_eq(keeper_recv(pair[1], &got, &fd), -EPROTO, "%zu", n);
                cr_assert_eq(fd, 99);
                cr_assert_eq(open_descriptors(), before);
        }
}
