#include "fs/session_ops.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "tests/unit/fs/support.h"
#include "tests/unit/fs/trees.h"

static struct rig rig;
static struct answer answer;

static void fini(void)
{
        if (rig.session)
                rig_done(&rig);
}

TestSuite(session_ops, .fini = fini, .timeout = 60);

static void start(bool no_open)
{
        rig_start(&rig, no_open, false);
        put_text(rig.tree, "password", "hunter2");
        put_text(rig.tree, "tls/key", "-----BEGIN");
}

/* --- names and attributes --- */

Test(session_ops, lookup_is_remembered_for_years)
{
        start(true);
        cr_assert_eq(call(&rig, &answer, FUSE_LOOKUP, TREE_ROOT, NULL, 0, "password", NULL), 0);
        const struct fuse_entry_out *e = (const void *)answer.body;
        cr_assert_gt(e->nodeid, 1);
        cr_assert_gt(e->entry_valid, 365u * 86400);
        cr_assert_gt(e->attr_valid, 365u * 86400);
        cr_assert_eq(e->attr.size, 7);
        cr_assert_eq(e->attr.mode, S_IFREG | 0640);
        cr_assert_eq(e->attr.mtime, 1700000000);
        cr_assert_eq(e->attr.uid, 1000);
        cr_assert_lt(e->attr.ino, (uint64_t)1 << 32);
}

Test(session_ops, absence_is_remembered_too)
{
        start(true);
        cr_assert_eq(call(&rig, &answer, FUSE_LOOKUP, TREE_ROOT, NULL, 0, "missing", NULL), 0);
        const struct fuse_entry_out *e = (const void *)answer.body;
        cr_assert_eq(e->nodeid, 0);
        cr_assert_gt(e->entry_valid, 365u * 86400);
        cr_assert_eq(
                lookup(&rig, TREE_ROOT, KEEPER_STAGE_PREFIX "0123456789abcdef0123456789abcdef"),
                -ENOENT, "but not that of a staged name");
        cr_assert_eq(lookup(&rig, 4711, "x"), -ESTALE);
}

Test(session_ops, getattr)
{
        struct fuse_getattr_in in = {0};

        start(true);
        cr_assert_eq(call(&rig, &answer, FUSE_GETATTR, 1, &in, sizeof in, NULL, NULL), 0);
        const struct fuse_attr_out *a = (const void *)answer.body;
        cr_assert_gt(a->attr_valid, 365u * 86400);
        cr_assert_eq(a->attr.mode, S_IFDIR | 0755);
        cr_assert_eq(a->attr.nlink, 3);
        cr_assert_eq(a->attr.ino, 1);
        cr_assert_eq(call(&rig, &answer, FUSE_GETATTR, 999, &in, sizeof in, NULL, NULL), -ESTALE);
}

Test(session_ops, forget_gives_look_ups_back)
{
        struct fuse_forget_in forget = {.nlookup = 2};
        struct tree_stats stats;
        uint64_t parent;

        start(true);
        int64_t id = lookup(&rig, TREE_ROOT, "password");
        lookup(&rig, TREE_ROOT, "password");
        cr_assert_eq(tree_remove(rig.tree, "password", &parent), 0);
        tree_get_stats(rig.tree, &stats);
        cr_assert_eq(stats.superseded, 1);
        tell(&rig, FUSE_FORGET, (uint64_t)id, &forget, sizeof forget);
        tree_get_stats(rig.tree, &stats);
        cr_assert_eq(stats.superseded, 0);
}

Test(session_ops, many_are_forgotten_at_once)
{
        struct {
                struct fuse_batch_forget_in in;
                struct fuse_forget_one one[20];
        } batch = {.in = {.count = 20}};
        struct tree_stats stats;
        uint64_t parent;
        char name[16];

        start(true);
        for (int i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof name, "n%d", i);
                put_text(rig.tree, name, "x");
                batch.one[i].nodeid = (uint64_t)lookup(&rig, TREE_ROOT, name);
                batch.one[i].nlookup = 1;
                cr_assert_eq(tree_remove(rig.tree, name, &parent), 0);
        }
        tree_get_stats(rig.tree, &stats);
        cr_assert_eq(stats.superseded, 20);
        tell(&rig, FUSE_BATCH_FORGET, 0, &batch, sizeof batch);
        tree_get_stats(rig.tree, &stats);
        cr_assert_eq(stats.superseded, 0);
}

