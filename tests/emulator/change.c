#include "tests/emulator/change.h"

#include <stdio.h>
#include <strings.h>

#include "base/wipe.h"
#include "tests/emulator/call.h"
#include "tests/emulator/certissue.h"

#define VALUE_MAX ((size_t)3 << 20) /* larger than the service takes: for tests of size */

/* Every member has to be one of known (NULL-terminated). */
static int check_members(const cJSON *spec, const char *const *known, struct err *e)
{
        const cJSON *j;

        if (!spec)
                return 0;
        if (!cJSON_IsObject(spec))
                return err_set(e, -EINVAL, "a JSON object is wanted");
        cJSON_ArrayForEach (j, spec) {
                const char *const *k = known;
                while (*k && !streq(*k, j->string))
                        k++;
                if (!*k)
                        return err_set(e, -EINVAL, "there is no member %s here", j->string);
        }
        return 0;
}

static int change_text(const cJSON *spec, const char *name, char **to)
{
        const char *text = json_string(spec, name);

        return text ? set_string(to, text) : 0;
}

static int change_number(const cJSON *spec, const char *name, int64_t least, int64_t most,
        int64_t *to, struct err *e)
{
        int64_t n = 0;
        int r = json_int64(spec, name, &n);

        if (r == -ENOENT)
                return 0;
        if (r < 0 || n < least || n > most)
                return err_set(e, -EINVAL, "%s is no number from %lld to %lld", name,
                        (long long)least, (long long)most);
        *to = n;
        return 0;
}

/* The place of a word in a list, or -EINVAL. */
static int choice(const cJSON *spec, const char *name, const char *const *words, struct err *e)
{
        const char *text = json_string(spec, name);

        for (int i = 0; text && words[i]; i++)
                if (streq(text, words[i]))
                        return i;
        return err_set(e, -EINVAL, "%s has no such value", name);
}

int change_vault(struct store *s, const char *name, const cJSON *spec, struct err *e)
{
        static const char *const known[] = {"name", "model", "network", "location", "resource",
                "tenant", "recoverable_days", "deletion_ms", NULL};
        static const char *const models[] = {"policy", "rbac", NULL};
        static const char *const networks[] = {"open", "firewall", "private", NULL};
        struct vault *v;

        int r = check_members(spec, known, e);
        if (r < 0)
                return r;
        int model = json_get(spec, "model") ? choice(spec, "model", models, e) : 0;
        int network = json_get(spec, "network") ? choice(spec, "network", networks, e) : 0;
        if (model < 0 || network < 0)
                return -EINVAL;
        r = store_add_vault(s, name, &v);
        if (r == -EINVAL)
                return err_set(
                        e, r, "a vault's name is 3 to 24 letters, digits and dashes: %s", name);
        if (r == 0)
                r = change_text(spec, "location", &v->location);
        if (r == 0)
                r = change_text(spec, "resource", &v->resource);
        if (r == 0)
                r = change_text(spec, "tenant", &v->tenant);
        if (r == 0)
                r = change_number(spec, "recoverable_days", 0, 90, &v->recoverable_days, e);
        if (r == 0)
                r = change_number(spec, "deletion_ms", 0, 600000, &v->deletion_ms, e);
        if (r < 0)
                return r;
        if (json_get(spec, "model"))
                v->model = (enum access_model)model;
        if (json_get(spec, "network"))
                v->network = (enum vault_network)network;
        return 0;
}

/* --- identities --- */

static int read_rights(const cJSON *kinds, struct grant *g, struct err *e)
{
        const cJSON *kind, *op;

        cJSON_ArrayForEach (kind, kinds) {
                enum kind k = KIND_SECRET;
                while (k < KINDS && !streq(kind->string, kind_segment(k)))
                        k++;
                if (k == KINDS)
                        return err_set(e, -EINVAL, "permissions know no %s", kind->string);
                cJSON_ArrayForEach (op, kind) {
                        const char *word = cJSON_GetStringValue(op);
                        int o = 0;
                        while (o < OPERATIONS &&
                                !(word && streq(word, operation_name((enum operation)o))))
                                o++;
                        if (o < OPERATIONS)
                                g->mask[k] |= 1U << o;
                        else if (word && streq(word, "all"))
                                g->mask[k] = (1U << OPERATIONS) - 1;
                        else
                                return err_set(e, -EINVAL, "permissions know no %s",
                                        word ? word : "such value");
                }
        }
        return 0;
}

