/* Parameters of a class (reference sections 1.2 to 1.5), in the Azure provider's words. */
#include "spc/parameters.h"

#include <stdio.h>

#include "spc/mapping.h"
#include "spc/objects.h"
#include "spc/origin.h"
#include "spc/rules.h"
#include "spc/scalar.h"

const char *const parameter_names[] = {
        "usePodIdentity",
        "useVMManagedIdentity",
        "useAzureTokenProxy",
        "userAssignedIdentityID",
        "userAssignedIdentityObjectID", /* akvfs alone knows it */
        "clientID",
        "keyvaultName",
        "tenantID",
        "tenantId",
        "cloudName",
        "cloudEnvFileName",
        "objects",
        /* of this project alone; the provider passes it over */
        "objectSelector",
        /* read by early versions of the provider, still in many classes, without effect */
        "resourceGroup",
        "subscriptionId",
        NULL,
};

/* What kubelet and the driver put into the same map. */
static bool is_from_kubelet(const char *key)
{
        return startswith(key, "csi.storage.k8s.io/") || streq(key, "secretProviderClass");
}

struct text {
        char *value; /* trimmed, never NULL once read */
        uint32_t at;
        bool given;
};

static void text_done(struct text *t)
{
        free(t->value);
}
#define _cleanup_text_ _cleanup_(text_done)

struct reading {
        struct report *report;
        const struct parameter *list;
        size_t n;
        uint32_t at; /* of the parameters as a whole */
        struct spc_class *class;
};

static const struct parameter *find(const struct reading *g, const char *key)
{
        for (size_t i = 0; i < g->n; i++)
                if (streq(g->list[i].key, key))
                        return &g->list[i];
        return NULL;
}

static int get(const struct reading *g, const char *key, struct text *ret)
{
        const struct parameter *p = find(g, key);
        const char *s = p && p->value ? p->value : "";
        size_t len = scalar_trim(&s, strlen(s));

        ret->at = p ? p->at : g->at;
        ret->given = len > 0;
        ret->value = strndup(s, len);
        return ret->value ? 0 : -ENOMEM;
}

static struct place place_of(const struct text *t, const char *field)
{
        return (struct place){t->at, NULL, field};
}

static void report_unknown(struct reading *g)
{
        for (size_t i = 0; i < g->n; i++) {
                const struct parameter *p = &g->list[i];
                bool known = is_from_kubelet(p->key);
                for (size_t k = 0; parameter_names[k] && !known; k++)
                        known = streq(parameter_names[k], p->key);
                if (known)
                        continue;
                report_warning(g->report, &(struct place){p->key_at, NULL, p->key},
                        "unknown parameter, ignored");
                if (streq(p->key, "secretObjects"))
                        report_hint(g->report, "secretObjects belongs under spec");
                else
                        report_nearest(g->report, p->key, parameter_names);
        }
}

static int read_flag(struct reading *g, const char *key, struct text *t, bool *ret)
{
        int e = get(g, key, t);

        if (e < 0)
                return e;
        if (scalar_parse_bool(t->value, ret) < 0) {
                struct place p = place_of(t, key);
                *ret = false;
                report_error(g->report, &p,
                        "failed to parse %s flag, error: strconv.ParseBool: parsing \"%s\": "
                        "invalid syntax",
                        key, CUT(t->value));
                report_hint(g->report, "write \"true\" or \"false\"");
        }
        return 0;
}

