/* Workload identity: a token of somebody Entra trusts (a cluster, mostly) is exchanged for one of
 * its own. The token is a file's, read again for each exchange, or was handed over.
 *
 * With a token proxy (AKS identity binding) the same request goes to the cluster, which passes it
 * on: connection and TLS server name are the proxy's, path and Host header those of the authority.
 * Reference section 3.6. */
#include <stdio.h>

#include "auth/binding.h"
#include "auth/mode.h"
#include "base/wipe.h"

static int check(const struct auth_config *cfg, struct err *e)
{
        if (isempty(cfg->client_id)) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "no client id is set for workload identity");
                err_hint(e, "set clientID in the class, or AZURE_CLIENT_ID");
                return -EINVAL;
        }
        int r = auth_entra_check(cfg, e);
        if (r < 0)
                return r;
        if (isempty(cfg->source) && (!cfg->secret || sec_len(cfg->secret) == 0)) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        cfg->token_proxy
                                ? "service account tokens are required for identity binding"
                                : "failed to parse workload identity tokens, error: service "
                                  "account tokens not found");
                err_hint(e, "set AZURE_FEDERATED_TOKEN_FILE to a file with the token");
                return -EINVAL;
        }
        if (cfg->secret && !jwt_is_well_formed(sec_bytes(cfg->secret), sec_len(cfg->secret)))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the service account token is not a JSON Web Token");
        return cfg->token_proxy ? auth_binding_check(cfg->token_proxy, cfg->sni, e) : 0;
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(ret, "%s %s of tenant %s%s%s",
                p->token_proxy ? "identity binding of" : "workload identity", p->client_id,
                p->tenant, p->subject ? " for service account " : "", p->subject ? p->subject : "");
}

/* From the authority's URL to the proxy's: https://SNI[/PREFIX]/PATH, connected to the proxy. */
static int redirect(const struct auth_params *p, struct auth_request *q)
{
        _cleanup_free_ char *prefix = NULL, *url = NULL;
        const char *rest = q->url + strlen("https://");
        const char *path = strchr(rest, '/');

        int r = auth_binding_parse_url(p->token_proxy, &q->connect_to, &prefix);
        if (r == 0)
                r = xasprintf(&q->host, "Host: %.*s", (int)(path - rest), rest);
        if (r == 0)
                r = p->sni ? xasprintf(&url, "https://%s%s%s", p->sni, prefix, path)
                           : xasprintf(&url, "https://%s%s%s", q->connect_to, prefix, path);
        if (r < 0)
                return r;
        free(q->url);
        q->request.url = q->url = TAKE_PTR(url);
        q->headers[2] = q->host;
        q->endpoint.connect_to = q->connect_to;
        q->endpoint.proxy = ""; /* it is within the cluster */
        if (p->proxy_ca_pem) {
                q->endpoint.ca_file = "of the token proxy";
                q->endpoint.ca_pem = p->proxy_ca_pem;
        }
        return 0;
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        _cleanup_secret_ char *proof = NULL;
        const char *token = p->source ? m->bytes : sec_bytes(p->secret);
        size_t len = p->source ? m->len : sec_len(p->secret);

        jwt_trim(&token, &len);
        if (!jwt_is_well_formed(token, len)) {
                err_set_cause(e, ERR_AUTH, -EINVAL,
                        "federated token file %s: it holds no JSON Web "
                        "Token",
                        p->file ? p->file : "-");
                err_hint(e, "the file has the token and nothing else; in a pod it is projected by "
                            "the workload identity webhook");
                return -EINVAL;
        }
        int r = auth_entra_assertion(token, len, &proof);
        if (r == 0)
                r = auth_entra_request(p, scope, proof, ret);
        if (r == 0 && p->token_proxy && (r = redirect(p, ret)) < 0)
                auth_request_done(ret);
        return r;
}

const struct auth_mode auth_federated = {
        .name = "federated",
        .needs_source = true,
        .check = check,
        .describe = describe,
        .build = build,
};
