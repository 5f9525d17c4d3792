#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "support/resolver.h"

struct fixture fixture;

static void hand_out(void *userdata, const struct test_request *request, struct test_answer *ret)
{
        static char bodies[64][128];
        static unsigned n;

        cr_assert_lt(n, ELEMENTSOF(bodies));
        snprintf(bodies[n], sizeof(bodies[n]),
                "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"token-%u\"}",
                n + 1);
        ret->body = bodies[n++];
}

static void start_identity(void)
{
        _cleanup_sec_ struct sec *secret = NULL;
        _cleanup_err_ struct err e = {0};
        char authority[128];

        snprintf(authority, sizeof(authority), "%s/", test_server_url(fixture.entra));
        cr_assert(sec_new("client secret", 13, &secret) == 0);
        const struct auth_config config = {
                .mode = AUTH_CLIENT_SECRET,
                .tenant = "contoso.example",
                .client_id = "app",
                .client_secret = secret,
                .authority = authority,
                .endpoint = {.ca_file = test_server_ca_file(fixture.entra)},
        };
        cr_assert(auth_open(fixture.auths, &config, &fixture.auth, &e) == 0, "%s", err_text(&e));
}

void fixture_start(const char *host)
{
        static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
        const struct test_server_options options = {.host = host};
        _cleanup_err_ struct err e = {0};

        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                unsetenv(variables[i]);
        test_init();
        test_resolver_local(".azure.net");
        cr_assert(loop_new(&fixture.loop) == 0);
        loop_simulate(fixture.loop, 1, 1700000000);
        cr_assert(http_client_new(fixture.loop, &fixture.http) == 0);
        cr_assert(auths_new(fixture.loop, fixture.http, &fixture.auths) == 0);
        cr_assert(vaults_new(fixture.loop, fixture.http, &fixture.vaults) == 0);
        fixture.entra = test_server_new(NULL);
        test_server_handle(fixture.entra, hand_out, NULL);
        fixture.keyvault = test_server_new(&options);
        start_identity();

        snprintf(fixture.url, sizeof(fixture.url), "https://%s:%u", host,
                test_server_port(fixture.keyvault));
        const struct vault_config config = {
                .url = fixture.url,
                .scope = "https://vault.azure.net/.default",
                .auth = fixture.auth,
                .endpoint = {.ca_file = test_server_ca_file(fixture.keyvault)},
        };
        cr_assert(vault_open(fixture.vaults, &config, &fixture.vault, &e) == 0, "%s", err_text(&e));
}

void fixture_stop(void)
{
        vault_unref(fixture.vault);
        vaults_free(fixture.vaults);
        auth_unref(fixture.auth);
        auths_free(fixture.auths);
        http_client_free(fixture.http);
        loop_free(fixture.loop);
        test_server_free(fixture.keyvault);
        test_server_free(fixture.entra);
}

void outcome_done(struct outcome *o)
{
        vault_object_unref(o->object);
        err_done(&o->error);
        *o = (struct outcome){0};
}

void outcome_got(void *userdata, const struct vault_answer *answer)
{
        struct outcome *o = userdata;

        o->calls++;
        cr_assert((answer->object != NULL) != (answer->error != NULL));
        o->object = vault_object_ref(answer->object);
        if (answer->error)
                cr_assert(err_copy(&o->error, answer->error) == 0);
        o->retry_after = answer->retry_after;
}

void outcome_listed(void *userdata, const struct vault_version *versions, size_t n,
        const struct err *error, unsigned retry_after)
{
        struct outcome *o = userdata;

        o->calls++;
        o->n_versions = n;
        for (size_t i = 0; i < n && i < ELEMENTSOF(o->versions); i++) {
                snprintf(o->versions[i], sizeof(o->versions[i]), "%s", versions[i].version);
                o->created[i] = versions[i].created;
        }
        if (error)
                cr_assert(err_copy(&o->error, error) == 0);
        o->retry_after = retry_after;
}

void run_until(const unsigned *counter, unsigned n)
{
        while (*counter < n)
                cr_assert(loop_turn(fixture.loop, USEC_INFINITY) >= 0);
}

void get(enum vault_kind kind, const char *name, const char *version, struct outcome *ret)
{
        outcome_done(ret);
        cr_assert(vault_get(fixture.vault, kind, name, version, outcome_got, ret, NULL) == 0);
        cr_assert_eq(ret->calls, 0, "called from within vault_get");
        run_until(&ret->calls, 1);
}

void list(enum vault_kind kind, const char *name, struct outcome *ret)
{
        outcome_done(ret);
        cr_assert(vault_list_versions(fixture.vault, kind, name, outcome_listed, ret, NULL) == 0);
        cr_assert_eq(ret->calls, 0, "called from within vault_list_versions");
        run_until(&ret->calls, 1);
}

void say(int status, const char *body)
{
        test_server_say(fixture.keyvault, &(struct test_answer){.status = status, .body = body});
}

const char *asked(unsigned i)
{
        struct test_request q;

        test_server_get(fixture.keyvault, i, &q);
        return q.target;
}

void expect_in(const char *text, const char *part)
{
        cr_expect(text && strstr(text, part), "\"%s\" lacks \"%s\"", text ? text : "(null)", part);
}
