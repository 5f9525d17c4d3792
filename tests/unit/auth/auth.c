#include "auth/auth.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "scene.h"
#include "support/forked.h"
#include "support/memory.h"

TestSuite(auth, .init = scene_set_up, .fini = scene_tear_down, .timeout = 60);

/* --- identities --- */

Test(auth, same_configuration_is_the_same_identity)
{
        struct auth *a = scene_open(), *b = scene_open(), *c = NULL;
        struct auth_config cfg = scene_config();
        char with_slash[128];

        cr_assert_eq(a, b);
        snprintf(with_slash, sizeof with_slash, "%s/", cfg.authority);
        cfg.authority = with_slash;
        cr_assert_eq(auth_open(scene.auths, &cfg, &c, NULL), 0);
        cr_assert_eq(a, c);
        cr_assert_str_eq(auth_describe(a), "service principal app of tenant contoso.example");
        auth_unref(a);
        auth_unref(b);
        cr_assert_null(auth_unref(c));
        cr_assert_null(auth_unref(NULL));
}

Test(auth, whatever_differs_makes_another_identity)
{
        struct sec *other = NULL;
        struct auth *all[7] = {scene_open()};
        struct auth_config cfg;

        cr_assert_eq(sec_new("s3cr3t-other", 12, &other), 0);
        cfg = scene_config();
        cfg.tenant = "other.example";
        cr_assert_eq(auth_open(scene.auths, &cfg, &all[1], NULL), 0);
        cfg = scene_config();
        cfg.client_id = "other";
        cr_assert_eq(auth_open(scene.auths, &cfg, &all[2], NULL), 0);
        cfg = scene_config();
        cfg.client_secret = other;
        cr_assert_eq(auth_open(scene.auths, &cfg, &all[3], NULL), 0);
        cfg = scene_config();
        cfg.authority = "https://other/";
        cr_assert_eq(auth_open(scene.auths, &cfg, &all[4], NULL), 0);
        cfg = (struct auth_config){.mode = AUTH_VM_IDENTITY};
        cr_assert_eq(auth_open(scene.auths, &cfg, &all[5], NULL), 0);
        cfg.client_id = "other";
        cr_assert_eq(auth_open(scene.auths, &cfg, &all[6], NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                cr_assert_null(strstr(auth_key(all[i]), "s3cr3t"));
                for (size_t k = 0; k < i; k++)
                        cr_assert_str_neq(auth_key(all[i]), auth_key(all[k]));
        }
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                auth_unref(all[i]);
        sec_unref(other);
}

/* The same identity, but reached in another way: its answers may differ, its rights do not. */
Test(auth, other_endpoint_settings_make_another_object_with_the_same_key)
{
        struct auth *a = scene_open(), *b = NULL;
        struct auth_config cfg = scene_config();

        cfg.endpoint.proxy = "";
        cr_assert_eq(auth_open(scene.auths, &cfg, &b, NULL), 0);
        cr_assert_neq(a, b);
        cr_assert_str_eq(auth_key(a), auth_key(b));
        auth_unref(a);
        auth_unref(b);
}

Test(auth, bad_configurations)
{
        struct auth_config cfg = scene_config();
        struct auth *a = NULL;
        _cleanup_err_ struct err e = {0};

        cfg.tenant = "a/b";
        cr_assert_eq(auth_open(scene.auths, &cfg, &a, &e), -EINVAL);
        cr_assert_eq(e.cause, ERR_USAGE);
        cfg.mode = (enum auth_mode_id)99;
        cr_assert_eq(auth_open(scene.auths, &cfg, &a, &e), -EINVAL);
        cr_assert_null(a);
}

/* --- tokens --- */

Test(auth, token_is_fetched_once_and_kept)
{
        struct auth *a = scene_open();

        struct told r = scene_get(a);
        cr_assert_str_eq(r.token, "token-0");
        cr_assert_eq(r.expires_at, WALL + 3600);
        r = scene_get(a);
        cr_assert_str_eq(r.token, "token-0");
        cr_assert_eq(auth_requests(a), 1);

        struct test_request q;
        test_server_get(scene.server, 0, &q);
        cr_assert_str_eq(q.method, "POST");
        cr_assert_str_eq(q.target, "/contoso.example/oauth2/v2.0/token");
        cr_assert_not_null(strstr(q.body, "client_secret=s3cr3t-value&"));
        auth_unref(a);
}

Test(auth, scopes_have_tokens_of_their_own)
{
        struct auth *a = scene_open();
        struct told r = {0};

        scene_get(a);
        cr_assert_eq(auth_get_token(
                             a, "https://managedhsm.azure.net/.default", scene_on_token, &r, NULL),
                0);
        scene_run_until(&r.calls, 1);
        cr_assert_str_eq(r.token, "token-1");
        static char big[2000];
        memset(big, 'x', sizeof big - 1);
        cr_assert_eq(auth_get_token(a, big, scene_on_token, &r, NULL), -EINVAL);
        auth_unref(a);
}

/* 3600 s: due between 375 s (300 and a quarter) and 300 s before the end; 376 s are left first. */
Test(auth, token_is_refreshed_early_while_the_old_one_is_handed_out)
{
        struct auth *a = scene_open();
        struct told r;

        scene_get(a);
        scene_pass(3224 * USEC_PER_SEC);
        cr_assert_str_eq(scene_get(a).token, "token-0");
        cr_assert_eq(scene.issued, 1);
        scene_pass(77 * USEC_PER_SEC); /* 299 s are left */
        r = scene_get(a);
        cr_assert_str_eq(r.token, "token-0", "the old one still serves");
        while (auth_requests(a) < 2)
                cr_assert_geq(loop_turn(scene.loop, USEC_PER_MSEC), 0);
        cr_assert_str_eq(scene_get(a).token, "token-1");
        auth_unref(a);
}

/* 100 s: due in the last 20 to 25. */
Test(auth, short_lived_tokens_are_refreshed_in_their_last_fifth)
{
        struct auth *a = scene_open();

        scene.lifetime = 100;
        scene_get(a);
        scene_pass(74 * USEC_PER_SEC);
        scene_get(a);
        scene_pass(USEC_PER_SEC / 2);
        cr_assert_eq(scene.issued, 1);
        scene_pass(6 * USEC_PER_SEC);
        scene_get(a);
        while (auth_requests(a) < 2)
                cr_assert_geq(loop_turn(scene.loop, USEC_PER_MSEC), 0);
        auth_unref(a);
}

Test(auth, nothing_is_fetched_for_nobody)
{
        struct auth *a = scene_open();

        scene_get(a);
        scene_pass(86400 * USEC_PER_SEC);
        cr_assert_eq(scene.issued, 1);
        cr_assert_str_eq(scene_get(a).token, "token-1");
        auth_unref(a);
}

Test(auth, token_is_wiped_when_it_expires)
{
        struct auth *a = scene_open();
        size_t before = sec_total();

        scene_get(a);
        cr_assert_eq(sec_total(), before + strlen("token-0"));
        scene_pass(3601 * USEC_PER_SEC);
        cr_assert_eq(sec_total(), before);
        auth_unref(a);
}

Test(auth, token_about_to_expire_is_not_handed_out)
{
        struct auth *a = scene_open();

        scene_get(a);
        scene_pass(3571 * USEC_PER_SEC);
        cr_assert_str_eq(scene_get(a).token, "token-1");
        auth_unref(a);
}

/* --- what is left --- */

enum { N = 40 };
static unsigned char masked_secret[N], masked_token[N];

static void make_body(char *out, size_t size)
{
        char plain[N + 1];

        test_unmask(masked_token, N, plain);
        snprintf(out, size,
                "{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"%s\"}", plain);
}

static void on_any_token(void *userdata, const struct auth_token *token, const struct err *error)
{
        cr_assert(token, "%s", err_text(error));
        (*(unsigned *)userdata)++;
}

/* Neither the client secret nor an expired token is found anywhere in the process. */
Test(auth, nothing_is_left_of_secret_and_token, .disabled = !TEST_MEMORY_SEARCH)
{
        struct forked_server forked;
        struct auth_config cfg = scene_config();
        struct auth *a = NULL;
        char plain[N + 1];
        unsigned calls = 0;

        test_masked_random(masked_secret, N);
        test_masked_random(masked_token, N);
        forked_server_start(&forked, make_body);
        test_unmask(masked_secret, N, plain);
        cfg.authority = forked.url;
        cfg.endpoint.ca_file = forked.ca_file;
        cr_assert_eq(sec_new(plain, N, &cfg.client_secret), 0);
        explicit_bzero(plain, sizeof plain);
        cr_assert_eq(auth_open(scene.auths, &cfg, &a, NULL), 0);
        sec_unref(cfg.client_secret);
        cr_assert_eq(auth_get_token(a, SCOPE, on_any_token, &calls, NULL), 0);
        scene_run_until(&calls, 1);

        /* now each is in its struct sec only, which cannot always be seen from here */
        cr_assert_leq(test_memory_count(masked_token, N), 1);
        cr_assert_leq(test_memory_count(masked_secret, N), 1);
        scene_pass(3601 * USEC_PER_SEC);
        cr_assert_eq(test_memory_count(masked_token, N), 0, "the expired token is left");
        auth_unref(a);
        cr_assert_eq(test_memory_count(masked_secret, N), 0, "the client secret is left");
        forked_server_stop(&forked);
}

/* --- the VM's identity --- */

static struct auth *open_vm(struct test_server *s, const char *client_id)
{
        struct auth_config cfg = {.mode = AUTH_VM_IDENTITY,
                .client_id = client_id,
                .imds_endpoint = test_server_url(s)};
        struct auth *a = NULL;

        cr_assert_eq(auth_open(scene.auths, &cfg, &a, NULL), 0);
        return a;
}

Test(auth, vm_identity)
{
        _cleanup_(test_server_freep) struct test_server *imds =
                test_server_new(&(struct test_server_options){.plain_http = true});
        struct auth *a = open_vm(imds, "");
        struct test_request q;
        char value[16];

        setenv("http_proxy", "http://127.0.0.1:1", 1); /* is not asked */
        test_server_say(imds, &(struct test_answer){.status = 410});
        test_server_say(imds, &(struct test_answer){.status = 404});
        test_server_say(
                imds, &(struct test_answer){
                              .body = "{\"access_token\":\"vm-token\",\"expires_in\":\"85770\","
                                      "\"expires_on\":\"1700085770\",\"token_type\":\"Bearer\"}"});
        struct told r = scene_get(a);
        cr_assert_str_eq(r.token, "vm-token", "%s", r.text);
        cr_assert_eq(auth_requests(a), 3);
        cr_assert_geq(loop_now(scene.loop) - START, (usec_t)(1.6 + 4.8) * USEC_PER_SEC);
        test_server_get(imds, 2, &q);
        cr_assert_str_eq(q.target,
                "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
                "https%3A%2F%2Fvault.azure.net");
        cr_assert(test_request_header(&q, "Metadata", value, sizeof value));
        cr_assert_str_eq(value, "true");
        auth_unref(a);
}

Test(auth, vm_identity_that_is_not_assigned)
{
        _cleanup_(test_server_freep) struct test_server *imds =
                test_server_new(&(struct test_server_options){.plain_http = true});
        struct auth *a = open_vm(imds, "some-id");

        test_server_say(imds,
                &(struct test_answer){.status = 400,
                        .body = "{\"error\":\"invalid_request\",\"error_description\":\"Identity "
                                "not found\"}"});
        struct told r = scene_get(a);
        cr_assert_eq(r.cause, ERR_AUTH);
        cr_assert_not_null(strstr(r.text, "managed identity some-id of this VM"));
        cr_assert_eq(test_server_requests(imds), 1);
        auth_unref(a);
}

Test(auth, vm_identity_where_there_is_no_metadata_service)
{
        struct test_server *imds =
                test_server_new(&(struct test_server_options){.plain_http = true});
        struct auth *a = open_vm(imds, "");

        test_server_free(imds);
        struct told r = scene_get(a);
        cr_assert_eq(r.cause, ERR_CONNECT);
        cr_assert_eq(auth_requests(a), 3);
        cr_assert_lt(loop_now(scene.loop) - START, 30 * USEC_PER_SEC);
        auth_unref(a);
}

/* --- tokens that are handed over --- */

static struct auth *open_handed(const char *token, const char *subject)
{
        _cleanup_sec_ struct sec *handed = NULL;
        _cleanup_err_ struct err e = {0};
        struct auth *a = NULL;

        cr_assert_eq(sec_new(token, strlen(token), &handed), 0);
        struct auth_config cfg = scene_config();
        cfg.mode = AUTH_FEDERATED;
        cfg.client_secret = NULL;
        cfg.secret = handed;
        cfg.subject = subject;
        cr_assert_eq(auth_open(scene.auths, &cfg, &a, &e), 0, "%s", err_text(&e));
        return a;
}

static bool sent(unsigned n, const char *text)
{
        struct test_request request;

        test_server_get(scene.server, n, &request);
        return strstr(request.body, text);
}

/* A second pod of the same service account brings a newer token, and shares what the first one's
 * was exchanged for. */
Test(auth, a_newer_token_of_the_same_service_account)
{
        struct auth *a = open_handed("a.b.c", "ns/sa");

        scene.lifetime = 60;
        cr_assert_str_eq(scene_get(a).token, "token-0");
        cr_assert(sent(0, "client_assertion=a.b.c&"));
        struct auth *b = open_handed("d.e.f", "ns/sa"), *other = open_handed("a.b.c", "ns/other");
        cr_assert_eq(a, b);
        cr_assert_neq(a, other);
        cr_assert_str_eq(scene_get(b).token, "token-0", "one request for both");
        scene_pass(61 * USEC_PER_SEC);
        cr_assert_str_eq(scene_get(a).token, "token-1");
        cr_assert(sent(1, "client_assertion=d.e.f&"), "the newer one is exchanged next");
        cr_assert_str_eq(scene_get(other).token, "token-2", "another's token is never shared");
        auth_unref(a);
        auth_unref(b);
        auth_unref(other);
}

Test(auth, a_new_token_ends_the_wait_after_a_failure)
{
        struct auth *a = open_handed("a.b.c", "ns/sa");
        _cleanup_sec_ struct sec *fresh = NULL, *bad = NULL;

        test_server_handle(scene.server, NULL, NULL);
        test_server_say(scene.server, &(struct test_answer){.status = 401, .body = "{}"});
        test_server_say(scene.server,
                &(struct test_answer){.body = "{\"access_token\":\"tok\",\"expires_in\":99}"});
        cr_assert_str_eq(scene_get(a).token, "");
        cr_assert_str_eq(scene_get(a).token, "");
        cr_assert_eq(test_server_requests(scene.server), 1, "the failure is remembered");
        cr_assert_eq(sec_new("no token", 8, &bad), 0);
        cr_assert_eq(auth_set_assertion(a, bad), -EINVAL);
        cr_assert_eq(sec_new("d.e.f", 5, &fresh), 0);
        cr_assert_eq(auth_set_assertion(a, fresh), 0);
        cr_assert_str_eq(scene_get(a).token, "tok");
        auth_unref(a);
        struct auth *principal = scene_open();
        cr_assert_eq(auth_set_assertion(principal, fresh), -EINVAL);
        auth_unref(principal);
}
