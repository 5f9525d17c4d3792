#include "auth/fetch.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "support/server.h"

#define SCOPE "https://vault.azure.net/.default"
/* {"iss":"https://i/","sub":"system:serviceaccount:ns:sa","aud":["a","b"],"exp":1700000000} */
#define JWT                                                                                        \
        "e30.eyJpc3MiOiJodHRwczovL2kvIiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Om5zOnNhIiwiYXVkIjpb" \
        "ImEiLCJiIl0sImV4cCI6MTcwMDAwMDAwMH0.c2ln"

static struct loop *loop;
static struct http_client *http;
static struct test_server *server;
static struct auth_helper *helper;
static int fds[2]; /* the helper's end is played by the test */
static char tenant[] = "t", client[] = "app", none[] = "", file[] = "/token", source[] = "id",
            folder[] = "/keys";

static void set_up(void)
{
        test_init();
        unsetenv("https_proxy");
        cr_assert_eq(loop_new(&loop), 0);
        loop_simulate(loop, 1000000, 1700000000);
        cr_assert_eq(http_client_new(loop, &http), 0);
        server = test_server_new(&(struct test_server_options){.plain_http = false});
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        cr_assert_eq(auth_helper_new(loop, fds[0], &helper), 0);
}

static void tear_down(void)
{
        auth_helper_free(helper);
        http_client_free(http);
        loop_free(loop);
        test_server_free(server);
        close(fds[0]);
        close(fds[1]);
}

TestSuite(fetch, .init = set_up, .fini = tear_down, .timeout = 60);

struct result {
        unsigned calls, requests;
        char token[32];
        int64_t lifetime;
        enum err_cause cause;
        char text[2048], hint[4096];
};

static void on_fetched(void *userdata, struct auth_fetched *f)
{
        struct result *r = userdata;

        r->calls++;
        r->requests = f->requests;
        r->lifetime = f->lifetime;
        r->cause = f->error.cause;
        snprintf(r->text, sizeof r->text, "%s", f->token ? "" : err_text(&f->error));
        snprintf(r->hint, sizeof r->hint, "%s", f->error.hint ? f->error.hint : "");
        if (f->token)
                snprintf(r->token, sizeof r->token, "%.*s", (int)sec_len(f->token),
                        (const char *)sec_bytes(f->token));
        sec_unref(f->token);
}

static struct auth_params params(enum auth_mode_id mode)
{
        struct auth_params p = {.mode = mode,
                .tenant = tenant,
                .client_id = client,
                .file = file,
                .source = source,
                .endpoint = {.ca_file = test_server_ca_file(server)}};

        if (mode == AUTH_ARC) {
                p.client_id = none;
                p.file = folder;
                cr_assert_eq(xasprintf(&p.imds_endpoint, "%s/t", test_server_url(server)), 0);
        } else
                cr_assert_eq(xasprintf(&p.authority, "%s/", test_server_url(server)), 0);
        return p;
}

static void begin(const struct auth_params *p, struct result *r, struct auth_fetch **ret)
{
        const struct auth_fetch_with with = {.loop = loop,
                .http = http,
                .helper = helper,
                .mode = auth_mode_of(p->mode),
                .params = p,
                .description = "IDENTITY"};
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(auth_fetch_new(&with, SCOPE, on_fetched, r, ret, &e), 0, "%s", err_text(&e));
        cr_assert_eq(r->calls, 0);
}

/* Answers the one question that has been asked. */
static struct helper_query answer(int code, const char *text)
{
        struct helper_answer a = {.result = code, .len = (uint32_t)strlen(text)};
        char message[sizeof a + 1024];
        struct helper_query q;

        cr_assert_eq(read(fds[1], &q, sizeof q), (ssize_t)sizeof q);
        a.id = q.id;
        memcpy(message, &a, sizeof a);
        memcpy(message + sizeof a, text, a.len);
        cr_assert_eq(write(fds[1], message, sizeof a + a.len), (ssize_t)(sizeof a + a.len));
        return q;
}

static void run(const unsigned *counter)
{
        while (*counter == 0)
                cr_assert_geq(loop_turn(loop, USEC_INFINITY), 0);
}

static void done(struct auth_params *p)
{
        free(p->authority);
        free(p->imds_endpoint);
}

Test(fetch, the_file_is_read_and_sent)
{
        struct auth_params p = params(AUTH_FEDERATED);
        struct auth_fetch *f = NULL;
        struct result r = {0};
        struct test_request request;

        test_server_say(server,
                &(struct test_answer){.body = "{\"access_token\":\"tok\",\"expires_in\":3599}"});
        begin(&p, &r, &f);
        struct helper_query q = answer(0, JWT "\n");
        cr_assert_str_eq(q.source, "id");
        cr_assert_str_eq(q.name, "");
        run(&r.calls);
        cr_assert_str_eq(r.token, "tok", "%s", r.text);
        cr_assert_eq(r.lifetime, 3599);
        cr_assert_eq(r.requests, 1);
        test_server_get(server, 0, &request);
        cr_assert_str_eq(request.target, "/t/oauth2/v2.0/token");
        cr_assert_not_null(strstr(request.body, "client_assertion=" JWT "&"));
        done(&p);
}

