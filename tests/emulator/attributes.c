#include "tests/emulator/call.h"

#define TAGS_MAX 15 /* the service's own limit */
#define TAG_MAX 256

static bool read_time(struct call *c, const cJSON *attributes, const char *name, int64_t *t)
{
        const cJSON *j = cJSON_GetObjectItemCaseSensitive(attributes, name);

        if (!j)
                return true;
        if (cJSON_IsNull(j)) {
                *t = NO_TIME;
                return true;
        }
        if (cJSON_IsNumber(j) && json_int64(attributes, name, t) == 0)
                return true;
        call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL, "Property %s has invalid value",
                name);
        return false;
}

bool read_attributes(struct call *c, const cJSON *body, struct attributes *a)
{
        const cJSON *attributes = json_get(body, "attributes");

        if (!attributes)
                return true;
        if (!cJSON_IsObject(attributes)) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property attributes has invalid value");
                return false;
        }
        const cJSON *enabled = json_get(attributes, "enabled");
        if (enabled && !cJSON_IsBool(enabled)) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property enabled has invalid value");
                return false;
        }
        if (enabled)
                a->enabled = cJSON_IsTrue(enabled);
        return read_time(c, attributes, "nbf", &a->not_before) &&
               read_time(c, attributes, "exp", &a->expires);
}

bool read_tags(struct call *c, const cJSON *body, cJSON **tags)
{
        const cJSON *given = json_get(body, "tags"), *t;
        int n = 0;

        if (!given)
                return true;
        bool good = cJSON_IsObject(given);
        cJSON_ArrayForEach (t, given)
                good = good && cJSON_IsString(t) && strlen(t->string) <= TAG_MAX &&
                       strlen(t->valuestring) <= TAG_MAX && ++n <= TAGS_MAX;
        if (!good) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "Property tags has invalid value");
                return false;
        }
        cJSON *copy = cJSON_Duplicate(given, true);
        if (!copy) {
                call_no_memory(c);
                return false;
        }
        cJSON_Delete(*tags);
        *tags = copy;
        return true;
}

void write_tags(struct out *o, const cJSON *tags)
{
        if (!tags)
                return;
        out_key(o, "tags");
        out_tree(o, tags);
}

static void write_recovery(struct out *o, const struct call *c)
{
        int64_t days = c->vault->recoverable_days;

        if (c->api < API_2016)
                return;
        if (days == 0) {
                out_member(o, "recoveryLevel", "Purgeable");
                return;
        }
        out_member(o, "recoveryLevel",
                days == 90 ? "Recoverable+Purgeable" : "CustomizedRecoverable+Purgeable");
        if (c->api >= API_71)
                out_member_int(o, "recoverableDays", days);
}

void write_attributes(struct out *o, const struct call *c, const struct attributes *a,
        enum kind kind, const struct version *v)
{
        out_key(o, "attributes");
        out_open(o, '{');
        out_member_bool(o, "enabled", a->enabled);
        if (a->not_before != NO_TIME)
                out_member_int(o, "nbf", a->not_before);
        if (a->expires != NO_TIME)
                out_member_int(o, "exp", a->expires);
        out_member_int(o, "created", a->created);
        out_member_int(o, "updated", a->updated);
        if (v) {
                write_recovery(o, c);
                if (kind == KIND_KEY && !v->managed && c->api >= API_73)
                        out_member_bool(o, "exportable", v->exportable);
                if (kind == KIND_KEY && !v->managed && c->api >= API_75)
                        out_member(o, "hsmPlatform", "0");
        }
        out_close(o, '}');
}
