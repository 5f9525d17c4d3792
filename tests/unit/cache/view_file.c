#include <criterion/criterion.h>

#include "cache/view_priv.h"

static struct spc_object so = {
        .name = (char *)"db", .file = (char *)"tls/key", .mode = 0440, .history = 1};
static struct sec *bytes;

static struct vault_object object(void)
{
        return (struct vault_object){.kind = VAULT_SECRET,
                .id = (char *)"https://one.vault.example/secrets/db/7",
                .name = (char *)"db",
                .version = (char *)"7",
                .enabled = true,
                .created = 100,
                .updated = 200,
                .expires = VAULT_NO_TIME,
                .content_type = (char *)"text/plain"};
}

static void set_up(void)
{
        cr_assert_eq(sec_new("hunter2", 7, &bytes), 0);
}

static void tear_down(void)
{
        sec_unref(bytes);
        cr_assert_eq(sec_total(), 0);
}

TestSuite(view_file, .init = set_up, .fini = tear_down);

static struct view_file *make_part(int index, const char *suffix, const struct vault_object *o)
{
        _cleanup_free_ char *path = NULL;
        struct view_file *f;

        cr_assert_eq(view_file_path(&so, index, suffix, &path), 0);
        cr_assert_eq(view_file_new(&so, path, o, bytes, 42, &f), 0);
        return f;
}

static struct view_file *make(int index, const struct vault_object *o)
{
        return make_part(index, "", o);
}

Test(view_file, tells_all_of_the_object)
{
        struct vault_object o = object();
        struct view_file *f = make(-1, &o);

        cr_assert_str_eq(f->path, "tls/key");
        cr_assert_eq(f->mode, 0440);
        cr_assert_eq(f->bytes, bytes);
        cr_assert_eq(f->mtime, 200);
        cr_assert_eq(f->kind, VAULT_SECRET);
        cr_assert_str_eq(f->object_name, "db");
        cr_assert_str_eq(f->object_id, o.id);
        cr_assert_neq(f->object_id, o.id, "a copy: the object may go");
        cr_assert_str_eq(f->version, "7");
        cr_assert_str_eq(f->content_type, "text/plain");
        cr_assert(f->enabled);
        cr_assert_eq(f->expires, VAULT_NO_TIME);
        cr_assert_eq(f->serial, 42);
        cr_assert_null(view_file_unref(f));
}

Test(view_file, a_version_of_a_history_is_numbered)
{
        struct vault_object o = object();
        struct view_file *f = make(12, &o);

        cr_assert_str_eq(f->path, "tls/key/12");
        view_file_unref(f);
}

Test(view_file, one_of_several_has_its_suffix_behind_the_number)
{
        struct vault_object o = object();
        struct view_file *f = make_part(-1, ".crt", &o), *g = make_part(3, "/tls.crt", &o);

        cr_assert_str_eq(f->path, "tls/key.crt");
        cr_assert_str_eq(g->path, "tls/key/3/tls.crt");
        view_file_unref(f);
        view_file_unref(g);
}

Test(view_file, time_is_updated_else_created_else_none)
{
        struct vault_object o = object();
        struct view_file *f;

        o.updated = VAULT_NO_TIME;
        f = make(-1, &o);
        cr_assert_eq(f->mtime, 100);
        view_file_unref(f);
        o.created = VAULT_NO_TIME;
        f = make(-1, &o);
        cr_assert_eq(f->mtime, 0);
        view_file_unref(f);
}

Test(view_file, what_is_absent_is_empty)
{
        struct vault_object o = object();

        o.id = o.version = o.content_type = NULL;
        struct view_file *f = make(-1, &o);
        cr_assert_str_eq(f->object_id, "");
        cr_assert_str_eq(f->version, "");
        cr_assert_str_eq(f->content_type, "");
        cr_assert(view_file_is(f, &o, bytes));
        view_file_unref(f);
}

Test(view_file, lives_as_long_as_somebody_holds_it)
{
        struct vault_object o = object();
        struct view_file *f = make(-1, &o);

        cr_assert_eq(view_file_ref(f), f);
        view_file_unref(f);
        cr_assert_eq(sec_len(f->bytes), 7);
        view_file_unref(f);
        cr_assert_null(view_file_ref(NULL));
        cr_assert_null(view_file_unref(NULL));
}

#define DIFFERS(what)                                                              \
        do {                                                                       \
                struct vault_object o = object();                                  \
                struct view_file *f = make(-1, &o);                                \
                cr_expect(view_file_is(f, &o, bytes));                             \
                o.what;                                                            \
                cr_expect_not(view_file_is(f, &o, bytes), "differs in %s", #what); \
                view_file_unref(f);                                                \
        } while (0)

Test(view_file, each_thing_that_readers_see_makes_a_new_one)
{
        DIFFERS(updated = 201);
        DIFFERS(enabled = false);
        DIFFERS(expires = 300);
        DIFFERS(version = (char *)"8");
        DIFFERS(id = (char *)"https://one.vault.example/secrets/db/8");
        DIFFERS(content_type = (char *)"");

        struct vault_object o = object();
        struct view_file *f = make(-1, &o);
        struct sec *others;
        cr_assert_eq(sec_new("hunter3", 7, &others), 0);
        cr_expect_not(view_file_is(f, &o, others));
        sec_unref(others);
        view_file_unref(f);
}

Test(view_file, what_readers_do_not_see_does_not)
{
        struct vault_object o = object();
        struct view_file *f = make(-1, &o);

        o.created = 101;
        o.not_before = 5;
        cr_assert(view_file_is(f, &o, bytes));
        view_file_unref(f);
}

Test(view_file, kinds_are_the_same_words)
{
        cr_assert_eq(view_kind(SPC_SECRET), VAULT_SECRET);
        cr_assert_eq(view_kind(SPC_KEY), VAULT_KEY);
        cr_assert_eq(view_kind(SPC_CERT), VAULT_CERT);
}
