#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"
#include "support/wire.h"
#include "vault/list.h"

static void add_wire(struct name_list *l, enum vault_kind kind, const char *name, bool more)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *next = NULL;
        struct wire w;

        wire_load(name, &w);
        cr_assert(name_list_add_page(l, kind, w.body, w.body_len, &next, &e) == 0, "%s: %s", name,
                err_text(&e));
        cr_expect((next != NULL) == more, "%s", name);
        wire_done(&w);
}

Test(names, recorded_lists_are_read_to_the_end)
{
        static const struct {
                const char *prefix;
                enum vault_kind kind;
                size_t pages;
        } cases[] = {
                {"secrets-list-default-7.3-", VAULT_SECRET, 7},
                {"secrets-list-max3-emptypages-7.0-", VAULT_SECRET, 7},
                {"keys-list-default-7.3-", VAULT_KEY, 3},
                {"certificates-list-max3-7.0-", VAULT_CERT, 2},
        };

        if (!wire_folder())
                return;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(name_list_done) struct name_list l = {0};
                _cleanup_(wire_list_freep) char **names = wire_list(cases[i].prefix);
                size_t pages = 0;

                for (; names[pages]; pages++)
                        add_wire(&l, cases[i].kind, names[pages], names[pages + 1] != NULL);
                cr_expect_eq(pages, cases[i].pages);
                cr_expect_geq(l.names->n, 1, "%s", cases[i].prefix);
                cr_expect_leq(l.names->n, l.seen);
                for (size_t k = 0; k < l.names->n; k++)
                        cr_expect(*l.names->list[k].name && !strchr(l.names->list[k].name, '/'));
        }
}

Test(names, disabled_ones_are_left_out_and_nothing_is_nothing)
{
        _cleanup_(name_list_done) struct name_list l = {0};

        if (!wire_folder())
                return;
        add_wire(&l, VAULT_SECRET, "secrets-list-disabled-managed-7.4", false);
        cr_expect_eq(l.seen, 2);
        cr_expect_eq(l.names->n, 1);
        add_wire(&l, VAULT_SECRET, "secrets-list-null-7.0", false);
        add_wire(&l, VAULT_SECRET, "secrets-list-empty-7.4", false);
        cr_expect_eq(l.names->n, 1);
        add_wire(&l, VAULT_KEY, "keys-list-mhsm-no-nextlink-7.4-preview", false);
        cr_expect_gt(l.names->n, 1);
}

Test(names, tags_are_kept)
{
        _cleanup_(name_list_done) struct name_list l = {0};

        if (!wire_folder())
                return;
        add_wire(&l, VAULT_SECRET, "secrets-list-two-tags-7.4", false);
        cr_assert_eq(l.names->n, 2);
        cr_expect_gt(l.names->list[0].n_tags + l.names->list[1].n_tags, 0);
}

static int add(struct name_list *l, const char *body, struct err *e)
{
        _cleanup_free_ char *next = NULL;

        return name_list_add_page(l, VAULT_SECRET, body, strlen(body), &next, e);
}

Test(names, what_makes_no_sense_is_refused)
{
        static const char *const bodies[] = {"", "{}", "[]", "{\"value\":{}}",
                "{\"value\":[{\"id\":5}]}", "{\"value\":[{\"id\":\"https://v/keys/a\"}]}",
                "{\"value\":[],\"nextLink\":5}"};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(name_list_done) struct name_list l = {0};
                _cleanup_err_ struct err e = {0};
                cr_expect_eq(add(&l, bodies[i], &e), -EBADMSG, "%s", bodies[i]);
                cr_expect_eq(e.cause, ERR_SERVICE);
        }
}

Test(names, tags_that_are_no_text_are_none)
{
        _cleanup_(name_list_done) struct name_list l = {0};

        cr_assert_eq(add(&l,
                             "{\"value\":[{\"id\":\"https://v/secrets/a\",\"tags\":{\"x\":1,\"y\":"
                             "\"z\"}},{\"id\":\"https://v/secrets/b\",\"tags\":\"x\"}]}",
                             NULL),
                0);
        cr_assert_eq(l.names->n, 2);
        cr_assert_eq(l.names->list[0].n_tags, 1);
        cr_expect_str_eq(l.names->list[0].tags[0].value, "z");
        cr_expect_eq(l.names->list[1].n_tags, 0);
}

Test(names, a_vault_without_end_is_refused)
{
        _cleanup_(name_list_done) struct name_list l = {0};
        _cleanup_err_ struct err e = {0};
        int r = 0;

        for (int i = 0; i < VAULT_NAMES_MAX && r == 0; i++)
                r = add(&l, "{\"value\":[{\"id\":\"https://v/secrets/a\"}]}", &e);
        cr_assert_eq(r, 0);
        cr_assert_eq(add(&l, "{\"value\":[{\"id\":\"https://v/secrets/a\"}]}", &e), -E2BIG);
        cr_expect_eq(e.cause, ERR_UNSUPPORTED);
}

/* --- over the wire --- */

static void start(void)
{
        fixture_start("v.vault.azure.net");
}

TestSuite(names_call, .init = start, .fini = fixture_stop, .timeout = 60);

struct got {
        struct vault_names *names;
        struct err error;
        unsigned retry_after, calls;
};

static void on_names(
        void *userdata, struct vault_names *names, const struct err *error, unsigned retry_after)
{
        struct got *g = userdata;

        g->calls++;
        g->names = vault_names_ref(names);
        g->retry_after = retry_after;
        if (error)
                cr_assert(err_copy(&g->error, error) == 0);
}

static void ask(struct got *g)
{
        cr_assert(vault_list_names(fixture.vault, VAULT_SECRET, on_names, g, NULL) == 0);
        while (g->calls == 0)
                cr_assert(loop_turn(fixture.loop, USEC_INFINITY) >= 0);
}

static void got_done(struct got *g)
{
        vault_names_unref(g->names);
        err_done(&g->error);
}

Test(names_call, asks_the_collection_and_follows_its_own_links_only)
{
        _cleanup_(got_done) struct got one = {0}, two = {0};
        char body[256];

        snprintf(body, sizeof(body),
                "{\"value\":[{\"id\":\"https://v/secrets/a\"}],\"nextLink\":null}");
        say(200, body);
        ask(&one);
        cr_assert(one.names, "%s", err_text(&one.error));
        cr_expect_eq(one.names->n, 1);
        cr_expect_str_eq(asked(0), "/secrets?api-version=7.4");

        say(200, "{\"value\":[],\"nextLink\":\"https://elsewhere.example/secrets?x\"}");
        ask(&two);
        cr_expect_null(two.names);
        expect_in(err_text(&two.error), "failed to list objectType:secret");
        expect_in(err_text(&two.error), "another host");
}

Test(names_call, a_refusal_tells_the_permission)
{
        _cleanup_(got_done) struct got g = {0};

        say(403, "{\"error\":{\"code\":\"Forbidden\",\"message\":\"does not have secrets list "
                 "permission\",\"innererror\":{\"code\":\"ForbiddenByPolicy\"}}}");
        ask(&g);
        cr_expect_null(g.names);
        cr_expect_eq(g.error.cause, ERR_FORBIDDEN);
        expect_in(g.error.hint, "--secret-permissions get list");
}
