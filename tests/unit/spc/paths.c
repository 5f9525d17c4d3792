/* Reference sections 1.7 and 5.7: names of files, one by one and beside each other. */
#include "helper.h"

#include "spc/rules.h"

Test(paths, clean_is_gos_path_clean)
{
        static const struct {
                const char *path, *clean;
        } cases[] = {{"a", "a"}, {"a/b", "a/b"}, {"a//b", "a/b"}, {"./a", "a"}, {"a/", "a"},
                {"a/./b/.", "a/b"}, {".", "."}, {"", "."}, {"./", "."}, {".a", ".a"},
                {"a/.b/c.", "a/.b/c."}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *got = NULL;
                cr_assert_eq(path_clean(cases[i].path, &got), 0);
                cr_expect_str_eq(got, cases[i].clean, "%s: %s", cases[i].path, got);
        }
}

static char *object(const char *alias, int history)
{
        char *o = NULL;

        cr_assert_eq(xasprintf(&o,
                             "objectName: n\nobjectType: secret\nobjectAlias: \"%s\"\n"
                             "objectVersionHistory: %d\n",
                             alias, history),
                0);
        return o;
}

static char *repeat(char c, size_t n)
{
        char *s = calloc(1, n + 1);

        cr_assert(s);
        memset(s, c, n);
        return s;
}

/* The finding for an alias (at line 14), or "" and the file it is shown as. */
static void expect_alias(const char *alias, int history, const char *text, const char *file)
{
        _cleanup_free_ char *o = object(alias, history), *class = class_of(o, NULL, NULL);
        _cleanup_free_ char *want = NULL;
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_without_hints(class, NULL, &c);

        if (text)
                cr_assert_eq(
                        xasprintf(&want, "14:24: error: objects[0] (n) objectAlias: %s\n", text),
                        0);
        EXPECT_TEXT(alias, got, want ? want : "");
        if (!text && c)
                cr_expect_str_eq(c->objects[0].file, file);
}

