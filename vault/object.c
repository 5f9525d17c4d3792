#include "vault/object.h"

#include <stdatomic.h>

#include "base/json.h"
#include "base/wipe.h"
#include "vault/base64.h"
#include "vault/jsontext.h"
#include "vault/vault.h"

#define ID_MAX ((size_t)2048)
#define TEXT_MAX ((size_t)4096)    /* content type, kty, crv */
#define NUMBER_MAX ((size_t)16384) /* characters of n, e, x, y */

const char *vault_kind_name(enum vault_kind k)
{
        static const char *const names[] = {
                [VAULT_SECRET] = "secret", [VAULT_KEY] = "key", [VAULT_CERT] = "cert"};

        return names[k];
}

const char *vault_kind_segment(enum vault_kind k)
{
        static const char *const segments[] = {
                [VAULT_SECRET] = "secrets", [VAULT_KEY] = "keys", [VAULT_CERT] = "certificates"};

        return segments[k];
}

/* As upstream's messages call them. */
static const char *kind_word(enum vault_kind k)
{
        return k == VAULT_CERT ? "certificate" : vault_kind_name(k);
}

static int bad(struct err *e, const char *fmt, ...) _printf_(2, 3);
static int bad(struct err *e, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        err_setv(e, -EBADMSG, fmt, ap);
        va_end(ap);
        if (e)
                e->cause = ERR_SERVICE;
        return -EBADMSG;
}

static int oom(struct err *e)
{
        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory while reading an answer");
}

/* A copy of the string member, "" when it is absent. */
static int get_text(const cJSON *obj, enum vault_kind kind, const char *name, size_t max,
        char **ret, struct err *e)
{
        const cJSON *j = json_get(obj, name);
        const char *s = j ? cJSON_GetStringValue(j) : "";

        if (!s || jsontext_has_nul(s) || strlen(s) > max)
                return bad(e, "%s %s is not a string of at most %zu characters", kind_word(kind),
                        name, max);
        char *copy = strdup(s);
        if (!copy)
                return oom(e);
        free(*ret);
        *ret = copy;
        return 0;
}

static int get_time(const cJSON *attributes, enum vault_kind kind, const char *name, int64_t *ret,
        struct err *e)
{
        int r = json_int64(attributes, name, ret);

        if (r == -ENOENT)
                *ret = VAULT_NO_TIME;
        else if (r < 0)
                return bad(e, "%s attribute %s is not a time in seconds", kind_word(kind), name);
        return 0;
}

