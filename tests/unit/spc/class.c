/* The envelope, and which document of a file is the class (reference sections 1.1 and 6). */
#include "helper.h"

#define V1 "apiVersion: secrets-store.csi.x-k8s.io/v1\n"
#define KIND "kind: SecretProviderClass\n"
#define NAMED(name) "metadata: {name: " name "}\n"
#define PARAMETERS                  \
        "  parameters:\n"           \
        "    keyvaultName: vault\n" \
        "    tenantID: tenant\n"    \
        "    objects: 'array: [\"{objectName: a, objectType: key}\"]'\n"
#define SPEC "spec:\n  provider: azure\n" PARAMETERS
#define CLASS(name) V1 KIND NAMED(name) SPEC /* 9 lines */

static void expect(const char *text, const char *name, const char *want)
{
        _cleanup_free_ char *got = findings_of(text, name, NULL);

        EXPECT_TEXT(text, got, want);
}

Test(class, v1_and_v1alpha1_are_read)
{
        expect(CLASS("a"), NULL, "");
        expect("apiVersion: secrets-store.csi.x-k8s.io/v1alpha1\n" KIND NAMED("a") SPEC, NULL,
                "1:13: warning: apiVersion: secrets-store.csi.x-k8s.io/v1alpha1 SecretProviderClass "
                "is deprecated\n"
                "    write `apiVersion: secrets-store.csi.x-k8s.io/v1`\n");
        expect("apiVersion: secrets-store.csi.x-k8s.io/v2\n" KIND NAMED("a") SPEC, NULL,
                "1:13: error: apiVersion: \"secrets-store.csi.x-k8s.io/v2\" is not a version of a "
                "SecretProviderClass\n"
                "    write `apiVersion: secrets-store.csi.x-k8s.io/v1`\n");
        expect("apiVersion: v1\n" KIND NAMED("a") SPEC, NULL,
                "1:13: error: apiVersion: \"v1\" is not a version of a SecretProviderClass\n"
                "    write `apiVersion: secrets-store.csi.x-k8s.io/v1`\n");
        expect(KIND NAMED("a") SPEC, NULL,
                "1:1: error: apiVersion: not set\n"
                "    write `apiVersion: secrets-store.csi.x-k8s.io/v1`\n");
}

Test(class, the_kind_is_needed_as_it_is_written)
{
        expect(V1 "kind: secretproviderclass\n" NAMED("a") SPEC, NULL,
                "2:7: error: kind: \"secretproviderclass\" is not SecretProviderClass\n"
                "    write `kind: SecretProviderClass`\n");
        expect(V1 NAMED("a") SPEC, NULL,
                "1:1: error: kind: not set\n    write `kind: SecretProviderClass`\n");
}

Test(class, a_file_without_a_class_says_what_it_holds)
{
#define HINT                                                                      \
        "    a class has `apiVersion: secrets-store.csi.x-k8s.io/v1` and `kind: " \
        "SecretProviderClass`\n"
        expect("", NULL, "error: no SecretProviderClass in this file\n" HINT);
        expect("just text\n", NULL, "error: no SecretProviderClass in this file\n" HINT);
        expect("kind: Deployment\n---\nkind: List\n---\n- x\n", NULL,
                "error: no SecretProviderClass in this file, only Deployment, List\n" HINT);
        expect(V1 "kind: SecretProviderClassPodStatus\n", NULL,
                "error: no SecretProviderClass in this file, only SecretProviderClassPodStatus\n" HINT);
}

Test(class, documents_of_other_kinds_are_passed_over)
{
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_of(
                "# how it is used\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
                "a: 1\na: 2\nspec: [[[[[[[[[[[[[[[[[[[[deep]]]]]]]]]]]]]]]]]]]]\n---\n" CLASS(
                        "b") "---\n---\nkind: Service\n",
                NULL, &c);

        EXPECT_TEXT("several kinds", got, "");
        cr_assert(c);
        cr_expect_str_eq(c->name, "b");
        cr_expect_eq(c->objects[0].line, 17);
}

Test(class, one_of_several_is_picked_by_name)
{
        const char *text = CLASS("a") "---\n" CLASS("b") "---\n" CLASS("a\\0c");
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;

        free(findings_of(text, "b", &c));
        cr_assert(c);
        cr_expect_str_eq(c->name, "b");
        cr_expect_eq(c->objects[0].line, 19);
        expect(CLASS("a") "---\n" CLASS("b"), NULL,
                "error: 2 classes in this file: a, b\n    say which one by its name (--name)\n");
        expect(CLASS("a") "---\n" CLASS("b"), "c", "error: no class is called c here, only a, b\n");
        expect(CLASS("a"), "c", "error: no class is called c here, only a\n");
        expect(CLASS("a") "---\n" CLASS("b") "---\n" CLASS("a"), "a",
                "21:1: error: 2 classes are called a\n    keep one of them in this file\n");
        expect(V1 KIND SPEC "---\n" CLASS("b"), "c",
                "error: no class is called c here, only (no name), b\n");
}

