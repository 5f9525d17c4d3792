#include "vault/jsonpick.h"

#include <criterion/criterion.h>

#include "base/json.h"

static int pick(const char *json, size_t len, const char *text, struct sec **ret, struct err *e)
{
        _cleanup_jsonpath_ struct jsonpath path = {0};
        const char *why = NULL;
        size_t at;

        cr_assert(jsonpath_parse(text, &path, &why, &at) == 0, "%s: %s", text, why);
        /* An allocation of its own: reading past the end is seen. */
        char *copy = malloc(len ? len : 1);
        memcpy(copy, json, len);
        int r = jsonpick(copy, len, &path, text, ret, e);
        free(copy);
        return r;
}

static void expect(const char *json, const char *path, const char *want, size_t len)
{
        _cleanup_sec_ struct sec *got = NULL;
        _cleanup_err_ struct err e = {0};
        int r = pick(json, strlen(json), path, &got, &e);

        cr_assert(r == 0, "%s of %s: %s", path, json, err_text(&e));
        cr_expect(sec_len(got) == len && memcmp(sec_bytes(got), want, len) == 0, "%s of %s: %.*s",
                path, json, (int)sec_len(got), (const char *)sec_bytes(got));
}

Test(jsonpick, values_have_the_bytes_that_were_meant)
{
        static const struct {
                const char *json, *path, *want;
        } cases[] = {
                {"\"x\"", "$", "x"},
                {" {\"a\":{\"b\":[10,{\"c\":\"deep\"}]}} ", "$.a.b[1].c", "deep"},
                {"[1,2,3]", "$[0]", "1"},
                {"[1,2,3]", "$[-1]", "3"},
                {"[1,2,3]", "$[-3]", "1"},
                {"{\"\":\"empty name\"}", "$['']", "empty name"},
                {"{\"a\":\"\"}", "$.a", ""},
                /* numbers as written: a double would change each of these */
                {"[12345678901234567890123]", "$[0]", "12345678901234567890123"},
                {"[1.10]", "$[0]", "1.10"},
                {"[-0.0e-00]", "$[0]", "-0.0e-00"},
                {"[1E+400]", "$[0]", "1E+400"},
                {"[0]", "$[0]", "0"},
                {"[true,false]", "$[0]", "true"},
                {"[true,false]", "$[1]", "false"},
                /* escapes, and names written with some */
                {"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "$[0]", "\"\\/\b\f\n\r\t"},
                {"[\"\\u00e4\\ud83d\\ude00\"]", "$[0]", "\xc3\xa4\xf0\x9f\x98\x80"},
                {"[\"\xc3\xa4\"]", "$[0]", "\xc3\xa4"},
                {"{\"\\u0061\":1}", "$.a", "1"},
                {"{\"a.b\":1,\"a\":{\"b\":2}}", "$['a.b']", "1"},
                {"{\"a.b\":1,\"a\":{\"b\":2}}", "$.a.b", "2"},
                {"{\"A\":1,\"a\":2}", "$.a", "2"},
                {"{\"ab\":1,\"a\":2}", "$.a", "2"},
                /* objects and arrays as they stand */
                {"{\"a\": { \"x\" : [ 1 ] } }", "$.a", "{ \"x\" : [ 1 ] }"},
                {"{\"a\":[]}", "$.a", "[]"},
                {" [ 1 ]\n", "$", "[ 1 ]"},
                /* what others put in front */
                {"\xef\xbb\xbf{\"a\":1}", "$.a", "1"},
                /* a name that is twice where the path does not lead */
                {"{\"b\":1,\"b\":2,\"a\":3}", "$.a", "3"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect(cases[i].json, cases[i].path, cases[i].want, strlen(cases[i].want));
        expect("[\"a\\u0000b\"]", "$[0]", "a\0b", 3);
        expect("[\"\\ud800\"]", "$[0]", "\xef\xbf\xbd", 3);
}

static void expect_error(const char *json, const char *path, int want, const char *text)
{
        _cleanup_err_ struct err e = {0};
        struct sec *got = NULL;
        int r = pick(json, strlen(json), path, &got, &e);

        cr_expect_eq(r, want, "%s of %s: %d", path, json, r);
        cr_expect_str_eq(err_text(&e), text);
        cr_expect_null(got);
        sec_unref(got);
}

Test(jsonpick, errors_say_where_the_path_ends)
{
        static const struct {
                const char *json, *path;
                int want;
                const char *text;
        } cases[] = {
                {"{\"a\":{}}", "$.a.b.c", -ENOENT, "jsonPath $.a.b: there is no such member"},
                {"{}", "$.a", -ENOENT, "jsonPath $.a: there is no such member"},
                {"{\"A\":1}", "$.a", -ENOENT, "jsonPath $.a: there is no such member"},
                {"[1]", "$[1]", -ENOENT, "jsonPath $[1]: there is no such element"},
                {"[1]", "$[-2]", -ENOENT, "jsonPath $[-2]: there is no such element"},
                {"[]", "$[0]", -ENOENT, "jsonPath $[0]: there is no such element"},
                {"{\"a\":1}", "$.a.b", -EINVAL,
                        "jsonPath $.a.b: what it is looked for in is no object"},
                {"[1]", "$.a", -EINVAL, "jsonPath $.a: what it is looked for in is no object"},
                {"{\"0\":1}", "$[0]", -EINVAL,
                        "jsonPath $[0]: what it is looked for in is no array"},
                {"null", "$.a", -EINVAL, "jsonPath $.a: what it is looked for in is no object"},
                {"{\"a\":null}", "$.a", -EINVAL, "jsonPath $.a: it is null"},
                {"{\"a\":1,\"a\":1}", "$.a", -EINVAL,
                        "jsonPath $.a: there are two members of that name"},
                {"{\"a\":1,\"\\u0061\":1}", "$.a", -EINVAL,
                        "jsonPath $.a: there are two members of that name"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect_error(cases[i].json, cases[i].path, cases[i].want, cases[i].text);
}

Test(jsonpick, all_of_the_text_has_to_be_json)
{
        static const char *const cases[] = {"", " ", "hunter2", "{", "}", "{\"a\":1", "{\"a\":1}}",
                "{\"a\":1} x", "{\"a\" 1}", "{\"a\":}", "{a:1}", "{'a':1}", "{\"a\":1,}", "{,}",
                "[1,]", "[,1]", "[1 2]", "[01]", "[1.]", "[.1]", "[-]", "[+1]", "[1e]", "[1e+]",
                "[0x1]", "[tru]", "[nul]", "[NaN]", "[\"a]", "[\"\\x\"]", "[\"\\u12g4\"]",
                "[\"\\u12\"]", "[\"\n\"]", "[\"\\", "{\"a\":1}\xef\xbb\xbf", "// x\n1", "[1]]"};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect_error(cases[i], "$.a", -EBADMSG,
                        "jsonPath $.a: the value of the secret is not JSON");
        expect_error("{\"a\":1,\"b\":[\"", "$.a", -EBADMSG,
                "jsonPath $.a: the value of the secret is not JSON");
}

Test(jsonpick, where_it_stops_is_said_and_what_is_there_is_not)
{
        _cleanup_err_ struct err e = {0};
        struct sec *got = NULL;
        static const char json[] = "{\"password\": hunter2}";

        cr_expect_eq(pick(json, strlen(json), "$.password", &got, &e), -EBADMSG);
        cr_expect_str_eq(e.hint, "it stops being JSON at byte 13");
        cr_expect_null(strstr(err_text(&e), "hunter2"));
}

Test(jsonpick, nests_no_deeper_than_other_json_here)
{
        char json[2 * JSON_DEPTH_MAX + 8];
        size_t n = JSON_DEPTH_MAX;

        memset(json, '[', n);
        memset(json + n, ']', n);
        json[2 * n] = '\0';
        expect(json, "$[0][0]", json + 2, 2 * n - 4);
        memset(json, '[', n + 1);
        memset(json + n + 1, ']', n + 1);
        json[2 * n + 2] = '\0';
        expect_error(json, "$[0]", -EBADMSG, "jsonPath $[0]: the value of the secret is not JSON");
}

Test(jsonpick, every_cut_of_a_text_ends_well)
{
        static const char json[] = "{\"a\":[1,-2.5e3,\"\\u0041\\n\",{\"b\":null}],\"c\":true}";

        for (size_t n = 0; n < strlen(json); n++) {
                _cleanup_err_ struct err e = {0};
                struct sec *got = NULL;

                cr_expect_eq(pick(json, n, "$.c", &got, &e), -EBADMSG, "%zu", n);
                sec_unref(got);
        }
        expect(json, "$.c", "true", 4);
}
