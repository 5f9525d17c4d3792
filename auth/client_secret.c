/* A service principal with a client secret: the OAuth 2.0 client credentials grant (RFC 6749
 * section 4.4) at <authority><tenant>/oauth2/v2.0/token. That address is the same for every tenant
 * and cloud, so no discovery request comes before it. */
#include <stdio.h>
#include <strings.h>

#include "auth/mode.h"
#include "base/wipe.h"

#define CLIENT_SECRET_MAX ((size_t)4096)
#define ID_MAX ((size_t)256)

static bool is_tenant(const char *s)
{
        for (; *s; s++)
                if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                            (*s >= '0' && *s <= '9') || *s == '.' || *s == '-'))
                        return false;
        return true;
}

static int check_authority(const char *authority, struct err *e)
{
        const char *rest = authority ? startswith(authority, "https://") : NULL;

        if (isempty(authority))
                return err_set_cause(e, ERR_USAGE, -EINVAL, "no authority host is set");
        if (!rest || !*rest || *rest == '/' || strpbrk(rest, "?#@ \t\r\n")) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "authority host %s is not an https URL",
                        strpbrk(authority, "@\t\r\n") ? "given" : authority);
                err_hint(e,
                        "it is of the form https://login.microsoftonline.com/ (--authority-host, "
                        "AZURE_AUTHORITY_HOST)");
                return -EINVAL;
        }
        return 0;
}

static int check(const struct auth_config *cfg, struct err *e)
{
        if (isempty(cfg->tenant)) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "no tenant is set");
                err_hint(e, "set tenantId in the class, or AZURE_TENANT_ID");
                return -EINVAL;
        }
        if (strlen(cfg->tenant) > ID_MAX || !is_tenant(cfg->tenant)) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "invalid tenantID: only letters, digits, dots and dashes may be in it");
                err_hint(e, "it is the tenant's id or one of its domain names: az account show "
                            "--query tenantId");
                return -EINVAL;
        }
        if (isempty(cfg->client_id)) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "could not find clientid in secrets");
                err_hint(e, "set AZURE_CLIENT_ID to the application (client) id of the service "
                            "principal");
                return -EINVAL;
        }
        if (strlen(cfg->client_id) > ID_MAX)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the client id is longer than %zu bytes", ID_MAX);
        if (!cfg->client_secret || sec_len(cfg->client_secret) == 0) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "could not find clientsecret in secrets");
                err_hint(e, "set AZURE_CLIENT_SECRET, or name a file that holds the secret");
                return -EINVAL;
        }
        if (sec_len(cfg->client_secret) > CLIENT_SECRET_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "the client secret is longer than %zu bytes", CLIENT_SECRET_MAX);
        if (memchr(sec_bytes(cfg->client_secret), '\0', sec_len(cfg->client_secret)))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the client secret has a NUL byte in it");
        int r = check_authority(cfg->authority, e);
        if (r < 0)
                return r;
        /* AD FS has another endpoint, other parameters and other errors. */
        if (strcasecmp(cfg->tenant, "adfs") == 0)
                return err_set_cause(e, ERR_UNSUPPORTED, -EOPNOTSUPP,
                        "tenant adfs: tokens of AD FS are not supported, only those of Entra ID");
        return 0;
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(ret, "service principal %s of tenant %s", p->client_id, p->tenant);
}

static int secret_escaped(const struct sec *secret, char **ret)
{
        size_t len = sec_len(secret);
        _cleanup_secret_ char *plain = malloc(len + 1);
        if (!plain)
                return -ENOMEM;

        memcpy(plain, sec_bytes(secret), len);
        plain[len] = '\0';
        return http_escape(plain, ret);
}

/* Into a buffer of the right size from the start: asprintf() would grow one and leave pieces of the
 * secret in what it gives back. Test: auth, nothing_is_left_of_secret_and_token. */
static int make_body(const char *client_id, const char *secret, const char *scope, char **ret)
{
        static const char format[] =
                "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=%s";
        size_t size = sizeof format + strlen(client_id) + strlen(secret) + strlen(scope);

        char *body = malloc(size);
        if (!body)
                return -ENOMEM;
        (void)snprintf(body, size, format, client_id, secret, scope);
        *ret = body;
        return 0;
}

static int build(const struct auth_params *p, const char *scope, struct auth_request *ret)
{
        _cleanup_free_ char *client_id = NULL, *scope_escaped = NULL;
        _cleanup_secret_ char *secret = NULL;
        struct auth_request q = {
                .headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8",
                        "Accept: application/json"},
                .endpoint = p->endpoint,
        };

        int r = http_escape(p->client_id, &client_id);
        if (r == 0)
                r = http_escape(scope, &scope_escaped);
        if (r == 0)
                r = secret_escaped(p->client_secret, &secret);
        if (r == 0)
                r = xasprintf(&q.url, "%s%s/oauth2/v2.0/token", p->authority, p->tenant);
        if (r == 0)
                r = make_body(client_id, secret, scope_escaped, &q.body);
        if (r < 0) {
                auth_request_done(&q);
                return r;
        }
        *ret = q;
        ret->request = (struct http_request){
                .method = "POST",
                .url = ret->url,
                .headers = ret->headers,
                .body = ret->body,
                .body_len = strlen(ret->body),
                .endpoint = &ret->endpoint,
        };
        return 0;
}

const struct auth_mode auth_client_secret = {
        .check = check,
        .describe = describe,
        .build = build,
};
