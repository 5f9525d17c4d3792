#include "vault/vault_error.h"

#include <strings.h>

#include "base/json.h"
#include "vault/advice.h"
#include "vault/challenge.h"
#include "vault/text.h"

#define ERROR_BODY_MAX ((size_t)256 << 10)
#define PLAIN_BODY_MAX ((size_t)64)

/* What an error body says, each on one line; NULL where it says nothing. */
struct body {
        char *code, *inner, *message;
        bool html;
};

static void body_done(struct body *b)
{
        free(b->code);
        free(b->inner);
        free(b->message);
}

static char *copy_member(const cJSON *obj, const char *name)
{
        const char *s = json_string(obj, name);

        return isempty(s) ? NULL : oneline(s, strlen(s));
}

static bool looks_like_html(const struct http_response *resp)
{
        const char *type = http_header(resp, "Content-Type"), *p = resp->body;

        if (type && strncasecmp(type, "text/html", strlen("text/html")) == 0)
                return true;
        while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
                p++;
        return *p == '<';
}

/* {"error":{"code","message","innererror":{"code"}}}; anything else is told by what it is. A body
 * that is not the service's JSON is quoted only when it is a word or two (Managed HSM says "OK"):
 * pages of proxies may echo the request. */
static void read_body(const struct http_response *resp, struct body *b)
{
        _cleanup_json_ cJSON *root = NULL;

        *b = (struct body){0};
        if (resp->body_len == 0)
                return;
        if (resp->body_len <= ERROR_BODY_MAX &&
                json_parse(resp->body, resp->body_len, &root) == 0) {
                const cJSON *error = json_get(root, "error");
                b->code = copy_member(error, "code");
                b->message = copy_member(error, "message");
                b->inner = copy_member(json_get(error, "innererror"), "code");
        }
        if (b->code || b->message)
                return;
        b->html = looks_like_html(resp);
        if (b->html)
                (void)xasprintf(&b->message, "(an HTML page of %zu bytes)", resp->body_len);
        else if (resp->body_len <= PLAIN_BODY_MAX)
                b->message = oneline(resp->body, resp->body_len);
        else
                (void)xasprintf(
                        &b->message, "(%zu bytes that are not the service's JSON)", resp->body_len);
}

static bool ends_with(const char *s, const char *end)
{
        size_t n = strlen(s), m = strlen(end);

        return n >= m && streq(s + n - m, end);
}

/* SecretDisabled, KeyDisabled, SecretExpired, KeyNotYetValid: what the object is, not who asks. */
static const struct {
        const char *end;
        int r;
} states[] = {{"Disabled", -EACCES}, {"Expired", -EKEYEXPIRED}, {"NotYetValid", -EACCES}};

static int classify(int status, const char *inner, enum err_cause *ret_cause)
{
        static const struct {
                int status, r;
                enum err_cause cause;
        } known[] = {
                {400, -EINVAL, ERR_USAGE},
                {401, -EACCES, ERR_AUTH},
                {403, -EACCES, ERR_FORBIDDEN},
                {404, -ENOENT, ERR_NOT_FOUND},
                {408, -ETIMEDOUT, ERR_TIMEOUT},
                {429, -EAGAIN, ERR_THROTTLED},
        };

        *ret_cause = ERR_SERVICE;
        if (status == 403 && inner) {
                for (size_t i = 0; i < ELEMENTSOF(states); i++)
                        if (ends_with(inner, states[i].end)) {
                                *ret_cause = ERR_DISABLED;
                                return states[i].r;
                        }
                if (streq(inner, "ForbiddenByFirewall") || streq(inner, "ForbiddenByConnection")) {
                        *ret_cause = ERR_FORBIDDEN;
                        return -ENETUNREACH;
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i].status == status) {
                        *ret_cause = known[i].cause;
                        return known[i].r;
                }
        return -EREMOTEIO;
}

static int wrap(const struct vault_error_info *info, int r, struct err *e)
{
        if (info->listing && !*info->name)
                return err_wrap(e, r, "failed to list objectType:%s", vault_kind_name(info->kind));
        return err_wrap(e, r, "failed to get objectType:%s, objectName:%s, objectVersion:%s%s",
                vault_kind_name(info->kind), info->name, info->version,
                info->listing ? ": listing its versions" : "");
}

int vault_error_frame(const struct vault_error_info *info, int r, struct err *e)
{
        /* Cut, empty, a login page, not even HTTP: whatever it is, it is not what a vault says. */
        if (e && !e->hint && (e->cause == ERR_SERVICE || e->cause == ERR_CONNECT))
                err_hint(e,
                        "see what answers there: curl -v %s; a proxy, a firewall or a captive portal "
                        "may answer in the vault's stead, and --vault-url may name another service",
                        info->vault_url);
        if (info->identity)
                err_wrap(e, r, "vault %s, as %s", info->vault_url, info->identity);
        else
                err_wrap(e, r, "vault %s", info->vault_url);
        return wrap(info, r, e);
}

static int no_answer(
        const struct vault_error_info *info, const struct http_response *resp, struct err *e)
{
        int r = resp->error.code < 0 ? resp->error.code : -EIO;

        (void)err_copy(e, &resp->error);
        return vault_error_frame(info, r, e);
}

/* How the vault says that it was reached. */
static bool private_link(const struct http_response *resp)
{
        const char *how = http_header(resp, "x-ms-keyvault-network-info");

        return how && strcasestr(how, "conn_type=PrivateLink");
}

int vault_error(
        const struct vault_error_info *info, const struct http_response *resp, struct err *e)
{
        _cleanup_(body_done) struct body b = {0};
        _cleanup_(challenge_done) struct challenge challenge = {0};
        enum err_cause cause;

        if (resp->status == 0)
                return no_answer(info, resp, e);

        read_body(resp, &b);
        if (!b.code) {
                const char *sent = http_header(resp, "x-ms-error-code");
                b.code = sent ? oneline(sent, strlen(sent)) : NULL;
        }
        int r = classify(resp->status, b.inner, &cause);
        err_set_cause(e, cause, r,
                "vault %s, as %s: StatusCode=%d Code=\"%.128s\"%s%.128s%s Message=\"%s\"%s%.64s%s",
                info->vault_url, info->identity, resp->status, b.code ? b.code : "",
                b.inner ? " InnerCode=\"" : "", b.inner ? b.inner : "", b.inner ? "\"" : "",
                b.message ? b.message : "", isempty(resp->peer) ? "" : ", answered by ",
                resp->peer ? resp->peer : "", private_link(resp) ? " over its private link" : "");

        struct advice_facts facts = {
                .status = resp->status,
                .code = b.code,
                .inner = b.inner,
                .message = b.message,
                .html = b.html,
        };
        if (resp->status == 401) {
                const char *header = http_header(resp, "WWW-Authenticate");
                if (header && challenge_parse(header, &challenge) == 0)
                        facts.tenant = challenge_tenant(&challenge);
        }
        advice(info, &facts, e);
        return wrap(info, r, e);
}
