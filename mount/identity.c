#include "mount/identity.h"

#include <stdio.h>
#include <strings.h>

#include "auth/cloud.h"
#include "auth/helper.h"
#include "base/wipe.h"
#include "cache/cache.h"
#include "vault/base64.h"

void identity_done(struct identity *i)
{
        free(i->tenant);
        free(i->client_id);
        sec_unref(i->secret);
        free(i->authority);
        free(i->imds_endpoint);
        free(i->source);
        free(i->file);
        free(i->subject);
        free(i->token_proxy);
        free(i->sni);
        free(i->proxy_ca_pem);
        free(i->pod);
        free(i->pod_namespace);
        free(i->vault_url);
        free(i->scope);
        free(i->ca_file);
        free(i->ca_pem);
        *i = (struct identity){0};
}

int identity_name_managed(const struct spc_class *class, struct identity *i)
{
        bool by_object = !isempty(class->user_assigned_object_id);
        const char *id = by_object ? class->user_assigned_object_id : class->user_assigned_id;

        /* No client id begins so, and no resource id otherwise. */
        bool is_resource = id && strncasecmp(id, "/subscriptions/", 15) == 0;
        i->id_kind = by_object     ? AUTH_BY_OBJECT_ID
                     : is_resource ? AUTH_BY_RESOURCE_ID
                                   : AUTH_BY_CLIENT_ID;
        return replace_string(&i->client_id, id);
}

/* --- URLs from outside --- */

/* Azure's SDKs take a bare host name for an authority too. */
static int authority_url(const char *text, const char *from, char **ret, struct err *e)
{
        const char *scheme = strstr(text, "://"), *slash = "/";
        size_t len = strlen(text);

        if (scheme && strncasecmp(text, "https://", 8) != 0) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "%s %s is not https: a client secret is never sent unencrypted", from,
                        text);
                err_hint(e, "write https://, and --ca-file for a private certificate authority");
                return -EINVAL;
        }
        if (len == 0 || strpbrk(text, " \t\r\n?#@"))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "%s \"%s\" is not a URL such as https://login.microsoftonline.com/", from,
                        text);
        if (text[len - 1] == '/')
                slash = "";
        return xasprintf(ret, "%s%s%s", scheme ? "" : "https://", text, slash);
}

/* The one place where http is right: the metadata service is on the machine itself. */
static int imds_url(const char *text, const char *from, char **ret, struct err *e)
{
        size_t len = strlen(text);

        if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "%s \"%s\" is not a URL such as http://169.254.169.254", from, text);
        while (len > 0 && text[len - 1] == '/')
                len--;
        *ret = strndup(text, len);
        return *ret ? 0 : -ENOMEM;
}

int identity_resolve_endpoints(const struct spc_class *class, const struct identity_endpoints *o,
        struct identity *i, struct err *e)
{
        struct cloud cloud = {0};
        const char *host = getenv("AZURE_AUTHORITY_HOST");
        const char *imds = getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST");

        int r = cloud_find(class->cloud, class->cloud_env_file, &cloud, e);
        if (r < 0)
                return r;
        if (o->authority_host)
                r = authority_url(o->authority_host, "--authority-host", &i->authority, e);
        else if (!isempty(host) && (isempty(class->cloud) || isempty(cloud.authority)))
                r = authority_url(host, "AZURE_AUTHORITY_HOST", &i->authority, e);
        else
                r = replace_string(&i->authority, cloud.authority);
        if (r == 0 && o->imds_endpoint)
                r = imds_url(o->imds_endpoint, "--imds-endpoint", &i->imds_endpoint, e);
        else if (r == 0 && !isempty(imds))
                r = imds_url(imds, "AZURE_POD_IDENTITY_AUTHORITY_HOST", &i->imds_endpoint, e);
        if (r == 0)
                r = xasprintf(&i->scope, "%s/.default", cloud.vault_resource);
        if (r == 0 && o->vault_url && strncasecmp(o->vault_url, "http://", 7) == 0) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "--vault-url %s is not https: secrets are never sent unencrypted",
                        o->vault_url);
                err_hint(e, "write https://, and --ca-file for a private certificate authority");
                r = -EINVAL;
        }
        if (r == 0)
                r = vault_make_url(
                        class->vault, cloud.vault_suffix, o->vault_url, &i->vault_url, e);
        if (r == 0 && o->ca_file)
                r = replace_string(&i->ca_file, o->ca_file);
        cloud_done(&cloud);
        return r == -ENOMEM ? err_set(e, r, "out of memory") : r;
}

/* --- over the control socket --- */

int identity_read_pem(const char *path, const char *what, char **where, struct err *e)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;

        int r = read_whole_file(path, IDENTITY_CA_MAX, &text, &len);
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not read %s %s: %s", what, path, strerror(-r));
        if (strlen(text) != len || !strstr(text, "-----BEGIN ")) {
                err_set_cause(e, ERR_LOCAL, -EINVAL, "%s %s is not PEM", what, path);
                err_hint(e, "openssl x509 -inform DER -in FILE -out FILE.pem");
                return -EINVAL;
        }
        free(*where);
        *where = TAKE_PTR(text);
        return 0;
}

int identity_read_ca(struct identity *i, struct err *e)
{
        return i->ca_file ? identity_read_pem(i->ca_file, "the CA file", &i->ca_pem, e) : 0;
}

