#include "auth/fetch.h"

#include <stdio.h>

#include "base/wipe.h"

struct auth_fetch {
        struct auth_fetch_with with;
        char *scope;
        auth_fetch_fn done;
        void *userdata;

        struct auth_ask *ask;
        struct http_call *call;
        bool proven; /* the challenge was answered: another one is a refusal */
        unsigned requests;
        /* What the assertion says of itself, for a message should it be refused. */
        struct jwt_claims claims;
        bool has_claims;
};

static void fetch_free(struct auth_fetch *f)
{
        auth_helper_cancel(f->ask);
        http_cancel(f->call);
        free(f->scope);
        free(f);
}

static void finish(struct auth_fetch *f, struct auth_fetched *result)
{
        auth_fetch_fn done = f->done;
        void *userdata = f->userdata;

        result->requests = f->requests;
        fetch_free(f);
        done(userdata, result);
        err_done(&result->error);
}

/* "failed to get key vault token" is what people are told to look for. */
static void wrap(const struct auth_fetch *f, int r, struct err *e)
{
        if (r == -ENOMEM && !e->text)
                err_set_cause(e, ERR_LOCAL, r, "not enough memory");
        err_wrap(e, r, "failed to get key vault token: %s at %s", f->with.description,
                auth_params_endpoint(f->with.params));
}

static void fail(struct auth_fetch *f, int r, struct auth_fetched *result)
{
        wrap(f, r, &result->error);
        finish(f, result);
}

static void take_answer(struct auth_fetch *f, const char *body, size_t len)
{
        const struct auth_mode *mode = f->with.mode;
        struct auth_fetched result = {0};

        int r = (mode->parse ? mode->parse : auth_token_parse)(
                body, len, loop_wall(f->with.loop), &result.token, &result.lifetime, &result.error);
        if (r < 0)
                fail(f, r, &result);
        else
                finish(f, &result);
}

static void on_proof(void *userdata, const char *bytes, size_t len, const struct err *error);

/* 1 when the helper was asked for what the answer wants to see. */
static int answer_challenge(
        struct auth_fetch *f, const struct http_response *resp, struct auth_fetched *result)
{
        _cleanup_free_ char *name = NULL;

        if (resp->status != 401 || f->proven || !f->with.mode->challenge)
                return 0;
        f->proven = true;
        int r = f->with.mode->challenge(f->with.params, resp, &name, &result->error);
        if (r == 0)
                r = auth_helper_ask(f->with.helper, f->with.params->source, name, on_proof, f,
                        &f->ask, &result->error);
        return r < 0 ? r : 1;
}

static void on_response(void *userdata, struct http_response *resp)
{
        struct auth_fetch *f = userdata;
        struct auth_fetched result = {0};

        f->call = NULL;
        f->requests += resp->tries;
        if (resp->status == 200 || resp->status == 201) {
                take_answer(f, resp->body, resp->body_len);
                return;
        }
        int r = answer_challenge(f, resp, &result);
        if (r > 0)
                return;
        if (r < 0) {
                fail(f, r, &result);
                return;
        }
        auth_error(f->with.params, f->with.description, resp, f->has_claims ? &f->claims : NULL,
                &result.error);
        result.retry_after = http_retry_after(resp, loop_wall(f->with.loop)) * USEC_PER_SEC;
        finish(f, &result);
}

static int send_request(struct auth_fetch *f, const char *bytes, size_t len, struct err *e)
{
        const struct auth_params *p = f->with.params;
        const struct auth_material m = {.bytes = bytes, .len = len, .now = loop_wall(f->with.loop)};
        struct auth_request q = {0};

        if (p->mode == AUTH_FEDERATED) {
                const char *token = bytes ? bytes : sec_bytes(p->secret);
                size_t token_len = bytes ? len : sec_len(p->secret);
                jwt_trim(&token, &token_len);
                f->has_claims = jwt_read_claims(token, token_len, &f->claims) == 0;
        }
        int r = f->with.mode->build(p, &m, f->scope, &q, e);
        if (r < 0)
                return r;
        r = http_send_retrying(
                f->with.http, &q.request, f->with.mode->retry, on_response, f, &f->call, e);
        auth_request_done(&q);
        return r;
}

static void on_proof(void *userdata, const char *bytes, size_t len, const struct err *error)
{
        struct auth_fetch *f = userdata;
        struct auth_fetched result = {0};
        int r = error ? error->code : 0;

        f->ask = NULL;
        if (error) {
                (void)err_copy(&result.error, error);
                err_wrap(&result.error, r, "could not read the key in %s", f->with.params->file);
                err_hint(&result.error, "who mounts must be root or in the group himds: usermod "
                                        "-aG himds USER");
        } else
                r = send_request(f, bytes, len, &result.error);
        if (r < 0)
                fail(f, r, &result);
}

static void hint_source(const struct auth_params *p, struct err *e)
{
        if (p->mode != AUTH_AZURE_CLI)
                err_hint(e, "is the file there, and may who mounted read it?");
        else if (strstr(err_text(e), "az login"))
                err_hint(e, "az login%s%s", *p->tenant ? " --tenant " : "", p->tenant);
        else
                err_hint(e, "try it by hand: az account get-access-token --resource "
                            "https://vault.azure.net");
}

static void on_source(void *userdata, const char *bytes, size_t len, const struct err *error)
{
        struct auth_fetch *f = userdata;
        const struct auth_params *p = f->with.params;
        struct auth_fetched result = {0};
        int r = error ? error->code : 0;

        f->ask = NULL;
        if (error) {
                (void)err_copy(&result.error, error);
                if (p->mode == AUTH_AZURE_CLI)
                        result.error.cause = ERR_AUTH;
                else
                        err_wrap(&result.error, r, "could not read %s", p->file ? p->file : "it");
                hint_source(p, &result.error);
        } else if (!f->with.mode->build) {
                take_answer(f, bytes, len);
                return;
        } else
                r = send_request(f, bytes, len, &result.error);
        if (r < 0)
                fail(f, r, &result);
}

int auth_fetch_new(const struct auth_fetch_with *with, const char *scope, auth_fetch_fn done,
        void *userdata, struct auth_fetch **ret, struct err *e)
{
        const char *source = with->params->source;
        struct auth_fetch *f = calloc(1, sizeof *f);
        int r = f ? 0 : -ENOMEM;

        if (r == 0) {
                *f = (struct auth_fetch){.with = *with, .done = done, .userdata = userdata};
                f->scope = strdup(scope);
                r = f->scope ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = with->mode->needs_source && source
                            ? auth_helper_ask(with->helper, source, NULL, on_source, f, &f->ask, e)
                            : send_request(f, NULL, 0, e);
        if (r < 0) {
                if (f) {
                        wrap(f, r, e);
                        fetch_free(f);
                }
                return r;
        }
        *ret = f;
        return 0;
}

struct auth_fetch *auth_fetch_cancel(struct auth_fetch *f)
{
        if (f)
                fetch_free(f);
        return NULL;
}
