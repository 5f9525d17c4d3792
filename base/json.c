#include "base/json.h"

/* Before anything is built: how deep it nests (cJSON's own limit of 1000 still costs a lot of
 * stack), and whether a string holds a NUL, at which cJSON's C strings would end early. */
static int check_form(const char *text, size_t len)
{
        unsigned depth = 0;
        bool in_string = false;

        for (size_t i = 0; i < len; i++) {
                char c = text[i];
                if (in_string) {
                        if (c == '\\') {
                                if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                                        return -EINVAL;
                                i++;
                        } else if (c == '"')
                                in_string = false;
                        else if (c == '\0')
                                return -EINVAL;
                        continue;
                }
                if (c == '"')
                        in_string = true;
                else if (c == '{' || c == '[') {
                        if (++depth > JSON_DEPTH_MAX)
                                return -E2BIG;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
        }
        return 0;
}

int json_parse(const char *text, size_t len, cJSON **ret)
{
        const char *end = NULL;

        int r = check_form(text, len);
        if (r < 0)
                return r;
        cJSON *j = cJSON_ParseWithLengthOpts(text, len, &end, false);
        if (!j)
                return -EINVAL;
        for (; end < text + len; end++)
                if (!strchr(" \t\r\n", *end) || *end == '\0') {
                        cJSON_Delete(j);
                        return -EINVAL;
                }
        *ret = j;
        return 0;
}

void json_free(cJSON *j)
{
        cJSON_Delete(j);
}

const cJSON *json_get(const cJSON *obj, const char *name)
{
        const cJSON *j = cJSON_GetObjectItemCaseSensitive(obj, name);

        return cJSON_IsNull(j) ? NULL : j;
}

const char *json_string(const cJSON *obj, const char *name)
{
        return cJSON_GetStringValue(json_get(obj, name));
}

bool json_bool(const cJSON *obj, const char *name, bool otherwise)
{
        const cJSON *j = json_get(obj, name);

        return cJSON_IsBool(j) ? cJSON_IsTrue(j) : otherwise;
}

int json_int64(const cJSON *obj, const char *name, int64_t *ret)
{
        const cJSON *j = json_get(obj, name);

        if (!j)
                return -ENOENT;
        if (cJSON_IsNumber(j)) {
                double d = j->valuedouble;
                /* 2^53: beyond it a double no longer tells neighbours apart. Written so that a NaN
                 * fails as well. */
                if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0) ||
                        (double)(int64_t)d != d)
                        return -EINVAL;
                *ret = (int64_t)d;
                return 0;
        }
        const char *s = cJSON_GetStringValue(j);
        uint64_t v;
        if (!s)
                return -EINVAL;
        bool negative = *s == '-';
        int r = parse_u64(negative ? s + 1 : s, INT64_MAX, &v);
        if (r < 0)
                return -EINVAL;
        *ret = negative ? -(int64_t)v : (int64_t)v;
        return 0;
}
