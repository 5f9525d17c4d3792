#include "base/json.h"

#include <criterion/criterion.h>
#include <stdio.h>

static int parse(const char *s)
{
        _cleanup_json_ cJSON *j = NULL;

        return json_parse(s, strlen(s), &j);
}

Test(json, one_document)
{
        static const char *const good[] = {
                "{}", "[]", "1", "null", " {\"a\":[1,2]} \r\n\t", "\"x\""};
        static const char *const bad[] = {"", " ", "{", "{}x", "{} {}", "{\"a\":}", "nul", "[1,]",
                "\"x", "\"\\", "{\"a\":1}}"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                cr_expect_eq(parse(good[i]), 0, "%s", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_eq(parse(bad[i]), -EINVAL, "%s", bad[i]);
}

Test(json, nothing_behind_the_end_is_read)
{
        _cleanup_free_ char *s = malloc(4); /* not terminated, watched by the sanitizer */
        _cleanup_json_ cJSON *j = NULL;

        memcpy(s, "[12]", 4);
        cr_assert_eq(json_parse(s, 4, &j), 0);
        cr_assert_eq(json_parse(s, 3, &j), -EINVAL);
        cr_assert_eq(json_parse(s, 0, &j), -EINVAL);
        memcpy(s, "\"\\u0", 4);
        cr_assert_eq(json_parse(s, 4, &j), -EINVAL);
        cr_assert_eq(json_parse("{}\0", 3, &j), -EINVAL);
}

Test(json, depth_is_bounded)
{
        char s[2 * JSON_DEPTH_MAX + 3];

        memset(s, '[', JSON_DEPTH_MAX);
        memset(s + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
        s[2 * JSON_DEPTH_MAX] = '\0';
        cr_assert_eq(parse(s), 0);
        memset(s, '[', JSON_DEPTH_MAX + 1);
        memset(s + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
        s[2 * JSON_DEPTH_MAX + 2] = '\0';
        cr_assert_eq(parse(s), -E2BIG);
        cr_assert_eq(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]"), 0);
}

/* A value with a NUL in it must not come out shorter. */
Test(json, nul_characters_are_refused)
{
        _cleanup_json_ cJSON *j = NULL;

        cr_assert_eq(parse("{\"a\":\"x\\u0000y\"}"), -EINVAL);
        cr_assert_eq(parse("{\"a\\u0000\":1}"), -EINVAL);
        cr_assert_eq(json_parse("\"x\0y\"", 5, &j), -EINVAL);
        cr_assert_eq(parse("\"\\\\u0000\""), 0); /* a backslash and five characters */
        cr_assert_eq(parse("\"\\u0001\""), 0);
}

Test(json, members)
{
        static const char text[] =
                "{\"s\":\"x\",\"S\":\"y\",\"n\":null,\"t\":true,\"f\":false,\"i\":1}";
        _cleanup_json_ cJSON *j = NULL, *array = NULL;

        cr_assert_eq(json_parse(text, strlen(text), &j), 0);
        cr_assert_str_eq(json_string(j, "s"), "x");
        cr_assert_str_eq(json_string(j, "S"), "y");
        cr_assert_null(json_string(j, "i"));
        cr_assert_null(json_string(j, "n"));
        cr_assert_null(json_string(j, "absent"));
        cr_assert_null(json_get(j, "n"));
        cr_assert_null(json_get(NULL, "n"));
        cr_assert(json_bool(j, "t", false));
        cr_assert_not(json_bool(j, "f", true));
        cr_assert(json_bool(j, "s", true));
        cr_assert_not(json_bool(j, "absent", false));
        cr_assert_eq(json_parse("[1]", 3, &array), 0);
        cr_assert_null(json_get(array, "a"));
        json_free(NULL);
}

Test(json, integers)
{
        static const struct {
                const char *text;
                int r;
                int64_t v;
        } cases[] = {
                {"0", 0, 0},
                {"-5", 0, -5},
                {"32503680000", 0, 32503680000},
                {"9007199254740992", 0, 9007199254740992},
                {"1e3", 0, 1000},
                {"\"3599\"", 0, 3599},
                {"\"-7\"", 0, -7},
                {"\"9223372036854775807\"", 0, INT64_MAX},
                {"\"9223372036854775808\"", -EINVAL, 0},
                {"\"1.5\"", -EINVAL, 0},
                {"\"\"", -EINVAL, 0},
                {"\"-\"", -EINVAL, 0},
                {"\"--1\"", -EINVAL, 0},
                {"\" 1\"", -EINVAL, 0},
                {"1.5", -EINVAL, 0},
                {"1e300", -EINVAL, 0},
                {"1e999", -EINVAL, 0},
                {"-1e300", -EINVAL, 0},
                {"true", -EINVAL, 0},
                {"[]", -EINVAL, 0},
                {"null", -ENOENT, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ cJSON *j = NULL;
                char text[64];
                int64_t v = 4711;

                snprintf(text, sizeof text, "{\"v\":%s}", cases[i].text);
                cr_assert_eq(json_parse(text, strlen(text), &j), 0, "%s", text);
                cr_expect_eq(json_int64(j, "v", &v), cases[i].r, "%s", text);
                cr_expect_eq(v, cases[i].r == 0 ? cases[i].v : 4711, "%s", text);
                cr_expect_eq(json_int64(j, "absent", &v), -ENOENT);
        }
}
