#include "base/log.h"
#include "vault/client.h"
#include "vault/list.h"
#include "vault/vault_error.h"

struct vault_call {
        struct vault *vault;
        struct vault_request *request;

        enum vault_kind kind;
        char *name, *version;

        vault_get_fn got;
        vault_versions_fn listed;
        vault_names_fn named;
        void *userdata;

        unsigned pages;
        struct version_list versions;
        struct name_list names;
};

static struct vault_error_info info_of(const struct vault_call *c)
{
        return (struct vault_error_info){
                .kind = c->kind,
                .name = c->name,
                .version = c->version,
                .vault_url = c->vault->url,
                .identity = auth_describe(c->vault->auth),
                .listing = c->listed || c->named,
        };
}

static void call_free(struct vault_call *c)
{
        vault_request_free(c->request);
        version_list_done(&c->versions);
        name_list_done(&c->names);
        free(c->name);
        free(c->version);
        vault_unref(c->vault);
        free(c);
}

struct vault_call *vault_cancel(struct vault_call *c)
{
        if (c)
                call_free(c);
        return NULL;
}

static int call_new(struct vault *v, enum vault_kind kind, const char *name, const char *version,
        struct vault_call **ret)
{
        struct vault_call *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->vault = vault_ref(v);
        c->kind = kind;
        c->name = strdup(name);
        c->version = strdup(version);
        if (!c->name || !c->version) {
                call_free(c);
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

/* Sends the request of a call that is filled in, unless its URL could not be made (r): then, and
 * when it cannot be sent, the call is freed. url is taken over. */
static int call_start(
        struct vault_call *c, int r, char *url, vault_request_fn fn, struct vault_call **ret)
{
        _cleanup_free_ char *to = url;

        if (r == 0)
                r = vault_request_new(c->vault, to, fn, c, &c->request);
        if (r < 0) {
                call_free(c);
                return r;
        }
        if (ret)
                *ret = c;
        return 0;
}

/* How long a vault that refuses wants to be left alone. */
static unsigned retry_after(const struct vault_call *c, const struct http_response *resp)
{
        return resp->status == 429 || resp->status == 503
                       ? http_retry_after(resp, loop_wall(c->vault->loop))
                       : 0;
}

/* A part of a path that would be read as another path. */
static bool is_dots(const char *s)
{
        return streq(s, ".") || streq(s, "..");
}

/* {url}/{segment}/{name}/{last}?api-version=...; an empty `last` leaves the slash, as Azure's own
 * clients do. */
static int make_url(const struct vault_call *c, const char *last, char **ret)
{
        _cleanup_free_ char *name = NULL, *end = NULL;

        if (!*c->name || is_dots(c->name) || is_dots(last))
                return -EINVAL;
        int r = http_escape(c->name, &name);
        if (r == 0)
                r = http_escape(last, &end);
        if (r < 0)
                return r;
        return xasprintf(ret, "%s/%s/%s/%s?api-version=" VAULT_API_VERSION, c->vault->url,
                vault_kind_segment(c->kind), name, end);
}

static int no_token(const struct vault_call *c, const struct http_response *resp, struct err *e)
{
        struct vault_error_info info = info_of(c);

        (void)err_copy(e, &resp->error);
        info.identity = NULL;
        return vault_error_frame(&info, resp->error.code, e);
}

/* --- one object ----------------------------------------------------------------------------- */

static int read_object(const struct vault_call *c, const struct http_response *resp,
        bool token_failed, struct vault_object **ret, struct err *e)
{
        struct vault_error_info info = info_of(c);

        if (token_failed)
                return no_token(c, resp, e);
        if (resp->status != 200)
                return vault_error(&info, resp, e);
        int r = vault_object_parse(c->kind, resp->body, resp->body_len, ret, e);
        return r < 0 ? vault_error_frame(&info, r, e) : 0;
}

static void on_object(void *userdata, struct http_response *resp, bool token_failed)
{
        _cleanup_(vault_object_unrefp) struct vault_object *object = NULL;
        _cleanup_err_ struct err e = {0};
        struct vault_call *c = userdata;
        struct vault_answer answer = {0};
        vault_get_fn got = c->got;
        void *for_caller = c->userdata;

        c->request = NULL;
        int r = read_object(c, resp, token_failed, &object, &e);
        if (r < 0) {
                answer.error = &e;
                answer.retry_after = retry_after(c, resp);
        }
        answer.object = object;
        call_free(c);
        got(for_caller, &answer);
}

int vault_get(struct vault *v, enum vault_kind kind, const char *name, const char *version,
        vault_get_fn done, void *userdata, struct vault_call **ret)
{
        struct vault_call *c;
        char *url = NULL;

        int r = call_new(v, kind, name, version, &c);
        if (r < 0)
                return r;
        c->got = done;
        c->userdata = userdata;
        r = make_url(c, version, &url);
        return call_start(c, r, url, on_object, ret);
}

/* --- lists ------------------------------------------------------------------------------- */

static void on_page(void *userdata, struct http_response *resp, bool token_failed);

/* 1 when the next page was asked for, 0 when there is none. */
static int next_page(struct vault_call *c, char *next, struct err *e)
{
        _cleanup_free_ char *url = next;

        if (!url)
                return 0;
        if (c->versions.full) {
                log_warning("%s %s of vault %s has more than %d versions: the others are not seen",
                        vault_kind_name(c->kind), c->name, c->vault->url, VAULT_VERSIONS_MAX);
                return 0;
        }
        if (!same_origin(c->vault->url, url))
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "the list goes on at another host, which is not followed");
        if (c->pages == LIST_PAGES_MAX)
                return err_set_cause(
                        e, ERR_SERVICE, -E2BIG, "the list has more than %d pages", LIST_PAGES_MAX);
        int r = vault_request_new(c->vault, url, on_page, c, &c->request);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "not enough memory for a request");
        return 1;
}

