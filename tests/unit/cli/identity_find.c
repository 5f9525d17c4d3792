#include <criterion/criterion.h>
#include <stdio.h>

#include "cli/identity_find.h"

#define S(text) ((char *)(uintptr_t)(text))

static struct options o;
static struct credentials found;
static struct spc_class class;
static struct identity i;
static struct err e;
static char warned[512];

static void warn(const char *text)
{
        snprintf(warned, sizeof warned, "%s", text);
}

static void set_up(void)
{
        unsetenv("AZURE_AUTHORITY_HOST");
        unsetenv("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        unsetenv("AZURE_ENVIRONMENT_FILEPATH");
        options_init(&o);
        class = (struct spc_class){
                .name = S("web"),
                .namespace = S(""),
                .vault = S("kv-web"),
                .tenant = S("tenant-of-class"),
                .client_id = S(""),
                .user_assigned_id = S(""),
                .user_assigned_object_id = S(""),
                .cloud = S(""),
                .cloud_env_file = S(""),
        };
        found = (struct credentials){.client_id = S("client-of-env")};
        cr_assert_eq(sec_new("hunter2", 7, &found.secret), 0);
}

static void tear_down(void)
{
        sec_unref(found.secret);
        identity_done(&i);
        err_done(&e);
}

TestSuite(identity_find, .init = set_up, .fini = tear_down);

static int resolve(void)
{
        return identity_resolve(&class, &o, &found, warn, &i, &e);
}

Test(identity_find, a_service_principal)
{
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_CLIENT_SECRET);
        cr_assert_str_eq(i.tenant, "tenant-of-class");
        cr_assert_str_eq(i.client_id, "client-of-env");
        cr_assert_eq(sec_len(i.secret), 7);
        cr_assert_str_eq(i.authority, "https://login.microsoftonline.com/");
        cr_assert_str_eq(i.vault_url, "https://kv-web.vault.azure.net");
        cr_assert_str_eq(i.scope, "https://vault.azure.net/.default");
        cr_assert_null(i.imds_endpoint);
        cr_assert_str_eq(warned, "");
}

Test(identity_find, the_class_wins_over_the_environment)
{
        class.client_id = S("client-of-class");
        found.tenant = S("tenant-of-env");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_str_eq(i.client_id, "client-of-class");
        cr_assert_str_eq(i.tenant, "tenant-of-class");
        cr_assert_not_null(strstr(warned, "tenant-of-env"));
}

Test(identity_find, the_tenant_may_come_from_the_environment)
{
        class.tenant = S("");
        cr_assert_eq(resolve(), -EINVAL);
        found.tenant = S("tenant-of-env");
        cr_assert_eq(resolve(), 0);
        cr_assert_str_eq(i.tenant, "tenant-of-env");
}

Test(identity_find, missing_credentials_are_named)
{
        struct sec *secret = found.secret;

        found.secret = NULL;
        cr_assert_eq(resolve(), -EINVAL);
        cr_assert_eq(e.cause, ERR_AUTH);
        cr_assert_not_null(strstr(err_text(&e), "AZURE_CLIENT_SECRET"));
        cr_assert_null(strstr(err_text(&e), "AZURE_CLIENT_ID"));
        cr_assert_not_null(e.hint);
        found.client_id = NULL;
        cr_assert_eq(resolve(), -EINVAL);
        cr_assert_not_null(strstr(err_text(&e), "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"));
        found.secret = secret;
        cr_assert_eq(resolve(), -EINVAL);
        cr_assert_null(strstr(err_text(&e), "AZURE_CLIENT_SECRET"));
}

Test(identity_find, the_vm)
{
        class.identity = SPC_IDENTITY_VM;
        class.user_assigned_id = S("assigned");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_VM_IDENTITY);
        cr_assert_str_eq(i.client_id, "assigned");
        cr_assert_null(i.secret);
        identity_done(&i);

        class.user_assigned_id = S("");
        class.client_id = S("workload");
        cr_assert_eq(resolve(), 0);
        cr_assert_str_eq(i.client_id, "");
        cr_assert_str_eq(warned, "", "the class's own warning says it");
}

