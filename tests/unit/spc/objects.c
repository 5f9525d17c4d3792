/* Reference section 1.6: the grammar of `objects`, in all the ways that YAML can write it, and
 * where in the file each finding stands. */
#include "helper.h"

#define PARAMETERS "keyvaultName: vault\ntenantID: tenant\n"
/* `objects` stands in line 9; with a literal its text begins in line 10, column 7. */
#define OBJECTS(rest) PARAMETERS "objects:" rest
#define OUTER "failed to yaml unmarshal objects, error: yaml: "
#define INNER(i) "unmarshal failed for keyVaultObjects at index " #i ", error: yaml: "
#define NO_OBJECTS "error: objects: there are no objects (missing object versions)\n"

static void expect(const char *parameters, const char *want)
{
        _cleanup_free_ char *text = class_with(parameters);

        EXPECT_FINDINGS(text, want);
}

/* The names of the objects that came out, in order. */
static void expect_names(const char *parameters, const char *want)
{
        _cleanup_free_ char *text = class_with(parameters), *names = strdup("");
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_without_hints(text, NULL, &c);

        cr_assert(c, "%s\n%s", text, got);
        for (size_t i = 0; i < c->n_objects; i++) {
                char *longer = NULL;
                cr_assert_eq(xasprintf(&longer, "%s%s%s:%u:%u", names, i ? " " : "",
                                     c->objects[i].name, c->objects[i].line, c->objects[i].column),
                        0);
                free(names);
                names = longer;
        }
        expect_text(__FILE__, __LINE__, text, names, want);
}

Test(objects, elements_are_texts_of_yaml_in_any_style)
{
        expect_names(OBJECTS(" |\n"
                             "  array:\n"
                             "    - |\n"
                             "      objectName: literal\n"
                             "      objectType: secret\n"
                             "    - >\n"
                             "      {objectName: folded,\n"
                             "      objectType: key}\n"
                             "    - \"objectName: double\\nobjectType: cert\"\n"
                             "    - '{\"objectName\": \"single\", \"objectType\": \"secret\"}'\n"),
                "literal:12:11 folded:15:11 double:17:12 single:18:12");
}

Test(objects, the_text_itself_may_be_of_any_style)
{
        expect_names(
                OBJECTS(" \"array:\\n- |\\n  objectName: a\\n  objectType: key\\n\"\n"), "a:9:30");
        expect_names(OBJECTS(" 'array: [\"{objectName: a, objectType: key}\"]'\n"), "a:9:24");
        expect_names(OBJECTS(" '{\"array\": [\"{\\\"objectName\\\": \\\"a\\\", \\\"objectType\\\": "
                             "\\\"key\\\"}\"]}'\n"),
                "a:9:27");
        expect_names(
                OBJECTS(" >\n  array:\n\n  - \"objectName: a\\nobjectType: key\"\n"), "a:12:10");
        expect_names(OBJECTS(" |-\n  array:\n  - |+\n    objectName: a\n    objectType: key\n\n"),
                "a:12:9");
        expect_names(OBJECTS("\n  |\n  array:\n  - |\n    objectName: a\n    objectType: key\n"),
                "a:13:9");
}

Test(objects, characters_of_several_bytes_count_as_one_column)
{
        expect(OBJECTS(" |\n  array:\n    - |\n      {objectName: a, objectAlias: "
                       "\xC3\xA4\xE2\x82\xAC, objectType: x}\n"),
                "12:56: error: objects[0] (a) objectType: \"x\": Invalid vaultObjectTypes. Should "
                "be secret, key, or cert\n");
}

