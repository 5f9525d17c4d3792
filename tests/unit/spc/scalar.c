#include "spc/scalar.h"

#include <criterion/criterion.h>

static struct yml_node plain(const char *s)
{
        return (struct yml_node){.kind = YML_SCALAR, .value = (char *)s, .len = strlen(s)};
}

Test(scalar, kinds_by_both_schemas)
{
        static const struct {
                const char *s;
                enum scalar_kind old, v3;
        } cases[] = {
                {"", SCALAR_NULL, SCALAR_NULL},
                {"~", SCALAR_NULL, SCALAR_NULL},
                {"null", SCALAR_NULL, SCALAR_NULL},
                {"Null", SCALAR_NULL, SCALAR_NULL},
                {"nULL", SCALAR_TEXT, SCALAR_TEXT},
                {"true", SCALAR_BOOL, SCALAR_BOOL},
                {"FALSE", SCALAR_BOOL, SCALAR_BOOL},
                {"tRUE", SCALAR_TEXT, SCALAR_TEXT},
                {"yes", SCALAR_BOOL, SCALAR_TEXT},
                {"Off", SCALAR_BOOL, SCALAR_TEXT},
                {"y", SCALAR_BOOL, SCALAR_TEXT},
                {"N", SCALAR_BOOL, SCALAR_TEXT},
                {"yEs", SCALAR_TEXT, SCALAR_TEXT},
                {"0", SCALAR_INT, SCALAR_INT},
                {"-17", SCALAR_INT, SCALAR_INT},
                {"+5", SCALAR_INT, SCALAR_INT},
                {"0x1F", SCALAR_INT, SCALAR_INT},
                {"0o17", SCALAR_INT, SCALAR_INT},
                {"0b2", SCALAR_TEXT, SCALAR_TEXT},
                {"0x", SCALAR_TEXT, SCALAR_TEXT},
                {"0xg", SCALAR_TEXT, SCALAR_TEXT},
                {"0644", SCALAR_INT, SCALAR_INT},
                {"0900", SCALAR_FLOAT, SCALAR_FLOAT},
                {"1_000", SCALAR_INT, SCALAR_INT},
                {"9223372036854775807", SCALAR_INT, SCALAR_INT},
                {"18446744073709551615", SCALAR_INT, SCALAR_INT},
                {"18446744073709551616", SCALAR_FLOAT, SCALAR_FLOAT},
                {"-9223372036854775808", SCALAR_INT, SCALAR_INT},
                {"-9223372036854775809", SCALAR_FLOAT, SCALAR_FLOAT},
                {"1.5", SCALAR_FLOAT, SCALAR_FLOAT},
                {".5", SCALAR_FLOAT, SCALAR_FLOAT},
                {"5.", SCALAR_FLOAT, SCALAR_FLOAT},
                {"1e3", SCALAR_FLOAT, SCALAR_FLOAT},
                {"1e", SCALAR_TEXT, SCALAR_TEXT},
                {".", SCALAR_TEXT, SCALAR_TEXT},
                {"-", SCALAR_TEXT, SCALAR_TEXT},
                {"1.2.3", SCALAR_TEXT, SCALAR_TEXT},
                {"-.inf", SCALAR_FLOAT, SCALAR_FLOAT},
                {".NaN", SCALAR_FLOAT, SCALAR_FLOAT},
                {"2024-01-01", SCALAR_TEXT, SCALAR_TEXT},
                {"72f988bf-86f1-41af-91ab-2d7cd011db47", SCALAR_TEXT, SCALAR_TEXT},
                {"vault", SCALAR_TEXT, SCALAR_TEXT},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct yml_node n = plain(cases[i].s);
                cr_expect_eq(scalar_kind(&n, SCALAR_YAML_1_1), cases[i].old, "%s", cases[i].s);
                cr_expect_eq(scalar_kind(&n, SCALAR_YAML_V3), cases[i].v3, "%s", cases[i].s);
                n.style = YML_SINGLE;
                cr_expect_eq(scalar_kind(&n, SCALAR_YAML_1_1), SCALAR_TEXT, "quoted");
        }
}

