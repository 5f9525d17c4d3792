/* objectSelector: how it is written, what it chooses, and where that is shown. */
#include "helper.h"

#define BASE "keyvaultName: vault\ntenantID: tenant\n"

static char *with(const char *element)
{
        _cleanup_free_ char *parameters = NULL;

        cr_assert_eq(
                xasprintf(&parameters, BASE "objectSelector: |\n  array:\n    - |\n%s", element),
                0);
        return class_with(parameters);
}

static struct spc_class *good(const char *element)
{
        _cleanup_free_ char *text = with(element);
        struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_of(text, NULL, &c);

        cr_assert(c, "%s", got);
        cr_assert_str_eq(got, "");
        return c;
}

static void expect(const char *element, const char *want)
{
        _cleanup_free_ char *text = with(element);

        EXPECT_FINDINGS(text, want);
}

Test(selector, needs_no_named_object_and_has_the_fields_of_one)
{
        _cleanup_(spc_class_freep) struct spc_class *c = good("      objectType: cert\n"
                                                              "      glob: app-*\n"
                                                              "      objectAlias: tls/*.pem\n"
                                                              "      filePermission: '0400'\n"
                                                              "      keyvaultName: other\n"
                                                              "      max: 7\n");

        cr_assert_eq(c->n_objects, 0);
        cr_assert_eq(c->n_selectors, 1);
        cr_expect_eq(c->selectors[0].like.type, SPC_CERT);
        cr_expect_eq(c->selectors[0].like.mode, 0400);
        cr_expect_str_eq(c->selectors[0].like.vault, "other");
        cr_expect_str_eq(c->selectors[0].like.name, "");
        cr_expect_eq(c->selectors[0].max, 7);

        _cleanup_free_ char *path = NULL, *words = NULL;
        cr_assert_eq(spc_selector_path(&c->selectors[0], "app-one", &path), 0);
        cr_expect_str_eq(path, "tls/app-one.pem");
        cr_assert_eq(spc_selector_describe(&c->selectors[0], &words), 0);
        cr_expect_str_eq(words, "certs like app-*");
}

Test(selector, mistakes_are_told_at_their_places)
{
        expect("      glob: '*'\n",
                "12:11: error: objectSelector[0] (*) objectType: not set: Invalid vaultObjectTypes. "
                "Should be secret, key, or cert\n");
        expect("      objectType: secret\n",
                "12:11: error: objectSelector[0]: none of prefix, glob and tag is set\n");
        expect("      objectType: secret\n      glob: a/*\n",
                "13:17: error: objectSelector[0] (a/*) glob: \"a/*\" matches no name of Key Vault\n");
        expect("      objectType: secret\n      prefix: a*\n",
                "13:19: error: objectSelector[0] prefix: \"a*\" matches no name of Key Vault\n");
        expect("      objectType: secret\n      tag: =x\n",
                "13:16: error: objectSelector[0] tag: is no tag\n");
        expect("      objectType: secret\n      glob: a*\n      max: 0\n",
                "14:16: error: objectSelector[0] (a*) max: \"0\" is no number from 1 to 1000\n");
        expect("      objectType: secret\n      glob: a*\n      objectAlias: all\n",
                "14:24: error: objectSelector[0] (a*) objectAlias: \"all\" needs one * where the "
                "object's name is to stand\n");
        expect("      objectType: secret\n      glob: a*\n      objectAlias: ../*\n",
                "14:24: error: objectSelector[0] (a*) objectAlias: file name must not contain '..'\n");
        expect("      objectType: secret\n      glob: [a]\n",
                "13:17: error: objectSelector[0] glob: unmarshal failed for keyVaultObjects at index 0, "
                "error: yaml: unmarshal errors: cannot unmarshal !!seq into string\n");
        expect("      objectType: secret\n      glob: a*\n      objectName: b\n",
                "14:11: warning: objectSelector[0] (a*) objectName: unknown field, ignored\n");
}

Test(selector, a_text_without_elements_is_an_error)
{
        _cleanup_free_ char *text = class_with(BASE "objectSelector: 'array: []'\n");

        EXPECT_FINDINGS(text, "9:29: error: objectSelector: there are no selectors\n");
}

static bool takes(const char *glob, const char *prefix, const char *name)
{
        const struct spc_selector s = {.glob = (char *)glob, .prefix = (char *)prefix};

        return spc_selector_takes(&s, name);
}