Test(objects, carriage_returns_are_no_trouble)
{
        const char *text = "apiVersion: secrets-store.csi.x-k8s.io/v1\r\n"
                           "kind: SecretProviderClass\r\nmetadata: {name: c}\r\nspec:\r\n"
                           "  provider: azure\r\n  parameters:\r\n    keyvaultName: kv1\r\n"
                           "    tenantID: t\r\n    objects: |\r\n      array:\r\n        - |\r\n"
                           "          objectName: a\r\n          objectType: x\r\n";

        EXPECT_FINDINGS(text, "13:23: error: objects[0] (a) objectType: \"x\": Invalid "
                              "vaultObjectTypes. Should be secret, key, or cert\n");
}

Test(objects, empty_elements_are_dropped_and_do_not_count)
{
        expect(OBJECTS(" |\n"
                       "  array:\n"
                       "    -\n"
                       "    - ~\n"
                       "    - null\n"
                       "    - |\n"
                       "      objectName: a\n"
                       "      objectType: secret\n"
                       "    - |\n"
                       "      objectName: b\n"
                       "      objectType: x\n"),
                "11:10: warning: objects: empty element of array, ignored\n"
                "12:11: warning: objects: empty element of array, ignored\n"
                "13:11: warning: objects: empty element of array, ignored\n"
                "19:23: error: objects[1] (b) objectType: \"x\": Invalid vaultObjectTypes. Should "
                "be secret, key, or cert\n");
}

/* Upstream's provider is content with none, and the driver then fails: missing object versions. */
Test(objects, none_at_all_is_an_error)
{
        expect(OBJECTS(" \"\"\n"), "9:14: error: objects: objects is not set\n");
        expect(OBJECTS(" ' \t'\n"), "9:14: error: objects: objects is not set\n");
        expect(OBJECTS(" |\n\n"), "9:14: error: objects: objects is not set\n");
        expect(PARAMETERS, "7:5: error: objects: objects is not set\n");
        expect(OBJECTS(" '# nothing'\n"), "9:14: " NO_OBJECTS);
        expect(OBJECTS(" '~'\n"), "9:14: " NO_OBJECTS);
        expect(OBJECTS(" '{}'\n"), "9:15: " NO_OBJECTS);
        expect(OBJECTS(" 'array: []'\n"), "9:22: " NO_OBJECTS);
        expect(OBJECTS(" 'array: ~'\n"), "9:15: " NO_OBJECTS);
        expect(OBJECTS(" 'array:'\n"), "9:15: " NO_OBJECTS);
        expect(OBJECTS(" 'array: [~]'\n"),
                "9:22: " NO_OBJECTS "9:23: warning: objects: empty element of array, ignored\n");
}

Test(objects, what_is_no_mapping_with_an_array_is_refused_as_upstream_does)
{
        expect(OBJECTS(" '[a]'\n"),
                "9:15: error: objects: " OUTER "unmarshal errors: cannot unmarshal !!seq into "
                "types.StringArray\n");
        expect(OBJECTS(" 'text of some length'\n"),
                "9:15: error: objects: " OUTER "unmarshal errors: cannot unmarshal !!str `text "
                "of...` into types.StringArray\n");
        expect(OBJECTS(" '5'\n"),
                "9:15: error: objects: " OUTER "unmarshal errors: cannot unmarshal !!int `5` into "
                "types.StringArray\n");
        expect(OBJECTS(" 'array: x'\n"),
                "9:22: error: objects: " OUTER "unmarshal errors: cannot unmarshal !!str `x` into "
                "[]string\n");
        expect(OBJECTS(" 'array: {a: b}'\n"),
                "9:22: error: objects: " OUTER "unmarshal errors: cannot unmarshal !!map into "
                "[]string\n");
        expect(OBJECTS(" 'array: [[a]]'\n"),
                "9:23: error: objects: " OUTER "unmarshal errors: cannot unmarshal !!seq into "
                "string\n");
}

