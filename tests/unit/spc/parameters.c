/* Reference sections 1.1, 1.2 and 1.4, from a file and from a flat map. */
#include "helper.h"

#define ONE_OBJECT "objects: 'array: [\"{objectName: a, objectType: key}\"]'\n"
#define VAULT "keyvaultName: vault\n"
#define TENANT "tenantID: tenant\n"
#define BASE VAULT TENANT ONE_OBJECT /* lines 7 to 9; what comes behind is in line 10 */

static void expect(const char *parameters, const char *want)
{
        _cleanup_free_ char *text = class_with(parameters);
        _cleanup_free_ char *got = findings_of(text, NULL, NULL);

        EXPECT_TEXT(text, got, want);
}

static struct spc_class *good(const char *parameters)
{
        _cleanup_free_ char *text = class_with(parameters);
        struct spc_class *c = NULL;
        _cleanup_free_ char *got = findings_of(text, NULL, &c);

        cr_assert(c, "%s", got);
        return c;
}

Test(parameters, all_of_them_are_kept_and_trimmed)
{
        _cleanup_(spc_class_freep) struct spc_class *c =
                good("keyvaultName: \"\\u00A0 vault \\n\"\n"
                     "tenantID: ' tenant '\n"
                     "clientID: \"\\tclient\"\n"
                     "cloudName: ' AzureChinaCloud '\n"
                     "cloudEnvFileName: ' /etc/stack.json'\n"
                     "resourceGroup: group\n"
                     "subscriptionId: subscription\n" ONE_OBJECT);

        cr_expect_str_eq(c->name, "c");
        cr_expect_str_eq(c->namespace, "");
        cr_expect_str_eq(c->vault, "vault");
        cr_expect_str_eq(c->tenant, "tenant");
        cr_expect_str_eq(c->client_id, "client");
        cr_expect_str_eq(c->user_assigned_id, "");
        cr_expect_str_eq(c->cloud, "AzureChinaCloud");
        cr_expect_str_eq(c->cloud_env_file, "/etc/stack.json");
        cr_expect_eq(c->identity, SPC_IDENTITY_DEFAULT);
        cr_expect_eq(c->n_objects, 1);
}

Test(parameters, what_was_once_a_parameter_is_ignored_in_silence)
{
        expect(BASE "resourceGroup: r\nsubscriptionId: s\n", "");
}

Test(parameters, vault_tenant_and_objects_are_needed)
{
        expect("cloudName: ''\n", "7:5: error: keyvaultName: keyvaultName is not provided\n"
                                  "7:5: error: tenantID: tenantId is not provided\n"
                                  "    tenantID: the directory (tenant) id of the vault\n"
                                  "7:5: error: objects: objects is not set\n");
        expect("keyvaultName: ' '\ntenantID: \"\\t\"\nobjects: ''\n",
                "7:19: error: keyvaultName: keyvaultName is not provided\n"
                "8:15: error: tenantID: tenantId is not provided\n"
                "    tenantID: the directory (tenant) id of the vault\n"
                "9:14: error: objects: objects is not set\n");
        expect(VAULT "tenantId: ''\n" ONE_OBJECT,
                "8:15: error: tenantId: tenantId is not provided\n"
                "    tenantID: the directory (tenant) id of the vault\n");
}