/* --- open and read --- */

Test(session_ops, open_is_never_asked_again)
{
        struct fuse_open_in in = {.flags = O_RDONLY};
        struct fuse_flush_in flush = {0};
        struct fuse_access_in access = {0};

        start(true);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        cr_assert_eq(call(&rig, &answer, FUSE_OPEN, id, &in, sizeof in, NULL, NULL), -ENOSYS);
        cr_assert_eq(call(&rig, &answer, FUSE_OPENDIR, 1, &in, sizeof in, NULL, NULL), -ENOSYS);
        cr_assert_eq(
                call(&rig, &answer, FUSE_FLUSH, id, &flush, sizeof flush, NULL, NULL), -ENOSYS);
        cr_assert_eq(
                call(&rig, &answer, FUSE_ACCESS, id, &access, sizeof access, NULL, NULL), -ENOSYS);
        cr_assert_eq(rig.refused, 0);
}

Test(session_ops, on_a_writable_superblock_open_is_answered_and_writers_are_refused)
{
        static const uint32_t writing[] = {O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, O_WRONLY | O_APPEND};
        struct fuse_open_in in = {.flags = O_RDONLY};

        start(false);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        cr_assert_eq(call(&rig, &answer, FUSE_OPEN, id, &in, sizeof in, NULL, NULL), 0);
        const struct fuse_open_out *out = (const void *)answer.body;
        cr_assert(out->open_flags & FOPEN_KEEP_CACHE);
        cr_assert_not(out->open_flags & FOPEN_DIRECT_IO);
        for (unsigned i = 0; i < ELEMENTSOF(writing); i++) {
                in.flags = writing[i];
                cr_assert_eq(
                        call(&rig, &answer, FUSE_OPEN, id, &in, sizeof in, NULL, NULL), -EROFS);
                cr_assert_eq(rig.refused, i + 1);
                cr_assert_eq(rig.refused_id, id);
        }
}

static char logged[4096];

static void keep_line(enum log_level level, const char *line)
{
        (void)snprintf(logged, sizeof logged, "%s", line);
}

Test(session_ops, an_audited_open_is_logged_and_bypasses_the_page_cache)
{
        struct fuse_open_in in = {.flags = O_RDONLY};
        struct fuse_release_in release = {.flags = O_RDONLY};

        rig_new_audited(&rig);
        struct fuse_init_in init = {.major = 7, .minor = 38, .flags = ~0U, .flags2 = ~0U};
        cr_assert_eq(call(&rig, &answer, FUSE_INIT, 0, &init, sizeof init, NULL, NULL), 0);
        cr_assert_eq(init_answer(&answer)->flags2, 0, "an id-mapped mount would tell no uid");
        put_text(rig.tree, "tls/key", "-----BEGIN");
        uint64_t dir = (uint64_t)lookup(&rig, TREE_ROOT, "tls");
        uint64_t id = (uint64_t)lookup(&rig, dir, "key");

        log_set_writer(keep_line);
        log_set_level(LOG_ERROR);
        cr_assert_eq(call(&rig, &answer, FUSE_OPEN, id, &in, sizeof in, NULL, NULL), 0);
        const struct fuse_open_out *out = (const void *)answer.body;
        cr_assert(out->open_flags & FOPEN_DIRECT_IO);
        cr_assert_not(out->open_flags & FOPEN_KEEP_CACHE);
        cr_assert_not_null(strstr(logged, "] audit: open pid=4321 uid=1000 gid=1000 "
                                          "file=\"tls/key\" object=\"secret/tls/key\" "
                                          "version=\"0123456789abcdef0123456789abcdef\" "),
                "%s", logged);
        cr_assert_not_null(strstr(logged, " mount=\"/mnt/test\""), "%s", logged);
        cr_assert_null(strstr(logged, "BEGIN"));

        cr_assert_eq(
                call(&rig, &answer, FUSE_RELEASE, id, &release, sizeof release, NULL, NULL), 0);
        logged[0] = '\0';
        in.flags = O_RDWR;
        cr_assert_eq(call(&rig, &answer, FUSE_OPEN, id, &in, sizeof in, NULL, NULL), -EROFS);
        cr_assert_null(strstr(logged, "audit"), "nothing was opened");
        in.flags = O_RDONLY;
        cr_assert_eq(call(&rig, &answer, FUSE_OPEN, 4711, &in, sizeof in, NULL, NULL), -ESTALE);
        tree_withdraw(rig.tree);
        cr_assert_eq(call(&rig, &answer, FUSE_OPEN, id, &in, sizeof in, NULL, NULL), -EIO);
        cr_assert_null(strstr(logged, "audit"));
        log_set_writer(NULL);
}

