#include <criterion/criterion.h>

#include "base/http_impl.h"

static void set_up(void)
{
        static const char *const variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy",
                "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};

        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                unsetenv(variables[i]);
}

TestSuite(http_proxy, .init = set_up);

Test(http_proxy, no_proxy_list)
{
        static const struct {
                const char *list, *host;
                bool matches;
        } cases[] = {
                {"", "example.com", false},
                {"*", "example.com", true},
                {"example.com", "example.com", true},
                {"example.com", "EXAMPLE.COM.", true},
                {"example.com", "www.example.com", true},
                {".example.com", "www.example.com", true},
                {".example.com", "example.com", true},
                {"example.com.", "example.com", true},
                {"example.com", "notexample.com", false},
                {"example.com", "example.com.evil", false},
                {"com", "example.com", true},
                {".", "example.com", false},
                {"a,b example.com\tc", "example.com", true},
                {", ,a", "example.com", false},
                {"10.0.0.1", "10.0.0.1", true},
                {"10.0.0.1", "10.0.0.10", false},
                {"10.0.0.0/8", "10.200.3.4", true},
                {"10.0.0.0/8", "11.0.0.1", false},
                {"10.0.0.0/12", "10.15.0.1", true},
                {"10.0.0.0/12", "10.16.0.1", false},
                {"0.0.0.0/0", "1.2.3.4", true},
                {"10.0.0.0/33", "10.0.0.0", false},
                {"10.0.0.0/", "10.0.0.0", false},
                {"10.0.0.0/x", "10.0.0.0", false},
                {"10.0.0.0/0008", "10.0.0.0", false},
                {"10.0.0.0/8", "10.example.com", false},
                {"169.254.169.254", "169.254.169.254", true},
                {"::1", "[::1]", true},
                {"[::1]", "[::1]", true},
                {"fd00::/8", "[fd12::1]", true},
                {"fd00::/8", "[fe80::1]", false},
                {"fd00::/8", "10.0.0.1", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_expect_eq(http_no_proxy_matches(cases[i].list, cases[i].host), cases[i].matches,
                        "\"%s\" and %s", cases[i].list, cases[i].host);
}

static char *proxy_of(const char *scheme, const char *host, const char *setting)
{
        struct http_endpoint ep = {.proxy = setting};
        char *url = NULL;

        cr_assert_eq(http_proxy_for(scheme, host, setting ? &ep : NULL, &url), 0);
        return url;
}

static void assert_proxy(
        const char *scheme, const char *host, const char *setting, const char *expected)
{
        char *url = proxy_of(scheme, host, setting);

        cr_expect(streq_ptr(url, expected), "%s://%s: %s", scheme, host, url ? url : "none");
        free(url);
}

Test(http_proxy, environment_and_setting)
{
        assert_proxy("https", "a.b", NULL, NULL);
        setenv("ALL_PROXY", "all:1", 1);
        assert_proxy("https", "a.b", NULL, "all:1");
        assert_proxy("http", "a.b", NULL, "all:1");
        setenv("HTTPS_PROXY", "upper:1", 1);
        assert_proxy("https", "a.b", NULL, "upper:1");
        setenv("https_proxy", "lower:1", 1);
        assert_proxy("https", "a.b", NULL, "lower:1");
        setenv("https_proxy", "", 1); /* as if it were not set */
        assert_proxy("https", "a.b", NULL, "upper:1");
        setenv("HTTP_PROXY", "cgi:1", 1); /* never */
        assert_proxy("http", "a.b", NULL, "all:1");
        setenv("http_proxy", "plain:1", 1);
        assert_proxy("http", "a.b", NULL, "plain:1");

        setenv("NO_PROXY", "a.b", 1);
        assert_proxy("https", "a.b", NULL, NULL);
        assert_proxy("https", "a.c", NULL, "upper:1");
        setenv("no_proxy", "a.c", 1);
        assert_proxy("https", "a.b", NULL, "upper:1");
        assert_proxy("https", "a.c", NULL, NULL);

        assert_proxy("https", "a.c", "mine:2", "mine:2"); /* said for this very endpoint */
        assert_proxy("https", "a.b", "", NULL);
}

Test(http_proxy, name_holds_no_password)
{
        static const struct {
                const char *url, *name;
        } cases[] = {
                {"proxy:3128", "proxy:3128"},
                {"http://proxy:3128/", "proxy:3128"},
                {"http://me:pa@ss@proxy:3128/x?y", "proxy:3128"},
                {"socks5h://me@[::1]:1080", "[::1]:1080"},
                {"http://bad\nname:1", "bad?name:1"},
                {"", ""},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *name = NULL;
                cr_assert_eq(http_proxy_name(cases[i].url, &name), 0);
                cr_expect_str_eq(name, cases[i].name);
                free(name);
        }
}