Test(selector, globs_and_prefixes_know_no_case)
{
        cr_expect(takes("app-*", "", "App-one"));
        cr_expect(takes("*", "", "x"));
        cr_expect(takes("a?c", "", "abc"));
        cr_expect(takes("*-db-*", "", "eu-db-db-1"));
        cr_expect(takes("", "APP-", "app-one"));
        cr_expect(takes("*one", "app", "app-one"));
        cr_expect_not(takes("app-*", "", "ap"));
        cr_expect_not(takes("a?c", "", "ac"));
        cr_expect_not(takes("app", "", "apple"));
        cr_expect_not(takes("", "app-", "app"));
        cr_expect_not(takes("*one", "x", "app-one"));
}

/* Backtracking into every '*' would never end here. */
Test(selector, a_glob_of_many_stars_is_quick, .timeout = 10)
{
        char glob[127], name[128];

        for (size_t i = 0; i < sizeof glob - 2; i += 2) {
                glob[i] = '*';
                glob[i + 1] = 'a';
        }
        strcpy(glob + sizeof glob - 3, "*b");
        memset(name, 'a', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        cr_expect_not(takes(glob, "", name));
}

Test(selector, tags_are_exact)
{
        const struct spc_selector both = {.tag = (char *)"env=prod"}, name = {.tag = (char *)"env"},
                                  none = {.tag = (char *)""};

        cr_expect(spc_selector_takes_tag(&both, "env", "prod"));
        cr_expect_not(spc_selector_takes_tag(&both, "env", "Prod"));
        cr_expect_not(spc_selector_takes_tag(&both, "en", "v=prod"));
        cr_expect(spc_selector_takes_tag(&name, "env", "anything"));
        cr_expect_not(spc_selector_takes_tag(&name, "envy", ""));
        cr_expect(spc_selector_takes_tag(&none, "x", "y"));
}

Test(selector, no_name_leads_out_of_its_place)
{
        struct spc_selector s = {.like = {.alias = (char *)"dir/*"}};
        char *path = NULL;

        cr_expect_eq(spc_selector_path(&s, "../x", &path), -EINVAL);
        cr_expect_eq(spc_selector_path(&s, "a/b", &path), -EINVAL);
        cr_expect_eq(spc_selector_path(&s, "", &path), -EINVAL);
        cr_expect_eq(spc_selector_path(&s, ".", &path), -EINVAL);
        cr_expect_null(path);
}

Test(selector, a_request_of_a_cluster_has_it_too)
{
        const struct spc_parameter list[] = {{"keyvaultName", "vault"}, {"tenantID", "t"},
                {"objectSelector", "array:\n  - |\n    objectType: secret\n    glob: 'a/'\n"}};
        struct spc_class *c = NULL;
        struct spc_diags diags = {0};

        cr_assert_eq(
                spc_class_from_parameters("c", "n", list, ELEMENTSOF(list), &c, &diags), -EINVAL);
        cr_assert_eq(diags.n, 1);
        cr_expect_eq(diags.list[0].line, 0);
        cr_expect_str_eq(diags.list[0].object, "objectSelector[0] (a/)");
        spc_diags_done(&diags);
}

/* What a selector chooses has no alias of its own, so here the two go together. */
Test(selector, names_are_made_by_rule_and_put_into_the_alias)
{
        static const struct {
                enum spc_preset preset;
                const char *alias, *name, *path; /* NULL: refused */
        } cases[] = {
                {SPC_PRESET_FOLDERS, "app/*", "Database--Password", "app/Database/Password"},
                {SPC_PRESET_FOLDERS, "", "a--b", "a/b"},
                {SPC_PRESET_UPPER_SNAKE, "*.env", "db-password", "DB_PASSWORD.env"},
                {SPC_PRESET_FOLDERS, "", "--etc", NULL},
                {SPC_PRESET_FOLDERS, "*", "a--", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const struct spc_selector s = {
                        .like = {.alias = (char *)cases[i].alias, .preset = cases[i].preset}};
                _cleanup_free_ char *path = NULL;
                int r = spc_selector_path(&s, cases[i].name, &path);

                cr_expect_eq(r, cases[i].path ? 0 : -EINVAL, "%s", cases[i].name);
                if (r == 0)
                        cr_expect_str_eq(path, cases[i].path);
        }
        expect("      objectType: secret\n      glob: a*\n      objectAlias: app/*\n"
               "      namePreset: folders\n",
                "");
}