Test(objects, an_element_is_a_mapping_in_a_text)
{
        expect(OBJECTS(" 'array: [5, true, foo, \"[x]\"]'\n"),
                "9:23: error: objects[0]: " INNER(
                        0) "unmarshal errors: cannot unmarshal !!int "
                           "`5` into types.KeyVaultObject\n"
                           "9:26: error: objects[1]: " INNER(
                                   1) "unmarshal errors: cannot unmarshal !!bool "
                                      "`true` into types.KeyVaultObject\n"
                                      "9:32: error: objects[2]: " INNER(
                                              2) "unmarshal errors: cannot unmarshal !!str "
                                                 "`foo` into types.KeyVaultObject\n"
                                                 "9:38: error: objects[3]: " INNER(
                                                         3) "unmarshal errors: cannot unmarshal !!seq "
                                                            "into types.KeyVaultObject\n");
        /* An empty text is an object of which nothing is known. */
        expect(OBJECTS(" |\n  array:\n  - \"\"\n"),
                "11:9: error: objects[0] objectName: not set: file name must not be empty\n"
                "11:9: error: objects[0] objectType: not set: Invalid vaultObjectTypes. Should be "
                "secret, key, or cert\n");
}

Test(objects, broken_yaml_is_shown_where_it_is_and_does_not_hide_the_rest)
{
        expect(OBJECTS(" |\n"
                       "  array:\n"
                       "    - |\n"
                       "      objectName: a\n"
                       "        objectType: key\n"
                       "    - |\n"
                       "      objectName: b\n"
                       "      objectType: x\n"
                       "    - |\n"
                       "      objectName: [\n"),
                "13:23: error: objects[0]: " INNER(
                        0) "mapping values are not allowed in this "
                           "context\n"
                           "16:23: error: objects[1] (b) objectType: \"x\": Invalid vaultObjectTypes. Should "
                           "be secret, key, or cert\n"
                           "18:24: error: objects[2]: " INNER(
                                   2) "did not find expected node content (while "
                                      "parsing a flow node, line 18)\n");
        expect(OBJECTS(" |\n  array:\n   - x\n  - y\n"),
                "12:7: error: objects: " OUTER "did not find expected key (while parsing a block "
                "mapping, line 10)\n");
        expect(OBJECTS(" |\n  array:\n    - |\n      objectName: *b\n"),
                "12:23: error: objects[0]: " INNER(0) "unknown anchor 'b' referenced\n");
}

Test(objects, tabs_are_explained)
{
        _cleanup_free_ char *text = class_with(OBJECTS(" |\n  array:\n  \t- x\n"));
        _cleanup_free_ char *got = findings_of(text, NULL, NULL);

        EXPECT_TEXT(text, got,
                "11:7: error: objects: " OUTER
                "found character that cannot start any token (while scanning for the next token, "
                "line 11)\n"
                "    YAML is indented with spaces, never with tabs\n");
}

Test(objects, fields_are_text_whatever_yaml_makes_of_them)
{
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text = class_of("objectName: 123\nobjectType: !!str secret\n"
                                             "objectAlias: 0755\nobjectVersion: 1e3\n",
                "objectName: yes\nobjectType: key\nobjectVersion: ~\nobjectAlias: null\n",
                "objectName: \"\xC2\xA0 x \"\nobjectType: cert\nobjectVersion: '~'\n");
        _cleanup_free_ char *got = findings_without_hints(text, NULL, &c);

        EXPECT_TEXT(text, got, "");
        cr_assert(c);
        cr_expect_str_eq(c->objects[0].name, "123");
        cr_expect_str_eq(c->objects[0].alias, "0755");
        cr_expect_str_eq(c->objects[0].version, "1e3");
        cr_expect_str_eq(c->objects[1].name, "yes");
        cr_expect_str_eq(c->objects[1].version, "");
        cr_expect_str_eq(c->objects[1].alias, "");
        cr_expect_str_eq(c->objects[2].name, "x");
        cr_expect_str_eq(c->objects[2].version, "~");
}