/* One identity mode at most; what can be said of the rest without a token (section 1.4). */
static int read_identity(struct reading *g)
{
        static const char *const keys[] = {
                "usePodIdentity", "useVMManagedIdentity", "useAzureTokenProxy"};
        static const enum spc_identity modes[] = {
                SPC_IDENTITY_POD, SPC_IDENTITY_VM, SPC_IDENTITY_TOKEN_PROXY};
        _cleanup_text_ struct text client = {0}, user_assigned = {0}, object = {0};
        uint32_t flag_at = YML_NOWHERE;
        unsigned on = 0;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_text_ struct text t = {0};
                bool flag = false;
                int e = read_flag(g, keys[i], &t, &flag);
                if (e < 0)
                        return e;
                if (!flag)
                        continue;
                g->class->identity = modes[i];
                flag_at = t.at;
                on++;
        }
        if (get(g, "clientID", &client) < 0 ||
                get(g, "userAssignedIdentityID", &user_assigned) < 0 ||
                get(g, "userAssignedIdentityObjectID", &object) < 0)
                return -ENOMEM;

        enum spc_identity mode = g->class->identity;
        if (on > 1) {
                report_error(g->report, &(struct place){flag_at, NULL, NULL},
                        "only one identity mode can be enabled at a time: usePodIdentity, "
                        "useVMManagedIdentity, or useAzureTokenProxy");
        } else if (mode == SPC_IDENTITY_TOKEN_PROXY && !client.given) {
                report_error(g->report, &(struct place){flag_at, NULL, "clientID"},
                        "failed to build auth config for mode AzureTokenProxy: clientID is "
                        "required for identity binding");
        } else if ((mode == SPC_IDENTITY_VM || mode == SPC_IDENTITY_POD) && client.given) {
                struct place p = place_of(&client, "clientID");
                report_warning(g->report, &p,
                        "not used by %s; the Azure provider then asks for a workload identity "
                        "token all the same",
                        mode == SPC_IDENTITY_VM ? "useVMManagedIdentity" : "usePodIdentity");
                report_hint(g->report, "%s",
                        mode == SPC_IDENTITY_VM
                                ? "leave it out; a user-assigned identity goes into "
                                  "userAssignedIdentityID"
                                : "leave it out");
        }
        if (user_assigned.given && mode != SPC_IDENTITY_VM && on <= 1) {
                struct place p = place_of(&user_assigned, "userAssignedIdentityID");
                report_warning(g->report, &p, "only used together with useVMManagedIdentity");
        }
        if (object.given) {
                struct place p = place_of(&object, "userAssignedIdentityObjectID");
                if (user_assigned.given)
                        report_error(g->report, &p,
                                "names an identity that userAssignedIdentityID names already");
                else if (mode != SPC_IDENTITY_VM && on <= 1)
                        report_warning(
                                g->report, &p, "only used together with useVMManagedIdentity");
        }
        g->class->client_id = TAKE_PTR(client.value);
        g->class->user_assigned_object_id = TAKE_PTR(object.value);
        g->class->user_assigned_id = TAKE_PTR(user_assigned.value);
        return 0;
}