/* As next_page(). */
static int read_page(
        struct vault_call *c, const struct http_response *resp, bool token_failed, struct err *e)
{
        struct vault_error_info info = info_of(c);
        char *next = NULL;

        if (token_failed)
                return no_token(c, resp, e);
        /* The service answers an empty list for a name that is not there; others say 404. */
        if (resp->status == 404 && c->pages == 0 && c->listed)
                return 0;
        if (resp->status != 200)
                return vault_error(&info, resp, e);
        c->pages++;
        int r = c->named ? name_list_add_page(
                                   &c->names, c->kind, resp->body, resp->body_len, &next, e)
                         : version_list_add_page(
                                   &c->versions, c->kind, resp->body, resp->body_len, &next, e);
        if (r == 0)
                r = next_page(c, next, e);
        return r < 0 ? vault_error_frame(&info, r, e) : r;
}

/* What was listed outlives the call, which the callback must not find any more. */
static void finish_versions(struct vault_call *c, const struct err *error, unsigned after)
{
        _cleanup_(version_list_done) struct version_list l = c->versions;
        vault_versions_fn listed = c->listed;
        void *for_caller = c->userdata;

        c->versions = (struct version_list){0};
        call_free(c);
        version_list_sort(&l);
        listed(for_caller, error ? NULL : l.items, error ? 0 : l.n, error, after);
}

static void finish_names(struct vault_call *c, const struct err *error, unsigned after)
{
        _cleanup_(name_list_done) struct name_list l = c->names;
        vault_names_fn named = c->named;
        void *for_caller = c->userdata;

        c->names = (struct name_list){0};
        call_free(c);
        named(for_caller, error ? NULL : l.names, error, after);
}

static void on_page(void *userdata, struct http_response *resp, bool token_failed)
{
        _cleanup_err_ struct err e = {0};
        struct vault_call *c = userdata;

        c->request = NULL;
        int r = read_page(c, resp, token_failed, &e);
        if (r > 0)
                return;
        (c->named ? finish_names : finish_versions)(
                c, r < 0 ? &e : NULL, r < 0 ? retry_after(c, resp) : 0);
}

int vault_list_versions(struct vault *v, enum vault_kind kind, const char *name,
        vault_versions_fn done, void *userdata, struct vault_call **ret)
{
        struct vault_call *c;
        char *url = NULL;

        int r = call_new(v, kind, name, "", &c);
        if (r < 0)
                return r;
        c->listed = done;
        c->userdata = userdata;
        r = make_url(c, "versions", &url);
        return call_start(c, r, url, on_page, ret);
}

int vault_list_names(struct vault *v, enum vault_kind kind, vault_names_fn done, void *userdata,
        struct vault_call **ret)
{
        struct vault_call *c;
        char *url = NULL;

        int r = call_new(v, kind, "", "", &c);
        if (r < 0)
                return r;
        c->named = done;
        c->userdata = userdata;
        r = xasprintf(
                &url, "%s/%s?api-version=" VAULT_API_VERSION, v->url, vault_kind_segment(kind));
        return call_start(c, r, url, on_page, ret);
}