/* What a helper would be asked for. */
static const char *source(void)
{
        return i.source ? i.source : "";
}

Test(identity_find, a_certificate)
{
        sec_unref(found.secret);
        found.secret = NULL;
        found.certificate = S("/etc/app.pem");
        found.send_chain = true;
        cr_assert_eq(sec_new("pass", 4, &found.password), 0);
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_CERTIFICATE);
        cr_assert_str_eq(i.file, "/etc/app.pem");
        cr_assert_str_eq(source(), "{\"kind\":\"file\",\"path\":\"/etc/app.pem\"}");
        cr_assert(i.send_chain);
        cr_assert(sec_equal(i.secret, found.password));
        sec_unref(found.password);
}

Test(identity_find, which_proof_is_taken)
{
        static const struct {
                const char *class_client, *certificate, *token;
                bool secret, secret_option, certificate_option, token_option;
                enum auth_mode_id mode;
        } cases[] = {
                {"", NULL, NULL, true, false, false, false, AUTH_CLIENT_SECRET},
                {"", "/c", "/t", true, false, false, false, AUTH_CLIENT_SECRET},
                {"", "/c", "/t", false, false, false, false, AUTH_CERTIFICATE},
                {"", NULL, "/t", false, false, false, false, AUTH_FEDERATED},
                {"app", "/c", "/t", true, false, false, false, AUTH_FEDERATED},
                {"app", NULL, NULL, true, false, false, false, AUTH_CLIENT_SECRET},
                {"app", "/c", "/t", true, true, false, false, AUTH_CLIENT_SECRET},
                {"app", "/c", "/t", true, false, true, false, AUTH_CERTIFICATE},
                {"", "/c", "/t", true, false, false, true, AUTH_FEDERATED},
        };
        struct sec *secret = found.secret;

        for (size_t k = 0; k < ELEMENTSOF(cases); k++) {
                class.client_id = S(cases[k].class_client);
                found.certificate = S(cases[k].certificate);
                found.token_file = S(cases[k].token);
                found.secret = cases[k].secret ? secret : NULL;
                o.client_secret_file = cases[k].secret_option ? S("/s") : NULL;
                o.client_certificate = cases[k].certificate_option ? S("/c") : NULL;
                o.federated_token_file = cases[k].token_option ? S("/t") : NULL;
                cr_expect_eq(resolve(), 0, "%zu: %s", k, err_text(&e));
                cr_expect_eq(i.mode, cases[k].mode, "%zu: %s", k, auth_mode_name(i.mode));
                identity_done(&i);
        }
        found.secret = secret;
}

Test(identity_find, workload_identity_needs_a_token)
{
        class.client_id = S("workload");
        sec_unref(found.secret);
        found.secret = NULL;
        cr_assert_eq(resolve(), -EINVAL);
        cr_assert_eq(e.cause, ERR_AUTH);
        cr_assert_not_null(strstr(err_text(&e), "service account tokens not found"));
        cr_assert_not_null(strstr(e.hint, "AZURE_FEDERATED_TOKEN_FILE"));
}

