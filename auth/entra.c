/* Entra's token endpoint, and that of AD FS: <authority><tenant>/oauth2/v2.0/token. The address is
 * the same for every tenant and cloud, so no discovery request comes before it. */
#include <stdio.h>
#include <strings.h>

#include "auth/mode.h"
#include "base/wipe.h"

#define ASSERTION_TYPE                                                                           \
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer" \
        "&client_assertion="

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

int auth_entra_check(const struct auth_config *cfg, struct err *e)
{
        if (isempty(cfg->tenant)) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "no tenant is set");
                err_hint(e, "set tenantId in the class, or AZURE_TENANT_ID");
                return -EINVAL;
        }
        if (strlen(cfg->tenant) > AUTH_ID_MAX || !is_tenant(cfg->tenant)) {
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
        if (strlen(cfg->client_id) > AUTH_ID_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "the client id is longer than %zu bytes", AUTH_ID_MAX);
        return check_authority(cfg->authority, e);
}

bool auth_is_adfs(const struct auth_params *p)
{
        return strcasecmp(p->tenant, "adfs") == 0;
}

int auth_entra_token_url(const struct auth_params *p, char **ret)
{
        size_t len = strlen(p->authority);

        if (!auth_is_adfs(p))
                return xasprintf(ret, "%s%s/oauth2/v2.0/token", p->authority, p->tenant);
        /* An Azure Stack's environment file may have it in activeDirectoryEndpoint already. */
        bool there = len > 6 && strcasecmp(p->authority + len - 6, "/adfs/") == 0;
        return xasprintf(ret, "%s%soauth2/token", p->authority, there ? "" : "adfs/");
}

/* As wipe_join(). Test: auth, nothing_is_left_of_secret_and_token. */
static char *make_body(const char *client_id, const char *proof, const char *scope, bool adfs)
{
        static const char format[] = "grant_type=client_credentials&client_id=%s&%s&scope=%s%s";
        /* AD FS knows a resource by such a scope only beside these (as MSAL sends them). */
        const char *more = adfs ? "%20openid%20offline_access%20profile" : "";
        size_t size =
                sizeof format + strlen(client_id) + strlen(proof) + strlen(scope) + strlen(more);

        char *body = malloc(size);
        if (body)
                (void)snprintf(body, size, format, client_id, proof, scope, more);
        return body;
}

int auth_entra_request(
        const struct auth_params *p, const char *scope, const char *proof, struct auth_request *ret)
{
        _cleanup_free_ char *client_id = NULL, *scope_escaped = NULL;
        struct auth_request q = {
                .headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8",
                        "Accept: application/json"},
                .endpoint = p->endpoint,
        };

        int r = http_escape(p->client_id, &client_id);
        if (r == 0)
                r = http_escape(scope, &scope_escaped);
        if (r == 0)
                r = auth_entra_token_url(p, &q.url);
        if (r == 0 && !(q.body = make_body(client_id, proof, scope_escaped, auth_is_adfs(p))))
                r = -ENOMEM;
        if (r < 0) {
                auth_request_done(&q);
                return r;
        }
        auth_request_finish(&q, ret);
        return 0;
}

int auth_entra_assertion(const char *jwt, size_t len, char **ret)
{
        /* nothing in a token needs to be escaped (jwt_is_well_formed) */
        char *proof = wipe_join(ASSERTION_TYPE, jwt, len);

        if (!proof)
                return -ENOMEM;
        *ret = proof;
        return 0;
}
