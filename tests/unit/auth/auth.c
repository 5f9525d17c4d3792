#include "auth/auth.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"
#include "support/forked.h"
#include "support/memory.h"
#include "support/resolver.h"
#include "support/server.h"

#define START 1000000
#define WALL 1700000000
#define SCOPE "https://vault.azure.net/.default"

static struct loop *loop;
static struct http_client *http;
static struct auths *auths;
static struct test_server *server;
static struct sec *secret;
static unsigned issued; /* tokens, by the server */
static unsigned lifetime = 3600;
static int log_fd;

/* A token endpoint that numbers its tokens. */
static void issue(void *userdata, const struct test_request *request, struct test_answer *ret)
{
        static char bodies[200][128];

        snprintf(bodies[issued], sizeof bodies[0],
                "{\"token_type\":\"Bearer\",\"expires_in\":%u,\"access_token\":\"token-%u\"}",
                lifetime, issued);
        *ret = (struct test_answer){.body = bodies[issued]};
        issued++;
}

static void set_up(void)
{
        test_init();
        unsetenv("https_proxy");
        unsetenv("all_proxy");
        log_fd = memfd_create("log", MFD_CLOEXEC);
        log_set_fd(log_fd);
        cr_assert_eq(loop_new(&loop), 0);
        loop_simulate(loop, START, WALL);
        cr_assert_eq(http_client_new(loop, &http), 0);
        cr_assert_eq(auths_new(loop, http, &auths), 0);
        cr_assert_eq(sec_new("s3cr3t-value", 12, &secret), 0);
        server = test_server_new(NULL);
        test_server_handle(server, issue, NULL);
}

static void tear_down(void)
{
        static char text[1 << 16];

        sec_unref(secret);
        auths_free(auths);
        http_client_free(http);
        test_server_free(server);
        loop_free(loop);
        log_set_fd(2);
        ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
        cr_assert_geq(n, 0);
        cr_assert_null(strstr(text, "s3cr3t"), "%s", text);
        cr_assert_null(strstr(text, "token-"), "%s", text);
        close(log_fd);
}

TestSuite(auth, .init = set_up, .fini = tear_down, .timeout = 60);

static struct auth_config config(void)
{
        return (struct auth_config){
                .mode = AUTH_CLIENT_SECRET,
                .tenant = "contoso.example",
                .client_id = "app",
                .client_secret = secret,
                .authority = test_server_url(server),
                .endpoint = {.ca_file = test_server_ca_file(server)},
        };
}

static struct auth *open_auth(void)
{
        struct auth_config cfg = config();
        struct err e = {0};
        struct auth *a = NULL;

        cr_assert_eq(auth_open(auths, &cfg, &a, &e), 0, "%s", err_text(&e));
        return a;
}

struct result {
        unsigned calls;
        char token[64]; /* "" on failure */
        int64_t expires_at;
        enum err_cause cause;
        char text[1024];
        struct sec *sec; /* a reference, where asked for */
        bool keep;
};

static void on_token(void *userdata, const struct auth_token *token, const struct err *error)
{
        struct result *r = userdata;

        r->calls++;
        cr_assert((token != NULL) != (error != NULL));
        *r->token = *r->text = '\0';
        if (token) {
                snprintf(r->token, sizeof r->token, "%.*s", (int)sec_len(token->token),
                        (const char *)sec_bytes(token->token));
                r->expires_at = token->expires_at;
                if (r->keep)
                        r->sec = sec_ref(token->token);
        } else {
                r->cause = error->cause;
                snprintf(r->text, sizeof r->text, "%s", err_text(error));
        }
}

