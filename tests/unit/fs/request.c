#include "fs/request.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* A message under construction: header, struct, strings. */
struct message {
        union {
                struct fuse_in_header in;
                char bytes[512];
        };
        size_t n;
};

static struct message begin(uint32_t opcode)
{
        return (struct message){.in = {.opcode = opcode, .len = sizeof(struct fuse_in_header)},
                .n = sizeof(struct fuse_in_header)};
}

static void add(struct message *m, const void *data, size_t len)
{
        memcpy(m->bytes + m->n, data, len);
        m->n += len;
        m->in.len = (uint32_t)m->n;
}

static enum request_verdict check(const struct message *m)
{
        return request_check(&m->in, m->n);
}

static const struct {
        const char *name;
        uint32_t opcode;
        size_t size;
        unsigned strings;
} requests[] = {
        {"LOOKUP", FUSE_LOOKUP, 0, 1},
        {"GETATTR", FUSE_GETATTR, sizeof(struct fuse_getattr_in), 0},
        {"SETATTR", FUSE_SETATTR, sizeof(struct fuse_setattr_in), 0},
        {"READLINK", FUSE_READLINK, 0, 0},
        {"SYMLINK", FUSE_SYMLINK, 0, 2},
        {"MKNOD", FUSE_MKNOD, sizeof(struct fuse_mknod_in), 1},
        {"MKDIR", FUSE_MKDIR, sizeof(struct fuse_mkdir_in), 1},
        {"UNLINK", FUSE_UNLINK, 0, 1},
        {"RMDIR", FUSE_RMDIR, 0, 1},
        {"RENAME", FUSE_RENAME, sizeof(struct fuse_rename_in), 2},
        {"LINK", FUSE_LINK, sizeof(struct fuse_link_in), 1},
        {"OPEN", FUSE_OPEN, sizeof(struct fuse_open_in), 0},
        {"READ", FUSE_READ, sizeof(struct fuse_read_in), 0},
        {"STATFS", FUSE_STATFS, 0, 0},
        {"RELEASE", FUSE_RELEASE, sizeof(struct fuse_release_in), 0},
        {"FSYNC", FUSE_FSYNC, sizeof(struct fuse_fsync_in), 0},
        {"GETXATTR", FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), 1},
        {"LISTXATTR", FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), 0},
        {"REMOVEXATTR", FUSE_REMOVEXATTR, 0, 1},
        {"FLUSH", FUSE_FLUSH, sizeof(struct fuse_flush_in), 0},
        {"OPENDIR", FUSE_OPENDIR, sizeof(struct fuse_open_in), 0},
        {"READDIR", FUSE_READDIR, sizeof(struct fuse_read_in), 0},
        {"ACCESS", FUSE_ACCESS, sizeof(struct fuse_access_in), 0},
        {"CREATE", FUSE_CREATE, sizeof(struct fuse_create_in), 1},
        {"DESTROY", FUSE_DESTROY, 0, 0},
        {"POLL", FUSE_POLL, sizeof(struct fuse_poll_in), 0},
        {"FALLOCATE", FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), 0},
        {"RENAME2", FUSE_RENAME2, sizeof(struct fuse_rename2_in), 2},
        {"LSEEK", FUSE_LSEEK, sizeof(struct fuse_lseek_in), 0},
        {"COPY_FILE_RANGE", FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), 0},
};

Test(request, whole_ones_are_served_and_each_shorter_one_is_malformed)
{
        static const char zeros[256];

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                struct message m = begin(requests[i].opcode);
                add(&m, zeros, requests[i].size);
                for (unsigned s = 0; s < requests[i].strings; s++)
                        add(&m, "ab", 3);
                cr_assert_eq(check(&m), REQUEST_SERVE, "%s", requests[i].name);

                for (size_t n = sizeof m.in; n < m.n; n++) {
                        struct message cut = m;
                        cut.n = n;
                        cut.in.len = (uint32_t)n;
                        cr_assert_eq(check(&cut), REQUEST_MALFORMED, "%s of %zu bytes",
                                requests[i].name, n);
                }
        }
}

Test(request, a_length_that_is_not_what_came_is_malformed)
{
        struct message m = begin(FUSE_STATFS);

        m.in.len++;
        cr_assert_eq(check(&m), REQUEST_MALFORMED);
        m.in.len -= 2;
        cr_assert_eq(check(&m), REQUEST_MALFORMED);
}

