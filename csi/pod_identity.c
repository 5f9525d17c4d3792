#include "csi/pod_identity.h"

#include <strings.h>

#include "auth/binding.h"
#include "csi/service_tokens.h"

/* --- tokens --- */

int pod_identity_token(
        const struct publish_request *r, bool binding, struct sec **ret, struct err *e)
{
        const char *audience = binding ? SERVICE_TOKEN_BINDING : SERVICE_TOKEN_EXCHANGE;

        if (!r->tokens) {
                err_set_cause(e, ERR_AUTH, -ENOENT,
                        binding ? "service account tokens are required for identity binding"
                                : "failed to parse workload identity tokens, error: service "
                                  "account tokens not found");
                err_hint(e, "the CSIDriver object needs tokenRequests: - audience: %s", audience);
                return -ENOENT;
        }
        int k = service_token_find(
                r->tokens, audience, r->pod_namespace, r->service_account, ret, e);
        if (k < 0)
                return err_wrap(e, k,
                        binding ? "failed to parse service account token for identity binding, "
                                  "error"
                                : "failed to parse workload identity tokens, error");
        return 0;
}

static int choose_token(const struct spc_class *class, const struct publish_request *r,
        bool binding, struct identity *i, struct err *e)
{
        i->mode = AUTH_FEDERATED;
        int k = pod_identity_token(r, binding, &i->secret, e);
        if (k < 0)
                return k;
        k = replace_string(&i->client_id, class->client_id);
        if (k == 0)
                k = replace_string(&i->tenant, class->tenant);
        if (k == 0)
                k = xasprintf(&i->subject, "%s/%s", r->pod_namespace, r->service_account);
        return k < 0 ? err_set(e, k, "out of memory") : 0;
}

static int choose_binding(const struct pod_identity_config *cfg, const struct spc_class *class,
        const struct publish_request *r, struct identity *i, struct err *e)
{
        const char *proxy = cfg->token_proxy ? cfg->token_proxy : BINDING_PROXY_DEFAULT;

        if (isempty(class->client_id))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "clientID is required for identity binding");
        if (!cfg->sni) {
                err_set_cause(e, ERR_AUTH, -ENOENT,
                        "proxy transport not available: the TLS name of this cluster's token proxy "
                        "is not known");
                err_hint(e,
                        "identity binding works in AKS clusters; elsewhere start akvfs csi with "
                        "--sni-name");
                return -ENOENT;
        }
        int k = auth_binding_check(proxy, cfg->sni, e);
        if (k == 0)
                k = choose_token(class, r, true, i, e);
        if (k < 0)
                return k;
        k = replace_string(&i->token_proxy, proxy);
        if (k == 0)
                k = replace_string(&i->sni, cfg->sni);
        if (k == 0 && cfg->proxy_ca_pem)
                k = replace_string(&i->proxy_ca_pem, cfg->proxy_ca_pem);
        return k < 0 ? err_set(e, k, "out of memory") : 0;
}

/* --- nodePublishSecretRef --- */

/* Upstream takes the names in letters of either case, and an empty value for none. */
static const char *secret_of(const struct publish_request *r, const char *name)
{
        for (size_t i = 0; i < r->n_secrets; i++)
                if (strcasecmp(r->secrets[i].key, name) == 0 && *r->secrets[i].value)
                        return r->secrets[i].value;
        return NULL;
}

static int choose_service_principal(const struct spc_class *class, const struct publish_request *r,
        struct identity *i, struct err *e)
{
        const char *id = secret_of(r, "clientid"), *secret = secret_of(r, "clientsecret");

        if (r->n_secrets == 0) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "failed to get credentials, nodePublishSecretRef secret is not set");
                err_hint(e, "set clientID in the class for workload identity, or "
                            "useVMManagedIdentity: \"true\", or nodePublishSecretRef in the pod's "
                            "volume for a service principal");
                return -EINVAL;
        }
        if (!id || !secret) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "could not find %s in secrets",
                        id ? "clientsecret" : "clientid");
                err_hint(e, "the Secret of nodePublishSecretRef needs the keys clientid and "
                            "clientsecret");
                return -EINVAL;
        }
        size_t len = strlen(secret);
        if (len > IDENTITY_SECRET_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "clientsecret is too long");
        i->mode = AUTH_CLIENT_SECRET;
        int k = sec_new(secret, len, &i->secret);
        if (k == 0)
                k = replace_string(&i->client_id, id);
        if (k == 0)
                k = replace_string(&i->tenant, class->tenant);
        return k < 0 ? err_set(e, k, "out of memory") : 0;
}

/* --- managed identities --- */

static int choose_node(const struct spc_class *class, struct identity *i, struct err *e)
{
        i->mode = AUTH_VM_IDENTITY;
        int k = identity_name_managed(class, i);
        if (k == 0)
                k = replace_string(&i->tenant, "");
        return k < 0 ? err_set(e, k, "out of memory") : 0;
}

static int choose_pod(const struct publish_request *r, struct identity *i, struct err *e)
{
        i->mode = AUTH_POD_IDENTITY;
        int k = replace_string(&i->client_id, "");
        if (k == 0)
                k = replace_string(&i->tenant, "");
        if (k == 0)
                k = replace_string(&i->pod, r->pod_name);
        if (k == 0)
                k = replace_string(&i->pod_namespace, r->pod_namespace);
        return k < 0 ? err_set(e, k, "out of memory") : 0;
}

int pod_identity_choose(const struct pod_identity_config *cfg, const struct spc_class *class,
        const struct publish_request *r, struct identity *ret, struct err *e)
{
        const char *mode = "None";
        int k;

        switch (class->identity) {
        case SPC_IDENTITY_POD:
                mode = "PodIdentity";
                k = choose_pod(r, ret, e);
                break;
        case SPC_IDENTITY_VM:
                mode = "VMManagedIdentity";
                k = choose_node(class, ret, e);
                break;
        case SPC_IDENTITY_TOKEN_PROXY:
                mode = "AzureTokenProxy";
                k = choose_binding(cfg, class, r, ret, e);
                break;
        default:
                k = !isempty(class->client_id) ? choose_token(class, r, false, ret, e)
                                               : choose_service_principal(class, r, ret, e);
                break;
        }
        return k < 0 ? err_wrap(e, k, "failed to build auth config for mode %s", mode) : 0;
}
