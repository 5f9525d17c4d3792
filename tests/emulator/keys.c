/* Keys: only their public half is kept, for the emulator offers no operation with the private one.
 */

#include "tests/emulator/call.h"

static const char *const rsa_ops[] = {
        "encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", NULL};
static const char *const ec_ops[] = {"sign", "verify", NULL};

void write_key(
        struct out *o, const struct call *c, const struct object *obj, const struct version *v)
{
        out_key(o, "key");
        out_open(o, '{');
        out_memberf(o, "kid", "%s/keys/%s/%s", c->base, obj->name, v->id);
        out_member(o, "kty", v->jwk.kty);
        if (v->key_ops) {
                out_key(o, "key_ops");
                out_tree(o, v->key_ops);
        }
        out_member_opt(o, "crv", v->jwk.crv);
        out_member_opt(o, "n", v->jwk.n);
        out_member_opt(o, "e", v->jwk.e);
        out_member_opt(o, "x", v->jwk.x);
        out_member_opt(o, "y", v->jwk.y);
        out_close(o, '}');
        write_attributes(o, c, &v->attributes, KIND_KEY, v);
        write_tags(o, v->tags);
        if (v->managed)
                out_member_bool(o, "managed", true);
}

void write_key_item(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool version_in_id)
{
        out_memberf(o, "kid", "%s/keys/%s%s%s", c->base, obj->name, version_in_id ? "/" : "",
                version_in_id ? v->id : "");
        write_attributes(o, c, &v->attributes, KIND_KEY, v);
        write_tags(o, v->tags);
        if (v->managed)
                out_member_bool(o, "managed", true);
}

static void answer_key(struct call *c, const struct object *obj, const struct version *v)
{
        struct out o = {0};

        out_open(&o, '{');
        write_key(&o, c, obj, v);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

int key_default_ops(struct version *v)
{
        const char *const *ops = startswith(v->jwk.kty, "RSA") ? rsa_ops : ec_ops;
        int n = 0;

        while (ops[n])
                n++;
        v->key_ops = cJSON_CreateStringArray(ops, n);
        return v->key_ops ? 0 : -ENOMEM;
}

static bool read_ops(struct call *c, const cJSON *from, cJSON **ops)
{
        const cJSON *given = json_get(from, "key_ops"), *op;

        if (!given)
                return true;
        bool good = cJSON_IsArray(given);
        cJSON_ArrayForEach (op, given)
                good = good && cJSON_IsString(op);
        if (!good) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property key_ops has invalid value");
                return false;
        }
        cJSON *copy = cJSON_Duplicate(given, true);
        if (!copy) {
                call_no_memory(c);
                return false;
        }
        cJSON_Delete(*ops);
        *ops = copy;
        return true;
}

static void get_key(struct call *c, const char *name, const char *version)
{
        c->request->operation = "keys.get";
        if (!call_permitted(c, KIND_KEY, OP_GET, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_KEY, name);
        struct version *v = obj ? object_version(obj, version) : NULL;
        if (!v)
                call_not_found(c, KIND_KEY, name, version);
        else
                answer_key(c, obj, v); /* a disabled key can still be read */
}

/* Attributes, tags and operations of a request, then the version goes in. */
static void store_key(struct call *c, const char *name, struct version *v, const cJSON *ops_from)
{
        _cleanup_(version_freep) struct version *version = v;
        struct object *obj = vault_find_live(c->vault, KIND_KEY, name);

        if (obj && obj->versions && obj->versions->managed) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "The key %s belongs to a certificate", name);
                return;
        }
        if (!read_ops(c, ops_from, &v->key_ops) || !read_tags(c, c->body, &v->tags) ||
                !read_attributes(c, c->body, &v->attributes))
                return;
        v->exportable = json_bool(json_get(c->body, "attributes"), "exportable", false);
        if ((!v->key_ops && key_default_ops(v) < 0) ||
                (!obj && vault_add_object(c->vault, KIND_KEY, name, &obj) < 0)) {
                call_no_memory(c);
                return;
        }
        object_push(obj, version);
        version = NULL;
        answer_key(c, obj, v);
}

/* "RSA-HSM" and "EC-HSM" are made like the others and keep their name. */
int key_make_version(const char *kty, int bits, const char *crv, struct version **ret)
{
        _cleanup_(version_freep) struct version *v = version_new();
        _cleanup_pkey_ EVP_PKEY *key = NULL;
        _cleanup_free_ char *plain = strndup(kty, strcspn(kty, "-"));

        if (!v || !plain)
                return -ENOMEM;
        const char *rest = kty + strlen(plain);
        if (*rest && !streq(rest, "-HSM"))
                return -EINVAL;
        int r = key_generate(plain, bits, crv, &key);
        if (r == 0)
                r = jwk_from_key(key, &v->jwk);
        if (r == 0)
                r = set_string(&v->jwk.kty, kty);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

static void create_key(struct call *c, const char *name)
{
        const char *kty = json_string(c->body, "kty");
        int64_t bits = 0;
        struct version *v = NULL;

        c->request->operation = "keys.create";
        if (!call_permitted(c, KIND_KEY, OP_CREATE, name) || !name_is_free(c, KIND_KEY, name))
                return;
        if (!kty) {
                call_fail(
                        c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL, "Property kty is required");
                return;
        }
        int r = json_int64(c->body, "key_size", &bits);
        if (r == -EINVAL || bits < 0 || bits > 4096)
                r = -EINVAL;
        else
                r = key_make_version(kty, (int)bits, json_string(c->body, "crv"), &v);
        if (r == -EINVAL)
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "The key type, size or curve is not supported: %s", kty);
        else if (r < 0)
                call_no_memory(c);
        else
                store_key(c, name, v, c->body);
}

