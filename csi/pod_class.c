#include "csi/pod_class.h"

#include "base/log.h"
#include "csi/classes.h"

/* Of a class's findings; the rest is counted. */
#define FINDINGS_MAX 5

/* The pod's group reads, and nobody else: what a volume with an fsGroup is for. */
#define MODE_OF_GROUP 0440
#define MODE_DEFAULT 0644

enum rpc_code pod_class_code(const struct err *e)
{
        switch (e->cause) {
        case ERR_USAGE:
        case ERR_UNSUPPORTED:
                return RPC_INVALID_ARGUMENT;
        case ERR_NOT_FOUND:
                return RPC_NOT_FOUND;
        case ERR_FORBIDDEN:
                return RPC_PERMISSION_DENIED;
        case ERR_AUTH:
        case ERR_DISABLED:
                return RPC_FAILED_PRECONDITION;
        case ERR_THROTTLED:
                return RPC_RESOURCE_EXHAUSTED;
        case ERR_DNS:
        case ERR_CONNECT:
        case ERR_TLS:
        case ERR_SERVICE:
                return RPC_UNAVAILABLE;
        case ERR_TIMEOUT:
                return RPC_DEADLINE_EXCEEDED;
        default:
                switch (-e->code) {
                case ENOMEM:
                case EMFILE:
                case ENFILE:
                case ENOSPC: /* as many mounts as the kernel allows: fs.mount-max */
                        return RPC_RESOURCE_EXHAUSTED;
                case EBUSY: /* what an earlier try left may just be on its way out */
                        return RPC_ABORTED;
                default:
                        return RPC_INTERNAL;
                }
        }
}

int pod_class_failed(const char *namespace, const char *pod, struct err *e)
{
        return err_wrap(e, e ? e->code : -EINVAL,
                "failed to mount secrets store objects for pod %s/%s, err: failed to mount "
                "objects, error",
                namespace, pod);
}

int pod_class_failures(const char *namespace, const char *pod, const struct err *errors, size_t n,
        size_t max, struct err *e)
{
        (void)err_copy(e, &errors[0]);
        for (size_t i = 1; i < n && !err_cause_is_common(e->cause); i++) {
                _cleanup_free_ char *hint = e->hint ? strdup(e->hint) : NULL;
                size_t len = strlen(err_text(e));

                if (len > max)
                        break;
                err_set_cause(e, e->cause, e->code, "%.*s; %s", (int)len, err_text(e),
                        err_text(&errors[i]));
                if (hint)
                        err_hint(e, "%s", hint);
        }
        return pod_class_failed(namespace, pod, e);
}

/* --- which volume --- */

void pod_volume_done(struct pod_volume *v)
{
        free(v->volume_id);
        free(v->pod_name);
        free(v->pod_namespace);
        free(v->pod_uid);
        free(v->service_account);
        free(v->class_name);
        free(v->class_uid);
        free(v->selinux_context);
        *v = (struct pod_volume){0};
}

static const struct {
        const char *name;
        size_t offset;
        bool later; /* an earlier worker may not have written it: "" */
} fields[] = {
        {"volume_id", offsetof(struct pod_volume, volume_id), false},
        {"pod", offsetof(struct pod_volume, pod_name), false},
        {"namespace", offsetof(struct pod_volume, pod_namespace), false},
        {"uid", offsetof(struct pod_volume, pod_uid), false},
        {"service_account", offsetof(struct pod_volume, service_account), false},
        {"class", offsetof(struct pod_volume, class_name), false},
        {"selinux_context", offsetof(struct pod_volume, selinux_context), true},
};

static char **place_of(struct pod_volume *v, size_t i)
{
        return (char **)(void *)((char *)v + fields[i].offset);
}

static const char *value_of(const struct pod_volume *v, size_t i)
{
        return *(char *const *)(const void *)((const char *)v + fields[i].offset);
}

int pod_volume_copy(
        const struct publish_request *r, const cJSON *class, bool binding, struct pod_volume *ret)
{
        struct class_version version = class_version_of(class);
        _cleanup_pod_volume_ struct pod_volume v = {
                .class_generation = version.generation, .binding = binding};
        const char *const values[] = {r->volume_id, r->pod_name, r->pod_namespace, r->pod_uid,
                r->service_account, r->class_name, r->selinux_context ? r->selinux_context : ""};

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (!(*place_of(&v, i) = strdup(values[i])))
                        return -ENOMEM;
        if (!(v.class_uid = strdup(version.uid)))
                return -ENOMEM;
        *ret = v;
        v = (struct pod_volume){0};
        return 0;
}

