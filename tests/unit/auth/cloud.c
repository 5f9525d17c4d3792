#include "auth/cloud.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void set_up(void)
{
        unsetenv("AZURE_ENVIRONMENT_FILEPATH");
        unsetenv("AZURE_AUTHORITY_HOST");
}

TestSuite(cloud, .init = set_up);

Test(cloud, the_table)
{
        static const struct {
                const char *asked, *name, *authority, *resource, *suffix;
        } cases[] = {
                {"", "AzurePublicCloud", "https://login.microsoftonline.com/",
                        "https://vault.azure.net", "vault.azure.net"},
                {"AzurePublicCloud", "AzurePublicCloud", "https://login.microsoftonline.com/",
                        "https://vault.azure.net", "vault.azure.net"},
                {"azurecloud", "AzurePublicCloud", "https://login.microsoftonline.com/",
                        "https://vault.azure.net", "vault.azure.net"},
                {"AZUREUSGOVERNMENTCLOUD", "AzureUSGovernmentCloud",
                        "https://login.microsoftonline.us/", "https://vault.usgovcloudapi.net",
                        "vault.usgovcloudapi.net"},
                {"AzureUSGovernment", "AzureUSGovernmentCloud", "https://login.microsoftonline.us/",
                        "https://vault.usgovcloudapi.net", "vault.usgovcloudapi.net"},
                {"AzureChinaCloud", "AzureChinaCloud", "https://login.chinacloudapi.cn/",
                        "https://vault.azure.cn", "vault.azure.cn"},
                {"AzureGermanCloud", "AzureGermanCloud", "https://login.microsoftonline.de/",
                        "https://vault.microsoftazure.de", "vault.microsoftazure.de"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct cloud c = {0};
                cr_assert_eq(cloud_find(cases[i].asked, "", &c, NULL), 0, "%s", cases[i].asked);
                cr_expect_str_eq(c.name, cases[i].name);
                cr_expect_str_eq(c.authority, cases[i].authority);
                cr_expect_str_eq(c.vault_resource, cases[i].resource);
                cr_expect_str_eq(c.vault_suffix, cases[i].suffix);
                cloud_done(&c);
                cr_assert_null(c.name);
        }
        struct cloud c;
        cr_assert_eq(cloud_find(NULL, NULL, &c, NULL), 0);
        cloud_done(&c);
        cloud_done(NULL);
}

Test(cloud, unknown_name)
{
        _cleanup_err_ struct err e = {0};
        struct cloud c = {0};

        cr_assert_eq(cloud_find("azureMoon", "", &c, &e), -EINVAL);
        cr_assert_str_eq(err_text(&e),
                "cloudName azureMoon is not valid, error: autorest/azure: There is no cloud "
                "environment matching the name \"AZUREMOON\"");
        cr_assert_eq(e.cause, ERR_USAGE);
        cr_assert_not_null(strstr(e.hint, "AzureUSGovernmentCloud"));
        cr_assert_not_null(strstr(e.hint, "AzureStackCloud"));
        cr_assert_null(c.name);
}

/* --- Azure Stack --- */

static char path[] = "/tmp/akvfs-test-cloud-XXXXXX";

static int find_in(const char *text, struct cloud *ret, struct err *e)
{
        int fd = mkstemp(path);

        cr_assert_geq(fd, 0);
        cr_assert_eq(write_all(fd, text, strlen(text)), 0);
        close(fd);
        int r = cloud_find("azurestackcloud", path, ret, e);
        unlink(path);
        strcpy(path + strlen(path) - 6, "XXXXXX");
        return r;
}

Test(cloud, stack_file)
{
        static const struct {
                const char *text, *authority, *resource, *suffix;
        } cases[] = {
                {"{\"name\":\"AzureStackCloud\",\"activeDirectoryEndpoint\":\"https://login.a/\","
                 "\"keyVaultEndpoint\":\"https://vault.local.a/\",\"keyVaultDNSSuffix\":"
                 "\"vault.local.a\",\"other\":[1]}",
                        "https://login.a/", "https://vault.local.a", "vault.local.a"},
                /* keys in any case, slashes or none, a dot before the suffix */
                {"{\"ActiveDirectoryEndpoint\":\"https://login.a\",\"KEYVAULTENDPOINT\":"
                 "\"https://vault.a\",\"keyvaultdnssuffix\":\".vault.b\"}",
                        "https://login.a/", "https://vault.a", "vault.b"},
                /* one of the two names follows from the other */
                {"{\"activeDirectoryEndpoint\":\"https://l\",\"keyVaultDNSSuffix\":\"v.a\"}",
                        "https://l/", "https://v.a", "v.a"},
                {"{\"activeDirectoryEndpoint\":\"https://l\",\"keyVaultEndpoint\":\"https://v.a/\"}",
                        "https://l/", "https://v.a", "v.a"},
                {"{\"activeDirectoryEndpoint\":\"https://l\",\"keyVaultEndpoint\":\"N/A\","
                 "\"keyVaultDNSSuffix\":\"v.a\"}",
                        "https://l/", "https://v.a", "v.a"},
                /* no authority: the public one */
                {"{\"activeDirectoryEndpoint\":null,\"keyVaultDNSSuffix\":\"v.a\"}",
                        "https://login.microsoftonline.com/", "https://v.a", "v.a"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                struct cloud c = {0};
                cr_assert_eq(find_in(cases[i].text, &c, &e), 0, "%zu: %s", i, err_text(&e));
                cr_expect_str_eq(c.name, "AzureStackCloud");
                cr_expect_str_eq(c.authority, cases[i].authority);
                cr_expect_str_eq(c.vault_resource, cases[i].resource);
                cr_expect_str_eq(c.vault_suffix, cases[i].suffix);
                cloud_done(&c);
        }

        setenv("AZURE_AUTHORITY_HOST", "https://mine", 1);
        struct cloud c = {0};
        cr_assert_eq(find_in("{\"keyVaultDNSSuffix\":\"v.a\"}", &c, NULL), 0);
        cr_assert_str_eq(c.authority, "https://mine/");
        cloud_done(&c);
}

Test(cloud, stack_files_that_make_no_sense)
{
        static const struct {
                const char *text, *why;
        } cases[] = {
                {"", "not a JSON object"},
                {"[]", "not a JSON object"},
                {"{\"activeDirectoryEndpoint\":\"https://l\"}", "neither keyVaultEndpoint"},
                {"{\"activeDirectoryEndpoint\":5,\"keyVaultDNSSuffix\":\"v\"}", "not a string"},
                {"{\"activeDirectoryEndpoint\":\"http://l\",\"keyVaultDNSSuffix\":\"v\"}",
                        "activeDirectoryEndpoint is not an https URL"},
                {"{\"activeDirectoryEndpoint\":\"https://u@l\",\"keyVaultDNSSuffix\":\"v\"}",
                        "activeDirectoryEndpoint is not an https URL"},
                {"{\"keyVaultEndpoint\":\"http://v\"}", "keyVaultEndpoint is not an https URL"},
                {"{\"keyVaultEndpoint\":\"https://v/path\"}", "keyVaultDNSSuffix is missing"},
                {"{\"keyVaultDNSSuffix\":\"v/w\"}", "keyVaultDNSSuffix is not a DNS name"},
                {"{\"keyVaultDNSSuffix\":\"..\"}", "keyVaultDNSSuffix is not a DNS name"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                struct cloud c = {0};
                cr_assert_eq(find_in(cases[i].text, &c, &e), -EINVAL, "%zu", i);
                cr_expect_not_null(startswith(
                        err_text(&e), "cloudName AzureStackCloud is not valid, error: "));
                cr_expect_not_null(strstr(err_text(&e), cases[i].why), "%s", err_text(&e));
                cr_expect_null(c.name);
        }
}

Test(cloud, stack_file_from_the_environment_or_missing)
{
        _cleanup_err_ struct err e = {0};
        struct cloud c = {0};

        cr_assert_eq(cloud_find("AzureStackCloud", "", &c, &e), -ENOENT);
        cr_assert_str_eq(err_text(&e), "cloudName AzureStackCloud is not valid, error: open : No "
                                       "such file or directory");
        cr_assert_not_null(strstr(e.hint, "cloudEnvFileName"));
        setenv("AZURE_ENVIRONMENT_FILEPATH", "/nonexistent/env.json", 1);
        cr_assert_eq(cloud_find("AzureStackCloud", NULL, &c, &e), -ENOENT);
        cr_assert_not_null(strstr(err_text(&e), "open /nonexistent/env.json: "));
        static const char *const others[] = {"/dev/zero", "/"};
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                cr_assert_eq(cloud_find("AzureStackCloud", others[i], &c, &e), -EINVAL);
                cr_assert_not_null(strstr(err_text(&e), "not a regular file"), "%s", err_text(&e));
        }
}

Test(cloud, stack_file_of_any_size_is_not_read)
{
        _cleanup_free_ char *text = malloc(((size_t)256 << 10) + 2);
        _cleanup_err_ struct err e = {0};
        struct cloud c = {0};

        cr_assert_not_null(text);
        memset(text, ' ', ((size_t)256 << 10) + 1);
        text[((size_t)256 << 10) + 1] = '\0';
        cr_assert_eq(find_in(text, &c, &e), -EFBIG);
        cr_assert_not_null(strstr(err_text(&e), "larger than 256 KiB"), "%s", err_text(&e));
}