Test(objects, fields_that_are_no_text_are_errors)
{
        expect(OBJECTS(" |\n"
                       "  array:\n"
                       "    - |\n"
                       "      objectName: [a]\n"
                       "      objectType: {b: c}\n"
                       "      objectAlias: \"x\\0y\"\n"
                       "      objectVersion: !mine v\n"),
                "12:23: error: objects[0] (x) objectName: " INNER(
                        0) "unmarshal errors: cannot "
                           "unmarshal !!seq into string\n"
                           "13:23: error: objects[0] (x) objectType: " INNER(
                                   0) "unmarshal errors: cannot "
                                      "unmarshal !!map into string\n"
                                      "14:24: error: objects[0] (x) objectAlias: the text holds a NUL character\n"
                                      "15:26: error: objects[0] (x) objectVersion: cannot decode !!str `v` as a "
                                      "!mine\n");
}

Test(objects, duplicate_keys_are_errors_at_both_levels)
{
        expect(OBJECTS(" |\n"
                       "  array:\n"
                       "    - |\n"
                       "      objectName: a\n"
                       "      objectType: key\n"
                       "      objectName: b\n"
                       "  array: []\n"),
                "14:11: error: objects[0] (a): mapping key \"objectName\" already defined at line "
                "12\n"
                "15:7: error: objects: mapping key \"array\" already defined at line 10\n");
}

Test(objects, unknown_keys_are_warnings_with_the_nearest_name)
{
        _cleanup_free_ char *text = class_with(OBJECTS(" |\n"
                                                       "  version: 2\n"
                                                       "  array:\n"
                                                       "    - |\n"
                                                       "      objectName: a\n"
                                                       "      objectType: key\n"
                                                       "      ObjectAlias: b\n"
                                                       "      remark: c\n"
                                                       "  arrays: []\n"));
        _cleanup_free_ char *got = findings_of(text, NULL, NULL);

        EXPECT_TEXT(text, got,
                "10:7: warning: objects: unknown key \"version\", ignored\n"
                "15:11: warning: objects[0] (a) ObjectAlias: unknown field, ignored\n"
                "    did you mean objectAlias?\n"
                "16:11: warning: objects[0] (a) remark: unknown field, ignored\n"
                "17:7: warning: objects: unknown key \"arrays\", ignored\n"
                "    did you mean array?\n");
}

Test(objects, elements_written_as_mappings_are_taken_with_one_warning)
{
        const char *parameters = OBJECTS(" |\n"
                                         "  array:\n"
                                         "    - objectName: a\n"
                                         "      objectType: key\n"
                                         "      filePermission: 0400\n"
                                         "    - {objectName: b, objectType: cert}\n");

        expect(parameters, "11:11: warning: objects: the Azure provider refuses an element that is "
                           "no text: cannot unmarshal !!map into string\n");
        expect_names(parameters, "a:11:11 b:14:11");
}

Test(objects, yaml_instead_of_text_is_taken_with_a_warning)
{
        const char *mapping = OBJECTS("\n"
                                      "  array:\n"
                                      "    - objectName: a\n"
                                      "      objectType: key\n"
                                      "    - |\n"
                                      "      objectName: b\n"
                                      "      objectType: cert\n");
        const char *list = OBJECTS("\n"
                                   "  - objectName: a\n"
                                   "    objectType: key\n"
                                   "  - |\n"
                                   "    objectName: b\n"
                                   "    objectType: cert\n");

        expect(mapping,
                "10:7: warning: objects: a mapping, not text: the API server will refuse it\n");
        expect_names(mapping, "a:11:11 b:14:11");
        expect(list, "10:7: warning: objects: a list, not text: the API server will refuse it\n");
        expect_names(list, "a:10:9 b:13:9");
        expect(OBJECTS("\n  array:\n    - objectName: a\n      objectType: x\n    - [b]\n"),
                "10:7: warning: objects: a mapping, not text: the API server will refuse it\n"
                "12:23: error: objects[0] (a) objectType: \"x\": Invalid vaultObjectTypes. Should "
                "be secret, key, or cert\n"
                "13:11: error: objects: " OUTER
                "unmarshal errors: cannot unmarshal !!seq into string\n");
        expect(OBJECTS(" []\n"),
                "9:14: warning: objects: a list, not text: the API server will refuse it\n"
                "9:14: " NO_OBJECTS);
}

