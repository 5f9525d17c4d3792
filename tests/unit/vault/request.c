#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"

#define SECRET "{\"value\":\"v\",\"id\":\"https://v.vault.azure.net/secrets/db/1\"}"
#define CHALLENGE(resource)                                                                    \
        "WWW-Authenticate: Bearer authorization=\"https://login.microsoftonline.com/11111111-" \
        "2222-3333-4444-555555555555\", resource=\"" resource "\"\r\n"

TestSuite(request, .fini = fixture_stop, .timeout = 60);

/* Takes one token only, and challenges all others. */
struct guard {
        const char *accepted; /* the Authorization header; NULL: none is */
        const char *challenge;
};

static void keep_guard(void *userdata, const struct test_request *request, struct test_answer *ret)
{
        const struct guard *g = userdata;
        char sent[256];

        if (g->accepted && test_request_header(request, "Authorization", sent, sizeof(sent)) &&
                streq(sent, g->accepted)) {
                ret->body = SECRET;
                return;
        }
        ret->status = 401;
        ret->headers = g->challenge;
        ret->body = "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10000: no\"}}";
}

static void expect_scope(unsigned i, const char *scope)
{
        struct test_request q;

        test_server_get(fixture.entra, i, &q);
        expect_in(q.body, scope);
}

Test(request, a_refused_token_is_replaced_once)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        struct guard g = {"Bearer token-2", CHALLENGE("https://vault.azure.net")};

        fixture_start("v.vault.azure.net");
        test_server_handle(fixture.keyvault, keep_guard, &g);
        get(VAULT_SECRET, "db", "", &o);
        cr_expect(o.object, "%s", err_text(&o.error));
        cr_expect_eq(test_server_requests(fixture.keyvault), 2);
        cr_expect_eq(test_server_requests(fixture.entra), 2);
        get(VAULT_SECRET, "db", "", &o);
        cr_expect(o.object);
        cr_expect_eq(test_server_requests(fixture.keyvault), 3, "the new one is kept");
        cr_expect_eq(test_server_requests(fixture.entra), 2);
        cr_expect_eq(vault_requests(fixture.vault), 3);
}

Test(request, whoever_is_always_refused_asks_twice)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        const char *const challenges[] = {CHALLENGE("https://vault.azure.net"), NULL,
                "WWW-Authenticate: Bearer\r\n", "WWW-Authenticate: \"\r\n"};

        fixture_start("v.vault.azure.net");
        for (unsigned i = 0; i < ELEMENTSOF(challenges); i++) {
                struct guard g = {NULL, challenges[i]};
                test_server_handle(fixture.keyvault, keep_guard, &g);
                get(VAULT_SECRET, "db", "", &o);
                cr_expect_eq(o.error.cause, ERR_AUTH);
                expect_in(o.error.text, "AKV10000");
                cr_expect_eq(test_server_requests(fixture.keyvault), 2 * (i + 1));
        }
}

Test(request, a_challenge_of_the_same_domain_is_followed_and_remembered)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        struct guard g = {"Bearer token-2", CHALLENGE("https://managedhsm.azure.net")};

        fixture_start("h.managedhsm.azure.net");
        test_server_handle(fixture.keyvault, keep_guard, &g);
        get(VAULT_SECRET, "db", "", &o);
        cr_expect(o.object, "%s", err_text(&o.error));
        cr_expect_eq(test_server_requests(fixture.keyvault), 2);
        expect_scope(0, "scope=https%3A%2F%2Fvault.azure.net%2F.default");
        expect_scope(1, "scope=https%3A%2F%2Fmanagedhsm.azure.net%2F.default");
        get(VAULT_SECRET, "db", "", &o);
        cr_expect(o.object);
        cr_expect_eq(test_server_requests(fixture.keyvault), 3);
        cr_expect_eq(test_server_requests(fixture.entra), 2);
}

Test(request, a_challenge_of_another_domain_is_not_followed)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        const char *const challenges[] = {CHALLENGE("https://management.azure.com"),
                CHALLENGE("https://graph.microsoft.com/.default"),
                CHALLENGE("https://managedhsm.azure.net"), CHALLENGE("https://net"),
                CHALLENGE("https://t.vault.azure.net"), CHALLENGE("http://vault.azure.net")};

        fixture_start("v.vault.azure.net");
        for (unsigned i = 0; i < ELEMENTSOF(challenges); i++) {
                struct guard g = {NULL, challenges[i]};
                unsigned before = test_server_requests(fixture.keyvault);
                test_server_handle(fixture.keyvault, keep_guard, &g);
                get(VAULT_SECRET, "db", "", &o);
                cr_expect_eq(o.error.cause, ERR_AUTH);
                cr_expect_eq(test_server_requests(fixture.keyvault), before + 2);
        }
        for (unsigned i = 0; i < test_server_requests(fixture.entra); i++)
                expect_scope(i, "scope=https%3A%2F%2Fvault.azure.net%2F.default");
}

Test(request, following_never_loops)
{
        _cleanup_(outcome_done) struct outcome o = {0};
        struct guard g = {NULL, CHALLENGE("https://managedhsm.azure.net")};

        fixture_start("h.managedhsm.azure.net");
        test_server_handle(fixture.keyvault, keep_guard, &g);
        get(VAULT_SECRET, "db", "", &o);
        cr_expect_eq(o.error.cause, ERR_AUTH);
        cr_expect_eq(test_server_requests(fixture.keyvault), 3);
}

static void get_many(unsigned n)
{
        struct outcome o[16] = {0};
        unsigned done = 0;

        for (unsigned i = 0; i < n; i++)
                cr_assert(vault_get(fixture.vault, VAULT_SECRET, "db", "", outcome_got, &o[i],
                                  NULL) == 0);
        while (done < n) {
                cr_assert(loop_turn(fixture.loop, USEC_INFINITY) >= 0);
                done = 0;
                for (unsigned i = 0; i < n; i++)
                        done += o[i].calls;
        }
        for (unsigned i = 0; i < n; i++) {
                cr_expect(o[i].object, "%s", err_text(&o[i].error));
                outcome_done(&o[i]);
        }
}

Test(request, many_that_are_refused_share_the_new_token)
{
        struct guard g = {"Bearer token-2", CHALLENGE("https://vault.azure.net")};

        fixture_start("v.vault.azure.net");
        test_server_handle(fixture.keyvault, keep_guard, &g);
        get_many(16);
        cr_expect_eq(test_server_requests(fixture.entra), 2);
        cr_expect_leq(test_server_requests(fixture.keyvault), 32);
}

Test(request, many_that_are_challenged_follow_together)
{
        struct guard g = {"Bearer token-2", CHALLENGE("https://managedhsm.azure.net")};

        fixture_start("h.managedhsm.azure.net");
        test_server_handle(fixture.keyvault, keep_guard, &g);
        get_many(16);
        cr_expect_eq(test_server_requests(fixture.entra), 2);
        cr_expect_leq(test_server_requests(fixture.keyvault), 32);
}
