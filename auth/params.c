/* An identity's configuration as it is kept, and what tells two apart. */
#include <openssl/evp.h>

#include "auth/mode.h"
#include "base/wipe.h"

static const struct auth_mode *const modes[AUTH_MODES] = {
        [AUTH_CLIENT_SECRET] = &auth_client_secret,
        [AUTH_VM_IDENTITY] = &auth_imds,
        [AUTH_CERTIFICATE] = &auth_certificate,
        [AUTH_FEDERATED] = &auth_federated,
        [AUTH_POD_IDENTITY] = &auth_nmi,
        [AUTH_APP_SERVICE] = &auth_app_service,
        [AUTH_ARC] = &auth_arc,
        [AUTH_AZURE_CLI] = &auth_azure_cli,
};

/* Where a machine's own endpoint is asked: the default. */
static const char *const endpoints[AUTH_MODES] = {
        [AUTH_VM_IDENTITY] = "http://169.254.169.254",
        [AUTH_POD_IDENTITY] = "http://localhost:2579",
        [AUTH_APP_SERVICE] = "",
        [AUTH_ARC] = "http://127.0.0.1:40342/metadata/identity/oauth2/token",
};

const struct auth_mode *auth_mode_of(enum auth_mode_id id)
{
        return (unsigned)id < AUTH_MODES ? modes[id] : NULL;
}

const char *auth_mode_name(enum auth_mode_id id)
{
        return modes[id]->name;
}

int auth_mode_find(const char *name, enum auth_mode_id *ret)
{
        for (unsigned i = 0; i < AUTH_MODES; i++)
                if (streq(modes[i]->name, name)) {
                        *ret = (enum auth_mode_id)i;
                        return 0;
                }
        return -EINVAL;
}

void auth_params_done(struct auth_params *p)
{
        free(p->tenant);
        free(p->client_id);
        free(p->authority);
        free(p->imds_endpoint);
        free(p->source);
        free(p->file);
        free(p->subject);
        free(p->token_proxy);
        free(p->sni);
        free(p->proxy_ca_pem);
        free(p->pod);
        free(p->pod_namespace);
        free(p->ca_file);
        free(p->ca_pem);
        erase_and_free(p->proxy); /* may hold a password */
        sec_unref(p->client_secret);
        sec_unref(p->secret);
        *p = (struct auth_params){0};
}

/* With or without exactly one slash at the end. */
static int copy_url(const char *s, const char *end, char **ret)
{
        size_t len = strlen(s);

        while (len > 0 && s[len - 1] == '/')
                len--;
        return xasprintf(ret, "%.*s%s", (int)len, s, end);
}

static int copy_strings(const struct auth_config *cfg, struct auth_params *p)
{
        const struct {
                const char *from;
                char **to;
        } strings[] = {
                {cfg->tenant && !endpoints[cfg->mode] ? cfg->tenant : "", &p->tenant},
                {cfg->client_id ? cfg->client_id : "", &p->client_id},
                {cfg->source, &p->source},
                {cfg->file, &p->file},
                {cfg->subject, &p->subject},
                {cfg->token_proxy, &p->token_proxy},
                {cfg->sni, &p->sni},
                {cfg->proxy_ca_pem, &p->proxy_ca_pem},
                {cfg->pod, &p->pod},
                {cfg->pod_namespace, &p->pod_namespace},
                {cfg->endpoint.ca_file, &p->ca_file},
                {cfg->endpoint.ca_pem, &p->ca_pem},
                {cfg->endpoint.proxy, &p->proxy},
        };

        for (size_t i = 0; i < ELEMENTSOF(strings); i++)
                if (strings[i].from && !(*strings[i].to = strdup(strings[i].from)))
                        return -ENOMEM;
        return 0;
}

int auth_params_fill(const struct auth_config *cfg, struct auth_params *p)
{
        const char *endpoint = endpoints[cfg->mode];

        p->mode = cfg->mode;
        p->id_kind = cfg->id_kind;
        p->send_chain = cfg->send_chain;
        int r = copy_strings(cfg, p);
        if (r == 0 && !endpoint && cfg->authority)
                r = copy_url(cfg->authority, "/", &p->authority);
        if (r == 0 && endpoint)
                r = copy_url(
                        cfg->imds_endpoint ? cfg->imds_endpoint : endpoint, "", &p->imds_endpoint);
        if (r < 0)
                return r;
        if (cfg->mode == AUTH_CLIENT_SECRET)
                p->client_secret = sec_ref(cfg->client_secret);
        p->secret = sec_ref(cfg->secret);
        p->endpoint = cfg->endpoint;
        p->endpoint.ca_file = p->ca_file;
        p->endpoint.ca_pem = p->ca_pem;
        p->endpoint.proxy = p->proxy;
        p->endpoint.allow_http = false;
        if (!p->endpoint.response_max)
                p->endpoint.response_max = AUTH_ANSWER_MAX;
        return 0;
}

static int hash(const struct sec *s, char hex[static 2 * EVP_MAX_MD_SIZE + 1])
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;

        if (!EVP_Digest(sec_bytes(s), sec_len(s), digest, &len, EVP_sha256(), NULL))
                return -ENOMEM;
        hex_encode(digest, len, hex);
        explicit_bzero(digest, sizeof digest);
        return 0;
}

static const char *or_none(const char *s)
{
        return isempty(s) ? "-" : s;
}

int auth_params_key(const struct auth_params *p, char **ret)
{
        static const char *const kinds[] = {"", "object:", "resource:"};
        const char *name = auth_mode_name(p->mode);
        char hex[2 * EVP_MAX_MD_SIZE + 1] = "-";
        int r = 0;

        /* A token that is handed over changes every hour and says who it is for: its subject, which
         * the platform vouches for, is the identity. Everybody else is who knows the secret. */
        struct sec *proof = p->client_secret ? p->client_secret : p->subject ? NULL : p->secret;
        if (proof)
                r = hash(proof, hex);
        if (r < 0)
                return r;
        if (p->mode == AUTH_POD_IDENTITY)
                return xasprintf(ret, "%s %s %s/%s", name, p->imds_endpoint,
                        or_none(p->pod_namespace), or_none(p->pod));
        if (p->imds_endpoint)
                return xasprintf(ret, "%s %s %s%s %s %s", name, p->imds_endpoint, kinds[p->id_kind],
                        p->client_id, hex, or_none(p->source));
        return xasprintf(ret, "%s %s %s %s %s %s %s %s", name, or_none(p->authority), p->tenant,
                p->client_id, hex, or_none(p->source), or_none(p->subject),
                or_none(p->token_proxy));
}

bool auth_params_same_endpoint(const struct auth_params *a, const struct auth_params *b)
{
        return streq_ptr(a->ca_file, b->ca_file) && streq_ptr(a->ca_pem, b->ca_pem) &&
               streq_ptr(a->proxy, b->proxy) && streq_ptr(a->sni, b->sni) &&
               streq_ptr(a->proxy_ca_pem, b->proxy_ca_pem) && a->send_chain == b->send_chain &&
               a->endpoint.connect_timeout_ms == b->endpoint.connect_timeout_ms &&
               a->endpoint.total_timeout_ms == b->endpoint.total_timeout_ms &&
               a->endpoint.response_max == b->endpoint.response_max;
}

const char *auth_params_endpoint(const struct auth_params *p)
{
        if (p->token_proxy)
                return p->token_proxy;
        return p->imds_endpoint ? p->imds_endpoint : p->authority ? p->authority : "the Azure CLI";
}