Test(session_ops, read_gives_slices)
{
        static const struct {
                uint64_t offset;
                uint32_t size;
                const char *text;
        } slices[] = {
                {0, 4096, "hunter2"},
                {0, 7, "hunter2"},
                {0, 6, "hunter"},
                {3, 2, "te"},
                {6, 100, "2"},
                {7, 100, ""},
                {8, 100, ""},
                {UINT64_MAX, 100, ""},
                {(uint64_t)1 << 63, 100, ""},
                {INT64_MAX, UINT32_MAX, ""},
                {0, 0, ""},
                {0, UINT32_MAX, "hunter2"},
        };

        start(true);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        for (size_t i = 0; i < ELEMENTSOF(slices); i++) {
                cr_assert_eq(read_node(&rig, &answer, id, slices[i].offset, slices[i].size), 0);
                cr_assert_eq(answer.len, strlen(slices[i].text), "slice %zu", i);
                cr_assert_arr_eq(answer.body, slices[i].text, answer.len);
        }
        cr_assert_eq(read_node(&rig, &answer, TREE_ROOT, 0, 100), -EISDIR);
        cr_assert_eq(read_node(&rig, &answer, 4711, 0, 100), -ESTALE);
        tree_withdraw(rig.tree);
        cr_assert_eq(read_node(&rig, &answer, id, 0, 100), -EIO);
        cr_assert_eq(lookup(&rig, TREE_ROOT, "password"), -EIO);
}

Test(session_ops, a_large_file_is_read_in_one_piece)
{
        static char big[100 << 10];

        start(true);
        for (size_t i = 0; i < sizeof big; i++)
                big[i] = (char)(i * 31 >> 3);
        struct view_file *f = make_file_bytes("big", big, sizeof big);
        cr_assert_eq(tree_put(rig.tree, f), 0);
        view_file_unref(f);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "big");
        cr_assert_eq(read_node(&rig, &answer, id, 0, 128 << 10), 0);
        cr_assert_eq(answer.len, sizeof big);
        cr_assert_arr_eq(answer.body, big, sizeof big);
}

Test(session_ops, an_empty_file_reads_as_nothing)
{
        start(true);
        put_text(rig.tree, "empty", "");
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "empty");
        cr_assert_eq(read_node(&rig, &answer, id, 0, 4096), 0);
        cr_assert_eq(answer.len, 0);
}

/* --- listings --- */

static void read_names(uint64_t id, uint32_t page, char *out, uint64_t *offset, size_t *pages)
{
        *pages = 0;
        for (;;) {
                struct fuse_read_in in = {.offset = *offset, .size = page};
                cr_assert_eq(call(&rig, &answer, FUSE_READDIR, id, &in, sizeof in, NULL, NULL), 0);
                cr_assert_leq(answer.len, page);
                if (answer.len == 0)
                        return;
                ++*pages;
                for (size_t at = 0; at < answer.len;) {
                        const struct fuse_dirent *d = (const void *)(answer.body + at);
                        (void)snprintf(out + strlen(out), 64, "%.*s ", (int)d->namelen, d->name);
                        *offset = d->off;
                        at += FUSE_DIRENT_SIZE(d);
                }
        }
}

