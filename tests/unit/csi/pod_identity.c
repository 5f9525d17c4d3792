#include "csi/pod_identity.h"

#include <criterion/criterion.h>

#include "csi/service_tokens.h"
#include "pod.h"

#define S(text) ((char *)(uintptr_t)(text))

static struct publish_request pod;
static struct pod_identity_config cfg;
static struct spc_class class;
static struct identity i;
static struct err e;

static void set_up(void)
{
        pod = pod_request(SERVICE_TOKEN_EXCHANGE);
        cfg = (struct pod_identity_config){0};
        class = (struct spc_class){.tenant = S("t"),
                .client_id = S(""),
                .user_assigned_id = S(""),
                .user_assigned_object_id = S("")};
}

static void tear_down(void)
{
        pod_done(&pod);
        identity_done(&i);
        err_done(&e);
}

TestSuite(pod_identity, .init = set_up, .fini = tear_down);

static int choose(void)
{
        identity_done(&i);
        err_done(&e);
        return pod_identity_choose(&cfg, &class, &pod, &i, &e);
}

static void refused(enum err_cause cause, const char *text)
{
        cr_assert_lt(choose(), 0, "expected: %s", text);
        cr_assert_eq(e.cause, cause, "%s", err_text(&e));
        cr_assert_not_null(strstr(err_text(&e), text), "%s", err_text(&e));
        cr_assert(startswith(err_text(&e), "failed to build auth config for mode "));
}

Test(pod_identity, workload_identity_is_the_service_account_s)
{
        class.client_id = S("app");
        cr_assert_eq(choose(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_FEDERATED);
        cr_assert_str_eq(i.client_id, "app");
        cr_assert_str_eq(i.tenant, "t");
        cr_assert_str_eq(i.subject, "shop/web");
        cr_assert_not_null(i.secret);
        cr_assert_null(i.source, "no file of the node is read");
        cr_assert_null(i.token_proxy);
}

Test(pod_identity, another_account_s_token_is_refused)
{
        class.client_id = S("app");
        free(pod.tokens);
        pod.tokens = pod_tokens(SERVICE_TOKEN_EXCHANGE, "bank", "teller");
        refused(ERR_USAGE, "system:serviceaccount:bank:teller");
        cr_assert_null(i.secret);
}

Test(pod_identity, tokens_that_are_missing_are_the_cluster_s_to_mend)
{
        class.client_id = S("app");
        free(pod.tokens);
        pod.tokens = NULL;
        refused(ERR_AUTH, "service account tokens not found");
        cr_assert_not_null(strstr(e.hint, SERVICE_TOKEN_EXCHANGE));

        class.identity = SPC_IDENTITY_TOKEN_PROXY;
        cfg.sni = "n.ests.aks";
        refused(ERR_AUTH, "service account tokens are required for identity binding");
        cr_assert_not_null(strstr(e.hint, SERVICE_TOKEN_BINDING));
}

Test(pod_identity, binding_has_its_own_audience_and_the_cluster_s_proxy)
{
        class.client_id = S("app");
        class.identity = SPC_IDENTITY_TOKEN_PROXY;
        refused(ERR_AUTH, "proxy transport not available");
        cfg.sni = "n.ests.aks";
        refused(ERR_USAGE, SERVICE_TOKEN_BINDING);
        free(pod.tokens);
        pod.tokens = pod_tokens(SERVICE_TOKEN_BINDING, "shop", "web");
        cfg.proxy_ca_pem = "pem";
        cr_assert_eq(choose(), 0, "%s", err_text(&e));
        cr_assert_str_eq(i.token_proxy, "https://kubernetes.default.svc.cluster.local");
        cr_assert_str_eq(i.sni, "n.ests.aks");
        cr_assert_str_eq(i.proxy_ca_pem, "pem");
        cfg.token_proxy = "http://plain";
        cr_assert_lt(choose(), 0);
        class.client_id = S("");
        refused(ERR_USAGE, "clientID is required for identity binding");
}

Test(pod_identity, a_service_principal_is_the_secret_s)
{
        struct publish_entry secrets[] = {
                {S("ClientID"), S("sp")}, {S("clientsecret"), S("hunter2")}};

        refused(ERR_USAGE, "nodePublishSecretRef secret is not set");
        pod.secrets = secrets;
        pod.n_secrets = 1;
        refused(ERR_USAGE, "could not find clientsecret in secrets");
        pod.n_secrets = 2;
        cr_assert_eq(choose(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_CLIENT_SECRET);
        cr_assert_str_eq(i.client_id, "sp", "in letters of either case");
        cr_assert_eq(sec_len(i.secret), strlen("hunter2"));
        cr_assert_null(i.subject, "no account's: whoever has the secret");
        secrets[0].value = S("");
        refused(ERR_USAGE, "could not find clientid in secrets");
        cr_assert_null(strstr(err_text(&e), "hunter2"));
}

Test(pod_identity, the_node_s_and_the_pod_s_own)
{
        class.client_id = S("app"); /* upstream wants a token then; nothing here is proven by one */
        free(pod.tokens);
        pod.tokens = NULL;
        class.identity = SPC_IDENTITY_VM;
        class.user_assigned_id = S("/subscriptions/x");
        cr_assert_eq(choose(), 0, "%s", err_text(&e));
        cr_assert_eq(i.mode, AUTH_VM_IDENTITY);
        cr_assert_eq(i.id_kind, AUTH_BY_RESOURCE_ID);
        class.user_assigned_object_id = S("o");
        cr_assert_eq(choose(), 0);
        cr_assert_eq(i.id_kind, AUTH_BY_OBJECT_ID);
        cr_assert_str_eq(i.client_id, "o");

        class.identity = SPC_IDENTITY_POD;
        cr_assert_eq(choose(), 0);
        cr_assert_eq(i.mode, AUTH_POD_IDENTITY);
        cr_assert_str_eq(i.pod, "web-0");
        cr_assert_str_eq(i.pod_namespace, "shop");
}
