#include <criterion/criterion.h>

#include "auth/mode.h"

static struct sec *make_secret(const char *s)
{
        struct sec *secret = NULL;

        cr_assert_eq(sec_new(s, strlen(s), &secret), 0);
        return secret;
}

static char *key_of(struct auth_config *cfg)
{
        struct auth_params p = {0};
        char *key = NULL;

        cr_assert_eq(auth_params_fill(cfg, &p), 0);
        cr_assert_eq(auth_params_key(&p, &key), 0);
        auth_params_done(&p);
        return key;
}

Test(params, names_of_modes)
{
        enum auth_mode_id id;

        for (unsigned i = 0; i < AUTH_MODES; i++) {
                cr_expect_eq(auth_mode_find(auth_mode_name((enum auth_mode_id)i), &id), 0);
                cr_expect_eq((unsigned)id, i);
                cr_expect_eq(auth_mode_of(id), auth_mode_of((enum auth_mode_id)i));
        }
        cr_expect_eq(auth_mode_find("vmx", &id), -EINVAL);
        cr_expect_null(auth_mode_of(AUTH_MODES));
}

Test(params, no_two_identities_have_a_key_in_common)
{
        struct sec *one = make_secret("s3cr3t-1"), *two = make_secret("s3cr3t-2");
        struct auth_config all[] = {
                {.mode = AUTH_CLIENT_SECRET, .client_secret = one},
                {.mode = AUTH_CLIENT_SECRET, .client_secret = two},
                {.mode = AUTH_CLIENT_SECRET, .client_secret = one, .tenant = "u"},
                {.mode = AUTH_CLIENT_SECRET, .client_secret = one, .client_id = "d"},
                {.mode = AUTH_CLIENT_SECRET, .client_secret = one, .authority = "https://b/"},
                {.mode = AUTH_CERTIFICATE, .source = "1"},
                {.mode = AUTH_CERTIFICATE, .source = "2"},
                {.mode = AUTH_CERTIFICATE, .source = "2", .secret = one},
                {.mode = AUTH_FEDERATED, .source = "1"},
                {.mode = AUTH_FEDERATED, .source = "1", .token_proxy = "https://p"},
                {.mode = AUTH_FEDERATED, .secret = one, .subject = "ns/a"},
                {.mode = AUTH_FEDERATED, .secret = one, .subject = "ns/b"},
                {.mode = AUTH_FEDERATED, .secret = one},
                {.mode = AUTH_VM_IDENTITY},
                {.mode = AUTH_VM_IDENTITY, .client_id = "d"},
                {.mode = AUTH_VM_IDENTITY, .client_id = "d", .id_kind = AUTH_BY_OBJECT_ID},
                {.mode = AUTH_VM_IDENTITY, .client_id = "d", .id_kind = AUTH_BY_RESOURCE_ID},
                {.mode = AUTH_VM_IDENTITY, .imds_endpoint = "http://other"},
                {.mode = AUTH_APP_SERVICE, .imds_endpoint = "http://x", .secret = one},
                {.mode = AUTH_APP_SERVICE, .imds_endpoint = "http://x", .secret = two},
                {.mode = AUTH_ARC, .source = "1"},
                {.mode = AUTH_POD_IDENTITY, .pod = "a", .pod_namespace = "ns"},
                {.mode = AUTH_POD_IDENTITY, .pod = "b", .pod_namespace = "ns"},
                {.mode = AUTH_AZURE_CLI, .source = "1"},
                {.mode = AUTH_AZURE_CLI, .source = "2"},
        };
        char *keys[ELEMENTSOF(all)];

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                if (!all[i].tenant)
                        all[i].tenant = "t";
                if (!all[i].client_id)
                        all[i].client_id = "c";
                if (!all[i].authority)
                        all[i].authority = "https://a/";
                keys[i] = key_of(&all[i]);
                cr_expect_null(strstr(keys[i], "s3cr3t"));
                for (size_t k = 0; k < i; k++)
                        cr_expect_str_neq(keys[i], keys[k], "%zu and %zu", i, k);
        }
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                free(keys[i]);
        sec_unref(one);
        sec_unref(two);
}

/* kubelet hands over a new token each hour; the service account stays the same. */
Test(params, a_token_that_was_handed_over_is_not_the_identity)
{
        struct sec *one = make_secret("a.b.c"), *two = make_secret("d.e.f");
        struct auth_config cfg = {.mode = AUTH_FEDERATED,
                .tenant = "t",
                .client_id = "c",
                .authority = "https://a/",
                .subject = "ns/sa",
                .secret = one};
        _cleanup_free_ char *first = key_of(&cfg);

        cfg.secret = two;
        _cleanup_free_ char *second = key_of(&cfg);
        cr_assert_str_eq(first, second);
        sec_unref(one);
        sec_unref(two);
}

Test(params, where_it_asks)
{
        struct auth_config cfg = {.mode = AUTH_VM_IDENTITY};
        struct auth_params p = {0};

        cr_assert_eq(auth_params_fill(&cfg, &p), 0);
        cr_assert_str_eq(auth_params_endpoint(&p), "http://169.254.169.254");
        auth_params_done(&p);
        cfg = (struct auth_config){
                .mode = AUTH_FEDERATED, .authority = "https://a", .token_proxy = "https://p"};
        cr_assert_eq(auth_params_fill(&cfg, &p), 0);
        cr_assert_str_eq(auth_params_endpoint(&p), "https://p");
        auth_params_done(&p);
        cfg = (struct auth_config){.mode = AUTH_AZURE_CLI};
        cr_assert_eq(auth_params_fill(&cfg, &p), 0);
        cr_assert_str_eq(auth_params_endpoint(&p), "the Azure CLI");
        auth_params_done(&p);
}