Test(parameters, tenant_has_two_spellings_and_one_goes_first)
{
        static const struct {
                const char *parameters, *tenant;
        } cases[] = {
                {VAULT "tenantID: x\n" ONE_OBJECT, "x"},
                {VAULT "tenantId: y\n" ONE_OBJECT, "y"},
                {VAULT "tenantId: y\ntenantID: x\n" ONE_OBJECT, "x"},
                {VAULT "tenantID: ' '\ntenantId: y\n" ONE_OBJECT, "y"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(spc_class_freep) struct spc_class *c = good(cases[i].parameters);
                cr_expect_str_eq(c->tenant, cases[i].tenant);
        }
        expect(BASE "tenantId: other\n",
                "10:15: warning: tenantId: not used, since tenantID says otherwise\n");
        expect(BASE "tenantId: tenant\n", "");
        expect(VAULT ONE_OBJECT "TenantID: x\n",
                "7:5: error: tenantID: tenantId is not provided\n"
                "    tenantID: the directory (tenant) id of the vault\n"
                "9:5: warning: TenantID: unknown parameter, ignored\n"
                "    did you mean tenantID?\n");
}

Test(parameters, tenant_is_made_of_letters_digits_dots_and_hyphens)
{
        _cleanup_(spc_class_freep) struct spc_class *c =
                good(VAULT "tenantID: Contoso-1.onmicrosoft.com\n" ONE_OBJECT);
        cr_expect_str_eq(c->tenant, "Contoso-1.onmicrosoft.com");
        expect(VAULT "tenantID: <tenant>\n" ONE_OBJECT,
                "8:15: error: tenantID: failed to get keyvault client: invalid tenantID: "
                "\"<tenant>\"\n"
                "    a tenant is an id or a domain: letters, digits, dots and hyphens\n");
        expect(VAULT "tenantId: a/b\n" ONE_OBJECT,
                "8:15: error: tenantId: failed to get keyvault client: invalid tenantID: "
                "\"a/b\"\n"
                "    a tenant is an id or a domain: letters, digits, dots and hyphens\n");
        /* A managed identity has its tenant from its VM; upstream wants a word and ignores it. */
        expect(VAULT "tenantID: <tenant>\nuseVMManagedIdentity: 'true'\n" ONE_OBJECT, "");
}

Test(parameters, flags_are_gos_booleans)
{
        static const char *const names[] = {
                "usePodIdentity", "useVMManagedIdentity", "useAzureTokenProxy"};
        static const enum spc_identity modes[] = {
                SPC_IDENTITY_POD, SPC_IDENTITY_VM, SPC_IDENTITY_TOKEN_PROXY};
        static const struct {
                const char *word;
                bool on;
        } words[] = {{"1", true}, {"t", true}, {"T", true}, {"TRUE", true}, {"true", true},
                {" True ", true}, {"0", false}, {"f", false}, {"F", false}, {"FALSE", false},
                {"false", false}, {"False", false}, {"", false}, {"  ", false}};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                for (size_t w = 0; w < ELEMENTSOF(words); w++) {
                        struct spc_parameter list[] = {{"keyvaultName", "vault"}, {"tenantID", "t"},
                                {"objects", "array: ['{objectName: a, objectType: key}']"},
                                {names[i], words[w].word}, {"clientID", i == 2 ? "c" : ""}};
                        _cleanup_(spc_diags_done) struct spc_diags d = {0};
                        _cleanup_(spc_class_freep) struct spc_class *c = NULL;
                        cr_assert_eq(spc_class_from_parameters(
                                             NULL, NULL, list, ELEMENTSOF(list), &c, &d),
                                0, "%s: %s", names[i], words[w].word);
                        cr_expect_eq(c->identity, words[w].on ? modes[i] : SPC_IDENTITY_DEFAULT,
                                "%s: %s", names[i], words[w].word);
                }
        expect(BASE "usePodIdentity: tru\nuseVMManagedIdentity: 'yes'\nuseAzureTokenProxy: '2'\n",
                "10:21: error: usePodIdentity: failed to parse usePodIdentity flag, error: "
                "strconv.ParseBool: parsing \"tru\": invalid syntax\n"
                "    write \"true\" or \"false\"\n"
                "11:27: error: useVMManagedIdentity: failed to parse useVMManagedIdentity flag, "
                "error: strconv.ParseBool: parsing \"yes\": invalid syntax\n"
                "    write \"true\" or \"false\"\n"
                "12:25: error: useAzureTokenProxy: failed to parse useAzureTokenProxy flag, error: "
                "strconv.ParseBool: parsing \"2\": invalid syntax\n"
                "    write \"true\" or \"false\"\n");
}

Test(parameters, one_identity_at_most)
{
#define ONLY_ONE                                                                          \
        "11:27: error: only one identity mode can be enabled at a time: usePodIdentity, " \
        "useVMManagedIdentity, or useAzureTokenProxy\n"
        expect(BASE "usePodIdentity: 'true'\nuseVMManagedIdentity: 'true'\n", ONLY_ONE);
        expect(BASE "usePodIdentity: '1'\nuseVMManagedIdentity: '1'\nuseAzureTokenProxy: 't'\n",
                "12:25: error: only one identity mode can be enabled at a time: usePodIdentity, "
                "useVMManagedIdentity, or useAzureTokenProxy\n");
        expect(BASE "usePodIdentity: 'false'\nuseVMManagedIdentity: 'true'\n", "");
}

Test(parameters, token_proxy_needs_a_client)
{
        expect(BASE "useAzureTokenProxy: 'true'\n",
                "10:25: error: clientID: failed to build auth config for mode AzureTokenProxy: "
                "clientID is required for identity binding\n");
        expect(BASE "useAzureTokenProxy: 'true'\nclientID: c\n", "");
}

Test(parameters, identity_parameters_of_another_mode_are_warnings)
{
        expect(BASE "useVMManagedIdentity: 'true'\nclientID: c\n",
                "11:15: warning: clientID: not used by useVMManagedIdentity; the Azure provider "
                "then asks for a workload identity token all the same\n"
                "    leave it out; a user-assigned identity goes into userAssignedIdentityID\n");
        expect(BASE "usePodIdentity: 'true'\nclientID: c\n",
                "11:15: warning: clientID: not used by usePodIdentity; the Azure provider then "
                "asks for a workload identity token all the same\n"
                "    leave it out\n");
        expect(BASE "userAssignedIdentityID: u\n",
                "10:29: warning: userAssignedIdentityID: only used together with "
                "useVMManagedIdentity\n");
        expect(BASE "useVMManagedIdentity: 'true'\nuserAssignedIdentityID: u\n", "");
        _cleanup_(spc_class_freep) struct spc_class *c =
                good(BASE "useVMManagedIdentity: 'true'\nuserAssignedIdentityID: ' u '\n");
        cr_expect_str_eq(c->user_assigned_id, "u");
        cr_expect_eq(c->identity, SPC_IDENTITY_VM);
}

Test(parameters, unknown_ones_are_warnings_with_the_nearest_name)
{
        expect(BASE "keyVaultName: x\nvault: why\nsecretObjects: z\n",
                "10:5: warning: keyVaultName: unknown parameter, ignored\n"
                "    did you mean keyvaultName?\n"
                "11:5: warning: vault: unknown parameter, ignored\n"
                "    did you mean keyvaultName?\n"
                "12:5: warning: secretObjects: unknown parameter, ignored\n"
                "    secretObjects belongs under spec\n");
}

Test(parameters, a_flat_map_is_the_same_class)
{
        static const struct spc_parameter list[] = {
                {"keyvaultName", " vault "},
                {"tenantId", "tenant"},
                {"useVMManagedIdentity", "true"},
                {"csi.storage.k8s.io/pod.name", "pod"},
                {"csi.storage.k8s.io/serviceAccount.tokens", "{}"},
                {"secretProviderClass", "web"},
                {"objects", "\n\narray:\n - |\n   objectName: a\n   objectType: secret\n"},
        };
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        _cleanup_(spc_class_freep) struct spc_class *c = NULL;

        cr_assert_eq(spc_class_from_parameters("web", "ns", list, ELEMENTSOF(list), &c, &d), 0);
        cr_expect_eq(d.n, 0);
        cr_expect_str_eq(c->name, "web");
        cr_expect_str_eq(c->namespace, "ns");
        cr_expect_str_eq(c->vault, "vault");
        cr_expect_str_eq(c->tenant, "tenant");
        cr_expect_eq(c->identity, SPC_IDENTITY_VM);
        cr_assert_eq(c->n_objects, 1);
        cr_expect_str_eq(c->objects[0].file, "a");
        cr_expect_eq(c->objects[0].line, 5);
        cr_expect_eq(c->objects[0].column, 4);
}

Test(parameters, in_a_flat_map_only_objects_have_places)
{
        static const struct spc_parameter list[] = {
                {"keyvaultName", "x"},
                {"vaultName", "x"},
                {"objects", "array:\n- |\n  objectName: a\n  objectType: x\n"},
        };
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct spc_class *c = NULL;

        cr_assert_eq(
                spc_class_from_parameters(NULL, NULL, list, ELEMENTSOF(list), &c, &d), -EINVAL);
        cr_expect_null(c);
        cr_assert_eq(d.n, 4);
        for (size_t i = 0; i < 3; i++)
                cr_expect_eq(d.list[i].line, 0, "%s", d.list[i].text);
        cr_expect_str_eq(d.list[3].field, "objectType");
        cr_expect_eq(d.list[3].line, 4);
        cr_expect_eq(d.list[3].column, 15);
        spc_diags_done(&d);

        cr_assert_eq(spc_class_from_parameters(NULL, NULL, NULL, 0, &c, &d), -EINVAL);
        cr_expect_eq(d.errors, 3);
}

Test(parameters, objects_of_a_flat_map_are_bounded)
{
        char *text = malloc(SPC_TEXT_MAX + 2);
        struct spc_parameter list[] = {
                {"keyvaultName", "vault"}, {"tenantID", "t"}, {"objects", text}};
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct spc_class *c = NULL;

        cr_assert(text);
        memset(text, 'x', SPC_TEXT_MAX + 1);
        text[SPC_TEXT_MAX + 1] = '\0';
        cr_assert_eq(spc_class_from_parameters("", "", list, ELEMENTSOF(list), &c, &d), -EINVAL);
        cr_assert_eq(d.n, 1);
        cr_expect_str_eq(d.list[0].text, "longer than 1048576 bytes");
        free(text);
}
