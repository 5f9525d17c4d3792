#include "cli/identity_mode.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "auth/binding.h"
#include "auth/helper.h"

#define ARC_KEYS "/var/opt/azcmagent/tokens"

static int _printf_(2, 3) say(credentials_warn_fn warn, const char *fmt, ...)
{
        char *text = NULL;
        va_list ap;

        if (!warn)
                return 0;
        va_start(ap, fmt);
        int n = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (n < 0)
                return -ENOMEM;
        warn(text);
        free(text);
        return 0;
}

/* A credential that is a file: for people by its path, for the helper as a source. */
static int set_file(struct identity *i, const char *path)
{
        int r = replace_string(&i->file, path);

        return r < 0 ? r : helper_source_file(path, &i->source);
}

/* --- managed identities --- */

/* As the SDK that the Azure provider is built on chooses between this machine's endpoints; what was
 * said on the command line comes first. */
static int choose_managed(const struct spc_class *class, const struct options *o,
        const struct credentials *found, struct identity *i, struct err *e)
{
        const char *endpoint = found->identity_endpoint;

        i->mode = AUTH_VM_IDENTITY;
        int r = identity_name_managed(class, i);
        if (r < 0 || o->imds_endpoint)
                return r;
        if (!isempty(endpoint) && found->identity_header) {
                if (found->service_fabric) {
                        err_set_cause(e, ERR_UNSUPPORTED, -EOPNOTSUPP,
                                "IDENTITY_SERVER_THUMBPRINT is set: managed identities of Service "
                                "Fabric are not supported");
                        err_hint(e, "use a service principal or workload identity there");
                        return -EOPNOTSUPP;
                }
                i->mode = AUTH_APP_SERVICE;
                i->secret = sec_ref(found->identity_header);
                return replace_string(&i->imds_endpoint, endpoint);
        }
        bool arc = !isempty(endpoint) && !isempty(found->imds_endpoint);
        if (!arc && !found->arc_agent)
                return 0;
        i->mode = AUTH_ARC;
        r = replace_string(&i->file, ARC_KEYS);
        if (r == 0)
                r = helper_source_folder(ARC_KEYS, &i->source);
        if (arc && r == 0)
                return replace_string(&i->imds_endpoint, endpoint);
        free(i->imds_endpoint);
        i->imds_endpoint = NULL;
        return r;
}

static int choose_pod(const struct credentials *found, struct identity *i)
{
        i->mode = AUTH_POD_IDENTITY;
        int r = replace_string(&i->client_id, "");
        if (r == 0)
                r = replace_string(&i->pod, found->pod);
        return r < 0 ? r : replace_string(&i->pod_namespace, found->pod_namespace);
}

/* --- the Azure CLI --- */

static int find_az(char **ret, struct err *e)
{
        const char *path = getenv("PATH");

        for (const char *p = path ? path : ""; *p;) {
                size_t len = strcspn(p, ":");
                _cleanup_free_ char *file = NULL;

                if (xasprintf(&file, "%.*s/az", (int)len, p) < 0)
                        return -ENOMEM;
                if (*file == '/' && access(file, X_OK) == 0) {
                        *ret = TAKE_PTR(file);
                        return 0;
                }
                p += len + (p[len] == ':');
        }
        err_set_cause(
                e, ERR_AUTH, -ENOENT, "failed to get key vault token: there is no az in PATH");
        err_hint(e, "install the Azure CLI and run az login, or leave --azure-cli out");
        return -ENOENT;
}

static int choose_az(const struct spc_class *class, struct identity *i, struct err *e)
{
        _cleanup_free_ char *az = NULL, *resource = NULL;
        const char *home = getenv("HOME"), *config = getenv("AZURE_CONFIG_DIR");

        i->mode = AUTH_AZURE_CLI;
        int r = find_az(&az, e);
        if (r == 0)
                r = replace_string(&i->client_id, "");
        if (r == 0)
                r = replace_string(&i->tenant, class->tenant);
        if (r == 0)
                r = replace_string(&i->file, "az");
        if (r == 0)
                r = auth_resource_of_scope(i->scope, &resource);
        if (r == 0)
                r = helper_source_az(az, home ? home : "/", config ? config : "", class->tenant,
                        resource, &i->source);
        return r;
}

/* --- service principals and workload identity --- */

static int choose_names(const struct spc_class *class, const struct credentials *found,
        credentials_warn_fn warn, struct identity *i, struct err *e)
{
        bool in_class = !isempty(class->client_id);
        const char *client = in_class ? class->client_id : found->client_id;
        const char *tenant = !isempty(class->tenant) ? class->tenant : found->tenant;
        int r = 0;

        if (isempty(client)) {
                err_set_cause(e, ERR_AUTH, -EINVAL,
                        "no identity: the class names none, and AZURE_CLIENT_ID is not set");
                err_hint(e, "set AZURE_CLIENT_ID to the application (client) id, or "
                            "useVMManagedIdentity: \"true\" in the class on a VM");
                return -EINVAL;
        }
        if (isempty(tenant)) {
                err_set_cause(e, ERR_AUTH, -EINVAL,
                        "no tenant: neither the class nor AZURE_TENANT_ID names one");
                err_hint(e, "set tenantID in the class: az account show --query tenantId");
                return -EINVAL;
        }
        if (in_class && found->client_id && strcasecmp(found->client_id, client) != 0)
                r = say(warn, "clientID %s of the class is used, not AZURE_CLIENT_ID %s", client,
                        found->client_id);
        if (r == 0 && found->tenant && strcasecmp(found->tenant, tenant) != 0)
                r = say(warn, "tenantID %s of the class is used, not AZURE_TENANT_ID %s", tenant,
                        found->tenant);
        if (r == 0)
                r = replace_string(&i->tenant, tenant);
        return r < 0 ? r : replace_string(&i->client_id, client);
}