Test(fetch, a_file_that_cannot_be_read)
{
        struct auth_params p = params(AUTH_FEDERATED);
        struct auth_fetch *f = NULL;
        struct result r = {0};

        begin(&p, &r, &f);
        answer(-ENOENT, "No such file or directory");
        run(&r.calls);
        cr_assert_not_null(
                startswith(r.text, "failed to get key vault token: IDENTITY at https://"));
        cr_assert_not_null(strstr(r.text, "could not read /token: No such file or directory"));
        cr_assert_str_neq(r.hint, "");
        cr_assert_eq(r.requests, 0);
        cr_assert_eq(test_server_requests(server), 0);
        done(&p);
}

Test(fetch, what_the_token_says_is_beside_what_is_required)
{
        struct auth_params p = params(AUTH_FEDERATED);
        struct auth_fetch *f = NULL;
        struct result r = {0};

        test_server_say(server,
                &(struct test_answer){.status = 401,
                        .body = "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700213: "
                                "No matching federated identity record found for " JWT
                                ".\",\"error_codes\":[700213]}"});
        begin(&p, &r, &f);
        answer(0, JWT);
        run(&r.calls);
        cr_assert_eq(r.cause, ERR_AUTH);
        cr_assert_not_null(strstr(r.text, "No matching federated identity record found"));
        cr_assert_null(strstr(r.text, JWT), "no token gets into a message");
        cr_assert_not_null(strstr(r.hint, "--issuer 'https://i/' --subject "
                                          "'system:serviceaccount:ns:sa' --audiences "
                                          "'api://AzureADTokenExchange'"));
        cr_assert_not_null(
                strstr(r.hint, "audience  token: a; required: api://AzureADTokenExchange"));
        done(&p);
}

Test(fetch, a_challenge_is_answered_once)
{
        struct auth_params p = params(AUTH_ARC);
        struct auth_fetch *f = NULL;
        struct result r = {0};
        struct test_request request;
        char header[64];

        const struct test_answer challenge = {.status = 401,
                .headers = "WWW-Authenticate: Basic realm=/keys/a.key\r\n",
                .body = "{}"};
        test_server_say(server, &challenge);
        test_server_say(server,
                &(struct test_answer){.body = "{\"access_token\":\"tok\",\"expires_in\":\"99\"}"});
        begin(&p, &r, &f);
        while (test_server_requests(server) == 0)
                cr_assert_geq(loop_turn(loop, 1000), 0);
        struct pollfd wait = {.fd = fds[1], .events = POLLIN};
        while (poll(&wait, 1, 0) == 0)
                cr_assert_geq(loop_turn(loop, 1000), 0);
        cr_assert_str_eq(answer(0, "k3y").name, "a.key");
        run(&r.calls);
        cr_assert_str_eq(r.token, "tok", "%s", r.text);
        cr_assert_eq(r.requests, 2);
        test_server_get(server, 0, &request);
        cr_assert_not(test_request_header(&request, "Authorization", header, sizeof header));
        test_server_get(server, 1, &request);
        cr_assert(test_request_header(&request, "Authorization", header, sizeof header));
        cr_assert_str_eq(header, "Basic k3y");

        r = (struct result){0};
        test_server_say(server, &challenge);
        test_server_say(server, &challenge);
        begin(&p, &r, &f);
        while (poll(&wait, 1, 0) == 0)
                cr_assert_geq(loop_turn(loop, 1000), 0);
        answer(0, "wrong");
        run(&r.calls);
        cr_assert_eq(r.requests, 2, "a second challenge is a refusal");
        cr_assert_eq(r.cause, ERR_AUTH);
        done(&p);
}

Test(fetch, az_is_the_answer_itself)
{
        struct auth_params p = params(AUTH_AZURE_CLI);
        struct auth_fetch *f = NULL;
        struct result r = {0};

        begin(&p, &r, &f);
        answer(0, "{\"accessToken\":\"tok\",\"expires_on\":1700000600}");
        run(&r.calls);
        cr_assert_str_eq(r.token, "tok", "%s", r.text);
        cr_assert_eq(r.lifetime, 600);
        r = (struct result){0};
        begin(&p, &r, &f);
        answer(-EACCES, "ERROR: Please run 'az login' to setup account.\n");
        run(&r.calls);
        cr_assert_eq(r.cause, ERR_AUTH);
        cr_assert_not_null(strstr(r.text, "Please run 'az login' to setup account."));
        cr_assert_str_eq(r.hint, "az login --tenant t");
        cr_assert_eq(test_server_requests(server), 0);
        done(&p);
}

Test(fetch, cancelled_while_the_file_is_read)
{
        struct auth_params p = params(AUTH_FEDERATED);
        struct auth_fetch *f = NULL;
        struct result r = {0};

        begin(&p, &r, &f);
        auth_fetch_cancel(f);
        answer(0, JWT);
        cr_assert_geq(loop_turn(loop, 1000), 0);
        cr_assert_eq(r.calls, 0);
        done(&p);
}