Test(session_ops, readdir_pages_until_the_end)
{
        char names[8192] = "", expected[8192] = ". .. password tls ";
        uint64_t offset = 0;
        size_t pages;

        start(true);
        for (int i = 0; i < 300; i++) {
                char name[32];
                (void)snprintf(name, sizeof name, "object-%d", i);
                put_text(rig.tree, name, "x");
                strcat(strcat(expected, name), " ");
        }
        read_names(TREE_ROOT, 512, names, &offset, &pages);
        cr_assert_str_eq(names, expected);
        cr_assert_gt(pages, 20);
        names[0] = '\0';
        offset = 0;
        read_names(TREE_ROOT, 1 << 20, names, &offset, &pages);
        cr_assert_str_eq(names, expected);
        cr_assert_lt(pages, 4);
}

Test(session_ops, readdir_of_what_is_no_folder)
{
        struct fuse_read_in in = {.size = 4096};

        start(true);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        cr_assert_eq(call(&rig, &answer, FUSE_READDIR, id, &in, sizeof in, NULL, NULL), -ESTALE);
}

Test(session_ops, statfs_counts)
{
        start(true);
        cr_assert_eq(call(&rig, &answer, FUSE_STATFS, 1, NULL, 0, NULL, NULL), 0);
        const struct fuse_statfs_out *out = (const void *)answer.body;
        cr_assert_eq(out->st.files, 2);
        cr_assert_eq(out->st.blocks, 1);
        cr_assert_eq(out->st.bfree, 0);
        cr_assert_eq(out->st.bavail, 0);
        cr_assert_eq(out->st.namelen, 255);
}

Test(session_ops, a_terminal_is_denied_as_a_file_does)
{
        struct fuse_ioctl_in in = {.cmd = 0x5401};

        start(true);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        cr_assert_eq(call(&rig, &answer, FUSE_IOCTL, id, &in, sizeof in, NULL, NULL), -ENOTTY);
        cr_assert_eq(rig.refused, 0);
}

/* --- nothing is ever written --- */

Test(session_ops, every_change_is_refused_counted_and_told)
{
        struct fuse_setattr_in setattr = {.valid = FATTR_MODE, .mode = 0777};
        struct fuse_mknod_in mknod = {.mode = S_IFREG | 0600};
        struct fuse_mkdir_in mkdir = {.mode = 0700};
        struct fuse_rename_in rename = {.newdir = 1};
        struct fuse_rename2_in rename2 = {.newdir = 1, .flags = RENAME_NOREPLACE};
        struct fuse_create_in create = {.flags = O_RDWR, .mode = 0600};
        struct fuse_fallocate_in fallocate = {.length = 10};
        struct {
                struct fuse_write_in in;
                char data[4];
        } write = {.in = {.size = 4}, .data = "evil"};
        struct {
                char in[FUSE_COMPAT_SETXATTR_IN_SIZE];
                char name[8], value[4];
        } setxattr = {.in = {4}, .name = "user.ab", .value = "evil"};

        start(true);
        uint64_t id = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        struct fuse_link_in link = {.oldnodeid = id};
        const struct {
                uint32_t opcode;
                uint64_t node, refused;
                const void *arg;
                size_t len;
                const char *a, *b;
        } changes[] = {
                {FUSE_SETATTR, id, id, &setattr, sizeof setattr, NULL, NULL},
                {FUSE_MKNOD, 1, 1, &mknod, sizeof mknod, "new", NULL},
                {FUSE_MKDIR, 1, 1, &mkdir, sizeof mkdir, "new", NULL},
                {FUSE_UNLINK, 1, 1, NULL, 0, "password", NULL},
                {FUSE_RMDIR, 1, 1, NULL, 0, "tls", NULL},
                {FUSE_SYMLINK, 1, 1, NULL, 0, "new", "/etc/shadow"},
                {FUSE_LINK, 1, id, &link, sizeof link, "new", NULL},
                {FUSE_RENAME, 1, 1, &rename, sizeof rename, "password", "other"},
                {FUSE_RENAME2, 1, 1, &rename2, sizeof rename2, "password", "other"},
                {FUSE_WRITE, id, id, &write, sizeof write, NULL, NULL},
                {FUSE_CREATE, 1, 1, &create, sizeof create, "new", NULL},
                {FUSE_FALLOCATE, id, id, &fallocate, sizeof fallocate, NULL, NULL},
                {FUSE_SETXATTR, id, id, &setxattr, sizeof setxattr, NULL, NULL},
                {FUSE_REMOVEXATTR, id, id, NULL, 0, "user.ab", NULL},
        };
        for (unsigned i = 0; i < ELEMENTSOF(changes); i++) {
                cr_assert_eq(call(&rig, &answer, changes[i].opcode, changes[i].node, changes[i].arg,
                                     changes[i].len, changes[i].a, changes[i].b),
                        -EROFS, "opcode %u", changes[i].opcode);
                cr_assert_eq(rig.refused, i + 1, "opcode %u", changes[i].opcode);
                cr_assert_eq(rig.refused_id, changes[i].refused, "opcode %u", changes[i].opcode);
                cr_assert_eq(session_refused(rig.session), i + 1);
        }
        cr_assert_eq(read_node(&rig, &answer, id, 0, 100), 0);
        cr_assert_arr_eq(answer.body, "hunter2", 7);
}

