#include "base/wipe.h"
#include "tests/emulator/call.h"

#define SECRET_MAX 25600 /* bytes of a value, the service's own limit */
#define CONTENT_TYPE_MAX 255

void write_secret(struct out *o, const struct call *c, const struct object *obj,
        const struct version *v, bool version_in_id, bool with_value)
{
        if (with_value)
                out_member(o, "value", v->value);
        out_member_opt(o, "contentType", v->content_type);
        out_memberf(o, "id", "%s/secrets/%s%s%s", c->base, obj->name, version_in_id ? "/" : "",
                version_in_id ? v->id : "");
        if (v->managed)
                out_member_bool(o, "managed", true);
        write_attributes(o, c, &v->attributes, KIND_SECRET, v);
        write_tags(o, v->tags);
        if (v->managed && with_value)
                out_memberf(o, "kid", "%s/keys/%s/%s", c->base, obj->name, v->id);
}

static void answer_secret(
        struct call *c, const struct object *obj, const struct version *v, bool with_value)
{
        struct out o = {0};

        out_open(&o, '{');
        write_secret(&o, c, obj, v, true, with_value);
        out_close(&o, '}');
        answer_out(c->answer, MHD_HTTP_OK, &o);
}

static void get_secret(struct call *c, const char *name, const char *version)
{
        c->request->operation = "secrets.get";
        if (!call_permitted(c, KIND_SECRET, OP_GET, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_SECRET, name);
        struct version *v = obj ? object_version(obj, version) : NULL;
        if (!v)
                call_not_found(c, KIND_SECRET, name, version);
        else if (!v->attributes.enabled)
                call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden", "SecretDisabled",
                        "Operation get is not allowed on a disabled secret.");
        else
                answer_secret(c, obj, v, true);
}

static bool read_content_type(struct call *c, char **content_type)
{
        const cJSON *j = json_get(c->body, "contentType");

        if (!j)
                return true;
        if (!cJSON_IsString(j) || strlen(j->valuestring) > CONTENT_TYPE_MAX) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property contentType has invalid value");
                return false;
        }
        if (set_string(content_type, j->valuestring) < 0) {
                call_no_memory(c);
                return false;
        }
        return true;
}

static void set_secret(struct call *c, const char *name)
{
        c->request->operation = "secrets.set";
        if (!call_permitted(c, KIND_SECRET, OP_SET, name) || !name_is_free(c, KIND_SECRET, name))
                return;
        const char *value = json_string(c->body, "value");
        if (!value) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property value is required");
                return;
        }
        if (strlen(value) > SECRET_MAX) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "The secret value is larger than %d bytes", SECRET_MAX);
                return;
        }
        struct object *obj = vault_find_live(c->vault, KIND_SECRET, name);
        if (obj && obj->versions && obj->versions->managed) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "The secret %s belongs to a certificate and cannot be set", name);
                return;
        }
        _cleanup_(version_freep) struct version *v = version_new();
        if (v)
                v->value = wipe_strdup(value);
        if (!v || !v->value) {
                call_no_memory(c);
                return;
        }
        if (!read_content_type(c, &v->content_type) || !read_tags(c, c->body, &v->tags) ||
                !read_attributes(c, c->body, &v->attributes))
                return;
        if (!obj && vault_add_object(c->vault, KIND_SECRET, name, &obj) < 0) {
                call_no_memory(c);
                return;
        }
        answer_secret(c, obj, v, true);
        object_push(obj, TAKE_PTR(v));
}

static void update_secret(struct call *c, const char *name, const char *version)
{
        c->request->operation = "secrets.update";
        if (!call_permitted(c, KIND_SECRET, OP_SET, name))
                return;
        struct object *obj = vault_find_live(c->vault, KIND_SECRET, name);
        struct version *v = obj ? object_version(obj, version) : NULL;
        if (!v) {
                call_not_found(c, KIND_SECRET, name, version);
                return;
        }
        /* All of it or nothing. */
        struct attributes attributes = v->attributes;
        _cleanup_json_ cJSON *tags = NULL;
        if (!read_attributes(c, c->body, &attributes) || !read_tags(c, c->body, &tags) ||
                !read_content_type(c, &v->content_type))
                return;
        if (tags) {
                cJSON_Delete(v->tags);
                v->tags = TAKE_PTR(tags);
        }
        v->attributes = attributes;
        v->attributes.updated = now_seconds();
        answer_secret(c, obj, v, false);
}

/* /secrets, /secrets/NAME, /secrets/NAME/VERSION, /secrets/NAME/versions */
void secrets_call(struct call *c)
{
        const char *method = c->request->method;
        const char *name = c->n_segments > 1 ? c->segments[1] : NULL;
        const char *third = c->n_segments > 2 ? c->segments[2] : NULL;
        bool get = streq(method, "GET");

        if (!name && get)
                list_objects(c, KIND_SECRET);
        else if (name && third && streq(third, "versions") && get)
                list_versions(c, KIND_SECRET, name);
        else if (name && get)
                get_secret(c, name, third);
        else if (name && !third && streq(method, "PUT"))
                set_secret(c, name);
        else if (name && streq(method, "PATCH"))
                update_secret(c, name, third);
        else if (name && !third && streq(method, "DELETE"))
                delete_object(c, KIND_SECRET, name);
        else
                call_method_not_allowed(c);
}
