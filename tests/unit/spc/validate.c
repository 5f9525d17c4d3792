/* Reference sections 1.5, 1.7 and 1.8: each rule, where its finding stands, and what it says. */
#include "helper.h"

struct rule {
        const char *object;
        const char *findings; /* with hints */
};

#define SECRET "objectName: a\nobjectType: secret\n"
#define KEY "objectName: a\nobjectType: key\n"
#define CERT "objectName: a\nobjectType: cert\n"
#define OK ""
#define TYPES "Invalid vaultObjectTypes. Should be secret, key, or cert\n"

static void check(const struct rule *rules, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = class_of(rules[i].object, NULL, NULL);
                _cleanup_free_ char *got = findings_of(text, NULL, NULL);
                EXPECT_TEXT(rules[i].object, got, rules[i].findings);
        }
}

Test(validate, object_format_is_pem_or_pfx_in_any_case_and_pfx_for_secrets_only)
{
        static const struct rule rules[] = {
                {SECRET, OK},
                {SECRET "objectFormat: \"\"\n", OK},
                {SECRET "objectFormat: pem\n", OK},
                {SECRET "objectFormat: PEM\n", OK},
                {SECRET "objectFormat: Pem\n", OK},
                {SECRET "objectFormat: pfx\n", OK},
                {SECRET "objectFormat: PFX\n", OK},
                {SECRET "objectFormat: ' pfx '\n", OK},
                {KEY "objectFormat: pem\n", OK},
                {CERT "objectFormat: pem\n", OK},
                {SECRET "objectFormat: der\n",
                        "14:25: error: objects[0] (a) objectFormat: invalid objectFormat: der, "
                        "should be PEM or PFX\n"},
                {KEY "objectFormat: pfx\n",
                        "14:25: error: objects[0] (a) objectFormat: PFX format only supported for "
                        "objectType: secret\n"},
                /* Upstream lets PFX in other letters pass and writes something else. */
                {KEY "objectFormat: PFX\n",
                        "14:25: error: objects[0] (a) objectFormat: PFX format only supported for "
                        "objectType: secret\n"},
                {CERT "objectFormat: Pfx\n",
                        "14:25: error: objects[0] (a) objectFormat: PFX format only supported for "
                        "objectType: secret\n"
                        "    the PFX of a certificate is the secret of the same name: write "
                        "objectType: secret\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, object_encoding_is_for_secrets_and_the_type_is_asked_first)
{
        static const struct rule rules[] = {
                {SECRET "objectEncoding: hex\n", OK},
                {SECRET "objectEncoding: HEX\n", OK},
                {SECRET "objectEncoding: Base64\n", OK},
                {SECRET "objectEncoding: utf-8\n", OK},
                {SECRET "objectEncoding: UTF-8\n", OK},
                {SECRET "objectEncoding: ''\n", OK},
                {KEY "objectEncoding: ''\n", OK},
                {SECRET "objectEncoding: utf8\n",
                        "14:27: error: objects[0] (a) objectEncoding: invalid objectEncoding: "
                        "utf8, should be hex, base64 or utf-8\n    did you mean utf-8?\n"},
                {SECRET "objectEncoding: rot13\n",
                        "14:27: error: objects[0] (a) objectEncoding: invalid objectEncoding: "
                        "rot13, should be hex, base64 or utf-8\n"},
                {KEY "objectEncoding: hex\n",
                        "14:27: error: objects[0] (a) objectEncoding: objectEncoding only "
                        "supported for objectType: secret\n"},
                {CERT "objectEncoding: nonsense\n",
                        "14:27: error: objects[0] (a) objectEncoding: objectEncoding only "
                        "supported for objectType: secret\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, object_type_is_one_of_three_words_as_they_are_written)
{
        static const struct rule rules[] = {
                {KEY, OK},
                {CERT, OK},
                {"objectName: a\nobjectType: ' secret '\n", OK},
                {"objectName: a\nobjectType: Secret\n",
                        "13:23: error: objects[0] (a) objectType: \"Secret\": " TYPES
                        "    did you mean secret?\n"},
                {"objectName: a\nobjectType: secrets\n",
                        "13:23: error: objects[0] (a) objectType: \"secrets\": " TYPES
                        "    did you mean secret?\n"},
                {"objectName: a\nobjectType: certificate\n",
                        "13:23: error: objects[0] (a) objectType: \"certificate\": " TYPES
                        "    did you mean cert?\n"},
                {"objectName: a\nobjectType: password\n",
                        "13:23: error: objects[0] (a) objectType: \"password\": " TYPES},
                {"objectName: a\nobjectType:\n",
                        "13:22: error: objects[0] (a) objectType: not set: " TYPES},
                {"objectName: a\n", "12:11: error: objects[0] (a) objectType: not set: " TYPES},
                /* One finding for a type in wrong letters, not a second for what hangs on it. */
                {"objectName: a\nobjectType: Secret\nobjectFormat: pfx\nobjectEncoding: hex\n",
                        "13:23: error: objects[0] (a) objectType: \"Secret\": " TYPES
                        "    did you mean secret?\n"},
                {"objectName: a\nobjectType: x\nobjectFormat: pfx\nobjectEncoding: hex\n",
                        "13:23: error: objects[0] (a) objectType: \"x\": " TYPES},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, file_permission_is_octal_up_to_0777)
{
#define PERMISSION(v) SECRET "filePermission: " v "\n"
#define REFUSED(v, hint)                                                                         \
        "14:27: error: objects[0] (a) filePermission: invalid filePermission: " v ", should be " \
        "octal and between 0000 and 0777\n" hint
        static const struct rule rules[] = {
                {PERMISSION("0644"), OK},
                {PERMISSION("644"), OK},
                {PERMISSION("\"0400\""), OK},
                {PERMISSION("0"), OK},
                {PERMISSION("777"), OK},
                {PERMISSION("000000640"), OK},
                {PERMISSION("+640"), OK},
                {PERMISSION("-0"), OK},
                {PERMISSION("''"), OK},
                {PERMISSION("~"), OK},
                /* Upstream makes all of these mode 0, without a word. */
                {PERMISSION("0900"), REFUSED("0900", "")},
                {PERMISSION("rw-r-----"), REFUSED("rw-r-----", "    write 0640\n")},
                {PERMISSION("0o640"), REFUSED("0o640", "    write 0640\n")},
                {PERMISSION("0o0400"), REFUSED("0o0400", "    write 0400\n")},
                {PERMISSION("0o"), REFUSED("0o", "")},
                {PERMISSION("0x1a4"), REFUSED("0x1a4", "")},
                {PERMISSION("6_44"), REFUSED("6_44", "")},
                {PERMISSION("-644"), REFUSED("-644", "")},
                {PERMISSION("u=rw"), REFUSED("u=rw", "")},
                {PERMISSION("+"), REFUSED("+", "")},
                {PERMISSION("99999999999999999999"), REFUSED("99999999999999999999", "")},
                /* And takes nine bits of these. */
                {PERMISSION("1644"),
                        REFUSED("1644",
                                "    set-id and sticky bits mean nothing here: write 0644\n")},
                {PERMISSION("77777777777777777777"),
                        REFUSED("77777777777777777777",
                                "    set-id and sticky bits mean nothing here: write 0777\n")},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, file_permission_is_kept_as_written)
{
        static const struct {
                const char *text;
                int mode;
        } cases[] = {{"0644", 0644}, {"644", 0644}, {"400", 0400}, {"0", 0}, {"+640", 0640}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(spc_class_freep) struct spc_class *c = NULL;
                _cleanup_free_ char *object = NULL;
                cr_assert_eq(xasprintf(&object, SECRET "filePermission: %s\n", cases[i].text), 0);
                _cleanup_free_ char *text = class_of(object, SECRET "objectAlias: b\n", NULL);
                free(findings_of(text, NULL, &c));
                cr_assert(c);
                cr_expect_eq(c->objects[0].mode, cases[i].mode);
                cr_expect_eq(c->objects[1].mode, -1, "not given");
        }
}

Test(validate, history_counts_files_and_its_forms_are_those_of_yaml)
{
        static const struct {
                const char *text;
                int history;
        } cases[] = {{"3", 3}, {"1", 1}, {"0", 1}, {"-7", 1}, {"0x10", 16}, {"0o17", 15},
                {"017", 15}, {"0b11", 3}, {"1_0", 10}, {"+5", 5}, {"2.0", 2}, {"1e1", 10},
                {".3e1", 3}, {"~", 1}, {"", 1}, {"100", 100}, {"!!int 4", 4}, {"08", 8}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(spc_class_freep) struct spc_class *c = NULL;
                _cleanup_free_ char *object = NULL;
                cr_assert_eq(
                        xasprintf(&object, SECRET "objectVersionHistory: %s\n", cases[i].text), 0);
                _cleanup_free_ char *text = class_of(object, NULL, NULL);
                _cleanup_free_ char *got = findings_of(text, NULL, &c);
                EXPECT_TEXT(object, got, "");
                cr_assert(c);
                cr_expect_eq(c->objects[0].history, cases[i].history, "%s: %d", cases[i].text,
                        c->objects[0].history);
        }
}

Test(validate, history_refuses_what_is_no_int32)
{
#define HISTORY(v) SECRET "objectVersionHistory: " v "\n"
#define NOT_INT(tag, v, hint)                                                                \
        "14:33: error: objects[0] (a) objectVersionHistory: unmarshal failed for "           \
        "keyVaultObjects at index 0, error: yaml: unmarshal errors: cannot unmarshal " tag v \
        " into int32\n" hint
        static const struct rule rules[] = {
                {HISTORY("\"3\""), NOT_INT("!!str", " `3`", "    a number, without quotes: 3\n")},
                {HISTORY("''"), NOT_INT("!!str", " ``", "")},
                {HISTORY("three"), NOT_INT("!!str", " `three`", "")},
                {HISTORY("true"), NOT_INT("!!bool", " `true`", "")},
                {HISTORY("2147483648"), NOT_INT("!!int", " `2147483648`", "")},
                {HISTORY("-2147483649"), NOT_INT("!!int", " `-214748...`", "")},
                {HISTORY("1e10"), NOT_INT("!!float", " `1e10`", "")},
                {HISTORY("99999999999999999999"), NOT_INT("!!float", " `9999999...`", "")},
                {HISTORY(".inf"), NOT_INT("!!float", " `.inf`", "")},
                {HISTORY(".nan"), NOT_INT("!!float", " `.nan`", "")},
                {HISTORY("[3]"), NOT_INT("!!seq", "", "")},
                {HISTORY("{a: 3}"), NOT_INT("!!map", "", "")},
                {HISTORY("2.5"), "14:33: warning: objects[0] (a) objectVersionHistory: 2.5 is "
                                 "taken as 2\n    write a whole number\n"},
                {HISTORY("101"), "14:33: error: objects[0] (a) objectVersionHistory: 101 versions "
                                 "are more than the 100 that can be shown\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, object_name_is_needed_and_no_alias_stands_in_for_it)
{
        static const struct rule rules[] = {
                {"objectType: secret\n",
                        "12:11: error: objects[0] objectName: not set: file name must not be "
                        "empty\n"},
                {"objectType: secret\nobjectName: '  '\n",
                        "13:23: error: objects[0] objectName: not set: file name must not be "
                        "empty\n"},
                {"objectType: secret\nobjectAlias: x\n",
                        "12:11: error: objects[0] (x) objectName: not set: parameter name cannot "
                        "be empty\n"},
                {"objectType: secret\nobjectName: my_secret\n",
                        "13:23: warning: objects[0] (my_secret) objectName: Key Vault has no "
                        "object called \"my_secret\"\n"
                        "    its names are 1 to 127 letters, digits and hyphens\n"},
                {"objectType: secret\nobjectName: db/password\n",
                        "13:23: warning: objects[0] (db/password) objectName: Key Vault has no "
                        "object called \"db/password\"\n"
                        "    its names are 1 to 127 letters, digits and hyphens; sub-folders are "
                        "written into objectAlias\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, version_latest_is_a_word_only_where_versions_are_listed)
{
        static const struct rule rules[] = {
                {SECRET "objectVersion: 0123456789abcdef0123456789abcdef\n", OK},
                {SECRET "objectVersion: latest\nobjectVersionHistory: 2\n", OK},
                {SECRET "objectVersion: latest\n",
                        "14:26: warning: objects[0] (a) objectVersion: no version is called "
                        "\"latest\", Key Vault will refuse it\n"
                        "    leave objectVersion out: then the latest version is shown\n"},
        };
        check(rules, ELEMENTSOF(rules));

        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text =
                class_of(SECRET "objectVersion: latest\nobjectVersionHistory: 2\n",
                        SECRET "objectAlias: b\nobjectVersion: latest\n",
                        SECRET "objectAlias: c\nobjectVersion: 1e3\nobjectVersionHistory: 2\n");
        free(findings_of(text, NULL, &c));
        cr_assert(c);
        cr_expect_str_eq(c->objects[0].version, "");
        cr_expect_str_eq(c->objects[1].version, "latest");
        cr_expect_str_eq(c->objects[2].version, "1e3", "literal text");
}

Test(validate, all_that_is_wrong_with_an_object_is_said_at_once)
{
        static const struct rule rules[] = {
                {"objectName: a/../b\n"
                 "objectType: sekret\n"
                 "objectFormat: p12\n"
                 "objectEncoding: utf8\n"
                 "filePermission: 888\n"
                 "objectVersionHistory: many\n",
                        "12:23: warning: objects[0] (a/../b) objectName: Key Vault has no object "
                        "called \"a/../b\"\n"
                        "    its names are 1 to 127 letters, digits and hyphens; sub-folders are "
                        "written into objectAlias\n"
                        "12:23: error: objects[0] (a/../b) objectName: file name must not contain "
                        "'..'\n"
                        "13:23: error: objects[0] (a/../b) objectType: \"sekret\": " TYPES
                        "    did you mean secret?\n"
                        "14:25: error: objects[0] (a/../b) objectFormat: invalid objectFormat: "
                        "p12, should be PEM or PFX\n"
                        "15:27: error: objects[0] (a/../b) objectEncoding: invalid objectEncoding: "
                        "utf8, should be hex, base64 or utf-8\n"
                        "    did you mean utf-8?\n"
                        "16:27: error: objects[0] (a/../b) filePermission: invalid filePermission: "
                        "888, should be octal and between 0000 and 0777\n"
                        "17:33: error: objects[0] (a/../b) objectVersionHistory: unmarshal failed "
                        "for keyVaultObjects at index 0, error: yaml: unmarshal errors: cannot "
                        "unmarshal !!str `many` into int32\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, vault_name_is_3_to_24_letters_digits_and_hyphens)
{
#define LENGTH(v)                                                                  \
        "7:19: error: keyvaultName: failed to get vault: Invalid vault name: \"" v \
        "\", must be between 3 and 24 chars\n"
#define MATCH(v)                                                                   \
        "7:19: error: keyvaultName: failed to get vault: Invalid vault name: \"" v \
        "\", must match [-a-zA-Z0-9]{3,24}\n"
        static const struct rule rules[] = {
                {"abc", OK},
                {"\"123\"", OK},
                {"\"-a--b-\"", OK},
                {"abcdefghijklmnopqrstuvwx", OK},
                {"' kv-1 '", OK},
                {"ab", LENGTH("ab")},
                {"abcdefghijklmnopqrstuvwxy", LENGTH("abcdefghijklmnopqrstuvwxy")},
                {"\xC3\xA4", LENGTH("\xC3\xA4")}, /* bytes are counted, two of them */
                {"k\xC3\xA4v", MATCH("k\xC3\xA4v")},
                {"my_vault", MATCH("my_vault")},
                {"kv.example", MATCH("kv.example")},
                {"<your-key-vault>", MATCH("<your-key-vault>")},
                {"https://contoso.vault.azure.net/",
                        LENGTH("https://contoso.vault.azure.net/") "    the name alone, without the domain: contoso\n"},
                {"contoso.vault.azure.net",
                        MATCH("contoso.vault.azure.net") "    the name alone, without the domain: contoso\n"},
        };

        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                _cleanup_free_ char *parameters = NULL;
                cr_assert_eq(xasprintf(&parameters,
                                     "keyvaultName: %s\ntenantID: t\nobjects: |\n  array: ['"
                                     "{objectName: a, objectType: key}']\n",
                                     rules[i].object),
                        0);
                _cleanup_free_ char *text = class_with(parameters);
                _cleanup_free_ char *got = findings_of(text, NULL, NULL);
                EXPECT_TEXT(text, got, rules[i].findings);
        }
}

Test(validate, type_has_the_name_that_is_written_in_a_class)
{
        cr_expect_str_eq(spc_type_name(SPC_SECRET), "secret");
        cr_expect_str_eq(spc_type_name(SPC_KEY), "key");
        cr_expect_str_eq(spc_type_name(SPC_CERT), "cert");
}

Test(validate, certificate_files_are_for_pem_of_secrets)
{
        static const struct rule rules[] = {
                {SECRET "certificateFiles: combined\n", OK},
                {SECRET "certificateFiles: separate\n", OK},
                {SECRET "certificateFiles: folder\n", OK},
                {SECRET "certificateFiles: ''\n", OK},
                {SECRET "certificateFiles: folder\nobjectFormat: pem\n", OK},
                {SECRET "certificateFiles: combined\nobjectFormat: pfx\nobjectEncoding: base64\n",
                        OK},
                {SECRET "certificateFiles: folders\n",
                        "14:29: error: objects[0] (a) certificateFiles: invalid certificateFiles: "
                        "folders, should be combined, separate or folder\n"
                        "    did you mean folder?\n"},
                {CERT "certificateFiles: folder\n",
                        "14:29: error: objects[0] (a) certificateFiles: certificateFiles only "
                        "supported for objectType: secret\n"
                        "    the key and the chain of a certificate are in the secret of the same "
                        "name: write objectType: secret\n"},
                {KEY "certificateFiles: combined\n",
                        "14:29: error: objects[0] (a) certificateFiles: certificateFiles only "
                        "supported for objectType: secret\n"},
                {SECRET "certificateFiles: folder\nobjectFormat: pfx\n",
                        "14:29: error: objects[0] (a) certificateFiles: certificateFiles: folder "
                        "gives PEM, objectFormat asks for PFX; the folder has cert.pfx\n"},
                {SECRET "certificateFiles: separate\nobjectEncoding: base64\n",
                        "14:29: error: objects[0] (a) certificateFiles: certificateFiles: separate "
                        "gives PEM, which objectEncoding cannot decode\n"},
                {SECRET "certificateFile: folder\n",
                        "14:11: warning: objects[0] (a) certificateFile: unknown field, ignored\n"
                        "    did you mean certificateFiles?\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, json_path_is_for_secrets_and_has_one_value)
{
        static const struct rule rules[] = {
                {SECRET "jsonPath: $.db.password\n", OK},
                {SECRET "jsonPath: \"$['a b'][0]\"\n", OK},
                {SECRET "jsonPath: $\n", OK},
                {SECRET "jsonPath: ''\n", OK},
                {SECRET "jsonPath: $.key\nobjectEncoding: base64\n", OK},
                {SECRET "jsonPath: $.key\ncertificateFiles: combined\n", OK},
                {SECRET "jsonPath: $..a\n",
                        "14:21: error: objects[0] (a) jsonPath: \"$..a\", character 3: wildcards "
                        "and descendants name more than one value\n"},
                {SECRET "jsonPath: db.password\n",
                        "14:21: error: objects[0] (a) jsonPath: \"db.password\", character 1: a "
                        "path begins with $\n"
                        "    write $.db.password\n"},
                {SECRET "jsonPath: .a\n",
                        "14:21: error: objects[0] (a) jsonPath: \".a\", character 1: a path begins "
                        "with $\n"
                        "    write $.a\n"},
                {KEY "jsonPath: $.a\n",
                        "14:21: error: objects[0] (a) jsonPath: jsonPath only supported for "
                        "objectType: secret\n"},
                {SECRET "jsonPath: $.a\nobjectFormat: pfx\n",
                        "14:21: error: objects[0] (a) jsonPath: jsonPath takes a value out of "
                        "JSON, objectFormat is about a certificate\n"},
                {SECRET "jsonPath: $.a\ncertificateFiles: folder\n",
                        "14:21: error: objects[0] (a) jsonPath: jsonPath takes a value out of "
                        "JSON, certificateFiles is about a certificate\n"},
                {SECRET "jsonpath: $.a\n",
                        "14:11: warning: objects[0] (a) jsonpath: unknown field, ignored\n"
                        "    did you mean jsonPath?\n"},
        };
        check(rules, ELEMENTSOF(rules));
}

Test(validate, optional_and_a_vault_of_its_own)
{
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *text =
                class_of("objectName: a\nobjectType: secret\noptional: \"true\"\n",
                        "objectName: b\nobjectType: secret\nkeyvaultName: other-vault\n", NULL);
        _cleanup_free_ char *got = findings_of(text, NULL, &c);

        cr_assert(c, "%s", got);
        cr_expect(c->objects[0].optional);
        cr_expect_str_eq(c->objects[0].vault, "");
        cr_expect_not(c->objects[1].optional);
        cr_expect_str_eq(c->objects[1].vault, "other-vault");

        _cleanup_free_ char *bad = class_of("objectName: a\nobjectType: secret\noptional: maybe\n",
                "objectName: b\nobjectType: secret\nkeyvaultName: b.vault.azure.net\n", NULL);
        EXPECT_FINDINGS(bad,
                "14:21: error: objects[0] (a) optional: \"maybe\" is neither true nor false\n"
                "18:25: error: objects[1] (b) keyvaultName: failed to get vault: Invalid vault name: "
                "\"b.vault.azure.net\", must match [-a-zA-Z0-9]{3,24}\n");
}