static int get_attributes(const cJSON *root, struct vault_object *o, struct err *e)
{
        const cJSON *attributes = json_get(root, "attributes");
        const struct {
                const char *name;
                int64_t *to;
        } times[] = {
                {"created", &o->created},
                {"updated", &o->updated},
                {"exp", &o->expires},
                {"nbf", &o->not_before},
        };

        o->enabled = json_bool(attributes, "enabled", true);
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                int r = get_time(attributes, o->kind, times[i].name, times[i].to, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int vault_id_split(enum vault_kind kind, const char *id, const char **ret_name,
        size_t *ret_name_len, const char **ret_version)
{
        const char *segment = vault_kind_segment(kind);
        size_t length = strlen(segment);
        const char *slash[3]; /* the last ones of the path: a vault's URL may have a prefix */
        size_t n = 0;

        const char *path = strstr(id, "://");
        if (!path || strlen(id) > ID_MAX)
                return -EBADMSG;
        for (const char *p = id; *p; p++)
                if (*p <= ' ' || *p > '~' || *p == '?' || *p == '#')
                        return -EBADMSG;
        for (const char *p = path + 3; (p = strchr(p, '/')); p++) {
                if (n == 3) {
                        slash[0] = slash[1];
                        slash[1] = slash[2];
                        n--;
                }
                slash[n++] = p;
        }
        /* With a version first: a secret may well be called "secrets". */
        for (size_t parts = 3; parts >= 2; parts--) {
                if (n < parts)
                        continue;
                const char *first = slash[n - parts] + 1, *name = slash[n - parts + 1] + 1;
                if ((size_t)(name - first - 1) != length || strncmp(first, segment, length) != 0)
                        continue;
                const char *end = parts == 3 ? slash[n - 1] : name + strlen(name);
                if (end == name)
                        return -EBADMSG;
                *ret_name = name;
                *ret_name_len = (size_t)(end - name);
                *ret_version = *end ? end + 1 : end;
                return 0;
        }
        return -EBADMSG;
}

static int get_id(const cJSON *obj, const char *member, struct vault_object *o, struct err *e)
{
        const char *name, *version;
        size_t name_len;

        if (!json_get(obj, member))
                return bad(e, "%s id is nil", kind_word(o->kind));
        int r = get_text(obj, o->kind, member, ID_MAX, &o->id, e);
        if (r < 0)
                return r;
        if (vault_id_split(o->kind, o->id, &name, &name_len, &version) < 0)
                return bad(e, "%s id is not a URL of the form .../%s/NAME/VERSION",
                        kind_word(o->kind), vault_kind_segment(o->kind));
        o->name = strndup(name, name_len);
        o->version = strdup(version);
        return o->name && o->version ? 0 : oom(e);
}

static int get_secret(const cJSON *root, struct vault_object *o, struct err *e)
{
        const cJSON *value = json_get(root, "value");

        if (!value)
                return bad(e, "secret value is nil");
        if (!cJSON_IsString(value))
                return bad(e, "secret value is not a string");
        int r = get_id(root, "id", o, e);
        if (r < 0)
                return r;
        r = get_text(root, o->kind, "contentType", TEXT_MAX, &o->content_type, e);
        if (r < 0)
                return r;
        r = get_text(root, o->kind, "kid", ID_MAX, &o->kid, e);
        if (r < 0)
                return r;
        r = jsontext_value(value->valuestring, &o->value);
        return r == -ENOMEM ? oom(e) : r < 0 ? bad(e, "secret value is too long") : 0;
}

/* A number of a JSON Web Key (RFC 7518 section 6): leading zero bytes mean nothing, and the service
 * echoes those that an imported key came with. */
static int get_number(const cJSON *key, const char *name, struct sec **ret, struct err *e)
{
        _cleanup_sec_ struct sec *decoded = NULL;
        const cJSON *j = json_get(key, name);

        if (!j)
                return 0;
        const char *s = cJSON_GetStringValue(j);
        if (!s || strlen(s) > NUMBER_MAX)
                return bad(e, "key member %s is not a string of at most %zu characters", name,
                        NUMBER_MAX);
        int r = base64_decode_any(s, strlen(s), &decoded);
        if (r == -EINVAL)
                return bad(e, "key member %s is not base64url", name);
        if (r < 0)
                return oom(e);
        const unsigned char *p = sec_bytes(decoded);
        size_t len = sec_len(decoded);
        while (len > 0 && *p == 0) {
                p++;
                len--;
        }
        r = sec_new(p, len, ret);
        return r < 0 ? oom(e) : 0;
}

static int get_key(const cJSON *root, struct vault_object *o, struct err *e)
{
        const cJSON *key = json_get(root, "key");

        if (!key)
                return bad(e, "key value is nil");
        if (!cJSON_IsObject(key))
                return bad(e, "key value is not an object");
        int r = get_id(key, "kid", o, e);
        if (r < 0)
                return r;
        char *kid = strdup(o->id);
        if (!kid)
                return oom(e);
        free(o->kid);
        o->kid = kid;
        r = get_text(key, o->kind, "kty", TEXT_MAX, &o->kty, e);
        if (r < 0)
                return r;
        r = get_text(key, o->kind, "crv", TEXT_MAX, &o->crv, e);
        if (r < 0)
                return r;
        const struct {
                const char *name;
                struct sec **to;
        } numbers[] = {{"n", &o->n}, {"e", &o->e}, {"x", &o->x}, {"y", &o->y}};
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                r = get_number(key, numbers[i].name, numbers[i].to, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int get_certificate(const cJSON *root, struct vault_object *o, struct err *e)
{
        const cJSON *cer = json_get(root, "cer");

        int r = get_id(root, "id", o, e);
        if (!cer) {
                r = bad(e, "certificate value is nil: the certificate is not issued yet");
                if (o->version) {
                        size_t path = strlen(o->id) - strlen(o->version);
                        err_hint(e,
                                "see what its creation waits for: az keyvault certificate "
                                "pending show --id %.*s%spending",
                                (int)path, o->id, o->id[path - 1] == '/' ? "" : "/");
                }
                return r;
        }
        if (r < 0)
                return r;
        if (!cJSON_IsString(cer))
                return bad(e, "certificate value is not a string");
        r = base64_decode_any(cer->valuestring, strlen(cer->valuestring), &o->value);
        if (r == -EINVAL)
                return bad(e, "certificate value is not base64");
        if (r == 0 && sec_len(o->value) == 0)
                return bad(e, "certificate value is empty");
        return r == -EFBIG ? bad(e, "certificate value is too long") : r < 0 ? oom(e) : 0;
}

static struct vault_object *object_new(enum vault_kind kind)
{
        struct vault_object *o = calloc(1, sizeof(*o));

        if (!o)
                return NULL;
        *o = (struct vault_object){
                .kind = kind,
                .content_type = strdup(""),
                .kid = strdup(""),
                .kty = strdup(""),
                .crv = strdup(""),
                .refs = 1,
        };
        if (!o->content_type || !o->kid || !o->kty || !o->crv)
                return vault_object_unref(o);
        return o;
}

int vault_object_parse(enum vault_kind kind, const char *body, size_t len,
        struct vault_object **ret, struct err *e)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = NULL;
        _cleanup_secret_ char *text = NULL;
        _cleanup_json_ cJSON *root = NULL;
        size_t text_len;

        if (len > VAULT_OBJECT_MAX)
                return bad(e, "the answer is longer than %zu bytes", VAULT_OBJECT_MAX);
        int r = jsontext_prepare(body, len, &text, &text_len);
        if (r == 0)
                r = json_parse(text, text_len, &root);
        if (r == -ENOMEM)
                return oom(e);
        if (r < 0 || !cJSON_IsObject(root))
                return bad(e, "the answer is not a JSON object");

        o = object_new(kind);
        if (!o)
                return oom(e);
        switch (kind) {
        case VAULT_SECRET:
                r = get_secret(root, o, e);
                break;
        case VAULT_KEY:
                r = get_key(root, o, e);
                break;
        case VAULT_CERT:
                r = get_certificate(root, o, e);
                break;
        }
        if (r == 0)
                r = get_attributes(root, o, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

struct vault_object *vault_object_ref(struct vault_object *o)
{
        if (o)
                o->refs++;
        return o;
}

struct vault_object *vault_object_unref(struct vault_object *o)
{
        if (!o || --o->refs > 0)
                return NULL;
        free(o->id);
        free(o->name);
        free(o->version);
        free(o->content_type);
        free(o->kid);
        free(o->kty);
        free(o->crv);
        sec_unref(o->value);
        sec_unref(o->n);
        sec_unref(o->e);
        sec_unref(o->x);
        sec_unref(o->y);
        free(o);
        return NULL;
}