int pod_volume_format(const struct pod_volume *v, char **ret)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (!cJSON_AddStringToObject(j, fields[i].name, value_of(v, i)))
                        return -ENOMEM;
        if (!cJSON_AddBoolToObject(j, "binding", v->binding) ||
                !cJSON_AddStringToObject(j, "class_uid", v->class_uid) ||
                !cJSON_AddNumberToObject(j, "class_generation", (double)v->class_generation))
                return -ENOMEM;
        *ret = cJSON_PrintUnformatted(j);
        return *ret ? 0 : -ENOMEM;
}

int pod_volume_parse(const char *note, struct pod_volume *ret)
{
        _cleanup_pod_volume_ struct pod_volume v = {0};
        _cleanup_json_ cJSON *j = NULL;

        int r = json_parse(note, strlen(note), &j);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                const char *value = json_string(j, fields[i].name);
                if (!value && !fields[i].later)
                        return -EBADMSG;
                if (!(*place_of(&v, i) = strdup(value ? value : "")))
                        return -ENOMEM;
        }
        v.binding = json_bool(j, "binding", false);
        /* a driver that did not watch classes has left none */
        const char *uid = json_string(j, "class_uid");
        int64_t generation = 0;
        if (!(v.class_uid = strdup(uid ? uid : "")))
                return -ENOMEM;
        if (json_int64(j, "class_generation", &generation) == 0 && generation > 0)
                v.class_generation = (uint64_t)generation;
        *ret = v;
        v = (struct pod_volume){0};
        return 0;
}

/* --- the class --- */

static int explain(struct spc_diags *diags, const struct publish_request *r, struct err *e)
{
        _cleanup_free_ char *all = strdup("");
        size_t told = 0;

        for (size_t i = 0; all && i < diags->n && told < FINDINGS_MAX; i++) {
                const struct spc_diag *d = &diags->list[i];
                char *longer = NULL;

                if (d->severity != SPC_ERROR)
                        continue;
                if (xasprintf(&longer, "%s%s%s%s%s%s%s", all, told > 0 ? "; " : "",
                            d->object ? d->object : "", d->object ? " " : "",
                            d->field ? d->field : "", d->field ? ": " : "", d->text) < 0)
                        return err_set(e, -ENOMEM, "out of memory");
                free(all);
                all = longer;
                told++;
        }
        if (!all)
                return err_set(e, -ENOMEM, "out of memory");
        err_set_cause(e, ERR_USAGE, -EINVAL, "%s", all);
        if (diags->errors > told)
                err_wrap(e, -EINVAL, "%zu mistakes, the first of them", diags->errors);
        err_hint(e,
                "mend the SecretProviderClass %s/%s or the volumeAttributes that overlay it; "
                "akvfs check tells of each line",
                r->pod_namespace, r->class_name);
        return -EINVAL;
}

/* A pod's author chooses how many there are, and kubelet how often they are said. */
static void log_warnings(const struct spc_diags *diags, const struct publish_request *r)
{
        size_t warnings = 0;

        for (size_t i = 0; i < diags->n; i++) {
                const struct spc_diag *d = &diags->list[i];

                if (d->severity == SPC_WARNING && ++warnings <= FINDINGS_MAX)
                        log_warning("class %s/%s of pod %s: %s%s%s", r->pod_namespace,
                                r->class_name, r->pod_name, d->object ? d->object : "",
                                d->object ? " " : "", d->text);
        }
        if (warnings > FINDINGS_MAX)
                log_warning("class %s/%s of pod %s: and %zu more, which akvfs check tells of",
                        r->pod_namespace, r->class_name, r->pod_name, warnings - FINDINGS_MAX);
}

static const char *overlaid(const struct publish_request *r, const char *key)
{
        for (size_t i = 0; i < r->n_attributes; i++)
                if (streq(r->attributes[i].key, key))
                        return r->attributes[i].value;
        return NULL;
}

/* spec.parameters, and the volume's attributes over them. */
static int parse_class(const struct publish_request *r, const cJSON *parameters,
        struct spc_class **ret, struct err *e)
{
        size_t n = 0, room = (size_t)MAX(cJSON_GetArraySize(parameters), 0) + r->n_attributes;
        _cleanup_free_ struct spc_parameter *list = calloc(room + 1, sizeof *list);
        struct spc_diags diags = {0};
        const cJSON *p;

