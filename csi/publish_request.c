#include "csi/publish_request.h"

#include "base/log.h"
#include "base/selinux.h"
#include "base/wipe.h"

#define KUBELET_PREFIX "csi.storage.k8s.io/"
#define TOKENS_KEY KUBELET_PREFIX "serviceAccount.tokens"
/* Kubelet checks pod names against DNS rules; this bounds what reaches logs and keys. */
#define NAME_MAX_KUBERNETES 253
#define FLAG_MAX ((size_t)SELINUX_CONTEXT_SIZE + 10) /* context="" */

static const char *text_of(const ProtobufCBinaryData *b)
{
        return b->len > 0 ? (const char *)b->data : "";
}

/* A copy with a NUL behind it. -EINVAL: a NUL or a control character inside; -E2BIG. */
static int copy_text(const ProtobufCBinaryData *b, size_t max, bool lines, char **ret)
{
        const char *s = text_of(b);

        if (b->len > max)
                return -E2BIG;
        for (size_t i = 0; i < b->len; i++)
                if ((unsigned char)s[i] < ' ' && !(lines && s[i] && strchr("\t\n\r", s[i])))
                        return -EINVAL;
        char *copy = wipe_malloc(b->len + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, s, b->len);
        copy[b->len] = '\0';
        *ret = copy;
        return 0;
}

static int refuse(struct err *e, const char *text)
{
        return err_set_cause(e, ERR_USAGE, -EINVAL, "%s", text);
}

/* What copy_text() said, for people; what it was copying is named by `what` and `name`. */
static int explain(int r, const char *what, const char *name, size_t max, struct err *e)
{
        if (r == -E2BIG)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "%s%s is longer than %zu bytes", what, name, max);
        if (r == -EINVAL)
                return err_set_cause(e, ERR_USAGE, r, "%s%s has a control character", what, name);
        return err_set(e, r, "out of memory");
}

/* --- volumes and paths --- */

int volume_id_parse(const ProtobufCBinaryData *field, char **ret, struct err *e)
{
        _cleanup_free_ char *id = NULL;

        if (field->len == 0)
                return refuse(e, "Volume ID missing in request");
        int r = copy_text(field, PUBLISH_VOLUME_ID_MAX, false, &id);
        if (r < 0)
                return explain(r, "Volume ID", "", PUBLISH_VOLUME_ID_MAX, e);
        *ret = TAKE_PTR(id);
        return 0;
}

static bool is_clean(const char *path)
{
        for (const char *p = path; *p == '/'; p = strchrnul(p + 1, '/')) {
                size_t n = (size_t)(strchrnul(p + 1, '/') - (p + 1));

                if (n == 0 || n > 255 || (p[1] == '.' && (n == 1 || (n == 2 && p[2] == '.'))))
                        return false;
        }
        return path[0] == '/';
}

int volume_path_parse(const ProtobufCBinaryData *field, const char *what, const char *kubelet_dir,
        char **ret, struct err *e)
{
        _cleanup_free_ char *path = NULL;

        if (field->len == 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "%s missing in request", what);
        int r = copy_text(field, PUBLISH_PATH_MAX, false, &path);
        if (r < 0)
                return explain(r, what, "", PUBLISH_PATH_MAX, e);
        if (!is_clean(path))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "%s %.200s is not absolute, or has an empty, '.' or '..' part", what, path);
        const char *below = startswith(path, kubelet_dir);
        if (!below || below[0] != '/')
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "%s %.200s is not below kubelet's folder %s", what, path, kubelet_dir);
        *ret = TAKE_PTR(path);
        return 0;
}

/* --- attributes --- */

/* A key of kubelet's own; *ret is where its value belongs, NULL: it is checked and not kept. */
static bool kubelet_key(struct publish_request *r, const char *key, char ***ret)
{
        const struct {
                const char *key;
                char **value;
        } known[] = {
                {KUBELET_PREFIX "pod.name", &r->pod_name},
                {KUBELET_PREFIX "pod.namespace", &r->pod_namespace},
                {KUBELET_PREFIX "pod.uid", &r->pod_uid},
                {KUBELET_PREFIX "serviceAccount.name", &r->service_account},
                {TOKENS_KEY, &r->tokens},
                {KUBELET_PREFIX "ephemeral", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(key, known[i].key)) {
                        *ret = known[i].value;
                        return true;
                }
        return false;
}

static int take_attribute(struct publish_request *r, struct publish_entry *entry, struct err *e)
{
        char **place = NULL;

        if (startswith(entry->key, KUBELET_PREFIX)) {
                if (!kubelet_key(r, entry->key, &place))
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "the volume attribute %s is not one that kubelet sets", entry->key);
                if (!place) {
                        if (streq(entry->value, "true"))
                                return 0;
                        return refuse(e, "only inline (ephemeral) volumes are published");
                }
        } else if (streq(entry->key, "secretProviderClass")) {
                place = &r->class_name;
        }
        if (place) {
                if (*place)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "the volume attribute %s is there twice", entry->key);
                *place = TAKE_PTR(entry->value);
                return 0;
        }
        for (size_t i = 0; i < r->n_attributes; i++)
                if (streq(r->attributes[i].key, entry->key))
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "the volume attribute %s is there twice", entry->key);
        r->attributes[r->n_attributes++] = *entry;
        *entry = (struct publish_entry){0};
        return 0;
}