static void run_until(const unsigned *counter, unsigned n)
{
        while (*counter < n)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

static struct result get(struct auth *a)
{
        struct result r = {0};

        cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
        cr_assert_eq(r.calls, 0, "called from within auth_get_token");
        run_until(&r.calls, 1);
        return r;
}

static void on_time(void *userdata)
{
}

/* Lets simulated time pass, and whatever is due happen. */
static void pass(usec_t time)
{
        struct loop_timer *t;
        usec_t end = loop_now(loop) + time;

        cr_assert_eq(loop_timer_new(loop, on_time, NULL, &t), 0);
        loop_timer_at(t, end);
        while (loop_now(loop) < end)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        loop_timer_free(t);
}

/* --- identities --- */

Test(auth, same_configuration_is_the_same_identity)
{
        struct auth *a = open_auth(), *b = open_auth(), *c = NULL;
        struct auth_config cfg = config();
        char with_slash[128];

        cr_assert_eq(a, b);
        snprintf(with_slash, sizeof with_slash, "%s/", cfg.authority);
        cfg.authority = with_slash;
        cr_assert_eq(auth_open(auths, &cfg, &c, NULL), 0);
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
        struct auth *all[7] = {open_auth()};
        struct auth_config cfg;

        cr_assert_eq(sec_new("s3cr3t-other", 12, &other), 0);
        cfg = config();
        cfg.tenant = "other.example";
        cr_assert_eq(auth_open(auths, &cfg, &all[1], NULL), 0);
        cfg = config();
        cfg.client_id = "other";
        cr_assert_eq(auth_open(auths, &cfg, &all[2], NULL), 0);
        cfg = config();
        cfg.client_secret = other;
        cr_assert_eq(auth_open(auths, &cfg, &all[3], NULL), 0);
        cfg = config();
        cfg.authority = "https://other/";
        cr_assert_eq(auth_open(auths, &cfg, &all[4], NULL), 0);
        cfg = (struct auth_config){.mode = AUTH_VM_IDENTITY};
        cr_assert_eq(auth_open(auths, &cfg, &all[5], NULL), 0);
        cfg.client_id = "other";
        cr_assert_eq(auth_open(auths, &cfg, &all[6], NULL), 0);
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
        struct auth *a = open_auth(), *b = NULL;
        struct auth_config cfg = config();

        cfg.endpoint.proxy = "";
        cr_assert_eq(auth_open(auths, &cfg, &b, NULL), 0);
        cr_assert_neq(a, b);
        cr_assert_str_eq(auth_key(a), auth_key(b));
        auth_unref(a);
        auth_unref(b);
}

Test(auth, bad_configurations)
{
        struct auth_config cfg = config();
        struct auth *a = NULL;
        _cleanup_err_ struct err e = {0};

        cfg.tenant = "a/b";
        cr_assert_eq(auth_open(auths, &cfg, &a, &e), -EINVAL);
        cr_assert_eq(e.cause, ERR_USAGE);
        cfg.mode = (enum auth_mode_id)99;
        cr_assert_eq(auth_open(auths, &cfg, &a, &e), -EINVAL);
        cr_assert_null(a);
}

/* --- tokens --- */

Test(auth, token_is_fetched_once_and_kept)
{
        struct auth *a = open_auth();

        struct result r = get(a);
        cr_assert_str_eq(r.token, "token-0");
        cr_assert_eq(r.expires_at, WALL + 3600);
        r = get(a);
        cr_assert_str_eq(r.token, "token-0");
        cr_assert_eq(auth_requests(a), 1);

        struct test_request q;
        test_server_get(server, 0, &q);
        cr_assert_str_eq(q.method, "POST");
        cr_assert_str_eq(q.target, "/contoso.example/oauth2/v2.0/token");
        cr_assert_not_null(strstr(q.body, "client_secret=s3cr3t-value&"));
        auth_unref(a);
}

Test(auth, hundred_waiters_share_one_request)
{
        struct auth *a = open_auth();
        struct result r = {0};

        for (int i = 0; i < 100; i++)
                cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
        run_until(&r.calls, 100);
        cr_assert_str_eq(r.token, "token-0");
        cr_assert_eq(test_server_requests(server), 1);
        auth_unref(a);
}

Test(auth, scopes_have_tokens_of_their_own)
{
        struct auth *a = open_auth();
        struct result r = {0};

        get(a);
        cr_assert_eq(
                auth_get_token(a, "https://managedhsm.azure.net/.default", on_token, &r, NULL), 0);
        run_until(&r.calls, 1);
        cr_assert_str_eq(r.token, "token-1");
        static char big[2000];
        memset(big, 'x', sizeof big - 1);
        cr_assert_eq(auth_get_token(a, big, on_token, &r, NULL), -EINVAL);
        auth_unref(a);
}

/* 3600 s: due between 375 s (300 and a quarter) and 300 s before the end; 376 s are left first. */
Test(auth, token_is_refreshed_early_while_the_old_one_is_handed_out)
{
        struct auth *a = open_auth();
        struct result r;

        get(a);
        pass(3224 * USEC_PER_SEC);
        cr_assert_str_eq(get(a).token, "token-0");
        cr_assert_eq(issued, 1);
        pass(77 * USEC_PER_SEC); /* 299 s are left */
        r = get(a);
        cr_assert_str_eq(r.token, "token-0", "the old one still serves");
        while (auth_requests(a) < 2)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        cr_assert_str_eq(get(a).token, "token-1");
        auth_unref(a);
}

/* 100 s: due in the last 20 to 25. */
Test(auth, short_lived_tokens_are_refreshed_in_their_last_fifth)
{
        struct auth *a = open_auth();

        lifetime = 100;
        get(a);
        pass(74 * USEC_PER_SEC);
        get(a);
        pass(USEC_PER_SEC / 2);
        cr_assert_eq(issued, 1);
        pass(6 * USEC_PER_SEC);
        get(a);
        while (auth_requests(a) < 2)
                cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
        auth_unref(a);
}

Test(auth, nothing_is_fetched_for_nobody)
{
        struct auth *a = open_auth();

        get(a);
        pass(86400 * USEC_PER_SEC);
        cr_assert_eq(issued, 1);
        cr_assert_str_eq(get(a).token, "token-1");
        auth_unref(a);
}

Test(auth, token_is_wiped_when_it_expires)
{
        struct auth *a = open_auth();
        size_t before = sec_total();

        get(a);
        cr_assert_eq(sec_total(), before + strlen("token-0"));
        pass(3601 * USEC_PER_SEC);
        cr_assert_eq(sec_total(), before);
        auth_unref(a);
}

Test(auth, token_about_to_expire_is_not_handed_out)
{
        struct auth *a = open_auth();

        get(a);
        pass(3571 * USEC_PER_SEC);
        cr_assert_str_eq(get(a).token, "token-1");
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
        struct auth_config cfg = config();
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
        cr_assert_eq(auth_open(auths, &cfg, &a, NULL), 0);
        sec_unref(cfg.client_secret);
        cr_assert_eq(auth_get_token(a, SCOPE, on_any_token, &calls, NULL), 0);
        run_until(&calls, 1);

        /* now each is in its struct sec only, which cannot always be seen from here */
        cr_assert_leq(test_memory_count(masked_token, N), 1);
        cr_assert_leq(test_memory_count(masked_secret, N), 1);
        pass(3601 * USEC_PER_SEC);
        cr_assert_eq(test_memory_count(masked_token, N), 0, "the expired token is left");
        auth_unref(a);
        cr_assert_eq(test_memory_count(masked_secret, N), 0, "the client secret is left");
        forked_server_stop(&forked);
}

/* --- failures --- */

#define WRONG_SECRET                                                                    \
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid " \
        "client secret provided.\\r\\nTrace ID: 1\",\"error_codes\":[7000215]}"

static struct test_answer answer;

static void say(void *userdata, const struct test_request *request, struct test_answer *ret)
{
        *ret = answer;
}

Test(auth, failure_is_one_request_and_one_error_for_all)
{
        struct auth *a = open_auth();
        struct result r = {0};

        answer = (struct test_answer){.status = 401, .body = WRONG_SECRET};
        test_server_handle(server, say, NULL);
        for (int i = 0; i < 100; i++)
                cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
        run_until(&r.calls, 100);
        cr_assert_eq(r.cause, ERR_AUTH);
        cr_assert_not_null(strstr(r.text, "failed to get key vault token: service principal app of "
                                          "tenant contoso.example at "));
        cr_assert_not_null(strstr(r.text, "AADSTS7000215"));
        cr_assert_eq(test_server_requests(server), 1);
        for (int i = 0; i < 10; i++)
                cr_assert_eq(get(a).cause, ERR_AUTH); /* remembered */
        cr_assert_eq(test_server_requests(server), 1);
        auth_unref(a);
}

Test(auth, failures_back_off_and_end)
{
        struct auth *a = open_auth();
        usec_t begin;
        unsigned seen = 1;

        answer = (struct test_answer){.status = 401, .body = WRONG_SECRET};
        test_server_handle(server, say, NULL);
        get(a);
        begin = loop_now(loop);
        /* after 1, 2, 4, 8, 16, 32, then 60 seconds each */
        static const unsigned at[] = {1, 3, 7, 15, 31, 63, 123, 183};
        for (unsigned second = 0; second < 190; second++) {
                if (loop_now(loop) < begin + second * USEC_PER_SEC)
                        pass(begin + second * USEC_PER_SEC - loop_now(loop));
                get(a);
                unsigned due = 1;
                for (size_t i = 0; i < ELEMENTSOF(at); i++)
                        due += second >= at[i];
                seen = test_server_requests(server);
                cr_assert_eq(seen, due, "after %u s: %u", second, seen);
        }
        test_server_handle(server, issue, NULL);
        pass(61 * USEC_PER_SEC);
        cr_assert_str_eq(get(a).token, "token-0");
        auth_unref(a);
}

Test(auth, endpoint_that_asks_for_time_gets_it)
{
        struct auth *a = open_auth();

        answer = (struct test_answer){.status = 429, .headers = "Retry-After: 300\r\n"};
        test_server_handle(server, say, NULL);
        cr_assert_eq(get(a).cause, ERR_THROTTLED);
        test_server_handle(server, issue, NULL);
        pass(299 * USEC_PER_SEC);
        cr_assert_eq(get(a).cause, ERR_THROTTLED);
        cr_assert_eq(test_server_requests(server), 1);
        pass(2 * USEC_PER_SEC);
        cr_assert_str_eq(get(a).token, "token-0");
        auth_unref(a);
}

Test(auth, failed_refresh_leaves_the_old_token_until_it_expires)
{
        static char text[4096];
        struct auth *a = open_auth();

        get(a);
        answer = (struct test_answer){.status = 401, .body = WRONG_SECRET};
        test_server_handle(server, say, NULL);
        pass(3400 * USEC_PER_SEC);
        for (int i = 0; i < 3; i++) {
                cr_assert_str_eq(get(a).token, "token-0");
                while (auth_requests(a) < 2 + (unsigned)i)
                        cr_assert_geq(loop_turn(loop, USEC_PER_MSEC), 0);
                cr_assert_str_eq(get(a).token, "token-0");
                pass(10 * USEC_PER_SEC);
        }
        ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
        cr_assert_gt(n, 0);
        cr_assert_not_null(strstr(text, "token is not refreshed"));
        cr_assert_eq(strchr(text, '\n') - text, n - 1, "said more than once: %s", text);
        pass(200 * USEC_PER_SEC);
        cr_assert_eq(get(a).cause, ERR_AUTH);
        auth_unref(a);
}

Test(auth, answer_without_a_token_is_an_error)
{
        struct auth *a = open_auth();

        answer = (struct test_answer){.body = "<html>please log in</html>"};
        test_server_handle(server, say, NULL);
        struct result r = get(a);
        cr_assert_eq(r.cause, ERR_SERVICE);
        cr_assert_not_null(startswith(r.text, "failed to get key vault token: service principal"));
        cr_assert_null(strstr(r.text, "please"));
        auth_unref(a);
}

Test(auth, endpoint_that_is_not_there)
{
        struct auth_config cfg = config();
        struct auth *a = NULL;

        cfg.authority = "https://no.such.authority/";
        test_resolver_unknown("no.such.authority");
        cr_assert_eq(auth_open(auths, &cfg, &a, NULL), 0);
        struct result r = get(a);
        cr_assert_eq(r.cause, ERR_DNS);
        cr_assert_not_null(strstr(r.text, "no.such.authority"));
        cr_assert_eq(auth_requests(a), 4);
        auth_unref(a);
}

/* --- rejecting --- */

Test(auth, rejected_token_is_replaced_once)
{
        struct auth *a = open_auth();
        struct result r = {.keep = true};

        auth_reject_token(a, SCOPE, secret); /* nothing there yet */
        cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
        run_until(&r.calls, 1);
        auth_reject_token(a, "other", r.sec);
        auth_reject_token(a, SCOPE, secret); /* not this one */
        cr_assert_str_eq(get(a).token, "token-0");
        auth_reject_token(a, SCOPE, r.sec);
        cr_assert_str_eq(get(a).token, "token-1");
        for (int i = 0; i < 100; i++)
                auth_reject_token(a, SCOPE, r.sec); /* the others that it was refused to */
        cr_assert_str_eq(get(a).token, "token-1");
        sec_unref(r.sec);
        auth_unref(a);
}

Test(auth, vault_that_refuses_every_token_makes_no_storm)
{
        struct auth *a = open_auth();

        for (int i = 0; i < 100; i++) {
                struct result r = {.keep = true};
                cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
                run_until(&r.calls, 1);
                auth_reject_token(a, SCOPE, r.sec);
                sec_unref(r.sec);
                pass(USEC_PER_SEC / 10);
        }
        cr_assert_eq(issued, 2);
        pass(11 * USEC_PER_SEC);
        struct result r = {.keep = true};
        cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
        run_until(&r.calls, 1);
        auth_reject_token(a, SCOPE, r.sec);
        sec_unref(r.sec);
        get(a);
        cr_assert_eq(issued, 3);
        auth_unref(a);
}

/* --- cancelling, and callbacks that do things --- */

Test(auth, cancelled_waits_are_not_called)
{
        struct auth *a = open_auth();
        struct result r = {0}, other = {0};
        struct auth_wait *w[3];

        for (int i = 0; i < 3; i++)
                cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, &w[i]), 0);
        cr_assert_null(auth_cancel(w[0]));
        cr_assert_eq(auth_get_token(a, SCOPE, on_token, &other, NULL), 0);
        cr_assert_geq(loop_turn(loop, 0), 0);
        auth_cancel(w[1]); /* while the request is under way */
        auth_cancel(w[2]);
        cr_assert_null(auth_cancel(NULL));
        run_until(&other.calls, 1);
        cr_assert_eq(r.calls, 0);
        auth_unref(a);
}