Test(paths, one_name)
{
        static const struct {
                const char *alias, *text;
        } cases[] = {
                {"a", NULL},
                {".a", NULL},
                {"a.b.c", NULL},
                {"a b", NULL},
                {"dir/sub/file", NULL},
                {"dir/.hidden", NULL},
                {"\xC3\xA4\xE2\x82\xAC", NULL},
                {"/a", "file name must be a relative path"},
                {"/..", "file name must be a relative path"},
                {"..", "file name must not contain '..'"},
                {"a/../b", "file name must not contain '..'"},
                {"a..b", "file name must not contain '..'"},
                {"..data", "file name must not contain '..'"},
                {"a/b...", "file name must not contain '..'"},
                {"a//b", "invalid filepath: \"a//b\""},
                {"./a", "invalid filepath: \"./a\""},
                {"a/", "invalid filepath: \"a/\""},
                {"a/./b", "invalid filepath: \"a/./b\""},
                {".", "invalid filepath: \".\""},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect_alias(cases[i].alias, 1, cases[i].text, cases[i].alias);
}

Test(paths, an_unclean_name_comes_with_the_clean_one)
{
        _cleanup_free_ char *o = object("tls//web/", 1), *text = class_of(o, NULL, NULL);
        _cleanup_free_ char *got = findings_of(text, NULL, NULL);

        EXPECT_TEXT(text, got,
                "14:24: error: objects[0] (n) objectAlias: invalid filepath: \"tls//web/\"\n"
                "    write tls/web\n");
}

/* Upstream joins folder and number by path.Join, which cleans. */
Test(paths, a_folder_of_versions_is_cleaned)
{
        expect_alias("./a//b/", 2, NULL, "a/b");
        expect_alias("a/", 1, "invalid filepath: \"a/\"", NULL);
        expect_alias(".", 2, "invalid filepath: \".\"", NULL);
        expect_alias("a..b", 2, "file name must not contain '..'", NULL);
}

Test(paths, the_length_of_a_part_is_255_bytes_and_of_the_whole_4096)
{
        _cleanup_free_ char *part255 = repeat('a', 255), *part256 = repeat('a', 256);
        _cleanup_free_ char *nested = NULL, *deep = calloc(1, 5000);

        cr_assert_eq(xasprintf(&nested, "d/%s", part256), 0);
        expect_alias(part255, 1, NULL, part255);
        expect_alias(part256, 1, "invalid path: a part of it is longer than 255 bytes", NULL);
        expect_alias(nested, 1, "invalid path: a part of it is longer than 255 bytes", NULL);

        cr_assert(deep);
        for (size_t i = 0; i < 4096; i++)
                deep[i] = i % 16 == 15 ? '/' : 'a';
        deep[4095] = 'a';
        expect_alias(deep, 1, NULL, deep);
        expect_alias(deep, 2, "invalid path: longer than 4096 bytes", NULL);
        deep[4096] = 'a';
        expect_alias(deep, 1, "invalid path: longer than 4096 bytes", NULL);
        deep[4094] = '\0';
        deep[4093] = '\0';
        expect_alias(deep, 2, NULL, deep);
}

Test(paths, the_name_is_the_alias_or_else_the_object)
{
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text = class_of("objectName: a\nobjectType: key\n",
                "objectName: a\nobjectType: key\nobjectAlias: ' b '\n",
                "objectName: c\nobjectType: key\nobjectAlias: '  '\n");
        _cleanup_free_ char *got = findings_of(text, NULL, &c);

        EXPECT_TEXT(text, got, "");
        cr_assert(c);
        cr_expect_str_eq(c->objects[0].file, "a");
        cr_expect_str_eq(c->objects[1].file, "b");
        cr_expect_str_eq(c->objects[1].alias, "b");
        cr_expect_str_eq(c->objects[2].file, "c");
        cr_expect_str_eq(c->objects[2].alias, "");
}

struct entry {
        const char *alias;
        int history;
};

/* Each object takes five lines: the aliases stand in lines 14, 19 and 24. */
static void expect_beside(struct entry a, struct entry b, struct entry c, const char *want)
{
        _cleanup_free_ char *x = object(a.alias, a.history), *y = object(b.alias, b.history);
        _cleanup_free_ char *z = c.alias ? object(c.alias, c.history) : NULL;
        _cleanup_free_ char *text = class_of(x, y, z);
        _cleanup_free_ char *got = findings_without_hints(text, NULL, NULL);

        EXPECT_TEXT(text, got, want);
}

#define NONE ((struct entry){NULL, 0})
#define ONE(alias) ((struct entry){alias, 1})
#define MANY(alias, n) ((struct entry){alias, n})

Test(paths, a_name_is_taken_once)
{
        expect_beside(ONE("a"), ONE("a"), NONE,
                "19:24: error: objects[1] (n) objectAlias: file name \"a\" is already taken by "
                "objects[0] (n), line 14\n");
        expect_beside(ONE("a"), ONE("a"), ONE("a"),
                "19:24: error: objects[1] (n) objectAlias: file name \"a\" is already taken by "
                "objects[0] (n), line 14\n"
                "24:24: error: objects[2] (n) objectAlias: file name \"a\" is already taken by "
                "objects[1] (n), line 19\n");
        expect_beside(ONE("a"), ONE("A"), ONE("a-b"), "");
}

Test(paths, a_name_is_a_file_or_a_folder)
{
        expect_beside(ONE("a"), ONE("a/b"), NONE,
                "19:24: error: objects[1] (n) objectAlias: \"a/b\" and \"a\" (objects[0] (n), line "
                "14) get in each other's way: \"a\" cannot be a file and a folder\n");
        expect_beside(ONE("a/b/c"), ONE("a-b"), ONE("a"),
                "24:24: error: objects[2] (n) objectAlias: \"a\" and \"a/b/c\" (objects[0] (n), "
                "line 14) get in each other's way: \"a\" cannot be a file and a folder\n");
        expect_beside(ONE("a/b"), ONE("a/c"), ONE("ab"), "");
}

Test(paths, versions_make_a_folder)
{
        expect_beside(ONE("a"), MANY("a", 3), NONE,
                "19:24: error: objects[1] (n) objectAlias: \"a\" and \"a\" (objects[0] (n), line "
                "14) get in each other's way: \"a\" cannot be a file and a folder\n");
        expect_beside(MANY("a", 3), ONE("a"), NONE,
                "19:24: error: objects[1] (n) objectAlias: \"a\" and \"a\" (objects[0] (n), line "
                "14) get in each other's way: \"a\" is a folder of 3 versions\n");
        expect_beside(MANY("a", 3), ONE("a/2"), ONE("a/0/x"),
                "19:24: error: objects[1] (n) objectAlias: \"a/2\" and \"a\" (objects[0] (n), line "
                "14) get in each other's way: \"a\" is a folder of 3 versions\n"
                "24:24: error: objects[2] (n) objectAlias: \"a/0/x\" and \"a\" (objects[0] (n), "
                "line 14) get in each other's way: \"a\" is a folder of 3 versions\n");
        expect_beside(MANY("a", 3), MANY("a", 2), NONE,
                "19:24: error: objects[1] (n) objectAlias: \"a\" and \"a\" (objects[0] (n), line "
                "14) get in each other's way: both are folders of versions\n");
        expect_beside(ONE("a"), MANY("a/b", 2), NONE,
                "19:24: error: objects[1] (n) objectAlias: \"a/b\" and \"a\" (objects[0] (n), line "
                "14) get in each other's way: \"a\" cannot be a file and a folder\n");
        /* What is no number of a version may lie beside them. */
        expect_beside(MANY("a", 3), ONE("a/3"), ONE("a/latest"), "");
        expect_beside(MANY("a", 3), ONE("a/00"), ONE("a/-1"), "");
        expect_beside(MANY("a", 100), ONE("a/100"), ONE("a/1000"), "");
        expect_beside(MANY("a", 3), MANY("a/b", 3), ONE("a/b/7"), "");
}

Test(paths, a_thousand_names_are_compared)
{
        struct named names[1000] = {0};
        struct spc_diags d = {0};
        struct report r;
        const size_t n = ELEMENTSOF(names);

        for (size_t i = 0; i < n; i++) {
                cr_assert_eq(xasprintf(&names[i].file, "d%zu/f%zu", i % 7, i), 0);
                names[i].label = names[i].file;
                names[i].at = YML_NOWHERE;
                names[i].history = 1;
                names[i].index = i;
        }
        free(names[n - 1].file);
        names[n - 1].file = names[n - 1].label = strdup("d3");
        cr_assert_eq(report_begin(&r, &d, NULL, 0), 0);
        path_find_conflicts(&r, names, n);
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_expect_eq(d.errors, 143, "%zu", d.errors); /* files in d3: 3, 10, ..., 997 */
        for (size_t i = 0; i < n; i++)
                free(names[i].file);
        spc_diags_done(&d);
}

static char *certificate(const char *alias, const char *files, int history)
{
        _cleanup_free_ char *plain = object(alias, history);
        char *o = NULL;

        cr_assert_eq(xasprintf(&o, "%scertificateFiles: %s\n", plain, files), 0);
        return o;
}

/* The finding about the second object, whose alias is in line 20. */
static void expect_beside_files(const char *files, int history, const char *alias, const char *text)
{
        _cleanup_free_ char *first = certificate("web", files, history), *second = object(alias, 1),
                            *class = class_of(first, second, NULL), *want = NULL;

        cr_assert_eq(xasprintf(&want, "20:24: error: objects[1] (n) objectAlias: %s\n", text), 0);
        EXPECT_FINDINGS(class, text ? want : "");
}

Test(paths, files_of_a_certificate_are_names_as_well)
{
        static const char taken[] =
                "file name \"web.crt\" is already taken by objects[0] (n), line "
                "14";
        static const char folder[] =
                "(objects[0] (n), line 14) get in each other's way: \"web\" is "
                "the folder of a certificate";
        static const char versions[] = "(objects[0] (n), line 14) get in each other's way: \"web\" "
                                       "is a folder of 3 versions";
        _cleanup_free_ char *same = NULL, *inside = NULL, *numbered = NULL;

        expect_beside_files("separate", 1, "web.crt", taken);
        expect_beside_files("separate", 1, "web.pem", NULL);
        expect_beside_files("combined", 1, "web.crt", NULL);
        cr_assert_eq(xasprintf(&same, "\"web\" and \"web\" %s", folder), 0);
        expect_beside_files("folder", 1, "web", same);
        cr_assert_eq(xasprintf(&inside, "\"web/tls.key\" and \"web\" %s", folder), 0);
        expect_beside_files("folder", 1, "web/tls.key", inside);
        expect_beside_files("folder", 1, "web/notes", NULL);
        expect_beside_files("folder", 1, "web.crt", NULL);
        cr_assert_eq(xasprintf(&numbered, "\"web/2.key\" and \"web\" %s", versions), 0);
        expect_beside_files("separate", 3, "web/2.key", numbered);
        expect_beside_files("separate", 3, "web/3.key", NULL);
        expect_beside_files("combined", 3, "web/2.key", NULL);
}

Test(paths, leave_room_for_what_is_put_behind_them)
{
        _cleanup_free_ char *part = repeat('a', 252), *o = certificate(part, "separate", 1),
                            *class = class_of(o, NULL, NULL);
        _cleanup_free_ char *fits = repeat('a', 251), *p = certificate(fits, "separate", 1),
                            *good = class_of(p, NULL, NULL);

        EXPECT_FINDINGS(class,
                "14:24: error: objects[0] (n) objectAlias: invalid path: a part of it "
                "is longer than 251 bytes\n");
        EXPECT_FINDINGS(good, "");
}