static void entry_done(struct publish_entry *entry)
{
        erase_and_free(entry->key);
        erase_and_free(entry->value);
}

static int copy_entry(const Csi__V1__Entry *in, bool lines, const char *what,
        struct publish_entry *ret, struct err *e)
{
        _cleanup_(entry_done) struct publish_entry entry = {0};

        int r = copy_text(&in->key, PUBLISH_KEY_MAX, false, &entry.key);
        if (r < 0)
                return explain(r, what, "'s key", PUBLISH_KEY_MAX, e);
        r = copy_text(&in->value, PUBLISH_VALUE_MAX, lines, &entry.value);
        if (r < 0)
                return explain(r, what, entry.key, PUBLISH_VALUE_MAX, e);
        *ret = entry;
        entry = (struct publish_entry){0};
        return 0;
}

static int take_attributes(
        const Csi__V1__NodePublishVolumeRequest *m, struct publish_request *r, struct err *e)
{
        if (m->n_volume_context > PUBLISH_ENTRIES_MAX)
                return refuse(e, "too many volume attributes");
        r->attributes = calloc(m->n_volume_context, sizeof *r->attributes);
        if (!r->attributes)
                return err_set(e, -ENOMEM, "out of memory");
        for (size_t i = 0; i < m->n_volume_context; i++) {
                _cleanup_(entry_done) struct publish_entry entry = {0};

                int k = copy_entry(m->volume_context[i], true, "the volume attribute ", &entry, e);
                if (k == 0)
                        k = take_attribute(r, &entry, e);
                if (k < 0)
                        return k;
        }
        return 0;
}

/* Kubernetes 1.35 hands tokens over here instead (serviceAccountTokenInSecrets). Both at once is
 * nothing that kubelet does: the attribute was written by the pod's author. */
static int take_secrets(
        const Csi__V1__NodePublishVolumeRequest *m, struct publish_request *r, struct err *e)
{
        if (m->n_secrets > PUBLISH_ENTRIES_MAX)
                return refuse(e, "too many entries in the node publish secret");
        if (m->n_secrets == 0)
                return 0;
        r->secrets = calloc(m->n_secrets, sizeof *r->secrets);
        if (!r->secrets)
                return err_set(e, -ENOMEM, "out of memory");
        for (size_t i = 0; i < m->n_secrets; i++) {
                _cleanup_(entry_done) struct publish_entry entry = {0};

                int k = copy_entry(m->secrets[i], true, "the node publish secret's ", &entry, e);
                if (k < 0)
                        return k;
                if (streq(entry.key, TOKENS_KEY)) {
                        if (r->tokens)
                                return refuse(e, "service account tokens came both as an attribute "
                                                 "and as a secret: one of them is not kubelet's");
                        r->tokens = TAKE_PTR(entry.value);
                        continue;
                }
                for (size_t j = 0; j < r->n_secrets; j++)
                        if (streq(r->secrets[j].key, entry.key))
                                return err_set_cause(e, ERR_USAGE, -EINVAL,
                                        "the node publish secret has %s twice", entry.key);
                r->secrets[r->n_secrets++] = entry;
                entry = (struct publish_entry){0};
        }
        return 0;
}

/* --- the whole --- */

static bool is_name(const char *s)
{
        size_t n = strlen(s);

        if (n == 0 || n > NAME_MAX_KUBERNETES)
                return false;
        for (; *s; s++)
                if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '-' ||
                            *s == '.'))
                        return false;
        return true;
}