Test(objects, anchors_aliases_and_merge_keys_work)
{
        expect_names(OBJECTS("\n"
                             "  - &base\n"
                             "    objectName: a\n"
                             "    objectType: key\n"
                             "  - <<: *base\n"
                             "    objectName: b\n"),
                "a:10:9 b:13:9");
        expect_names(OBJECTS(" |\n  array:\n    - |\n      objectName: &x a\n      objectType: "
                             "secret\n      objectAlias: *x\n"),
                "a:12:11");
}

Test(objects, only_the_first_document_of_a_text_counts)
{
        const char *parameters = OBJECTS(" |\n"
                                         "  array:\n"
                                         "    - |\n"
                                         "      objectName: a\n"
                                         "      objectType: key\n"
                                         "      ---\n"
                                         "      objectName: b\n"
                                         "  ---\n"
                                         "  array: []\n");

        expect(parameters,
                "15:11: warning: objects[0]: only the first YAML document of this text is "
                "read\n"
                "17:7: warning: objects: only the first YAML document of this text is read\n");
        expect_names(parameters, "a:12:11");
}

Test(objects, depth_is_bounded)
{
        expect(OBJECTS(" |\n  array:\n    - |\n      x: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n"),
                "12:29: error: objects[0]: unmarshal failed for keyVaultObjects at index 0, "
                "error: yaml: nested deeper than 16 levels\n");
        expect(OBJECTS(" 'array: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]'\n"),
                "9:37: error: objects: " OUTER "nested deeper than 16 levels\n");
}

Test(objects, there_are_a_thousand_at_most)
{
        char *parameters = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&parameters, &len);
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;

        fputs(OBJECTS(" |\n  array:\n"), f);
        for (int i = 0; i < SPC_OBJECTS_MAX; i++)
                fprintf(f, "    - '{objectName: n%d, objectType: key}'\n", i);
        fflush(f);
        _cleanup_free_ char *text = class_with(parameters);
        _cleanup_free_ char *got = findings_without_hints(text, NULL, &c);
        EXPECT_TEXT("1000 objects", got, "");
        cr_assert(c);
        cr_expect_eq(c->n_objects, SPC_OBJECTS_MAX);
        cr_expect_str_eq(c->objects[SPC_OBJECTS_MAX - 1].file, "n999");

        fputs("    - '{objectName: x, objectType: key}'\n    - y\n", f);
        fclose(f);
        _cleanup_free_ char *more = class_with(parameters);
        EXPECT_FINDINGS(more, "1011:11: error: objects: more than 1000 objects\n");
        free(parameters);
}

/* The whole text is trimmed before it is read, which can change what its first line means. */
Test(objects, the_text_is_trimmed_first)
{
        expect_names(
                OBJECTS(" \"\\n\\n  array:\\n  - '{objectName: a, objectType: key}'  \\n \"\n"),
                "a:9:34");
        expect_names(OBJECTS(" \"\\u00A0array: ['{objectName: a, objectType: key}']\\u3000\"\n"),
                "a:9:30");
}

Test(objects, labels_name_the_object_as_far_as_it_fits)
{
        _cleanup_free_ char *name = calloc(1, 80), *object = NULL, *want = NULL;

        memset(name, 'n', 70);
        cr_assert_eq(xasprintf(&object, "objectName: %s\nobjectType: x\n", name), 0);
        cr_assert_eq(xasprintf(&want,
                             "13:23: error: objects[0] (%.64s...) objectType: \"x\": Invalid "
                             "vaultObjectTypes. Should be secret, key, or cert\n",
                             name),
                0);
        _cleanup_free_ char *text = class_of(object, NULL, NULL);
        EXPECT_FINDINGS(text, want);
}
