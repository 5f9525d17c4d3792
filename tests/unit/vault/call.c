#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"

#define SECRET "{\"value\":\"v\",\"id\":\"https://v.vault.azure.net/secrets/db/1\"}"

static void start(void)
{
        fixture_start("v.vault.azure.net");
}

TestSuite(call, .init = start, .fini = fixture_stop, .timeout = 60);

static bool has_header(unsigned i, const char *name, const char *want)
{
        struct test_request q;
        char value[256];

        test_server_get(fixture.keyvault, i, &q);
        return test_request_header(&q, name, value, sizeof(value)) && streq(value, want);
}

Test(call, gets_an_object_with_one_token_and_one_request)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        struct test_request q;

        say(200, SECRET);
        get(VAULT_SECRET, "db", "", &o);
        cr_assert(o.object, "%s", err_text(&o.error));
        cr_expect_str_eq(o.object->name, "db");
        cr_expect_eq(test_server_requests(fixture.keyvault), 1);
        cr_expect_eq(test_server_requests(fixture.entra), 1);
        cr_expect_eq(vault_requests(fixture.vault), 1);
        test_server_get(fixture.keyvault, 0, &q);
        cr_expect_str_eq(q.method, "GET");
        cr_expect_str_eq(q.target, "/secrets/db/?api-version=7.4");
        cr_expect(has_header(0, "Authorization", "Bearer token-1"));
        cr_expect(has_header(0, "Accept", "application/json"));
        cr_expect(has_header(0, "User-Agent", "akvfs/" AKVFS_VERSION));
        test_server_get(fixture.entra, 0, &q);
        expect_in(q.body, "scope=https%3A%2F%2Fvault.azure.net%2F.default");
}

Test(call, addresses_kinds_names_and_versions)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        say(404, "");
        get(VAULT_KEY, "k", "0123456789abcdef0123456789abcdef", &o);
        get(VAULT_CERT, "c", "latest", &o);
        get(VAULT_SECRET, "a b/../\xc3\xbc?#%&", "1/2", &o);
        cr_expect_str_eq(asked(0), "/keys/k/0123456789abcdef0123456789abcdef?api-version=7.4");
        cr_expect_str_eq(asked(1), "/certificates/c/latest?api-version=7.4");
        cr_expect_str_eq(
                asked(2), "/secrets/a%20b%2F..%2F%C3%BC%3F%23%25%26/1%2F2?api-version=7.4");
        expect_in(err_text(&o.error), "objectVersion:1/2: vault https://v.vault.azure.net:");
}

Test(call, names_that_are_other_paths_are_refused)
{
        static const char *const names[][2] = {{"", ""}, {".", ""}, {"..", ""}, {"a", ".."}};
        struct outcome o = {0};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                cr_expect(vault_get(fixture.vault, VAULT_SECRET, names[i][0], names[i][1],
                                  outcome_got, &o, NULL) == -EINVAL);
        cr_expect(vault_list_versions(
                          fixture.vault, VAULT_SECRET, "..", outcome_listed, &o, NULL) == -EINVAL);
        cr_expect_eq(o.calls, 0);
}

Test(call, many_share_one_token)
{
        struct outcome o[50] = {0};
        unsigned done = 0;

        say(200, SECRET);
        for (size_t i = 0; i < ELEMENTSOF(o); i++)
                cr_assert(vault_get(fixture.vault, VAULT_SECRET, "db", "", outcome_got, &o[i],
                                  NULL) == 0);
        while (done < ELEMENTSOF(o)) {
                cr_assert(loop_turn(fixture.loop, USEC_INFINITY) >= 0);
                done = 0;
                for (size_t i = 0; i < ELEMENTSOF(o); i++)
                        done += o[i].calls;
        }
        for (size_t i = 0; i < ELEMENTSOF(o); i++) {
                cr_expect(o[i].calls == 1 && o[i].object);
                outcome_done(&o[i]);
        }
        cr_expect_eq(test_server_requests(fixture.entra), 1);
        cr_expect_eq(test_server_requests(fixture.keyvault), 50);
        cr_expect_eq(vault_requests(fixture.vault), 50);
        cr_expect_leq(test_server_connections(fixture.keyvault), HTTP_CONNECTIONS_PER_HOST);
}

Test(call, errors_say_object_vault_identity_and_cause)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        say(404, "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"none\"}}");
        get(VAULT_SECRET, "db", "", &o);
        cr_expect_null(o.object);
        cr_expect_eq(o.error.cause, ERR_NOT_FOUND);
        expect_in(o.error.text, "failed to get objectType:secret, objectName:db, objectVersion:: ");
        expect_in(o.error.text, fixture.url);
        expect_in(o.error.text, "service principal app of tenant contoso.example");
        expect_in(o.error.text, "StatusCode=404 Code=\"SecretNotFound\"");
        cr_expect_eq(test_server_requests(fixture.keyvault), 1, "404 is not tried again");
}