Test(identity_find, the_managed_identity_of_where_this_runs)
{
        struct sec *header = NULL;

        cr_assert_eq(sec_new("header", 6, &header), 0);
        class.identity = SPC_IDENTITY_VM;
        cr_assert_eq(resolve(), 0);
        cr_assert_eq(i.mode, AUTH_VM_IDENTITY);
        identity_done(&i);

        found.identity_endpoint = S("http://127.0.0.1:41741/msi/token");
        found.identity_header = header;
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_APP_SERVICE);
        cr_assert_str_eq(i.imds_endpoint, "http://127.0.0.1:41741/msi/token");
        cr_assert(sec_equal(i.secret, header));
        identity_done(&i);
        found.service_fabric = true;
        cr_assert_eq(resolve(), -EOPNOTSUPP);
        found.service_fabric = false;
        o.imds_endpoint = S("http://169.254.169.254");
        cr_assert_eq(resolve(), 0);
        cr_assert_eq(i.mode, AUTH_VM_IDENTITY, "what was said on the command line comes first");
        o.imds_endpoint = NULL;
        identity_done(&i);

        found.identity_header = NULL;
        found.imds_endpoint = S("http://127.0.0.1:40342");
        found.identity_endpoint = S("http://127.0.0.1:40342/metadata/identity/oauth2/token");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_ARC);
        cr_assert_not_null(strstr(source(), "/var/opt/azcmagent/tokens"));
        identity_done(&i);
        found.identity_endpoint = found.imds_endpoint = NULL;
        found.arc_agent = true;
        cr_assert_eq(resolve(), 0);
        cr_assert_eq(i.mode, AUTH_ARC);
        cr_assert_null(i.imds_endpoint);
        sec_unref(header);
}

Test(identity_find, how_a_managed_identity_is_named)
{
        class.identity = SPC_IDENTITY_VM;
        class.user_assigned_id = S("/subscriptions/s/resourceGroups/g/providers/x/y");
        cr_assert_eq(resolve(), 0);
        cr_assert_eq(i.id_kind, AUTH_BY_RESOURCE_ID);
        identity_done(&i);
        class.user_assigned_id = S("");
        class.user_assigned_object_id = S("object");
        cr_assert_eq(resolve(), 0);
        cr_assert_eq(i.id_kind, AUTH_BY_OBJECT_ID);
        cr_assert_str_eq(i.client_id, "object");
}

Test(identity_find, a_pod)
{
        class.identity = SPC_IDENTITY_POD;
        found.pod = S("web-0");
        found.pod_namespace = S("prod");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_POD_IDENTITY);
        cr_assert_str_eq(i.pod, "web-0");
        cr_assert_str_eq(i.pod_namespace, "prod");
}

Test(identity_find, identity_binding)
{
        unsetenv("AZURE_KUBERNETES_TOKEN_PROXY");
        unsetenv("AZURE_KUBERNETES_SNI_NAME");
        unsetenv("AZURE_KUBERNETES_CA_FILE");
        class.identity = SPC_IDENTITY_TOKEN_PROXY;
        class.client_id = S("app");
        cr_assert_eq(resolve(), -EINVAL);
        cr_assert_not_null(
                strstr(err_text(&e), "service account tokens are required for identity binding"));
        found.token_file = S("/token");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_FEDERATED);
        cr_assert_str_eq(i.token_proxy, "https://kubernetes.default.svc.cluster.local");
        cr_assert_null(i.sni);
        identity_done(&i);
        o.token_proxy_url = S("https://proxy:6443/x");
        o.sni_name = S("name.ests.aks");
        cr_assert_eq(resolve(), 0);
        cr_assert_str_eq(i.token_proxy, "https://proxy:6443/x");
        cr_assert_str_eq(i.sni, "name.ests.aks");
        identity_done(&i);
        o.token_proxy_url = S("http://proxy/");
        cr_assert_eq(resolve(), -EINVAL);
}

Test(identity_find, everything_crosses_the_control_socket)
{
        found.token_file = S("/token");
        class.identity = SPC_IDENTITY_TOKEN_PROXY;
        class.client_id = S("app");
        o.sni_name = S("n.ests.aks");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        _cleanup_json_ cJSON *j = identity_format(&i);
        struct identity got = {0};
        cr_assert_eq(identity_parse(j, &got, &e), 0, "%s", err_text(&e));
        cr_assert_eq(got.mode, AUTH_FEDERATED);
        cr_assert_str_eq(got.source, i.source);
        cr_assert_str_eq(got.sni, "n.ests.aks");
        cr_assert_str_eq(got.token_proxy, i.token_proxy);
        identity_done(&got);
        cJSON_ReplaceItemInObject(j, "mode", cJSON_CreateString("unheard-of"));
        cr_assert_eq(identity_parse(j, &got, &e), -EINVAL);
}
