#include "fs/record.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/fs/support.h"

static struct journal *journal;

static void init(void)
{
        cr_assert_eq(journal_new(0, false, &journal), 0);
}

static void fini(void)
{
        journal_free(journal);
}

TestSuite(record, .init = init, .fini = fini, .timeout = 120);

static struct journal_record last(void)
{
        struct journal_record r = {0};
        size_t offset = 0;

        while (journal_next(journal, &offset, &r))
                ;
        return r;
}

static struct record_node file_node(struct view_file *f)
{
        struct record_node n = {.id = 0x2bcdef0000000011,
                .parent = 1,
                .ino = 17,
                .linked = true,
                .name = "leaf",
                .target = "",
                .file = f};
        return n;
}

Test(record, a_file_comes_back_with_all_it_had)
{
        struct record_node in, out;
        struct view_file *f = make_file_bytes("d/leaf", "by\0tes", 6);

        f->mode = 0440;
        f->kind = VAULT_CERT;
        f->content_type = "application/x-pkcs12";
        f->object_name = "object";
        f->enabled = false;
        f->expires = 1234567890123;
        f->serial = UINT64_MAX;
        f->mtime = -1;
        in = file_node(f);
        (void)snprintf(in.name, sizeof in.name, ".akvfs-x");
        (void)snprintf(in.target, sizeof in.target, "leaf");
        cr_assert_eq(record_put_node(journal, RECORD_STAGED, 5, &in), 0);
        struct journal_record r = last();
        cr_assert_eq(r.type, RECORD_STAGED);
        cr_assert_eq(r.mount, 5);
        cr_assert_eq(record_get_node(&r, &out), 0);
        cr_assert_eq(out.id, in.id);
        cr_assert_eq(out.parent, 1);
        cr_assert_eq(out.ino, 17);
        cr_assert(out.linked && !out.dir);
        cr_assert_str_eq(out.name, ".akvfs-x");
        cr_assert_str_eq(out.target, "leaf");
        cr_assert_str_eq(out.file->path, "d/leaf");
        cr_assert_eq(out.file->mode, 0440);
        cr_assert_eq(sec_len(out.file->bytes), 6);
        cr_assert(sec_equal(out.file->bytes, f->bytes));
        cr_assert_eq(out.file->mtime, -1);
        cr_assert_eq(out.file->kind, VAULT_CERT);
        cr_assert_str_eq(out.file->object_name, "object");
        cr_assert_str_eq(out.file->object_id, f->object_id);
        cr_assert_str_eq(out.file->version, f->version);
        cr_assert_str_eq(out.file->content_type, "application/x-pkcs12");
        cr_assert_not(out.file->enabled);
        cr_assert_eq(out.file->expires, 1234567890123);
        cr_assert_eq(out.file->serial, UINT64_MAX);
        view_file_unref(out.file);
        view_file_unref(f);
}

Test(record, empty_files_and_folders)
{
        struct view_file *f = make_file("empty", "");
        struct record_node in = file_node(f), out;

        in.linked = false;
        in.name[0] = '\0';
        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        struct journal_record r = last();
        cr_assert_eq(record_get_node(&r, &out), 0);
        cr_assert_eq(sec_len(out.file->bytes), 0);
        cr_assert_eq(out.file->mode, -1);
        cr_assert_not(out.linked);
        cr_assert_str_empty(out.name);
        view_file_unref(out.file);

        in = (struct record_node){.id = 3,
                .parent = 1,
                .ino = 3,
                .dir = true,
                .linked = true,
                .mtime = 1234567890,
                .parent_mtime = INT64_MIN,
                .name = "d"};
        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        r = last();
        cr_assert_eq(record_get_node(&r, &out), 0);
        cr_assert(out.dir);
        cr_assert_null(out.file);
        cr_assert_str_eq(out.name, "d");
        cr_assert_eq(out.mtime, 1234567890);
        cr_assert_eq(out.parent_mtime, INT64_MIN);
        view_file_unref(f);
}

Test(record, the_longest_name)
{
        struct view_file *f = make_file("x", "x");
        struct record_node in = file_node(f), out;

        memset(in.name, 'n', RECORD_NAME_SIZE - 1);
        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        struct journal_record r = last();
        cr_assert_eq(record_get_node(&r, &out), 0);
        cr_assert_eq(strlen(out.name), RECORD_NAME_SIZE - 1);
        view_file_unref(out.file);
        view_file_unref(f);
}