static int read_tenant(struct reading *g)
{
        _cleanup_text_ struct text id = {0}, deprecated = {0};

        if (get(g, "tenantID", &id) < 0 || get(g, "tenantId", &deprecated) < 0)
                return -ENOMEM;
        if (id.given && deprecated.given && !streq(id.value, deprecated.value)) {
                struct place p = place_of(&deprecated, "tenantId");
                report_warning(g->report, &p, "not used, since tenantID says otherwise");
        }
        /* Said of tenantID, unless only the other spelling is there. */
        bool by_old_name =
                !id.given && (deprecated.given || !find(g, "tenantID")) && find(g, "tenantId");
        struct text *t = by_old_name ? &deprecated : &id;
        struct place p = place_of(t, by_old_name ? "tenantId" : "tenantID");
        if (!t->given) {
                report_error(g->report, &p, "tenantId is not provided");
                report_hint(g->report, "tenantID: the directory (tenant) id of the vault");
        } else if (g->class->identity != SPC_IDENTITY_VM &&
                   g->class->identity != SPC_IDENTITY_POD &&
                   strspn(t->value,
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
                           strlen(t->value)) {
                report_error(g->report, &p,
                        "failed to get keyvault client: invalid tenantID: \"%s\"", CUT(t->value));
                report_hint(g->report,
                        "a tenant is an id or a domain: letters, digits, dots and hyphens");
        }
        g->class->tenant = TAKE_PTR(t->value);
        return 0;
}

static int read_vault(struct reading *g)
{
        _cleanup_text_ struct text t = {0};

        if (get(g, "keyvaultName", &t) < 0)
                return -ENOMEM;
        struct place p = place_of(&t, "keyvaultName");
        if (t.given) {
                validate_vault_name(g->report, &p, t.value);
        } else {
                report_error(g->report, &p, "keyvaultName is not provided");
        }
        g->class->vault = TAKE_PTR(t.value);
        return 0;
}

static int read_text(struct reading *g, const char *key, char **ret)
{
        _cleanup_text_ struct text t = {0};
        int e = get(g, key, &t);

        if (e == 0)
                *ret = TAKE_PTR(t.value);
        return e;
}

/* Trimmed like every other parameter, which moves the first line to the left margin. */
static int read_list(struct reading *g, const char *key)
{
        const struct parameter *p = find(g, key);
        struct objects_source source = {
                .at = p ? p->at : g->at, .selectors = streq(key, "objectSelector")};
        _cleanup_free_ uint32_t *origin = NULL;
        struct yml_text text = {0};

        if (p && !p->value) {
                source.node = p->node;
                source.text = p->text;
                return objects_read(g->report, &source, g->class);
        }
        const char *s = p ? p->value : "";
        size_t len = scalar_trim(&s, strlen(s));
        if (len == 0) {
                report_error(
                        g->report, &(struct place){source.at, NULL, key}, "%s is not set", key);
                return 0;
        }
        if (len > SPC_TEXT_MAX) {
                report_error(g->report, &(struct place){source.at, NULL, key},
                        "longer than %zu bytes", SPC_TEXT_MAX);
                return 0;
        }
        text.s = s;
        text.len = (uint32_t)len;
        if (p->node) {
                int e = origin_of(p->text, p->node, &origin);
                if (e < 0)
                        return e;
                text.origin = origin + (s - p->value);
        } else if (p->at == YML_NOWHERE) {
                origin = malloc((len + 1) * sizeof(*origin));
                if (!origin)
                        return -ENOMEM;
                for (size_t i = 0; i <= len; i++)
                        origin[i] = YML_NOWHERE;
                text.origin = origin;
        } else {
                text.base = p->at + (uint32_t)(s - p->value);
        }
        source.text = &text;
        return objects_read(g->report, &source, g->class);
}

/* With a selector there need be no named object at all. */
static int read_objects(struct reading *g)
{
        bool selects = find(g, "objectSelector") != NULL;
        int e = selects ? read_list(g, "objectSelector") : 0;

        if (e < 0 || (selects && !find(g, "objects")))
                return e;
        return read_list(g, "objects");
}

int parameters_read(
        struct report *r, const struct parameter *list, size_t n, uint32_t at, struct spc_class *c)
{
        struct reading g = {r, list, n, at, c};

        report_unknown(&g);
        if (read_identity(&g) < 0 || read_vault(&g) < 0 || read_tenant(&g) < 0 ||
                read_text(&g, "cloudName", &c->cloud) < 0 ||
                read_text(&g, "cloudEnvFileName", &c->cloud_env_file) < 0 || read_objects(&g) < 0)
                return -ENOMEM;
        return 0;
}

int spc_class_from_parameters(const char *name, const char *namespace,
        const struct spc_parameter *parameters, size_t n, struct spc_class **ret,
        struct spc_diags *diags)
{
        _cleanup_(spc_class_freep) struct spc_class *c = calloc(1, sizeof(*c));
        _cleanup_free_ struct parameter *list = calloc(n + 1, sizeof(*list));
        const char *objects = NULL;
        struct report r;

        if (!c || !list)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                bool is_objects = streq(parameters[i].key, "objects");
                uint32_t at = is_objects ? 0 : YML_NOWHERE;
                list[i] = (struct parameter){
                        parameters[i].key, YML_NOWHERE, parameters[i].value, at, NULL, NULL};
                if (is_objects)
                        objects = parameters[i].value;
        }
        c->name = strdup(name ? name : "");
        c->namespace = strdup(namespace ? namespace : "");
        if (!c->name || !c->namespace)
                return -ENOMEM;
        /* Longer text is refused before any place in it is asked for. */
        int e = report_begin(&r, diags, objects, objects ? strnlen(objects, SPC_TEXT_MAX) : 0);
        if (e < 0)
                return e;
        e = parameters_read(&r, list, n, YML_NOWHERE, c);
        int end = report_end(&r);
        if (e < 0 || end < 0)
                return e < 0 ? e : end;
        *ret = TAKE_PTR(c);
        return 0;
}

void spc_class_free(struct spc_class *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < c->n_objects; i++)
                spc_object_done(&c->objects[i]);
        free(c->objects);
        for (size_t i = 0; i < c->n_selectors; i++)
                spc_selector_done(&c->selectors[i]);
        free(c->selectors);
        free(c->name);
        free(c->namespace);
        free(c->vault);
        free(c->tenant);
        free(c->client_id);
        free(c->user_assigned_object_id);
        free(c->user_assigned_id);
        free(c->cloud);
        free(c->cloud_env_file);
        free(c);
}