/* null: everything is allowed; {}: nothing is. What was there stays when the new is bad. */
static int change_permissions(struct identity *i, const cJSON *vaults, struct err *e)
{
        struct identity fresh = {0};
        struct grant *g;
        const cJSON *v;
        int r = 0;

        if (!cJSON_IsNull(vaults) && !cJSON_IsObject(vaults))
                return err_set(e, -EINVAL, "permissions is neither null nor an object");
        if (cJSON_IsObject(vaults) && cJSON_GetArraySize(vaults) == 0)
                r = identity_grant(&fresh, "*", &g);
        cJSON_ArrayForEach (v, vaults) {
                if (r == 0)
                        r = identity_grant(&fresh, v->string, &g);
                if (r == 0)
                        r = read_rights(v, g, e);
        }
        if (r < 0) {
                identity_clear_grants(&fresh);
                return r;
        }
        identity_clear_grants(i);
        i->grants = fresh.grants;
        return 0;
}

static int change_secrets(struct identity *i, const cJSON *list, struct err *e)
{
        const cJSON *j;

        identity_clear_secrets(i);
        cJSON_ArrayForEach (j, list) {
                const char *value = cJSON_IsString(j) ? j->valuestring : json_string(j, "value");
                if (isempty(value))
                        return err_set(e, -EINVAL, "a client secret is a text or has a value");
                int r = identity_add_secret(i, value, json_bool(j, "expired", false));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int change_federated(struct identity *i, const cJSON *list, struct err *e)
{
        const cJSON *j;

        identity_clear_federated(i);
        cJSON_ArrayForEach (j, list) {
                const char *issuer = json_string(j, "issuer"), *subject = json_string(j, "subject");
                const char *audience = json_string(j, "audience");
                if (!issuer || !subject)
                        return err_set(
                                e, -EINVAL, "a federated credential has an issuer and a subject");
                int r = identity_add_federated(
                        i, issuer, subject, audience ? audience : "api://AzureADTokenExchange");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int change_certificates(struct identity *i, const cJSON *list, struct err *e)
{
        const cJSON *j;

        identity_clear_certificates(i);
        cJSON_ArrayForEach (j, list) {
                int r = cJSON_IsString(j) ? identity_add_certificate(i, j->valuestring) : -EINVAL;
                if (r == -EINVAL)
                        err_set(e, r, "a certificate credential is a certificate in PEM form");
                if (r < 0)
                        return r;
        }
        return 0;
}

int change_identity(struct store *s, const char *client_id, const cJSON *spec, struct err *e)
{
        static const char *const known[] = {"client_id", "tenant", "object_id", "client_secrets",
                "federated", "certificates", "pod", "system_assigned", "user_assigned",
                "resource_id", "permissions", NULL};
        struct identity *i;

        int r = check_members(spec, known, e);
        if (r < 0)
                return r;
        const char *tenant = json_string(spec, "tenant");
        const cJSON *permissions = cJSON_GetObjectItemCaseSensitive(spec, "permissions");
        r = store_add_identity(s,
                tenant             ? tenant
                : store_tenants(s) ? store_tenants(s)->id
                                   : DEFAULT_TENANT,
                client_id, &i);
        if (r == 0)
                r = change_text(spec, "tenant", &i->tenant);
        if (r == 0 && tenant)
                r = store_add_tenant(s, tenant, NULL);
        if (r == 0)
                r = change_text(spec, "object_id", &i->object_id);
        if (r == 0)
                r = change_text(spec, "resource_id", &i->resource_id);
        if (r == 0 && json_get(spec, "client_secrets"))
                r = change_secrets(i, json_get(spec, "client_secrets"), e);
        if (r == 0 && json_get(spec, "federated"))
                r = change_federated(i, json_get(spec, "federated"), e);
        if (r == 0 && json_get(spec, "certificates"))
                r = change_certificates(i, json_get(spec, "certificates"), e);
        if (r == 0)
                r = change_text(spec, "pod", &i->pod);
        if (r == 0 && permissions)
                r = change_permissions(i, permissions, e);
        if (r < 0)
                return r;
        i->system_assigned = json_bool(spec, "system_assigned", i->system_assigned);
        i->user_assigned = json_bool(spec, "user_assigned", i->user_assigned);
        return 0;
}

int change_tenant(struct store *s, const char *id, const cJSON *spec, struct err *e)
{
        static const char *const known[] = {"id", "domain", NULL};

        int r = check_members(spec, known, e);
        return r < 0 ? r : store_add_tenant(s, id, json_string(spec, "domain"));
}

/* --- objects --- */

static int change_time(const cJSON *spec, const char *name, int64_t *to, struct err *e)
{
        const cJSON *j = cJSON_GetObjectItemCaseSensitive(spec, name);

        if (cJSON_IsNull(j))
                *to = NO_TIME;
        return change_number(spec, name, 0, (int64_t)1 << 52, to, e);
}

static int change_attributes(struct version *v, const cJSON *spec, struct err *e)
{
        const cJSON *tags = json_get(spec, "tags");

        v->attributes.enabled = json_bool(spec, "enabled", v->attributes.enabled);
        int r = change_time(spec, "nbf", &v->attributes.not_before, e);
        if (r == 0)
                r = change_time(spec, "exp", &v->attributes.expires, e);
        if (r == 0)
                r = change_number(spec, "created", 0, (int64_t)1 << 52, &v->attributes.created, e);
        if (r == 0)
                r = change_text(spec, "contentType", &v->content_type);
        if (r < 0 || !tags)
                return r;
        if (!cJSON_IsObject(tags))
                return err_set(e, -EINVAL, "tags is not an object");
        cJSON *copy = cJSON_Duplicate(tags, true);
        if (!copy)
                return -ENOMEM;
        cJSON_Delete(v->tags);
        v->tags = copy;
        return 0;
}

/* The live object of that name, made when there is none. */
static int place(
        struct vault *v, enum kind kind, const char *name, struct object **ret, struct err *e)
{
        struct object *obj = vault_find(v, kind, name);

        if (!object_name_valid(name))
                return err_set(e, -EINVAL, "no %s can have the name %s", kind_word(kind), name);
        if (obj && obj->deleted != NO_TIME)
                return err_set(e, -EEXIST, "a deleted %s has the name %s", kind_word(kind), name);
        if (obj && obj->versions && obj->versions->managed)
                return err_set(
                        e, -EEXIST, "the %s %s belongs to a certificate", kind_word(kind), name);
        if (!obj) {
                int r = vault_add_object(v, kind, name, &obj);
                if (r < 0)
                        return r;
        }
        *ret = obj;
        return 0;
}

int change_secret(struct vault *v, const char *name, const char *value, const cJSON *spec,
        struct object **ret, struct err *e)
{
        static const char *const known[] = {
                "value", "contentType", "tags", "enabled", "exp", "nbf", "created", NULL};
        _cleanup_(version_freep) struct version *version = version_new();
        struct object *obj;

        if (!version)
                return -ENOMEM;
        int r = check_members(spec, known, e);
        if (r < 0)
                return r;
        if (!value)
                value = json_string(spec, "value");
        if (!value || strlen(value) > VALUE_MAX)
                return err_set(
                        e, -EINVAL, "a secret has a value, a text of at most %zu bytes", VALUE_MAX);
        version->value = wipe_strdup(value);
        if (!version->value)
                return -ENOMEM;
        r = change_attributes(version, spec, e);
        if (r == 0)
                r = place(v, KIND_SECRET, name, &obj, e);
        if (r < 0)
                return r;
        object_push(obj, TAKE_PTR(version));
        if (ret)
                *ret = obj;
        return 0;
}

static int key_from_spec(const cJSON *spec, struct version **ret, struct err *e)
{
        const char *pem = json_string(spec, "pem"), *kty = json_string(spec, "kty");
        int64_t size = 0;

        if (!pem) {
                int r = change_number(spec, "key_size", 0, 4096, &size, e);
                if (r == 0)
                        r = key_make_version(
                                kty ? kty : "RSA", (int)size, json_string(spec, "crv"), ret);
                return r == -EINVAL ? err_set(e, r, "no such key type, size or curve") : r;
        }
        _cleanup_(version_freep) struct version *v = version_new();
        _cleanup_pkey_ EVP_PKEY *key = NULL;
        if (!v)
                return -ENOMEM;
        int r = key_from_pem(pem, strlen(pem), &key);
        if (r < 0)
                return err_set(e, r, "there is no key in that PEM text");
        r = jwk_from_key(key, &v->jwk);
        if (r < 0)
                return err_set(e, r, "a vault has no keys of that type");
        if (kty)
                r = set_string(&v->jwk.kty, kty);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

int change_key(
        struct vault *v, const char *name, const cJSON *spec, struct object **ret, struct err *e)
{
        static const char *const known[] = {
                "kty", "key_size", "crv", "pem", "tags", "enabled", "exp", "nbf", "created", NULL};
        _cleanup_(version_freep) struct version *version = NULL;
        struct object *obj;

        int r = check_members(spec, known, e);
        if (r == 0)
                r = key_from_spec(spec, &version, e);
        if (r == 0)
                r = key_default_ops(version);
        if (r == 0)
                r = change_attributes(version, spec, e);
        if (r == 0)
                r = place(v, KIND_KEY, name, &obj, e);
        if (r < 0)
                return r;
        object_push(obj, TAKE_PTR(version));
        if (ret)
                *ret = obj;
        return 0;
}

/* A policy from the flat members of the admin interface. */
static cJSON *flat_policy(const cJSON *spec)
{
        cJSON *p = cJSON_CreateObject();
        cJSON *k = cJSON_AddObjectToObject(p, "key_props");
        cJSON *x = cJSON_AddObjectToObject(p, "x509_props");
        static const char *const key_members[] = {
                "kty", "key_size", "crv", "exportable", "reuse_key"};

        for (size_t i = 0; i < ELEMENTSOF(key_members); i++)
                if (json_get(spec, key_members[i]))
                        (void)cJSON_AddItemToObject(k, key_members[i],
                                cJSON_Duplicate(json_get(spec, key_members[i]), true));
        if (json_string(spec, "contentType"))
                (void)cJSON_AddStringToObject(cJSON_AddObjectToObject(p, "secret_props"),
                        "contentType", json_string(spec, "contentType"));
        if (json_string(spec, "subject"))
                (void)cJSON_AddStringToObject(x, "subject", json_string(spec, "subject"));
        if (json_get(spec, "validity_months"))
                (void)cJSON_AddItemToObject(x, "validity_months",
                        cJSON_Duplicate(json_get(spec, "validity_months"), true));
        if (json_get(spec, "dns"))
                (void)cJSON_AddItemToObject(cJSON_AddObjectToObject(x, "sans"), "dns_names",
                        cJSON_Duplicate(json_get(spec, "dns"), true));
        return p;
}

int change_certificate(
        struct vault *v, const char *name, const cJSON *spec, struct object **ret, struct err *e)
{
        static const char *const known[] = {"subject", "contentType", "kty", "key_size", "crv",
                "exportable", "reuse_key", "validity_months", "dns", "value", "pwd", "tags",
                "enabled", NULL};
        const char *value = json_string(spec, "value"), *type = json_string(spec, "contentType");
        _cleanup_(bundle_done) struct bundle b = {0};
        _cleanup_json_ cJSON *policy = NULL;
        struct object *obj = vault_find(v, KIND_CERTIFICATE, name);

        int r = check_members(spec, known, e);
        if (r < 0)
                return r;
        if (!object_name_valid(name))
                return err_set(e, -EINVAL, "no certificate can have the name %s", name);
        if (obj && obj->deleted != NO_TIME)
                return err_set(e, -EEXIST, "a deleted certificate has the name %s", name);
        const struct cert_options options = {
                .disabled = !json_bool(spec, "enabled", true),
                .tags = json_get(spec, "tags"),
        };
        policy = flat_policy(spec);
        if (!policy)
                return -ENOMEM;
        if (value) {
                r = bundle_parse(value, json_string(spec, "pwd"), &b, e);
                if (!type)
                        type = strstr(value, "-----BEGIN ") ? CONTENT_PEM : CONTENT_PKCS12;
                if (r == 0)
                        r = certificate_import(v, name, &b, policy, type, &options, &obj, e);
        } else {
                if (!json_string(spec, "subject") && !(obj && obj->policy)) {
                        _cleanup_free_ char *subject = NULL;
                        if (xasprintf(&subject, "CN=%s", name) < 0)
                                return -ENOMEM;
                        (void)cJSON_AddStringToObject(
                                cJSON_GetObjectItemCaseSensitive(policy, "x509_props"), "subject",
                                subject);
                }
                r = certificate_create(v, name, policy, &options, &obj, e);
        }
        if (r == 0 && ret)
                *ret = obj;
        return r;
}

int change_version(struct vault *v, struct object *obj, struct version *version, const cJSON *spec,
        struct err *e)
{
        static const char *const known[] = {
                "enabled", "exp", "nbf", "created", "tags", "contentType", NULL};

        int r = check_members(spec, known, e);
        if (r == 0)
                r = change_attributes(version, spec, e);
        if (r < 0)
                return r;
        version->attributes.updated = now_seconds();
        if (obj->kind == KIND_CERTIFICATE)
                certificate_set_enabled(v, obj, version, version->attributes.enabled);
        return 0;
}

int change_rotate(struct vault *v, struct object *obj, struct err *e)
{
        _cleanup_(version_freep) struct version *version = NULL;
        const struct cert_options options = {.tags = obj->versions->tags};

        if (obj->versions->managed)
                return err_set(e, -EINVAL, "rotate the certificate that it belongs to");
        if (obj->kind == KIND_CERTIFICATE)
                return certificate_create(v, obj->name, NULL, &options, &obj, e);
        if (obj->kind == KIND_KEY) {
                int r = key_rotated(obj->versions, &version);
                if (r < 0)
                        return r;
        } else {
                char value[33];
                version_make(value);
                version = version_new();
                if (!version)
                        return -ENOMEM;
                version->value = wipe_strdup(value);
                if (obj->versions->tags)
                        version->tags = cJSON_Duplicate(obj->versions->tags, true);
                if (!version->value ||
                        set_string(&version->content_type, obj->versions->content_type) < 0)
                        return -ENOMEM;
        }
        object_push(obj, TAKE_PTR(version));
        return 0;
}