static int check_pod(const struct publish_request *r, enum rpc_code *ret_code, struct err *e)
{
        const struct {
                const char *what, *value;
        } wanted[] = {
                {"name", r->pod_name},
                {"namespace", r->pod_namespace},
                {"uid", r->pod_uid},
                {"service account", r->service_account},
        };

        for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
                if (!wanted[i].value) {
                        *ret_code = RPC_FAILED_PRECONDITION;
                        err_set_cause(e, ERR_USAGE, -EINVAL, "kubelet did not say the pod's %s",
                                wanted[i].what);
                        err_hint(e, "the CSIDriver object needs podInfoOnMount: true");
                        return -EINVAL;
                }
                if (!is_name(wanted[i].value))
                        return err_set_cause(
                                e, ERR_USAGE, -EINVAL, "the pod's %s is no name", wanted[i].what);
        }
        return 0;
}

static int take_group(const Csi__V1__VolumeCapability *c, struct publish_request *r, struct err *e)
{
        _cleanup_free_ char *text = NULL;
        uint64_t group;

        r->mount_group = (gid_t)-1;
        if (!c->mount || c->mount->volume_mount_group.len == 0)
                return 0;
        int k = copy_text(&c->mount->volume_mount_group, 20, false, &text);
        if (k == 0)
                k = parse_u64(text, UINT32_MAX - 1, &group);
        if (k < 0)
                return refuse(e, "volume_mount_group is no group id");
        r->mount_group = (gid_t)group;
        return 0;
}

/* Kubelet's one mount flag, where the CSIDriver says seLinuxMount: context="..." in quotes, as Go
 * writes them (pkg/volume/util/selinux.go, AddSELinuxMountOption). Nothing else can be asked for.
 */
static int take_flags(const Csi__V1__VolumeCapability *c, struct publish_request *r, struct err *e)
{
        _cleanup_free_ char *flag = NULL;

        if (!c->mount || c->mount->n_mount_flags == 0)
                return 0;
        if (c->mount->n_mount_flags > 1)
                return refuse(e, "more than one mount flag: context=\"...\" is the only one");
        int k = copy_text(&c->mount->mount_flags[0], FLAG_MAX, false, &flag);
        if (k < 0)
                return explain(k, "the mount flag", "", FLAG_MAX, e);
        char *value = startswith(flag, "context=") ? flag + strlen("context=") : NULL;
        size_t n = value ? strlen(value) : 0;
        if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
                value[n - 1] = '\0';
                value++;
        }
        if (!value || !selinux_context_is_plain(value))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "the mount flag %.300s is not context=\"USER:ROLE:TYPE[:LEVEL]\"", flag);
        r->selinux_context = strdup(value);
        return r->selinux_context ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int publish_request_parse(const Csi__V1__NodePublishVolumeRequest *m, const char *kubelet_dir,
        struct publish_request *ret, enum rpc_code *ret_code, struct err *e)
{
        _cleanup_publish_request_ struct publish_request r = {0};

        *ret_code = RPC_INVALID_ARGUMENT;
        if (!m->volume_capability)
                return refuse(e, "Volume capability missing in request");
        int k = volume_id_parse(&m->volume_id, &r.volume_id, e);
        if (k == 0)
                k = volume_path_parse(
                        &m->target_path, "Target path", kubelet_dir, &r.target_path, e);
        if (k < 0)
                return k;
        if (m->n_volume_context == 0)
                return refuse(e, "Volume attributes missing in request");
        if (m->volume_capability->block)
                return refuse(e, "a block volume cannot be published: these are files");
        k = take_group(m->volume_capability, &r, e);
        if (k == 0)
                k = take_flags(m->volume_capability, &r, e);
        if (k == 0)
                k = take_attributes(m, &r, e);
        if (k == 0)
                k = take_secrets(m, &r, e);
        if (k < 0)
                return k;
        if (isempty(r.class_name))
                return refuse(e, "secretProviderClass is not set");
        if (!is_name(r.class_name))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "secretProviderClass \"%.253s\" is no name", r.class_name);
        k = check_pod(&r, ret_code, e);
        if (k < 0)
                return k;
        if (!m->readonly)
                return refuse(e, "Readonly is not true in request");
        *ret = r;
        r = (struct publish_request){0};
        return 0;
}

static void entries_done(struct publish_entry *entries, size_t n)
{
        for (size_t i = 0; i < n; i++)
                entry_done(&entries[i]);
        free(entries);
}

void publish_request_done(struct publish_request *r)
{
        free(r->volume_id);
        free(r->target_path);
        free(r->class_name);
        free(r->pod_name);
        free(r->pod_namespace);
        free(r->pod_uid);
        free(r->service_account);
        free(r->selinux_context);
        entries_done(r->attributes, r->n_attributes);
        entries_done(r->secrets, r->n_secrets);
        erase_and_free(r->tokens);
        *r = (struct publish_request){.mount_group = (gid_t)-1};
}
