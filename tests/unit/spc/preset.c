#include "spc/preset.h"

#include "helper.h"

Test(preset, rules)
{
        static const struct {
                enum spc_preset preset;
                const char *name, *file;
        } cases[] = {
                {SPC_PRESET_NONE, "Database--Password", "Database--Password"},
                {SPC_PRESET_FOLDERS, "Database--Password", "Database/Password"},
                {SPC_PRESET_FOLDERS, "a--b--c", "a/b/c"},
                {SPC_PRESET_FOLDERS, "plain-name", "plain-name"},
                {SPC_PRESET_FOLDERS, "a---b", "a/-b"},
                {SPC_PRESET_FOLDERS, "a----b", "a//b"},
                {SPC_PRESET_FOLDERS, "--a", "/a"},
                {SPC_PRESET_FOLDERS, "a--", "a/"},
                {SPC_PRESET_UPPER_SNAKE, "db-password", "DB_PASSWORD"},
                {SPC_PRESET_UPPER_SNAKE, "Database--Password", "DATABASE__PASSWORD"},
                {SPC_PRESET_UPPER_SNAKE, "dbPassword1", "DBPASSWORD1"},
                {SPC_PRESET_UPPER_SNAKE, "\xc3\xa4", "\xc3\xa4"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *file = NULL;
                cr_assert_eq(spc_preset_apply(cases[i].preset, cases[i].name, &file), 0);
                cr_expect_str_eq(file, cases[i].file, "%s", cases[i].name);
        }
}

#define OBJECT(name, preset) "objectName: " name "\nobjectType: secret\nnamePreset: " preset "\n"

static void expect_file(const char *object, const char *file)
{
        _cleanup_free_ char *text = class_of(object, NULL, NULL);
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_of(text, NULL, &c);

        EXPECT_TEXT(object, got, "");
        cr_assert_not_null(c);
        cr_expect_str_eq(c->objects[0].file, file);
}

Test(preset, makes_the_name_of_the_file)
{
        expect_file(OBJECT("Database--Password", "folders"), "Database/Password");
        expect_file(OBJECT("db-password", "upper-snake"), "DB_PASSWORD");
        expect_file(OBJECT("db--password", "none"), "db--password");
        expect_file(OBJECT("db--password", "none") "objectAlias: x\n", "x");
        expect_file(OBJECT("db--password", "''") "objectAlias: x\n", "x");
}

Test(preset, never_leaves_the_mount)
{
        _cleanup_free_ char *out = class_of(OBJECT("--etc", "folders"), NULL, NULL);
        _cleanup_free_ char *tail = class_of(OBJECT("a--", "folders"), NULL, NULL);
        _cleanup_free_ char *four = class_of(OBJECT("a----b", "folders"), NULL, NULL);
        _cleanup_free_ char *up = class_of(OBJECT("..--..", "folders"), NULL, NULL);
        static const char odd[] = "12:23: warning: objects[0] (..--..) objectName: Key Vault has "
                                  "no object called \"..--..\"\n";
        _cleanup_free_ char *want = NULL;

        EXPECT_FINDINGS(out, "12:23: error: objects[0] (--etc) objectName: file name must be a "
                             "relative path\n");
        EXPECT_FINDINGS(
                tail, "12:23: error: objects[0] (a--) objectName: invalid filepath: \"a/\"\n");
        EXPECT_FINDINGS(
                four, "12:23: error: objects[0] (a----b) objectName: invalid filepath: \"a//b\"\n");
        cr_assert_eq(xasprintf(&want,
                             "%s12:23: error: objects[0] (..--..) objectName: file name must not "
                             "contain '..'\n",
                             odd),
                0);
        EXPECT_FINDINGS(up, want);
}

Test(preset, two_names_that_become_one_are_a_clash)
{
        _cleanup_free_ char *text =
                class_of(OBJECT("a-b", "upper-snake"), OBJECT("A-B", "upper-snake"), NULL);
        _cleanup_free_ char *both =
                class_of(OBJECT("a--b", "folders"), "objectName: a\nobjectType: secret\n", NULL);

        EXPECT_FINDINGS(text, "16:23: error: objects[1] (A-B) objectName: file name \"A_B\" is "
                              "already taken by objects[0] (a-b), line 12\n");
        EXPECT_FINDINGS(both, "16:23: error: objects[1] (a) objectName: \"a\" and \"a/b\" "
                              "(objects[0] (a--b), line 12) get in each other's way: \"a\" cannot "
                              "be a file and a folder\n");
}

Test(preset, beside_an_alias_and_in_other_words_makes_no_sense)
{
        _cleanup_free_ char *alias =
                class_of(OBJECT("a", "folders") "objectAlias: b\n", NULL, NULL);
        _cleanup_free_ char *word = class_of(OBJECT("a", "Folder"), NULL, NULL);
        _cleanup_free_ char *got = findings_of(word, NULL, NULL);

        EXPECT_FINDINGS(alias, "14:23: error: objects[0] (a) namePreset: namePreset makes the "
                               "file's name of objectName, objectAlias is one already\n");
        EXPECT_TEXT("Folder", got,
                "14:23: error: objects[0] (a) namePreset: invalid namePreset: Folder, should be "
                "none, folders or upper-snake\n"
                "    did you mean folders?\n");
}
