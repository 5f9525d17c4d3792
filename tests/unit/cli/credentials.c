#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/credentials.h"

static char dir[] = "/tmp/akvfs-unit-XXXXXX";
static struct options o;
static struct credentials found;
static struct err e;
static char warned[512];

static void warn(const char *text)
{
        snprintf(warned, sizeof warned, "%s", text);
}

static void set_up(void)
{
        static const char *const names[] = {"AZURE_TENANT_ID", "AZURE_CLIENT_ID",
                "AZURE_CLIENT_SECRET", "CREDENTIALS_DIRECTORY"};

        cr_assert_not_null(mkdtemp(dir));
        options_init(&o);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                unsetenv(names[i]);
}

static void tear_down(void)
{
        static const char *const names[] = {
                "secret", "env", "azure-tenant-id", "azure-client-id", "azure-client-secret"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char path[128];
                snprintf(path, sizeof path, "%s/%s", dir, names[i]);
                unlink(path);
        }
        rmdir(dir);
        options_done(&o);
        credentials_done(&found);
        err_done(&e);
}

TestSuite(credentials, .init = set_up, .fini = tear_down);

static char *put(const char *name, const char *text, mode_t mode)
{
        char *path = NULL;

        cr_assert_eq(xasprintf(&path, "%s/%s", dir, name), 0);
        FILE *f = fopen(path, "we");
        cr_assert_not_null(f);
        fputs(text, f);
        fclose(f);
        cr_assert_eq(chmod(path, mode), 0);
        return path;
}

static void expect_secret(const char *wanted)
{
        cr_assert_eq(credentials_find(&o, warn, &found, &e), 0, "%s", err_text(&e));
        cr_assert_not_null(found.secret);
        cr_assert_eq(sec_len(found.secret), strlen(wanted));
        cr_assert_eq(memcmp(sec_bytes(found.secret), wanted, strlen(wanted)), 0);
}

Test(credentials, nothing_said_is_nothing_found)
{
        cr_assert_eq(credentials_find(&o, warn, &found, &e), 0);
        cr_assert_null(found.tenant);
        cr_assert_null(found.client_id);
        cr_assert_null(found.secret);
}

Test(credentials, the_environments_secret_is_wiped_when_read)
{
        setenv("AZURE_TENANT_ID", "t", 1);
        setenv("AZURE_CLIENT_ID", "c", 1);
        setenv("AZURE_CLIENT_SECRET", "hunter2", 1);
        const char *place = getenv("AZURE_CLIENT_SECRET");

        expect_secret("hunter2");
        cr_assert_str_eq(found.tenant, "t");
        cr_assert_str_eq(found.client_id, "c");
        cr_assert_null(getenv("AZURE_CLIENT_SECRET"));
        cr_assert_eq(*place, '\0');
}

Test(credentials, a_file_wins_and_loses_its_line_end_only)
{
        setenv("AZURE_CLIENT_SECRET", "other", 1);
        o.client_secret_file = put("secret", " s p a c e \r\n", 0600);
        expect_secret(" s p a c e ");
        cr_assert_str_eq(warned, "");
}

Test(credentials, only_one_line_end_goes)
{
        o.client_secret_file = put("secret", "a\n\n", 0600);
        expect_secret("a\n");
}

Test(credentials, a_file_that_everybody_can_read_is_warned_of)
{
        o.client_secret_file = put("secret", "x", 0644);
        expect_secret("x");
        cr_assert_not_null(strstr(warned, "chmod 0600"));
        cr_assert_null(strstr(warned, "\nx"));
}

Test(credentials, an_empty_secret_is_no_secret)
{
        o.client_secret_file = put("secret", "\n", 0600);
        cr_assert_eq(credentials_find(&o, warn, &found, &e), -EINVAL);
        cr_assert_not_null(strstr(err_text(&e), "empty"));
}

Test(credentials, a_file_that_is_missing_or_too_large_is_named)
{
        o.client_secret_file = strdup("/nowhere/secret");
        cr_assert_eq(credentials_find(&o, warn, &found, &e), -ENOENT);
        cr_assert_not_null(strstr(err_text(&e), "/nowhere/secret"));

        free(o.client_secret_file);
        _cleanup_free_ char *big = malloc(CREDENTIALS_FILE_MAX + 2);
        memset(big, 'x', CREDENTIALS_FILE_MAX + 1);
        big[CREDENTIALS_FILE_MAX + 1] = '\0';
        o.client_secret_file = put("secret", big, 0600);
        cr_assert_eq(credentials_find(&o, warn, &found, &e), -EFBIG);
}

Test(credentials, an_environment_file_wins_over_the_environment)
{
        setenv("AZURE_CLIENT_ID", "from-environment", 1);
        setenv("AZURE_TENANT_ID", "from-environment", 1);
        o.env_file = put("env",
                "# comment\n\n  export AZURE_CLIENT_ID=\"file id\"  \n"
                "AZURE_CLIENT_SECRET='p=q#r'\r\nNOT_AZURE_TENANT_ID=x\n",
                0600);
        expect_secret("p=q#r");
        cr_assert_str_eq(found.client_id, "file id");
        cr_assert_str_eq(found.tenant, "from-environment");
}

Test(credentials, the_last_line_of_an_environment_file_counts)
{
        static const char text[] = "A=1\nAB=2\nA=3\nA";
        const char *value = NULL;
        size_t len = 0;

        cr_assert_eq(credentials_env_file_get(text, sizeof text - 1, "A", &value, &len), 0);
        cr_assert_eq(len, 1);
        cr_assert_eq(*value, '3');
        cr_assert_eq(credentials_env_file_get(text, sizeof text - 1, "B", &value, &len), -ENOENT);
        cr_assert_eq(credentials_env_file_get("A=", 2, "A", &value, &len), 0);
        cr_assert_eq(len, 0);
}

Test(credentials, systemds_directory_fills_what_is_left)
{
        setenv("AZURE_CLIENT_ID", "from-environment", 1);
        setenv("CREDENTIALS_DIRECTORY", dir, 1);
        free(put("azure-tenant-id", "tenant\n", 0400));
        free(put("azure-client-id", "client", 0400));
        free(put("azure-client-secret", "from-systemd", 0400));
        expect_secret("from-systemd");
        cr_assert_str_eq(found.tenant, "tenant");
        cr_assert_str_eq(found.client_id, "from-environment");
}