Test(call, an_answer_that_makes_no_sense_is_an_error)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        say(200, "{\"id\":\"https://v.vault.azure.net/secrets/db/1\"}");
        get(VAULT_SECRET, "db", "", &o);
        cr_expect_eq(o.error.cause, ERR_SERVICE);
        expect_in(o.error.text, "objectName:db");
        expect_in(o.error.text, ": secret value is nil");
        say(200, "<html>");
        get(VAULT_SECRET, "db", "", &o);
        expect_in(o.error.text, ": the answer is not a JSON object");
        say(204, "");
        get(VAULT_SECRET, "db", "", &o);
        expect_in(o.error.text, "StatusCode=204");
        cr_expect_eq(o.error.cause, ERR_SERVICE);
}

Test(call, tries_again_and_counts_it)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        usec_t before = loop_now(fixture.loop);

        test_server_say(fixture.keyvault,
                &(struct test_answer){.status = 503, .headers = "Retry-After: 17\r\n"});
        say(500, "");
        say(200, SECRET);
        get(VAULT_SECRET, "db", "", &o);
        cr_expect(o.object);
        cr_expect_eq(test_server_requests(fixture.keyvault), 3);
        cr_expect_eq(vault_requests(fixture.vault), 3);
        cr_expect_geq(loop_now(fixture.loop) - before, 17 * USEC_PER_SEC);
        cr_expect_eq(o.retry_after, 0);
}

Test(call, tells_how_long_the_vault_wants_peace)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        test_server_say(fixture.keyvault,
                &(struct test_answer){.status = 429, .headers = "Retry-After: 300\r\n"});
        get(VAULT_SECRET, "db", "", &o);
        cr_expect_eq(o.error.cause, ERR_THROTTLED);
        cr_expect_eq(o.retry_after, 300);
        cr_expect_eq(
                test_server_requests(fixture.keyvault), 1, "more than the cap: not waited for");
        say(429, "{\"error\":{\"code\":\"Throttled\",\"message\":\"x\"}}");
        get(VAULT_SECRET, "db", "", &o);
        cr_expect_eq(o.error.cause, ERR_THROTTLED);
        cr_expect_eq(o.retry_after, 0);
        cr_expect_eq(test_server_requests(fixture.keyvault), 5);
        cr_expect_eq(vault_requests(fixture.vault), 5);
}

Test(call, a_list_of_versions_tells_it_too)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        test_server_say(fixture.keyvault,
                &(struct test_answer){.status = 429, .headers = "Retry-After: 300\r\n"});
        list(VAULT_SECRET, "db", &o);
        cr_expect_eq(o.error.cause, ERR_THROTTLED);
        cr_expect_eq(o.retry_after, 300);
}

Test(call, without_a_token_nothing_is_asked)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        test_server_handle(fixture.entra, NULL, NULL);
        test_server_say(fixture.entra,
                &(struct test_answer){.status = 401,
                        .body = "{\"error\":\"invalid_client\",\"error_description\":"
                                "\"AADSTS7000215: Invalid client secret provided.\","
                                "\"error_codes\":[7000215]}"});
        get(VAULT_SECRET, "db", "", &o);
        cr_expect_eq(o.error.cause, ERR_AUTH);
        expect_in(o.error.text, "failed to get objectType:secret, objectName:db, objectVersion:: ");
        expect_in(o.error.text, "failed to get key vault token");
        expect_in(o.error.text, "AADSTS7000215");
        cr_expect_eq(test_server_requests(fixture.keyvault), 0);
        cr_expect_eq(vault_requests(fixture.vault), 0);
        list(VAULT_SECRET, "db", &o);
        cr_expect_eq(o.error.cause, ERR_AUTH);
        cr_expect_eq(test_server_requests(fixture.keyvault), 0);
}

Test(call, no_answer_has_its_cause)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        test_server_free(TAKE_PTR(fixture.keyvault));
        get(VAULT_SECRET, "db", "", &o);
        cr_expect(o.error.cause == ERR_CONNECT || o.error.cause == ERR_TLS, "%s",
                err_cause_name(o.error.cause));
        expect_in(o.error.text, "failed to get objectType:secret, objectName:db, objectVersion:: ");
        expect_in(o.error.text, "vault https://v.vault.azure.net");
}

Test(call, cancelled_calls_are_silent)
{
        _cleanup_(outcome_done) struct outcome o = {0}, later = {0};
        struct vault_call *c;

        say(200, SECRET);
        cr_assert(vault_get(fixture.vault, VAULT_SECRET, "a", "", outcome_got, &o, &c) == 0);
        cr_expect_null(vault_cancel(c), "while the token is awaited");
        get(VAULT_SECRET, "b", "", &later);
        cr_assert(vault_get(fixture.vault, VAULT_SECRET, "c", "", outcome_got, &o, &c) == 0);
        while (vault_requests(fixture.vault) < 2)
                cr_assert(loop_turn(fixture.loop, USEC_INFINITY) >= 0);
        cr_expect_null(vault_cancel(c), "while the answer is awaited");
        get(VAULT_SECRET, "d", "", &later);
        cr_assert(
                vault_list_versions(fixture.vault, VAULT_SECRET, "e", outcome_listed, &o, &c) == 0);
        cr_expect_null(vault_cancel(c));
        get(VAULT_SECRET, "f", "", &later);
        cr_expect_eq(o.calls, 0);
        cr_expect_null(vault_cancel(NULL));
}