Test(scalar, tags_are_believed_when_they_fit)
{
        static const struct {
                const char *tag, *s;
                enum scalar_kind kind;
                const char *name;
        } cases[] = {
                {"tag:yaml.org,2002:str", "5", SCALAR_TEXT, "!!str"},
                {"tag:yaml.org,2002:str", "null", SCALAR_TEXT, "!!str"},
                {"!", "true", SCALAR_TEXT, "!!str"},
                {"tag:yaml.org,2002:int", "5", SCALAR_INT, "!!int"},
                {"tag:yaml.org,2002:float", "5", SCALAR_FLOAT, "!!float"},
                {"tag:yaml.org,2002:bool", "true", SCALAR_BOOL, "!!bool"},
                {"tag:yaml.org,2002:null", "", SCALAR_NULL, "!!null"},
                {"tag:yaml.org,2002:int", "x", SCALAR_UNKNOWN_TAG, "!!str"},
                {"tag:yaml.org,2002:binary", "eA==", SCALAR_UNKNOWN_TAG, "!!str"},
                {"!mine", "x", SCALAR_UNKNOWN_TAG, "!!str"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct yml_node n = plain(cases[i].s);
                n.tag = (char *)cases[i].tag;
                cr_expect_eq(scalar_kind(&n, SCALAR_YAML_V3), cases[i].kind, "%s %s", cases[i].tag,
                        cases[i].s);
                cr_expect_str_eq(scalar_tag(&n), cases[i].name);
        }
        struct yml_node list = {.kind = YML_SEQUENCE}, map = {.kind = YML_MAPPING};
        cr_expect_str_eq(scalar_tag(&list), "!!seq");
        cr_expect_str_eq(scalar_tag(&map), "!!map");
        cr_expect_eq(scalar_kind(&map, SCALAR_YAML_V3), SCALAR_TEXT);
}

Test(scalar, int32_takes_integers_and_cuts_fractions)
{
        static const struct {
                const char *s;
                int r;
                int32_t value;
                bool exact;
        } cases[] = {
                {"7", 0, 7, true},
                {"-7", 0, -7, true},
                {"0x7fffffff", 0, INT32_MAX, true},
                {"-2147483648", 0, INT32_MIN, true},
                {"2147483648", -ERANGE, 0, false},
                {"-2147483649", -ERANGE, 0, false},
                {"1e3", 0, 1000, true},
                {"12.0", 0, 12, true},
                {"2.9", 0, 2, false},
                {"-2.9", 0, -2, false},
                {"1e-5", 0, 0, false},
                {"1e9999", -ERANGE, 0, false},
                {"0e9999", 0, 0, true},
                {"1e-9999", 0, 0, true},
                {"2147483647.5", 0, INT32_MAX, false},
                {"3e9", -ERANGE, 0, false},
                {".inf", -EINVAL, 0, false},
                {".nan", -EINVAL, 0, false},
                {"x", -EINVAL, 0, false},
                {"true", -EINVAL, 0, false},
                {"", -EINVAL, 0, false},
                {"1.00000000000000000000000000001", 0, 1, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct yml_node n = plain(cases[i].s);
                int32_t v = 0;
                bool exact = false;
                cr_expect_eq(scalar_int32(&n, &v, &exact), cases[i].r, "%s", cases[i].s);
                cr_expect_eq(v, cases[i].value, "%s: %d", cases[i].s, v);
                cr_expect_eq(exact, cases[i].exact, "%s", cases[i].s);
        }
}

/* Section 1.2: Go's ParseBool and nothing else; empty is false. */
Test(scalar, parse_bool_knows_twelve_words_and_nothing)
{
        static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
        static const char *const no[] = {"", "0", "f", "F", "FALSE", "false", "False"};
        static const char *const bad[] = {
                "yes", "no", "on", "off", "tru", "tRUE", "2", "-1", " true", "y", "n"};
        bool b;

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                b = false;
                cr_expect_eq(scalar_parse_bool(yes[i], &b), 0, "%s", yes[i]);
                cr_expect(b, "%s", yes[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(no); i++) {
                b = true;
                cr_expect_eq(scalar_parse_bool(no[i], &b), 0, "%s", no[i]);
                cr_expect_not(b, "%s", no[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_eq(scalar_parse_bool(bad[i], &b), -EINVAL, "%s", bad[i]);
}

Test(scalar, trim_takes_what_unicode_calls_white_space)
{
        static const struct {
                const char *s, *trimmed;
        } cases[] = {
                {"", ""}, {"   ", ""}, {"a", "a"}, {" \t\r\n\v\fa b\n", "a b"},
                {"\xC2\xA0"
                 "a\xC2\x85",
                        "a"}, /* NBSP, NEL */
                {"\xE1\x9A\x80"
                 "a\xE2\x80\x80",
                        "a"}, /* U+1680, U+2000 */
                {"\xE2\x80\x8A"
                 "a\xE2\x80\xA8\xE2\x80\xA9",
                        "a"}, /* U+200A, U+2028, U+2029 */
                {"\xE2\x80\xAF"
                 "a\xE2\x81\x9F\xE3\x80\x80",
                        "a"}, /* U+202F, U+205F, U+3000 */
                {"\xC2\xA0\xE3\x80\x80", ""},
                {"\xE2\x80\x8B"
                 "a",
                        "\xE2\x80\x8B"
                        "a"}, /* zero width: is none */
                {"\xEF\xBB\xBF"
                 "a",
                        "\xEF\xBB\xBF"
                        "a"},             /* nor is a byte order mark */
                {"\xC3\xA0", "\xC3\xA0"}, /* à ends like NBSP */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *s = cases[i].s;
                size_t n = scalar_trim(&s, strlen(s));
                cr_expect_eq(n, strlen(cases[i].trimmed), "case %zu: %zu", i, n);
                cr_expect_eq(memcmp(s, cases[i].trimmed, n), 0, "case %zu", i);
        }
}