/* One number of an imported key: base64url that is not empty. Echoed as it came. */
static bool number_good(const char *text)
{
        _cleanup_free_ unsigned char *bytes = NULL;
        size_t len = 0;

        return text && base64_decode(text, &bytes, &len) == 0 && len > 0;
}

static void import_key(struct call *c, const char *name)
{
        const cJSON *key = json_get(c->body, "key");
        _cleanup_(version_freep) struct version *v = NULL;

        c->request->operation = "keys.import";
        if (!call_permitted(c, KIND_KEY, OP_IMPORT, name) || !name_is_free(c, KIND_KEY, name))
                return;
        struct jwk given = {
                .kty = (char *)json_string(key, "kty"),
                .crv = (char *)json_string(key, "crv"),
                .n = (char *)json_string(key, "n"),
                .e = (char *)json_string(key, "e"),
                .x = (char *)json_string(key, "x"),
                .y = (char *)json_string(key, "y"),
        };
        bool rsa = given.kty && startswith(given.kty, "RSA");
        bool ec = given.kty && startswith(given.kty, "EC");
        if (rsa)
                given.crv = given.x = given.y = NULL;
        if (ec)
                given.n = given.e = NULL;
        bool good = (rsa && number_good(given.n) && number_good(given.e)) ||
                    (ec && given.crv && number_good(given.x) && number_good(given.y));
        if (!good || !number_good(json_string(key, "d"))) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "The key is not a complete JSON web key");
                return;
        }
        v = version_new();
        if (!v || jwk_copy(&given, &v->jwk) < 0) {
                call_no_memory(c);
                return;
        }
        store_key(c, name, TAKE_PTR(v), key);
}

static void update_key(struct call *c, const char *name, const char *version)
{
        c->request->operation = "keys.update";
        if (!call_permitted(c, KIND_KEY, OP_UPDATE, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_KEY, name);
        struct version *v = obj ? object_version(obj, version) : NULL;
        if (!v) {
                call_not_found(c, KIND_KEY, name, version);
                return;
        }
        struct attributes attributes = v->attributes;
        if (!read_attributes(c, c->body, &attributes) || !read_ops(c, c->body, &v->key_ops) ||
                !read_tags(c, c->body, &v->tags))
                return;
        v->attributes = attributes;
        v->attributes.updated = now_seconds();
        answer_key(c, obj, v);
}

int key_rotated(const struct version *old, struct version **ret)
{
        _cleanup_(version_freep) struct version *v = NULL;
        int bits = 0;

        if (old->jwk.n) /* base64url: 6 bits a digit, and sizes are multiples of 1024 */
                bits = (int)(strlen(old->jwk.n) * 6 / 1024 * 1024);
        int r = key_make_version(old->jwk.kty, MAX(bits, 2048), old->jwk.crv, &v);
        if (r < 0)
                return r;
        v->tags = old->tags ? cJSON_Duplicate(old->tags, true) : NULL;
        v->key_ops = cJSON_Duplicate(old->key_ops, true);
        if (!v->key_ops || (old->tags && !v->tags))
                return -ENOMEM;
        *ret = TAKE_PTR(v);
        return 0;
}

static void rotate_key(struct call *c, const char *name)
{
        struct version *v = NULL;

        c->request->operation = "keys.rotate";
        if (!call_permitted(c, KIND_KEY, OP_ROTATE, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_KEY, name);
        if (!obj) {
                call_not_found(c, KIND_KEY, name, NULL);
                return;
        }
        if (key_rotated(obj->versions, &v) < 0) {
                call_no_memory(c);
                return;
        }
        object_push(obj, v);
        answer_key(c, obj, v);
}

/* /keys, /keys/NAME, /keys/NAME/VERSION, /keys/NAME/versions, /keys/NAME/create, .../rotate */
void keys_call(struct call *c)
{
        const char *method = c->request->method;
        const char *name = c->n_segments > 1 ? c->segments[1] : NULL;
        const char *third = c->n_segments > 2 ? c->segments[2] : NULL;
        bool get = streq(method, "GET"), post = streq(method, "POST");

        if (c->n_segments > 3 ||
                (post && third && !streq(third, "create") && !streq(third, "rotate")))
                call_fail(c, MHD_HTTP_BAD_REQUEST, "NotSupported", NULL,
                        "The emulator has no such operation on keys");
        else if (!name && get)
                list_objects(c, KIND_KEY);
        else if (name && third && streq(third, "versions") && get)
                list_versions(c, KIND_KEY, name);
        else if (name && get)
                get_key(c, name, third);
        else if (name && third && streq(third, "create") && post)
                create_key(c, name);
        else if (name && third && streq(third, "rotate") && post)
                rotate_key(c, name);
        else if (name && !third && streq(method, "PUT"))
                import_key(c, name);
        else if (name && streq(method, "PATCH"))
                update_key(c, name, third);
        else if (name && !third && streq(method, "DELETE"))
                delete_object(c, KIND_KEY, name);
        else
                call_method_not_allowed(c);
}