/* Only the class that is asked for is looked at. */
Test(class, mistakes_of_the_others_are_not_told)
{
        expect(CLASS("a") "---\n" V1 KIND NAMED("b"), "a", "");
        expect(CLASS("a") "---\n" V1 KIND NAMED("b"), "b",
                "11:1: error: spec: not set\n"
                "    spec holds `provider: azure` and `parameters:`\n");
}

Test(class, broken_yaml_behind_the_class_is_told_with_all_else)
{
        expect(V1 KIND NAMED("a") "spec:\n  provider: aws\n" PARAMETERS "---\na: b: c\n", NULL,
                "5:13: error: spec.provider: \"aws\" is not served here, only azure\n"
                "11:5: error: yaml: mapping values are not allowed in this context\n");
        expect("a: [\n", NULL,
                "2:1: error: yaml: did not find expected node content (while parsing a flow node, "
                "line 2)\n");
}

Test(class, provider_is_azure)
{
        expect(V1 KIND NAMED("a") "spec:\n" PARAMETERS, NULL,
                "5:3: error: spec.provider: not set\n    write `provider: azure`\n");
        expect(V1 KIND NAMED("a") "spec:\n  provider: Azure\n" PARAMETERS, NULL,
                "5:13: error: spec.provider: \"Azure\" is not served here, only azure\n"
                "    write `provider: azure`\n");
        expect(V1 KIND NAMED("a") "spec:\n  provider: [azure]\n" PARAMETERS, NULL,
                "5:13: error: spec.provider: has to be text, not a list\n");
}

Test(class, spec_and_parameters_are_mappings)
{
        expect(V1 KIND NAMED("a"), NULL,
                "1:1: error: spec: not set\n    spec holds `provider: azure` and `parameters:`\n");
        expect(V1 KIND NAMED("a") "spec: x\n", NULL,
                "4:7: error: spec: has to be a mapping\n"
                "    spec holds `provider: azure` and `parameters:`\n");
        expect(V1 KIND NAMED("a") "spec:\n  provider: azure\n", NULL,
                "5:3: error: spec.parameters: not set\n"
                "    parameters holds keyvaultName, tenantID and objects\n");
        expect(V1 KIND NAMED("a") "spec:\n  provider: azure\n  parameters: [x]\n", NULL,
                "6:15: error: spec.parameters: has to be a mapping\n"
                "    parameters holds keyvaultName, tenantID and objects\n");
}

Test(class, secret_objects_and_the_rest_of_an_object_are_no_findings)
{
        expect(V1 KIND
                "metadata: {name: a, namespace: ns, labels: {x: y}, uid: z}\n" SPEC
                "  secretObjects:\n  - {secretName: s, type: Opaque, data: [{objectName: a, key: "
                "k}]}\nstatus: {}\n",
                NULL, "");
}

Test(class, unknown_fields_are_warnings)
{
        expect(CLASS("a") "  secretObject: []\n  keyvaultName: x\nmetadta: {}\nobjects: x\n", NULL,
                "10:3: warning: spec.secretObject: unknown field, ignored\n"
                "    did you mean secretObjects?\n"
                "11:3: warning: spec.keyvaultName: unknown field, ignored\n"
                "    keyvaultName belongs under spec.parameters\n"
                "12:1: warning: metadta: unknown field, ignored\n"
                "    did you mean metadata?\n"
                "13:1: warning: objects: unknown field, ignored\n"
                "    objects belongs under spec.parameters\n");
}

Test(class, a_name_is_for_the_api_server)
{
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_of(V1 KIND SPEC, NULL, &c);

        EXPECT_TEXT("no metadata", got,
                "1:1: warning: metadata.name: not set: the API server will refuse the class\n"
                "    metadata: {name: ...}\n");
        cr_assert(c);
        cr_expect_str_eq(c->name, "");
        cr_expect_str_eq(c->namespace, "");
        expect(V1 KIND "metadata: {name: 5, namespace: yes}\n" SPEC, NULL,
                "3:18: warning: metadata.name: a number, not text: the API server will refuse it\n"
                "    put it in quotes: \"5\"\n"
                "3:32: warning: metadata.namespace: a boolean, not text: the API server will "
                "refuse it\n"
                "    put it in quotes: \"yes\"\n");
}

Test(class, parameters_that_are_no_text_are_taken_but_the_api_server_will_not)
{
        expect(V1 KIND NAMED("a") "spec:\n  provider: azure\n" PARAMETERS
                                  "    usePodIdentity: false\n    clientID:\n    cloudName: on\n"
                                  "    resourceGroup: 1.5\n    subscriptionId: 0x1\n",
                NULL,
                "10:21: warning: usePodIdentity: a boolean, not text: the API server will refuse "
                "it\n    put it in quotes: \"false\"\n"
                "11:14: warning: clientID: nothing (null), not text: the API server will refuse "
                "it\n    write a value in quotes, or leave the line out\n"
                "12:16: warning: cloudName: a boolean, not text: the API server will refuse it\n"
                "    put it in quotes: \"on\"\n"
                "13:20: warning: resourceGroup: a number, not text: the API server will refuse "
                "it\n    put it in quotes: \"1.5\"\n"
                "14:21: warning: subscriptionId: a number, not text: the API server will refuse "
                "it\n    put it in quotes: \"0x1\"\n");
        expect(V1 KIND NAMED("a") "spec:\n  provider: azure\n" PARAMETERS
                                  "    clientID: [x]\n    cloudName: {a: b}\n    foo: \"a\\0b\"\n",
                NULL,
                "10:15: error: clientID: has to be text, not a list\n"
                "11:16: error: cloudName: has to be text, not a mapping\n"
                "12:10: error: foo: the text holds a NUL character\n");
}