        if (!list)
                return err_set(e, -ENOMEM, "out of memory");
        cJSON_ArrayForEach (p, parameters) {
                const char *value = cJSON_GetStringValue(p);

                if (!p->string || overlaid(r, p->string))
                        continue;
                if (!value)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "the parameter %.253s of %s/%s is no string", p->string,
                                r->pod_namespace, r->class_name);
                list[n++] = (struct spc_parameter){.key = p->string, .value = value};
        }
        for (size_t i = 0; i < r->n_attributes; i++)
                list[n++] = (struct spc_parameter){
                        .key = r->attributes[i].key, .value = r->attributes[i].value};
        int k = spc_class_from_parameters(r->class_name, r->pod_namespace, list, n, ret, &diags);
        if (k == -ENOMEM)
                err_set(e, k, "out of memory");
        else if (k < 0)
                k = explain(&diags, r, e);
        else
                log_warnings(&diags, r);
        spc_diags_done(&diags);
        return k;
}

static int check_object(const struct publish_request *r, const cJSON *object,
        const cJSON **ret_parameters, struct err *e)
{
        const cJSON *spec = json_get(object, "spec"), *parameters = json_get(spec, "parameters");
        const char *provider = json_string(spec, "provider");

        if (isempty(provider))
                return err_set_cause(e, ERR_USAGE, -EINVAL, "provider not set in %s/%s",
                        r->pod_namespace, r->class_name);
        if (!streq(provider, "azure")) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "error connecting to provider \"%.64s\": provider not found: provider "
                        "\"%.64s\"",
                        provider, provider);
                err_hint(e, "this driver is for provider: azure");
                return -EINVAL;
        }
        if (!cJSON_IsObject(parameters) || cJSON_GetArraySize(parameters) == 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "parameters not set in %s/%s",
                        r->pod_namespace, r->class_name);
        if (cJSON_GetArraySize(parameters) > PUBLISH_ENTRIES_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "too many parameters in %s/%s",
                        r->pod_namespace, r->class_name);
        *ret_parameters = parameters;
        return 0;
}

/* --- the request --- */

static int resolve(const struct pod_class_config *cfg, const struct publish_request *r,
        struct mount_request *q, struct err *e)
{
        int k = identity_resolve_endpoints(q->class, &cfg->endpoints, &q->identity, e);
        if (k == 0)
                k = vault_urls_resolve(q->class, cfg->endpoints.vault_url, &q->vaults, e);
        if (k == 0 && cfg->ca_pem && !(q->identity.ca_pem = strdup(cfg->ca_pem)))
                k = err_set(e, -ENOMEM, "out of memory");
        return k < 0 ? k : pod_identity_choose(&cfg->identity, q->class, r, &q->identity, e);
}

static int note_volume(
        const struct publish_request *r, const cJSON *object, struct mount_request *q)
{
        _cleanup_pod_volume_ struct pod_volume v = {0};

        int k = pod_volume_copy(r, object, q->class->identity == SPC_IDENTITY_TOKEN_PROXY, &v);
        return k < 0 ? k : pod_volume_format(&v, &q->note);
}

int pod_class_request(const struct pod_class_config *cfg, const struct publish_request *r,
        const cJSON *object, struct mount_request *ret, struct err *e)
{
        _cleanup_mount_request_ struct mount_request q = {.poll_interval = cfg->poll_interval,
                .policy = cfg->policy,
                .shape = cfg->shape,
                .secret_memory_required = cfg->secret_memory_required,
                .mode = MODE_DEFAULT,
                .allow_other = true};
        const cJSON *parameters = NULL;

        int k = check_object(r, object, &parameters, e);
        if (k < 0)
                return k;
        k = parse_class(r, parameters, &q.class, e);
        if (k == 0 && q.class->n_objects == 0 && q.class->n_selectors == 0) {
                err_set_cause(e, ERR_USAGE, k = -EINVAL, "missing object versions");
                err_hint(e, "objects of %s/%s has an empty array", r->pod_namespace, r->class_name);
        }
        if (k == 0)
                k = resolve(cfg, r, &q, e);
        if (k < 0)
                return pod_class_failed(r->pod_namespace, r->pod_name, e);
        if (r->mount_group != (gid_t)-1) {
                q.gid = r->mount_group;
                q.mode = MODE_OF_GROUP;
        }
        q.mountpoint = strdup(r->target_path);
        if (r->selinux_context)
                q.selinux_context = strdup(r->selinux_context);
        k = q.mountpoint && (q.selinux_context || !r->selinux_context) ? note_volume(r, object, &q)
                                                                       : -ENOMEM;
        if (k < 0)
                return err_set(e, k, "out of memory");
        *ret = q;
        q = (struct mount_request){0};
        return 0;
}
