#include "vault/vault.h"

#include <criterion/criterion.h>

#include "fixture.h"

static void expect_url(const char *name, const char *suffix, const char *override, const char *want)
{
        _cleanup_err_ struct err e = {0};
        _cleanup_free_ char *url = NULL;

        int r = vault_make_url(name, suffix, override, &url, &e);
        cr_assert(r == 0, "%s: %s", name, err_text(&e));
        cr_expect_str_eq(url, want);
}

static void expect_no_url(const char *name, const char *override, const char *text)
{
        _cleanup_err_ struct err e = {0};
        char *url = NULL;

        cr_expect(vault_make_url(name, "vault.azure.net", override, &url, &e) == -EINVAL);
        cr_expect_null(url);
        cr_expect(e.cause == ERR_USAGE);
        cr_expect(strstr(err_text(&e), text), "%s, not %s", err_text(&e), text);
}

Test(vault, names_become_urls)
{
        expect_url("contoso", "vault.azure.net", NULL, "https://contoso.vault.azure.net");
        expect_url("-1-", "vault.azure.cn", "", "https://-1-.vault.azure.cn");
        expect_url("ABCdef", "vault.azure.net", NULL, "https://abcdef.vault.azure.net");
        expect_url("abcdefghijklmnopqrstuvwx", "v.net", NULL,
                "https://abcdefghijklmnopqrstuvwx.v.net");
        expect_url("one", "v", "https://localhost:8443/{vault}/", "https://localhost:8443/one");
        expect_url("one", "v", "https://{vault}.a:443/{vault}", "https://one.a/one");
        expect_url("one", "v", "https://fixed.example", "https://fixed.example");
        expect_url("one", "v", "HTTPS://[::1]:8443", "https://[::1]:8443");
}

Test(vault, bad_names_have_upstreams_texts)
{
        expect_no_url("ab", NULL,
                "failed to get vault: Invalid vault name: \"ab\", must be between 3 and 24 chars");
        expect_no_url("", NULL, "must be between 3 and 24 chars");
        expect_no_url("abcdefghijklmnopqrstuvwxy", NULL, "must be between 3 and 24 chars");
        expect_no_url("a.b", NULL,
                "failed to get vault: Invalid vault name: \"a.b\", must match [-a-zA-Z0-9]{3,24}");
        expect_no_url("a\nb", NULL, "\"a b\", must match");
        expect_no_url("caf\xc3\xa9", NULL, "must match");
        expect_no_url("abc", "http://localhost", "not an https URL");
        expect_no_url("abc", "localhost", "not an https URL");
        expect_no_url("abc", "https://", "no host");
        expect_no_url("abc", "https://:8443", "no host");
        expect_no_url("abc", "https://user@host", "character");
        expect_no_url("abc", "https://host/?x", "character");
        expect_no_url("abc", "https://a b", "character");
}

static struct vault *open_vault(const struct vault_config *config)
{
        _cleanup_err_ struct err e = {0};
        struct vault *v = NULL;

        cr_assert(vault_open(fixture.vaults, config, &v, &e) == 0, "%s", err_text(&e));
        return v;
}

Test(vault, the_same_settings_give_the_same_vault)
{
        fixture_start("v.vault.azure.net");
        const struct vault_config base = {
                .url = "https://w.vault.azure.net",
                .scope = "https://vault.azure.net/.default",
                .auth = fixture.auth,
                .endpoint = {.ca_file = "/ca.pem", .proxy = ""},
        };
        struct vault *first = open_vault(&base);

        struct vault_config same[] = {base, base, base};
        same[0].url = "HTTPS://W.Vault.Azure.net:443/";
        same[1].retry = http_retry_default;
        for (size_t i = 0; i < ELEMENTSOF(same); i++) {
                struct vault *v = open_vault(&same[i]);
                cr_expect_eq(v, first, "%zu", i);
                vault_unref(v);
        }
        struct vault_config other[] = {base, base, base, base, base, base};
        other[0].url = "https://w.vault.azure.net:8443";
        other[1].scope = "https://managedhsm.azure.net/.default";
        other[2].endpoint.ca_file = NULL;
        other[3].endpoint.proxy = NULL;
        other[4].retry = (struct http_retry){.tries = 1};
        other[5].endpoint.total_timeout_ms = 5;
        for (size_t i = 0; i < ELEMENTSOF(other); i++) {
                struct vault *v = open_vault(&other[i]);
                cr_expect_neq(v, first, "%zu", i);
                vault_unref(v);
        }
        cr_expect_str_eq(vault_url(first), "https://w.vault.azure.net");
        cr_expect_eq(vault_auth(first), fixture.auth);
        cr_expect(startswith(vault_key(first), "https://w.vault.azure.net"));
        cr_expect(strstr(vault_key(first), auth_key(fixture.auth)));
        cr_expect_eq(vault_requests(first), 0);
        vault_unref(first);
        fixture_stop();
}

Test(vault, strings_are_copied_and_vaults_outlive_their_registry)
{
        fixture_start("v.vault.azure.net");
        char url[] = "https://w.vault.azure.net/prefix/", scope[] = "https://s/.default",
             ca[] = "/c";
        const struct vault_config config = {
                .url = url, .scope = scope, .auth = fixture.auth, .endpoint = {.ca_file = ca}};
        struct vault *a = open_vault(&config), *b = vault_ref(fixture.vault);

        memset(url, 'x', sizeof(url) - 1);
        memset(scope, 'x', sizeof(scope) - 1);
        memset(ca, 'x', sizeof(ca) - 1);
        cr_expect_str_eq(vault_url(a), "https://w.vault.azure.net/prefix");
        vaults_free(TAKE_PTR(fixture.vaults));
        cr_expect_null(vault_unref(b));
        cr_expect_null(vault_unref(a));
        cr_expect_null(vault_unref(NULL));
        fixture_stop();
}

Test(vault, bad_urls_are_refused)
{
        fixture_start("v.vault.azure.net");
        const char *const bad[] = {"http://v", "v", "https://", "https://u@v", "https://v?x",
                "https://v\n", "https://:1"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_err_ struct err e = {0};
                struct vault *v = NULL;
                const struct vault_config config = {
                        .url = bad[i], .scope = "https://s/.default", .auth = fixture.auth};
                cr_expect(vault_open(fixture.vaults, &config, &v, &e) == -EINVAL, "%s", bad[i]);
                cr_expect(e.cause == ERR_USAGE && !v);
        }
        fixture_stop();
}
