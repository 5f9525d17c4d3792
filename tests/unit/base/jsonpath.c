#include "base/jsonpath.h"

#include <criterion/criterion.h>

static struct jsonpath parse(const char *s)
{
        struct jsonpath path;
        const char *why = NULL;
        size_t at = 0;

        cr_assert(jsonpath_parse(s, &path, &why, &at) == 0, "%s: %s at %zu", s, why, at);
        return path;
}

Test(jsonpath, every_form_of_a_name)
{
        static const struct {
                const char *path, *name;
        } cases[] = {
                {"$.a", "a"},
                {"$._x9", "_x9"},
                {"$.\xc3\xa4", "\xc3\xa4"},
                {"$['a']", "a"},
                {"$[\"a\"]", "a"},
                {"$[ 'a b' ]", "a b"},
                {"$['']", ""},
                {"$['it\\'s']", "it's"},
                {"$[\"it's\"]", "it's"},
                {"$['say \"x\"']", "say \"x\""},
                {"$[\"\\\"\"]", "\""},
                {"$['\\b\\f\\n\\r\\t\\/\\\\']", "\b\f\n\r\t/\\"},
                {"$['\\u0041\\u00e4\\u20AC']", "A\xc3\xa4\xe2\x82\xac"},
                {"$['\\ud83d\\ude00']", "\xf0\x9f\x98\x80"},
                {"$ .a", "a"},
                {"$['.']", "."},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_jsonpath_ struct jsonpath path = parse(cases[i].path);
                cr_expect_eq(path.n, 1, "%s", cases[i].path);
                cr_expect_str_eq(path.segments[0].name, cases[i].name, "%s", cases[i].path);
        }
}

Test(jsonpath, indices_from_both_ends)
{
        static const struct {
                const char *path;
                int64_t index;
        } cases[] = {{"$[0]", 0}, {"$[12]", 12}, {"$[-1]", -1}, {"$[ 7 ]", 7},
                {"$[1000000]", 1000000}, {"$[-1000000]", -1000000}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_jsonpath_ struct jsonpath path = parse(cases[i].path);
                cr_expect_eq(path.n, 1);
                cr_expect_null(path.segments[0].name);
                cr_expect_eq(path.segments[0].index, cases[i].index, "%s", cases[i].path);
        }
}

Test(jsonpath, segments_in_a_row_know_where_they_end)
{
        static const char text[] = "$.db['hosts'][-1].name";
        _cleanup_jsonpath_ struct jsonpath path = parse(text), all = parse("$");

        cr_assert_eq(path.n, 4);
        cr_expect_str_eq(path.segments[0].name, "db");
        cr_expect_eq(path.segments[0].end, 4);
        cr_expect_str_eq(path.segments[1].name, "hosts");
        cr_expect_eq(path.segments[1].end, 13);
        cr_expect_eq(path.segments[2].index, -1);
        cr_expect_eq(path.segments[2].end, 17);
        cr_expect_eq(path.segments[3].end, strlen(text));
        cr_expect_eq(all.n, 0);
}

Test(jsonpath, what_is_no_path_is_refused_where_it_is_wrong)
{
        static const struct {
                const char *path;
                size_t at;
                const char *why;
        } cases[] = {
                {"", 0, "begins with $"},
                {"a.b", 0, "begins with $"},
                {"$x", 1, ". or ["},
                {"$ ", 2, ". or ["},
                {"$.", 2, "a name is expected"},
                {"$.9a", 2, "a name is expected"},
                {"$.a-b", 3, ". or ["},
                {"$.*", 2, "more than one value"},
                {"$..a", 2, "more than one value"},
                {"$[*]", 2, "more than one value"},
                {"$[?@.a]", 2, "more than one value"},
                {"$[:2]", 2, "more than one value"},
                {"$[1:2]", 3, "more than one value"},
                {"$[0,1]", 3, "more than one value"},
                {"$['a','b']", 5, "more than one value"},
                {"$[a]", 2, "index or a name"},
                {"$[]", 2, "index or a name"},
                {"$[0", 3, "] is expected"},
                {"$['a", 4, "closing quote"},
                {"$['a'", 5, "] is expected"},
                {"$['\\x']", 4, "unknown escape"},
                {"$['\\\"']", 4, "unknown escape"},
                {"$['\\", 4, "unknown escape"},
                {"$['\\u12']", 5, "four hexadecimal digits"},
                {"$['\\u0000']", 5, "not all 0"},
                {"$['\\udc00']", 9, "surrogate"},
                {"$['\\ud800']", 9, "surrogate"},
                {"$['\\ud800\\u0041']", 9, "surrogate"},
                {"$['\n']", 3, "control character"},
                {"$[01]", 2, "no leading 0"},
                {"$[-0]", 2, "no leading 0"},
                {"$[+1]", 2, "index or a name"},
                {"$[-]", 2, "no leading 0"},
                {"$[1000001]", 2, "too large"},
                {"$[99999999999999999999]", 2, "too large"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct jsonpath path;
                const char *why = "";
                size_t at = 0;
                int r = jsonpath_parse(cases[i].path, &path, &why, &at);

                cr_expect_eq(r, -EINVAL, "%s", cases[i].path);
                cr_expect_eq(at, cases[i].at, "%s: %zu", cases[i].path, at);
                cr_expect(strstr(why, cases[i].why), "%s: %s", cases[i].path, why);
        }
}

Test(jsonpath, length_and_segments_are_bounded)
{
        char text[JSONPATH_MAX + 2] = "$";
        const char *why;
        struct jsonpath path;
        size_t at;

        for (size_t i = 0; i < JSONPATH_SEGMENTS_MAX; i++)
                strcat(text, ".a");
        path = parse(text);
        cr_expect_eq(path.n, JSONPATH_SEGMENTS_MAX);
        jsonpath_done(&path);
        strcat(text, ".a");
        cr_expect_eq(jsonpath_parse(text, &path, &why, &at), -EINVAL);
        cr_expect_str_eq(why, "more than 32 segments");

        memset(text, 'a', sizeof(text) - 1);
        memcpy(text, "$.", 2);
        text[JSONPATH_MAX] = '\0';
        path = parse(text);
        jsonpath_done(&path);
        text[JSONPATH_MAX] = 'a';
        text[JSONPATH_MAX + 1] = '\0';
        cr_expect_eq(jsonpath_parse(text, &path, &why, &at), -EINVAL);
        cr_expect_str_eq(why, "longer than 1024 bytes");
}