Test(record, what_does_not_fit_is_not_begun)
{
        static char big[200 << 10];
        struct view_file *f = make_file_bytes("big", big, sizeof big);
        struct record_node in = file_node(f);

        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        size_t used = journal_used(journal);
        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), -ENOSPC);
        cr_assert_eq(journal_used(journal), used);
        view_file_unref(f);
}

static int read_back(const void *data, size_t len)
{
        struct journal_record r = {.type = RECORD_NODE, .mount = 1, .data = data, .len = len};
        struct record_node out = {0};

        int e = record_get_node(&r, &out);
        if (e < 0)
                cr_assert_null(out.file, "written on success only");
        else
                view_file_unref(out.file);
        return e;
}

/* Every single byte of a record changed, every shorter and longer one: an answer, never a crash. */
Test(record, any_damage_is_met_with_an_answer)
{
        struct view_file *f = make_file("d/leaf", "text");
        struct record_node in = file_node(f);
        unsigned refused = 0;

        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        struct journal_record r = last();
        unsigned char *copy = malloc(r.len + 8);
        cr_assert_not_null(copy);
        for (size_t len = 0; len < r.len + 8; len++) {
                memset(copy, 0, r.len + 8);
                memcpy(copy, r.data, MIN(len, r.len));
                cr_assert_eq(read_back(copy, len), len == r.len ? 0 : -EBADMSG, "%zu bytes", len);
        }
        for (size_t i = 0; i < r.len; i++)
                for (unsigned flip = 1; flip < 256; flip++) {
                        memcpy(copy, r.data, r.len);
                        copy[i] = (unsigned char)(copy[i] ^ flip);
                        refused += read_back(copy, r.len) < 0;
                }
        cr_assert_gt(refused, 0);
        free(copy);
        view_file_unref(f);
}

static int with_name(const char *name, const char *target)
{
        struct view_file *f = make_file("x", "x");
        struct record_node in = file_node(f);

        (void)snprintf(in.name, sizeof in.name, "%s", name);
        (void)snprintf(in.target, sizeof in.target, "%s", target);
        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        struct journal_record r = last();
        int e = read_back(r.data, r.len);
        view_file_unref(f);
        return e;
}

Test(record, names_that_no_folder_can_hold)
{
        cr_assert_eq(with_name("fine", ""), 0);
        cr_assert_eq(with_name("..data", "..x"), 0);
        cr_assert_eq(with_name("a/b", ""), -EBADMSG);
        cr_assert_eq(with_name("..", ""), -EBADMSG);
        cr_assert_eq(with_name(".", ""), -EBADMSG);
        cr_assert_eq(with_name("a", "a/b"), -EBADMSG);
        cr_assert_eq(with_name("a", ".."), -EBADMSG);
}

static int with_file(struct view_file *f)
{
        struct record_node in = file_node(f);

        cr_assert_eq(record_put_node(journal, RECORD_NODE, 1, &in), 0);
        struct journal_record r = last();
        return read_back(r.data, r.len);
}

/* A file's mode has permission bits and nothing that makes it another kind of thing. */
Test(record, modes_and_paths_that_no_file_has)
{
        struct view_file *f = make_file("x", "x");
        static char endless[SPC_PATH_MAX + 2];

        f->mode = 07777;
        cr_assert_eq(with_file(f), 0);
        f->mode = 040755;
        cr_assert_eq(with_file(f), -EBADMSG);
        f->mode = -2;
        cr_assert_eq(with_file(f), -EBADMSG);
        f->mode = -1;
        memset(endless, 'p', SPC_PATH_MAX);
        f->path = endless;
        cr_assert_eq(with_file(f), 0);
        endless[SPC_PATH_MAX] = 'p';
        cr_assert_eq(with_file(f), -EBADMSG);
        view_file_unref(f);
}

Test(record, events)
{
        const struct record_event in = {.id = 0x123456789abcdef0, .parent_mtime = -7};
        struct record_event out = {0};

        cr_assert_eq(record_put_event(journal, RECORD_APPLIED, 4, &in, false), 0);
        struct journal_record r = last();
        cr_assert_eq(r.type, RECORD_APPLIED);
        cr_assert_leq(r.len, RECORD_EVENT_SIZE);
        cr_assert_eq(record_get_event(&r, &out), 0);
        cr_assert_eq(out.id, in.id);
        cr_assert_eq(out.parent_mtime, -7);
        for (size_t len = 0; len < 40; len++) {
                r.len = len;
                cr_assert_eq(record_get_event(&r, &out), len == sizeof out ? 0 : -EBADMSG);
        }
}