static void drop_vault(void *userdata, const struct vault_answer *answer)
{
        fixture.vault = vault_unref(fixture.vault);
        outcome_got(userdata, answer);
}

Test(call, a_callback_may_drop_the_vault)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        say(200, SECRET);
        cr_assert(vault_get(fixture.vault, VAULT_SECRET, "db", "", drop_vault, &o, NULL) == 0);
        run_until(&o.calls, 1);
        cr_expect(o.object);
}

/* --- lists --- */

static char pages[8][512];

#define ITEM "{\"id\":\"https://v.vault.azure.net/secrets/db/%s\",\"attributes\":{\"created\":%d}}"

Test(call, lists_versions_over_all_pages)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        snprintf(pages[0], sizeof(pages[0]),
                "{\"value\":[" ITEM "," ITEM
                "],\"nextLink\":\"%s/secrets/db/versions?api-version=7.4&$skiptoken=a-_b&x=1\"}",
                "old", 10, "new", 30, fixture.url);
        snprintf(pages[1], sizeof(pages[1]), "{\"value\":[],\"nextLink\":\"%s/any?$skiptoken=c\"}",
                fixture.url);
        snprintf(pages[2], sizeof(pages[2]),
                "{\"value\":null,\"nextLink\":\"%s/any?$skiptoken=d\"}", fixture.url);
        snprintf(pages[3], sizeof(pages[3]), "{\"value\":[" ITEM "],\"nextLink\":null}", "mid", 20);
        for (size_t i = 0; i < 4; i++)
                say(200, pages[i]);
        list(VAULT_SECRET, "db", &o);
        cr_assert(!o.error.code, "%s", err_text(&o.error));
        cr_assert_eq(o.n_versions, 3);
        cr_expect_str_eq(o.versions[0], "new");
        cr_expect_str_eq(o.versions[1], "mid");
        cr_expect_str_eq(o.versions[2], "old");
        cr_expect_eq(o.created[0], 30);
        cr_expect_str_eq(asked(0), "/secrets/db/versions?api-version=7.4");
        cr_expect_str_eq(asked(1), "/secrets/db/versions?api-version=7.4&$skiptoken=a-_b&x=1");
        cr_expect_str_eq(asked(2), "/any?$skiptoken=c");
        cr_expect_eq(test_server_requests(fixture.keyvault), 4);
        cr_expect_eq(test_server_requests(fixture.entra), 1);
}

Test(call, what_is_not_there_has_no_versions)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        say(200, "{\"value\":null,\"nextLink\":null}");
        list(VAULT_KEY, "k", &o);
        cr_expect(o.n_versions == 0 && !o.error.code);
        cr_expect_str_eq(asked(0), "/keys/k/versions?api-version=7.4");
        say(404, "{\"error\":{\"code\":\"CertificateNotFound\"}}");
        list(VAULT_CERT, "c", &o);
        cr_expect(o.n_versions == 0 && !o.error.code);
}

Test(call, lists_fail_with_what_was_wrong)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        say(403, "{\"error\":{\"code\":\"Forbidden\",\"message\":\"no list permission\","
                 "\"innererror\":{\"code\":\"AccessDenied\"}}}");
        list(VAULT_SECRET, "db", &o);
        cr_expect_eq(o.error.cause, ERR_FORBIDDEN);
        expect_in(o.error.text, "objectVersion:: listing its versions: ");
        expect_in(o.error.hint, "--secret-permissions get list");
        say(200, "{}");
        list(VAULT_SECRET, "db", &o);
        expect_in(o.error.text, "the answer is not a JSON list");
        say(200, "{\"value\":[],\"nextLink\":\"https://evil.example/steal\"}");
        list(VAULT_SECRET, "db", &o);
        expect_in(o.error.text, "at another host");
        cr_expect_eq(o.error.cause, ERR_SERVICE);
        cr_expect_eq(test_server_requests(fixture.keyvault), 3);
}

Test(call, a_list_without_end_is_given_up)
{
        _cleanup_(outcome_done) struct outcome o = {0};

        snprintf(pages[0], sizeof(pages[0]), "{\"value\":[],\"nextLink\":\"%s/again\"}",
                fixture.url);
        say(200, pages[0]);
        list(VAULT_SECRET, "db", &o);
        expect_in(o.error.text, "more than 200 pages");
        cr_expect_eq(test_server_requests(fixture.keyvault), 200);
}
