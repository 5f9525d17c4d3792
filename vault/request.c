#include "base/log.h"
#include "base/wipe.h"
#include "vault/challenge.h"
#include "vault/client.h"

struct vault_request {
        struct vault *vault;
        char *url;
        vault_request_fn done;
        void *userdata;

        struct auth_wait *wait;
        struct http_call *call;
        char *scope;       /* that the token under way is for */
        struct sec *token; /* that was sent */
        bool followed, refreshed;
};

static int ask_token(struct vault_request *q);

/* The request is gone when the callback runs: it may do anything. */
static void finish(struct vault_request *q, struct http_response *resp, bool token_failed)
{
        vault_request_fn done = q->done;
        void *userdata = q->userdata;

        vault_request_free(q);
        done(userdata, resp, token_failed);
}

static void finish_failed(
        struct vault_request *q, int r, const struct err *error, bool token_failed)
{
        struct http_response resp = {.body = "", .peer = ""};

        if (error)
                (void)err_copy(&resp.error, error);
        else
                err_set_cause(&resp.error, ERR_LOCAL, r, "%s", strerror(-r));
        finish(q, &resp, token_failed);
        err_done(&resp.error);
}

/* Whether the challenge asks for another resource than we did, and may. */
static bool follow_challenge(struct vault_request *q, const struct http_response *resp)
{
        _cleanup_(challenge_done) struct challenge c = {0};
        _cleanup_free_ char *scope = NULL;
        struct vault *v = q->vault;
        const char *header = http_header(resp, "WWW-Authenticate");

        if (q->followed || !header)
                return false;
        if (!streq(v->scope, q->scope)) /* another request followed it meanwhile */
                return q->followed = true;
        if (challenge_parse(header, &c) < 0)
                return false;
        int r = challenge_scope(&c, v->host, &scope);
        if (r == -EPERM && *c.scope && !v->foreign_challenge) {
                log_warning("vault %s asks for a token of another domain, which it does not get",
                        v->url);
                v->foreign_challenge = true;
        }
        if (r < 0 || streq(scope, v->scope))
                return false;
        log_info("vault %s wants tokens for %s", v->url, scope);
        free(v->scope);
        v->scope = TAKE_PTR(scope);
        return q->followed = true;
}

static bool wants_fresh_token(struct vault_request *q)
{
        if (q->refreshed)
                return false;
        auth_reject_token(q->vault->auth, q->scope, q->token);
        return q->refreshed = true;
}

static void on_answer(void *userdata, struct http_response *resp)
{
        struct vault_request *q = userdata;

        q->call = NULL;
        if (resp->tries > 1)
                q->vault->requests += resp->tries - 1;
        if (resp->status == 401 && (follow_challenge(q, resp) || wants_fresh_token(q))) {
                int r = ask_token(q);
                if (r < 0)
                        finish_failed(q, r, NULL, false);
                return;
        }
        finish(q, resp, false);
}

static int send_request(struct vault_request *q, struct err *e)
{
        static const char prefix[] = "Authorization: Bearer ";
        struct vault *v = q->vault;
        size_t len = sec_len(q->token);

        _cleanup_secret_ char *authorization = malloc(sizeof(prefix) + len);
        if (!authorization)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "not enough memory for a request");
        memcpy(authorization, prefix, sizeof(prefix) - 1);
        memcpy(authorization + sizeof(prefix) - 1, sec_bytes(q->token), len);
        authorization[sizeof(prefix) - 1 + len] = '\0';

        const char *const headers[] = {
                authorization,
                "Accept: application/json",
                NULL,
        };
        struct http_request req = {
                .method = "GET",
                .url = q->url,
                .headers = headers,
                .endpoint = &v->endpoint,
        };
        int r = http_send_retrying(v->http, &req, &v->retry, on_answer, q, &q->call, e);
        if (r == 0)
                v->requests++;
        return r;
}

static void on_token(void *userdata, const struct auth_token *token, const struct err *error)
{
        _cleanup_err_ struct err e = {0};
        struct vault_request *q = userdata;

        q->wait = NULL;
        if (!token || !token->token) {
                finish_failed(q, error && error->code < 0 ? error->code : -EACCES, error, true);
                return;
        }
        sec_unref(q->token);
        q->token = sec_ref(token->token);
        int r = send_request(q, &e);
        if (r < 0)
                finish_failed(q, r, &e, false);
}

static int ask_token(struct vault_request *q)
{
        char *scope = strdup(q->vault->scope);

        if (!scope)
                return -ENOMEM;
        free(q->scope);
        q->scope = scope;
        return auth_get_token(q->vault->auth, q->scope, on_token, q, &q->wait);
}

int vault_request_new(struct vault *v, const char *url, vault_request_fn done, void *userdata,
        struct vault_request **ret)
{
        struct vault_request *q = calloc(1, sizeof(*q));

        if (!q)
                return -ENOMEM;
        q->vault = v;
        q->done = done;
        q->userdata = userdata;
        q->url = strdup(url);
        int r = q->url ? ask_token(q) : -ENOMEM;
        if (r < 0) {
                vault_request_free(q);
                return r;
        }
        *ret = q;
        return 0;
}

struct vault_request *vault_request_free(struct vault_request *q)
{
        if (!q)
                return NULL;
        if (q->wait)
                auth_cancel(q->wait);
        if (q->call)
                http_cancel(q->call);
        sec_unref(q->token);
        free(q->scope);
        free(q->url);
        free(q);
        return NULL;
}