static int no_proof(const struct spc_class *class, const struct credentials *found, struct err *e)
{
        if (!isempty(class->client_id)) {
                err_set_cause(e, ERR_AUTH, -EINVAL,
                        "the class has clientID %s, so it asks for workload identity: service "
                        "account tokens not found",
                        class->client_id);
                err_hint(e, "in a pod the workload identity webhook sets "
                            "AZURE_FEDERATED_TOKEN_FILE; elsewhere give a client secret of that "
                            "application (AZURE_CLIENT_SECRET, --client-secret-file) or its "
                            "certificate (--client-certificate), or set useVMManagedIdentity: "
                            "\"true\" on a VM");
                return -EINVAL;
        }
        err_set_cause(e, ERR_AUTH, -EINVAL, "no identity: the class names none, and %s not set",
                isempty(found->client_id) ? "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET are"
                                          : "AZURE_CLIENT_SECRET is");
        err_hint(e, "set AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or --client-secret-file, "
                    "--client-certificate, --federated-token-file, --env-file), or "
                    "useVMManagedIdentity: \"true\" in the class on a VM, or --azure-cli after az "
                    "login");
        return -EINVAL;
}

enum proof { PROOF_NONE, PROOF_SECRET, PROOF_CERTIFICATE, PROOF_TOKEN };

/* Options first; then a clientID in the class means workload identity wherever there is a token
 * (section 1.4); then as Azure's SDKs order their variables. */
static enum proof choose_proof(
        const struct spc_class *class, const struct options *o, const struct credentials *found)
{
        if (o->client_secret_file)
                return PROOF_SECRET;
        if (o->client_certificate)
                return PROOF_CERTIFICATE;
        if (o->federated_token_file || (!isempty(class->client_id) && found->token_file))
                return PROOF_TOKEN;
        return found->secret        ? PROOF_SECRET
               : found->certificate ? PROOF_CERTIFICATE
               : found->token_file  ? PROOF_TOKEN
                                    : PROOF_NONE;
}

static int choose_default(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *i,
        struct err *e)
{
        enum proof proof = choose_proof(class, o, found);

        if (proof == PROOF_NONE)
                return no_proof(class, found, e);
        int r = choose_names(class, found, warn, i, e);
        if (r < 0)
                return r;
        switch (proof) {
        case PROOF_SECRET:
                i->mode = AUTH_CLIENT_SECRET;
                i->secret = sec_ref(found->secret);
                return 0;
        case PROOF_CERTIFICATE:
                i->mode = AUTH_CERTIFICATE;
                i->secret = sec_ref(found->password);
                i->send_chain = found->send_chain;
                return set_file(i, found->certificate);
        default:
                i->mode = AUTH_FEDERATED;
                return set_file(i, found->token_file);
        }
}

/* --- identity binding --- */

static const char *first_of(const char *a, const char *b, const char *c)
{
        return !isempty(a) ? a : !isempty(b) ? b : c;
}

static int read_proxy_ca(struct identity *i, struct err *e)
{
        const char *set = getenv("AZURE_KUBERNETES_CA_FILE");
        const char *file = first_of(set, NULL, BINDING_CA_DEFAULT);

        if (isempty(set) && access(file, F_OK) < 0 && errno == ENOENT)
                return 0; /* the system's authorities then */
        return identity_read_pem(file, "the token proxy's CA", &i->proxy_ca_pem, e);
}

static int choose_binding(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *i,
        struct err *e)
{
        const char *url = first_of(
                o->token_proxy_url, getenv("AZURE_KUBERNETES_TOKEN_PROXY"), BINDING_PROXY_DEFAULT);
        const char *sni = first_of(o->sni_name, getenv("AZURE_KUBERNETES_SNI_NAME"), NULL);

        if (isempty(found->token_file)) {
                err_set_cause(e, ERR_AUTH, -EINVAL,
                        "service account tokens are required for identity binding");
                err_hint(e, "set AZURE_FEDERATED_TOKEN_FILE (or --federated-token-file) to a token "
                            "of audience " BINDING_AUDIENCE);
                return -EINVAL;
        }
        i->mode = AUTH_FEDERATED;
        int r = choose_names(class, found, warn, i, e);
        if (r == 0)
                r = set_file(i, found->token_file);
        if (r == 0)
                r = auth_binding_check(url, sni, e);
        if (r == 0)
                r = replace_string(&i->token_proxy, url);
        if (r == 0 && sni)
                r = replace_string(&i->sni, sni);
        return r < 0 ? r : read_proxy_ca(i, e);
}

int identity_choose(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *i,
        struct err *e)
{
        int r = replace_string(&i->tenant, "");

        if (r < 0)
                return r;
        if (o->azure_cli)
                return choose_az(class, i, e);
        switch (class->identity) {
        case SPC_IDENTITY_POD:
                return choose_pod(found, i);
        case SPC_IDENTITY_VM:
                return choose_managed(class, o, found, i, e);
        case SPC_IDENTITY_TOKEN_PROXY:
                return choose_binding(class, o, found, warn, i, e);
        case SPC_IDENTITY_DEFAULT:
                break;
        }
        return choose_default(class, o, found, warn, i, e);
}
