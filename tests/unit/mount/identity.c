#include "mount/identity.h"

#include <criterion/criterion.h>

#define S(text) ((char *)(uintptr_t)(text))

static struct identity_endpoints o;
static struct spc_class class;
static struct identity i;
static struct err e;

static void set_up(void)
{
        unsetenv("AZURE_AUTHORITY_HOST");
        unsetenv("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        unsetenv("AZURE_ENVIRONMENT_FILEPATH");
        o = (struct identity_endpoints){0};
        i = (struct identity){0};
        class = (struct spc_class){
                .name = S("web"),
                .namespace = S(""),
                .vault = S("kv-web"),
                .cloud = S(""),
                .cloud_env_file = S(""),
        };
}

static void tear_down(void)
{
        identity_done(&i);
        err_done(&e);
}

TestSuite(identity, .init = set_up, .fini = tear_down);

static int resolve(void)
{
        return identity_resolve_endpoints(&class, &o, &i, &e);
}

Test(identity, endpoints_from_options)
{
        o.vault_url = S("https://127.0.0.1:8443/vaults/{vault}/");
        o.authority_host = S("https://127.0.0.1:8443");
        o.imds_endpoint = S("http://127.0.0.1:8080/");
        o.ca_file = S("/ca.pem");
        setenv("AZURE_AUTHORITY_HOST", "https://elsewhere/", 1);
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_str_eq(i.vault_url, "https://127.0.0.1:8443/vaults/kv-web");
        cr_assert_str_eq(i.authority, "https://127.0.0.1:8443/");
        cr_assert_str_eq(i.imds_endpoint, "http://127.0.0.1:8080");
        cr_assert_str_eq(i.ca_file, "/ca.pem");
}

Test(identity, endpoints_from_the_environment)
{
        setenv("AZURE_AUTHORITY_HOST", "login.example", 1);
        setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://imds.example", 1);
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_str_eq(i.authority, "https://login.example/");
        cr_assert_str_eq(i.imds_endpoint, "http://imds.example");
        identity_done(&i);

        /* a cloud named by the class is the class's own parameter */
        class.cloud = S("AzureChinaCloud");
        cr_assert_eq(resolve(), 0, "%s", err_text(&e));
        cr_assert_str_eq(i.authority, "https://login.chinacloudapi.cn/");
        cr_assert_str_eq(i.vault_url, "https://kv-web.vault.azure.cn");
        cr_assert_str_eq(i.scope, "https://vault.azure.cn/.default");
}

Test(identity, plain_http_is_refused)
{
        o.vault_url = S("http://vault.example");
        cr_assert_eq(resolve(), -EINVAL);
        cr_assert_eq(e.cause, ERR_USAGE);
        o.vault_url = NULL;
        static const char *const bad[] = {
                "http://a.example", "HTTP://a", "ftp://a", "", "https://a b", "https://u@h/"};
        for (size_t k = 0; k < ELEMENTSOF(bad); k++) {
                o.authority_host = S(bad[k]);
                cr_assert_eq(resolve(), -EINVAL, "%s", bad[k]);
                cr_assert_eq(e.cause, ERR_USAGE);
        }
}

Test(identity, a_managed_identity_is_named_in_one_of_three_ways)
{
        static const char resource[] = "/Subscriptions/s/resourceGroups/g/x";

        cr_assert_eq(identity_name_managed(&class, &i), 0, "none is named");
        cr_assert_eq(i.id_kind, AUTH_BY_CLIENT_ID);
        cr_assert_str_eq(i.client_id, "");
        class.user_assigned_id = S("app");
        cr_assert_eq(identity_name_managed(&class, &i), 0);
        cr_assert_eq(i.id_kind, AUTH_BY_CLIENT_ID);
        cr_assert_str_eq(i.client_id, "app");
        class.user_assigned_id = S(resource);
        cr_assert_eq(identity_name_managed(&class, &i), 0);
        cr_assert_eq(i.id_kind, AUTH_BY_RESOURCE_ID);
        cr_assert_str_eq(i.client_id, resource);
        class.user_assigned_object_id = S("object");
        cr_assert_eq(identity_name_managed(&class, &i), 0);
        cr_assert_eq(i.id_kind, AUTH_BY_OBJECT_ID);
        cr_assert_str_eq(i.client_id, "object");
}

Test(identity, travels_whole)
{
        struct identity back = {0};

        o.imds_endpoint = S("http://imds");
        o.ca_file = S("/ca.pem");
        cr_assert_eq(resolve(), 0);
        i.mode = AUTH_CLIENT_SECRET;
        i.tenant = strdup("t");
        i.client_id = strdup("c");
        i.subject = strdup("shop/web");
        cr_assert_eq(sec_new("\0\xffx", 3, &i.secret), 0);
        _cleanup_json_ cJSON *j = identity_format(&i);
        cr_assert_eq(identity_parse(j, &back, &e), 0, "%s", err_text(&e));
        cr_assert_eq(back.mode, i.mode);
        cr_assert_str_eq(back.tenant, i.tenant);
        cr_assert_str_eq(back.client_id, i.client_id);
        cr_assert(sec_equal(back.secret, i.secret));
        cr_assert_str_eq(back.authority, i.authority);
        cr_assert_str_eq(back.imds_endpoint, i.imds_endpoint);
        cr_assert_str_eq(back.vault_url, i.vault_url);
        cr_assert_str_eq(back.scope, i.scope);
        cr_assert_str_eq(back.ca_file, i.ca_file);
        cr_assert_str_eq(back.subject, "shop/web");
        identity_done(&back);

        cJSON_DeleteItemFromObject(j, "client_secret");
        cJSON_AddStringToObject(j, "client_secret", "0g");
        cr_assert_eq(identity_parse(j, &back, &e), -EBADMSG);
        cJSON_DeleteItemFromObject(j, "scope");
        cr_assert_eq(identity_parse(j, &back, &e), -EBADMSG);
}

Test(identity, a_ca_file_travels_with_its_content)
{
        _cleanup_identity_ struct identity mine = {0}, back = {0};
        _cleanup_err_ struct err why = {0};
        char path[] = "/tmp/akvfs-ca-XXXXXX";
        static const char pem[] = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

        cr_assert_eq(identity_read_ca(&mine, &why), 0, "none is needed");
        cr_assert_null(mine.ca_pem);
        int fd = mkstemp(path);
        cr_assert_geq(fd, 0);
        mine.ca_file = strdup(path);
        cr_assert_eq(identity_read_ca(&mine, &why), -EINVAL, "empty");
        err_done(&why);
        cr_assert_eq(write_all(fd, pem, strlen(pem)), 0);
        cr_assert_eq(identity_read_ca(&mine, &why), 0);
        cr_assert_str_eq(mine.ca_pem, pem);

        mine.tenant = strdup("t");
        mine.client_id = strdup("");
        mine.authority = strdup("https://a/");
        mine.vault_url = strdup("https://v");
        mine.scope = strdup("s");
        _cleanup_json_ cJSON *j = identity_format(&mine);
        cr_assert_eq(identity_parse(j, &back, &why), 0);
        cr_assert_str_eq(back.ca_pem, pem);

        close(fd);
        unlink(path);
        cr_assert_eq(identity_read_ca(&mine, &why), -ENOENT);
        cr_assert_not_null(strstr(err_text(&why), path));
}
