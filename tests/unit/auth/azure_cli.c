#include <criterion/criterion.h>
#include <time.h>

#include "auth/mode.h"

#define NOW 1700000000

Test(azure_cli, what_az_prints)
{
        static const struct {
                const char *body;
                int64_t lifetime; /* 0: refused */
        } cases[] = {
                {"{\"accessToken\":\"t\",\"expires_on\":1700003600,\"expiresOn\":\"x\"}", 3600},
                {"{\"accessToken\":\"t\",\"expiresOn\":\"2023-11-14 23:13:20.000000\"}", 3600},
                {"{\"accessToken\":\"t\",\"expiresOn\":\"2023-11-14 23:13:20\"}", 3600},
                {"{\"accessToken\":\"t\",\"expiresOn\":\"soon\"}", 0},
                {"{\"accessToken\":\"t\"}", 0},
                {"{\"accessToken\":\"t\",\"expires_on\":1}", 0},
                {"{\"accessToken\":\"\",\"expires_on\":1700003600}", 0},
                {"{\"accessToken\":\"a b\",\"expires_on\":1700003600}", 0},
                {"Please run 'az login'", 0},
                {"", 0},
        };

        setenv("TZ", "UTC", 1);
        tzset();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_sec_ struct sec *token = NULL;
                _cleanup_err_ struct err e = {0};
                int64_t lifetime = 0;
                int r = auth_azure_cli.parse(
                        cases[i].body, strlen(cases[i].body), NOW, &token, &lifetime, &e);

                cr_expect_eq(r, cases[i].lifetime ? 0 : -EBADMSG, "%zu", i);
                cr_expect_eq(lifetime, cases[i].lifetime, "%zu", i);
                cr_expect_eq(token ? sec_len(token) : 0, cases[i].lifetime ? 1 : 0, "%zu", i);
        }
}

Test(azure_cli, its_name)
{
        char tenant[] = "t", none[] = "";
        struct auth_params p = {.mode = AUTH_AZURE_CLI, .tenant = tenant};
        struct auth_config cfg = {.mode = AUTH_AZURE_CLI};
        _cleanup_free_ char *with = NULL, *without = NULL;

        cr_assert_eq(auth_azure_cli.check(&cfg, NULL), -EINVAL);
        cr_assert_eq(auth_azure_cli.describe(&p, &with), 0);
        cr_assert_str_eq(with, "login of the Azure CLI in tenant t");
        p.tenant = none;
        cr_assert_eq(auth_azure_cli.describe(&p, &without), 0);
        cr_assert_str_eq(without, "login of the Azure CLI");
}