Test(auth, waiting_keeps_the_identity)
{
        struct auth *a = open_auth();
        struct result r = {0};

        cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, NULL), 0);
        auth_unref(a);
        run_until(&r.calls, 1);
        cr_assert_str_eq(r.token, "token-0");
}

Test(auth, dropped_while_a_request_is_under_way)
{
        struct auth *a = open_auth();
        struct result r = {0};
        struct auth_wait *w;

        answer = (struct test_answer){.manner = TEST_HANG};
        test_server_handle(server, say, NULL);
        cr_assert_eq(auth_get_token(a, SCOPE, on_token, &r, &w), 0);
        while (test_server_requests(server) == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
        auth_cancel(w);
        auth_unref(a);
        cr_assert_eq(loop_turn(loop, 0), 0);
        cr_assert_eq(r.calls, 0);
}

struct chain {
        struct auth *auth;
        struct auth_wait *victim;
        unsigned calls;
        struct result again;
};

static void on_token_do_things(
        void *userdata, const struct auth_token *token, const struct err *error)
{
        struct chain *c = userdata;

        c->calls++;
        c->victim = auth_cancel(c->victim);
        cr_assert_eq(auth_get_token(c->auth, SCOPE, on_token, &c->again, NULL), 0);
        cr_assert_eq(c->again.calls, 0);
        c->auth = auth_unref(c->auth);
        cr_assert_eq(sec_len(token->token), strlen("token-0"));
}

Test(auth, callbacks_may_cancel_ask_again_and_drop)
{
        struct chain c = {.auth = open_auth()};
        struct result never = {0};

        cr_assert_eq(auth_get_token(c.auth, SCOPE, on_token_do_things, &c, NULL), 0);
        cr_assert_eq(auth_get_token(c.auth, SCOPE, on_token, &never, &c.victim), 0);
        run_until(&c.again.calls, 1);
        cr_assert_eq(c.calls, 1);
        cr_assert_eq(never.calls, 0);
        cr_assert_str_eq(c.again.token, "token-0");
}

/* --- the VM's identity --- */

static struct auth *open_vm(struct test_server *s, const char *client_id)
{
        struct auth_config cfg = {.mode = AUTH_VM_IDENTITY,
                .client_id = client_id,
                .imds_endpoint = test_server_url(s)};
        struct auth *a = NULL;

        cr_assert_eq(auth_open(auths, &cfg, &a, NULL), 0);
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
        struct result r = get(a);
        cr_assert_str_eq(r.token, "vm-token", "%s", r.text);
        cr_assert_eq(auth_requests(a), 3);
        cr_assert_geq(loop_now(loop) - START, (usec_t)(1.6 + 4.8) * USEC_PER_SEC);
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
        struct result r = get(a);
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
        struct result r = get(a);
        cr_assert_eq(r.cause, ERR_CONNECT);
        cr_assert_eq(auth_requests(a), 3);
        cr_assert_lt(loop_now(loop) - START, 30 * USEC_PER_SEC);
        auth_unref(a);
}

/* --- tokens that are handed over --- */

static struct auth *open_handed(const char *token, const char *subject)
{
        _cleanup_sec_ struct sec *handed = NULL;
        _cleanup_err_ struct err e = {0};
        struct auth *a = NULL;

        cr_assert_eq(sec_new(token, strlen(token), &handed), 0);
        struct auth_config cfg = config();
        cfg.mode = AUTH_FEDERATED;
        cfg.client_secret = NULL;
        cfg.secret = handed;
        cfg.subject = subject;
        cr_assert_eq(auth_open(auths, &cfg, &a, &e), 0, "%s", err_text(&e));
        return a;
}

static bool sent(unsigned n, const char *text)
{
        struct test_request request;

        test_server_get(server, n, &request);
        return strstr(request.body, text);
}

/* A second pod of the same service account brings a newer token, and shares what the first one's
 * was exchanged for. */
Test(auth, a_newer_token_of_the_same_service_account)
{
        struct auth *a = open_handed("a.b.c", "ns/sa");

        lifetime = 60;
        cr_assert_str_eq(get(a).token, "token-0");
        cr_assert(sent(0, "client_assertion=a.b.c&"));
        struct auth *b = open_handed("d.e.f", "ns/sa"), *other = open_handed("a.b.c", "ns/other");
        cr_assert_eq(a, b);
        cr_assert_neq(a, other);
        cr_assert_str_eq(get(b).token, "token-0", "one request for both");
        pass(61 * USEC_PER_SEC);
        cr_assert_str_eq(get(a).token, "token-1");
        cr_assert(sent(1, "client_assertion=d.e.f&"), "the newer one is exchanged next");
        cr_assert_str_eq(get(other).token, "token-2", "another's token is never shared");
        auth_unref(a);
        auth_unref(b);
        auth_unref(other);
}

Test(auth, a_new_token_ends_the_wait_after_a_failure)
{
        struct auth *a = open_handed("a.b.c", "ns/sa");
        _cleanup_sec_ struct sec *fresh = NULL, *bad = NULL;

        test_server_handle(server, NULL, NULL);
        test_server_say(server, &(struct test_answer){.status = 401, .body = "{}"});
        test_server_say(server,
                &(struct test_answer){.body = "{\"access_token\":\"tok\",\"expires_in\":99}"});
        cr_assert_str_eq(get(a).token, "");
        cr_assert_str_eq(get(a).token, "");
        cr_assert_eq(test_server_requests(server), 1, "the failure is remembered");
        cr_assert_eq(sec_new("no token", 8, &bad), 0);
        cr_assert_eq(auth_set_assertion(a, bad), -EINVAL);
        cr_assert_eq(sec_new("d.e.f", 5, &fresh), 0);
        cr_assert_eq(auth_set_assertion(a, fresh), 0);
        cr_assert_str_eq(get(a).token, "tok");
        auth_unref(a);
        struct auth *principal = open_auth();
        cr_assert_eq(auth_set_assertion(principal, fresh), -EINVAL);
        auth_unref(principal);
}
