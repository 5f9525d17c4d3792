#include "vault/vault.h"

#include <criterion/criterion.h>

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
