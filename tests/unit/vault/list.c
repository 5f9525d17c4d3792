#include "vault/list.h"

#include <criterion/criterion.h>

#define ITEM(version, created, enabled)                          \
        "{\"id\":\"https://v.vault.azure.net/secrets/s/" version \
        "\",\"attributes\":{\"enabled\":" enabled ",\"created\":" created "}}"

static int add(struct version_list *l, const char *body, char **next, struct err *e)
{
        return version_list_add_page(l, VAULT_SECRET, body, strlen(body), next, e);
}

Test(list, collects_pages_and_sorts_them)
{
        _cleanup_(version_list_done) struct version_list l = {0};
        _cleanup_free_ char *next = NULL, *none = NULL;

        cr_assert(add(&l,
                          "{\"value\":[" ITEM("b", "20", "true") "," ITEM(
                                  "x", "99", "false") "," ITEM("c", "20",
                                  "true") "],\"nextLink\":\"https://v/next\"}",
                          &next, NULL) == 0);
        cr_expect_str_eq(next, "https://v/next");
        cr_assert(
                add(&l,
                        "{\"nextLink\":null,\"value\":[" ITEM("a", "32503680000",
                                "true") ","
                                        "{\"id\":\"https://v/secrets/s/z\"},"
                                        "{\"id\":\"https://v/secrets/s\",\"attributes\":{}},"
                                        "{\"id\":\"https://v/secrets/s/d\",\"attributes\":{},\"extra\":1}]}",
                        &none, NULL) == 0);
        cr_expect_null(none);
        version_list_sort(&l);
        cr_assert_eq(l.n, 4);
        cr_expect_str_eq(l.items[0].version, "a");
        cr_expect_eq(l.items[0].created, INT64_C(32503680000));
        cr_expect_str_eq(l.items[1].version, "b", "the service's order decides between equals");
        cr_expect_str_eq(l.items[2].version, "c");
        cr_expect_str_eq(l.items[3].version, "d");
        cr_expect_eq(l.items[3].created, 0);
}

Test(list, takes_every_form_of_nothing)
{
        const char *const bodies[] = {"{\"value\":[],\"nextLink\":null}",
                "{\"value\":null,\"nextLink\":null}", "{\"value\":[]}",
                "{\"value\":[],\"nextLink\":\"\"}"};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(version_list_done) struct version_list l = {0};
                char *next = NULL;
                cr_expect(add(&l, bodies[i], &next, NULL) == 0, "%s", bodies[i]);
                cr_expect(l.n == 0 && !next);
        }
}

Test(list, keys_are_listed_by_kid)
{
        _cleanup_(version_list_done) struct version_list l = {0};
        const char *body = "{\"value\":[{\"kid\":\"https://v/keys/k/v1\",\"attributes\":{}}]}";
        char *next = NULL;

        cr_assert(version_list_add_page(&l, VAULT_KEY, body, strlen(body), &next, NULL) == 0);
        cr_assert_eq(l.n, 1);
        cr_expect_str_eq(l.items[0].version, "v1");
}

Test(list, refuses_what_is_no_list)
{
        const char *const bodies[] = {"", "[]", "{}", "{\"value\":{}}", "{\"value\":\"\"}",
                "{\"value\":[1]}", "{\"value\":[{}]}", "{\"value\":[{\"id\":\"https://v/x/y\"}]}",
                "{\"value\":[{\"kid\":\"https://v/keys/k/v1\"}]}", "{\"value\":[],\"nextLink\":7}",
                "{\"value\":[{\"id\":\"https://v/secrets/s/v\",\"attributes\":{\"created\":\"x\"}}]}"};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(version_list_done) struct version_list l = {0};
                _cleanup_err_ struct err e = {0};
                char *next = NULL;
                cr_expect(add(&l, bodies[i], &next, &e) == -EBADMSG, "%s", bodies[i]);
                cr_expect(e.cause == ERR_SERVICE && e.text, "%s", bodies[i]);
                cr_expect_null(next);
        }
}

Test(list, has_a_cap)
{
        _cleanup_(version_list_done) struct version_list l = {0};
        const char *page = "{\"value\":[" ITEM("a", "1", "true") "," ITEM("b", "2", "true") "]}";
        char *next = NULL;

        for (unsigned i = 0; i < VAULT_VERSIONS_MAX / 2; i++)
                cr_assert(add(&l, page, &next, NULL) == 0);
        cr_expect_eq(l.n, VAULT_VERSIONS_MAX);
        cr_expect(!l.full);
        cr_assert(add(&l, page, &next, NULL) == 0);
        cr_expect_eq(l.n, VAULT_VERSIONS_MAX);
        cr_expect(l.full);
}

Test(list, knows_the_same_origin)
{
        const char *base = "https://v.vault.azure.net";
        static const struct {
                const char *url;
                bool same;
        } cases[] = {
                {"https://v.vault.azure.net:443/secrets?api-version=7.4&$skiptoken=x", true},
                {"https://V.Vault.Azure.net/secrets", true},
                {"HTTPS://v.vault.azure.net", true},
                {"https://v.vault.azure.net?x", true},
                {"https://v.vault.azure.net:8443/", false},
                {"http://v.vault.azure.net/", false},
                {"https://w.vault.azure.net/", false},
                {"https://v.vault.azure.net.evil.example/", false},
                {"https://v.vault.azure.net@evil.example/", false},
                {"https://v.vault.azure.net:443@evil.example/", false},
                {"https://evil.example/v.vault.azure.net", false},
                {"https://evil.example\\@v.vault.azure.net/", false},
                {"https:///secrets", false},
                {"/secrets", false},
                {"", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_expect(same_origin(base, cases[i].url) == cases[i].same, "%s", cases[i].url);
        cr_expect(same_origin("https://[::1]:8443", "https://[::1]:8443/x"));
        cr_expect(same_origin("https://localhost:443", "https://localhost/x"));
}