Test(session_ops, what_the_kernel_can_do_without_is_not_implemented)
{
        struct fuse_copy_file_range_in copy = {0};
        struct fuse_fsync_in fsync = {0};
        struct fuse_lseek_in lseek = {0};
        struct fuse_getxattr_in xattr = {.size = 100};

        start(true);
        cr_assert_eq(call(&rig, &answer, FUSE_COPY_FILE_RANGE, 2, &copy, sizeof copy, NULL, NULL),
                -ENOSYS);
        cr_assert_eq(call(&rig, &answer, FUSE_FSYNC, 2, &fsync, sizeof fsync, NULL, NULL), -ENOSYS);
        cr_assert_eq(call(&rig, &answer, FUSE_LSEEK, 2, &lseek, sizeof lseek, NULL, NULL), -ENOSYS);
        cr_assert_eq(call(&rig, &answer, FUSE_GETXATTR, 2, &xattr, sizeof xattr,
                             "security.capability", NULL),
                -ENOSYS);
        cr_assert_eq(
                call(&rig, &answer, FUSE_LISTXATTR, 2, &xattr, sizeof xattr, NULL, NULL), -ENOSYS);
}

/* --- the one change there is --- */

Test(session_ops, the_planned_rename_is_done_and_told)
{
        struct tree_plan plan;
        struct view_file *f = make_file("password", "correct horse");
        struct fuse_rename_in rename = {.newdir = 1};

        start(true);
        uint64_t old = (uint64_t)lookup(&rig, TREE_ROOT, "password");
        cr_assert_eq(tree_stage(rig.tree, f, &plan), 0);
        uint64_t staged = (uint64_t)lookup(&rig, TREE_ROOT, plan.staged);
        cr_assert_eq(
                call(&rig, &answer, FUSE_RENAME, 1, &rename, sizeof rename, plan.staged, plan.name),
                0);
        cr_assert_eq(rig.renamed, 1);
        cr_assert_eq(rig.refused, 0);
        cr_assert_eq((uint64_t)lookup(&rig, TREE_ROOT, "password"), staged);
        cr_assert_eq(read_node(&rig, &answer, staged, 0, 100), 0);
        cr_assert_arr_eq(answer.body, "correct horse", 13);
        cr_assert_eq(read_node(&rig, &answer, old, 0, 100), 0);
        cr_assert_arr_eq(answer.body, "hunter2", 7);
        cr_assert_eq(
                call(&rig, &answer, FUSE_RENAME, 1, &rename, sizeof rename, plan.staged, plan.name),
                0, "sent twice, answered twice");
        view_file_unref(f);
}

Test(session_ops, the_planned_names_with_a_flag_are_not_the_plan)
{
        struct tree_plan plan;
        struct view_file *f = make_file("password", "x");
        struct fuse_rename2_in rename = {.newdir = 1, .flags = RENAME_EXCHANGE};

        start(true);
        cr_assert_eq(tree_stage(rig.tree, f, &plan), 0);
        cr_assert_eq(call(&rig, &answer, FUSE_RENAME2, 1, &rename, sizeof rename, plan.staged,
                             plan.name),
                -EROFS);
        cr_assert_eq(rig.renamed, 0);
        cr_assert_eq(rig.refused, 1);
        cr_assert(tree_unstage(rig.tree));
        view_file_unref(f);
}