Test(request, an_empty_name_is_malformed)
{
        struct message m = begin(FUSE_LOOKUP);

        add(&m, "", 1);
        cr_assert_eq(check(&m), REQUEST_MALFORMED);
}

Test(request, more_than_promised_is_fine_and_less_is_not)
{
        struct message write = begin(FUSE_WRITE), xattr = begin(FUSE_SETXATTR),
                       ioctl = begin(FUSE_IOCTL);

        add(&write, &(struct fuse_write_in){.size = 4}, sizeof(struct fuse_write_in));
        add(&write, "abc", 3);
        cr_assert_eq(check(&write), REQUEST_MALFORMED);
        add(&write, "d", 1);
        cr_assert_eq(check(&write), REQUEST_SERVE);
        add(&write, "e", 1);
        cr_assert_eq(check(&write), REQUEST_SERVE);

        add(&xattr, &(struct fuse_setxattr_in){.size = UINT32_MAX}, FUSE_COMPAT_SETXATTR_IN_SIZE);
        add(&xattr, "user.x\0value", 12);
        cr_assert_eq(check(&xattr), REQUEST_MALFORMED);

        add(&ioctl, &(struct fuse_ioctl_in){.in_size = 1}, sizeof(struct fuse_ioctl_in));
        cr_assert_eq(check(&ioctl), REQUEST_MALFORMED);
        add(&ioctl, "x", 1);
        cr_assert_eq(check(&ioctl), REQUEST_SERVE);
}

Test(request, a_bad_forget_is_dropped_for_nobody_waits)
{
        struct message batch = begin(FUSE_BATCH_FORGET), forget = begin(FUSE_FORGET);

        cr_assert_eq(check(&forget), REQUEST_DROP);
        add(&forget, &(struct fuse_forget_in){1}, sizeof(struct fuse_forget_in));
        cr_assert_eq(check(&forget), REQUEST_SERVE);

        add(&batch, &(struct fuse_batch_forget_in){.count = 2},
                sizeof(struct fuse_batch_forget_in));
        add(&batch, &(struct fuse_forget_one){0}, sizeof(struct fuse_forget_one));
        cr_assert_eq(check(&batch), REQUEST_DROP, "two promised, one there");
        add(&batch, &(struct fuse_forget_one){0}, sizeof(struct fuse_forget_one));
        cr_assert_eq(check(&batch), REQUEST_SERVE);

        struct message huge = begin(FUSE_BATCH_FORGET);
        add(&huge, &(struct fuse_batch_forget_in){.count = 0x10000001},
                sizeof(struct fuse_batch_forget_in));
        add(&huge, &(struct fuse_forget_one){0}, sizeof(struct fuse_forget_one));
        cr_assert_eq(check(&huge), REQUEST_DROP, "a count whose product does not fit 32 bits");
}

Test(request, init_is_as_long_as_its_flags_say)
{
        struct fuse_init_in in = {.major = 7, .minor = 38};
        struct message m = begin(FUSE_INIT);

        add(&m, &in, offsetof(struct fuse_init_in, flags2));
        cr_assert_eq(check(&m), REQUEST_SERVE);
        in.flags = FUSE_INIT_EXT;
        m = begin(FUSE_INIT);
        add(&m, &in, offsetof(struct fuse_init_in, flags2));
        cr_assert_eq(check(&m), REQUEST_MALFORMED);
        m = begin(FUSE_INIT);
        add(&m, &in, sizeof in);
        cr_assert_eq(check(&m), REQUEST_SERVE);
}

Test(request, what_nobody_implements_is_unknown_or_dropped)
{
        static const uint32_t unknown[] = {
                0, 7, 19, FUSE_INTERRUPT, FUSE_SETUPMAPPING, 50, 51, 4096, UINT32_MAX};

        for (size_t i = 0; i < ELEMENTSOF(unknown); i++) {
                struct message m = begin(unknown[i]);
                cr_assert_eq(check(&m), REQUEST_UNKNOWN, "%u", unknown[i]);
        }
        struct message m = begin(FUSE_NOTIFY_REPLY);
        cr_assert_eq(check(&m), REQUEST_DROP);
}