cJSON *identity_format(const struct identity *i)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        const struct {
                const char *name, *value;
        } optional[] = {
                {"imds_endpoint", i->imds_endpoint},
                {"ca_file", i->ca_file},
                {"ca_pem", i->ca_pem},
                {"source", i->source},
                {"file", i->file},
                {"subject", i->subject},
                {"token_proxy", i->token_proxy},
                {"sni", i->sni},
                {"proxy_ca_pem", i->proxy_ca_pem},
                {"pod", i->pod},
                {"pod_namespace", i->pod_namespace},
        };

        if (!cJSON_AddStringToObject(j, "mode", auth_mode_name(i->mode)) ||
                !cJSON_AddNumberToObject(j, "id_kind", i->id_kind) ||
                !cJSON_AddBoolToObject(j, "send_chain", i->send_chain) ||
                !cJSON_AddStringToObject(j, "tenant", i->tenant) ||
                !cJSON_AddStringToObject(j, "client_id", i->client_id) ||
                !cJSON_AddStringToObject(j, "authority", i->authority) ||
                !cJSON_AddStringToObject(j, "vault_url", i->vault_url) ||
                !cJSON_AddStringToObject(j, "scope", i->scope))
                return NULL;
        for (size_t k = 0; k < ELEMENTSOF(optional); k++)
                if (optional[k].value &&
                        !cJSON_AddStringToObject(j, optional[k].name, optional[k].value))
                        return NULL;
        if (i->secret) {
                /* hex: a secret may hold any byte, JSON text may not */
                size_t len = sec_len(i->secret);
                _cleanup_secret_ char *hex = malloc(2 * len + 1);
                if (!hex)
                        return NULL;
                hex_encode(sec_bytes(i->secret), len, hex);
                if (!cJSON_AddStringToObject(j, "client_secret", hex))
                        return NULL;
        }
        return TAKE_PTR(j);
}

static int parse_secret(const char *hex, struct sec **ret)
{
        size_t len = strlen(hex);

        if (len == 0 || len / 2 > IDENTITY_SECRET_MAX)
                return -EBADMSG;
        int r = hex_decode(hex, len, ret, NULL);
        return r == -EINVAL ? -EBADMSG : r;
}

int identity_parse(const cJSON *j, struct identity *ret, struct err *e)
{
        _cleanup_identity_ struct identity i = {.send_chain = json_bool(j, "send_chain", false)};
        const struct {
                const char *name;
                char **field;
                bool optional;
        } fields[] = {
                {"tenant", &i.tenant, false},
                {"client_id", &i.client_id, false},
                {"authority", &i.authority, false},
                {"vault_url", &i.vault_url, false},
                {"scope", &i.scope, false},
                {"imds_endpoint", &i.imds_endpoint, true},
                {"ca_file", &i.ca_file, true},
                {"ca_pem", &i.ca_pem, true},
                {"source", &i.source, true},
                {"file", &i.file, true},
                {"subject", &i.subject, true},
                {"token_proxy", &i.token_proxy, true},
                {"sni", &i.sni, true},
                {"proxy_ca_pem", &i.proxy_ca_pem, true},
                {"pod", &i.pod, true},
                {"pod_namespace", &i.pod_namespace, true},
        };
        const char *mode = json_string(j, "mode");
        int64_t kind = 0;

        int r = mode ? auth_mode_find(mode, &i.mode) : -EBADMSG;
        if (r == 0)
                r = json_int64(j, "id_kind", &kind);
        if (r == 0 && (kind < AUTH_BY_CLIENT_ID || kind > AUTH_BY_RESOURCE_ID))
                r = -EBADMSG;
        i.id_kind = (enum auth_id_kind)kind;

        for (size_t k = 0; r == 0 && k < ELEMENTSOF(fields); k++) {
                const char *value = json_string(j, fields[k].name);
                if (value)
                        r = replace_string(fields[k].field, value);
                else if (!fields[k].optional)
                        r = -EBADMSG;
        }
        const char *secret = json_string(j, "client_secret");
        if (r == 0 && secret)
                r = parse_secret(secret, &i.secret);
        if (r < 0)
                return err_set(e, r, "the request's identity cannot be read: %s", strerror(-r));
        *ret = i;
        i = (struct identity){0};
        return 0;
}

int identity_open(const struct identity *i, struct auths *auths, struct vaults *vaults,
        struct vault **ret, struct err *e)
{
        _cleanup_(auth_unrefp) struct auth *auth = NULL;
        char source[HELPER_ID_SIZE] = "";
        bool client_secret = i->mode == AUTH_CLIENT_SECRET;

        if (i->source)
                helper_source_id(i->source, source);
        const struct auth_config auth_config = {
                .mode = i->mode,
                .tenant = i->tenant,
                .client_id = i->client_id,
                .id_kind = i->id_kind,
                .client_secret = client_secret ? i->secret : NULL,
                .secret = client_secret ? NULL : i->secret,
                .authority = i->authority,
                .imds_endpoint = i->imds_endpoint,
                .source = i->source ? source : NULL,
                .file = i->file,
                .send_chain = i->send_chain,
                .subject = i->subject,
                .token_proxy = i->token_proxy,
                .sni = i->sni,
                .proxy_ca_pem = i->proxy_ca_pem,
                .pod = i->pod,
                .pod_namespace = i->pod_namespace,
                .endpoint = {.ca_file = i->ca_file, .ca_pem = i->ca_pem},
        };

        int r = auth_open(auths, &auth_config, &auth, e);
        if (r < 0)
                return r;
        const struct vault_config vault_config = {
                .url = i->vault_url,
                .scope = i->scope,
                .retry = cache_http_retry,
                .auth = auth,
                .endpoint = {.ca_file = i->ca_file, .ca_pem = i->ca_pem},
        };
        return vault_open(vaults, &vault_config, ret, e);
}