Test(class, duplicate_keys_are_errors_at_every_level)
{
        expect(V1 KIND NAMED("a") KIND SPEC "    tenantID: x\n  provider: azure\n", NULL,
                "4:1: error: mapping key \"kind\" already defined at line 2\n"
                "11:5: error: spec.parameters: mapping key \"tenantID\" already defined at line 9\n"
                "12:3: error: spec: mapping key \"provider\" already defined at line 6\n");
}

Test(class, a_class_may_be_json)
{
        expect("{\"apiVersion\": \"secrets-store.csi.x-k8s.io/v1\", \"kind\": "
               "\"SecretProviderClass\",\n \"metadata\": {\"name\": \"a\"}, \"spec\": {\"provider\": "
               "\"azure\", \"parameters\": {\"keyvaultName\": \"vault\",\n \"tenantID\": \"t\", "
               "\"objects\": \"array:\\n  - |\\n    objectName: a\\n    objectType: x\\n\"}}}\n",
                NULL,
                "3:81: error: objects[0] (a) objectType: \"x\": Invalid vaultObjectTypes. Should be "
                "secret, key, or cert\n");
}

Test(class, a_byte_order_mark_is_no_column)
{
        expect("\xEF\xBB\xBF"
               "apiVersion: x\n" KIND NAMED("a") SPEC,
                NULL,
                "1:13: error: apiVersion: \"x\" is not a version of a SecretProviderClass\n"
                "    write `apiVersion: secrets-store.csi.x-k8s.io/v1`\n");
}

Test(class, text_documents_and_depth_are_bounded)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct spc_class *c = NULL;
        char *big = malloc(SPC_TEXT_MAX + 1);

        cr_assert(big);
        memset(big, '#', SPC_TEXT_MAX + 1);
        cr_expect_eq(spc_parse(big, SPC_TEXT_MAX + 1, NULL, &c, &d), -EINVAL);
        cr_assert_eq(d.n, 1);
        cr_expect_str_eq(d.list[0].text, "longer than 1048576 bytes");
        spc_diags_done(&d);
        cr_expect_eq(spc_parse(big, SPC_TEXT_MAX, NULL, &c, &d), -EINVAL);
        cr_assert_eq(d.n, 1);
        cr_expect_str_eq(d.list[0].text, "no SecretProviderClass in this file");

        char many[4 * 101 + 1];
        for (size_t i = 0; i < 101; i++)
                memcpy(many + 4 * i, "---\n", 5);
        expect(many, NULL, "102:1: error: more than 100 documents in one file\n");
        many[4 * 100] = '\0';
        expect(many, NULL, "error: no SecretProviderClass in this file\n" HINT);

        expect(CLASS("a") "status: [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\n", NULL,
                "10:24: error: nested deeper than 16 levels\n");
        free(big);
}

Test(class, bytes_that_are_no_text_are_refused)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct spc_class *c = NULL;
        char nul[] = "a: b\0c\n";

        cr_expect_eq(spc_parse(nul, sizeof(nul) - 1, NULL, &c, &d), -EINVAL);
        cr_assert_eq(d.n, 1);
        cr_expect_str_eq(d.list[0].text, "yaml: control characters are not allowed");
        cr_expect_eq(d.list[0].column, 5);
        expect("a: b\nc: \xFF\n", NULL, "2:4: error: yaml: invalid leading UTF-8 octet\n");
        expect("\xFF\xFE"
               "a",
                NULL, "1:1: error: yaml: invalid leading UTF-8 octet\n");
}

Test(class, templates_are_recognised)
{
#define TEMPLATE "    this is a template: render it first (helm template, envsubst)\n"
        expect(V1 KIND "metadata:\n  name: {{ .Values.name }}\n" SPEC, NULL,
                "4:9: error: metadata.name: has to be text, not a mapping\n" TEMPLATE);
        expect(CLASS("a") "    cloudName: {{ .Values.cloud }}\n", NULL,
                "10:16: error: cloudName: has to be text, not a mapping\n" TEMPLATE);
        expect(V1 KIND "metadata:\n  name: {{ .Values.name }}-b\n" SPEC, NULL,
                "4:27: error: yaml: did not find expected key (while parsing a block mapping, line "
                "4)\n" TEMPLATE);
        expect("{{- if .Values.x }}\n" CLASS("a"), NULL,
                "1:3: error: yaml: did not find expected node content (while parsing a flow node, "
                "line 1)\n" TEMPLATE);
}

Test(class, free_takes_nothing_too)
{
        spc_class_free(NULL);
}
