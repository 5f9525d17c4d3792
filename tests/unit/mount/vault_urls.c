#include <criterion/criterion.h>

#include "mount/vault_urls.h"

#define S(text) ((char *)(uintptr_t)(text))

static const char *override;
static struct spc_object objects[3];
static struct spc_selector selectors[1];
static struct spc_class class;
static struct vault_urls u;
static struct err e;

static void set_up(void)
{
        override = NULL;
        objects[0].vault = S("");
        objects[1].vault = S("second");
        objects[2].vault = S("kv-web");
        selectors[0].like.vault = S("third");
        class = (struct spc_class){.vault = S("kv-web"),
                .cloud = S("AzureChinaCloud"),
                .cloud_env_file = S(""),
                .objects = objects,
                .n_objects = 3,
                .selectors = selectors,
                .n_selectors = 1};
}

static void tear_down(void)
{
        vault_urls_done(&u);
        err_done(&e);
}

TestSuite(vault_urls, .init = set_up, .fini = tear_down);

Test(vault_urls, one_for_each_other_name_in_the_class_s_cloud)
{
        cr_assert_eq(vault_urls_resolve(&class, override, &u, &e), 0, "%s", err_text(&e));
        cr_assert_eq(u.n, 2);
        cr_assert_str_eq(u.list[0].name, "second");
        cr_assert_str_eq(u.list[0].url, "https://second.vault.azure.cn");
        cr_assert_str_eq(u.list[1].url, "https://third.vault.azure.cn");
}

Test(vault_urls, an_override_needs_a_place_for_the_name)
{
        override = "https://here:8443/{vault}";
        cr_assert_eq(vault_urls_resolve(&class, override, &u, &e), 0);
        cr_assert_str_eq(u.list[1].url, "https://here:8443/third");
        vault_urls_done(&u);
        override = "https://here";
        cr_assert_eq(vault_urls_resolve(&class, override, &u, &e), -EINVAL);
        cr_assert_eq(e.cause, ERR_USAGE);
        cr_assert_not_null(strstr(err_text(&e), "the vaults kv-web and second"));
        class.n_objects = 1;
        class.n_selectors = 0;
        cr_assert_eq(vault_urls_resolve(&class, override, &u, &e), 0, "one vault needs none");
        cr_assert_eq(u.n, 0);
}

Test(vault_urls, travel_whole_and_nothing_else_does)
{
        cr_assert_eq(vault_urls_resolve(&class, override, &u, &e), 0);
        _cleanup_json_ cJSON *j = vault_urls_format(&u);
        _cleanup_vault_urls_ struct vault_urls out = {0};
        cr_assert_eq(vault_urls_parse(j, &out), 0);
        cr_assert_eq(out.n, 2);
        cr_assert_str_eq(out.list[1].name, "third");

        _cleanup_vault_urls_ struct vault_urls none = {0};
        _cleanup_json_ cJSON *half = cJSON_Parse("[{\"name\":\"a\"}]"), *object = cJSON_Parse("{}");
        cr_assert_eq(vault_urls_parse(half, &none), -EBADMSG);
        cr_assert_eq(vault_urls_parse(object, &none), -EBADMSG);
        cr_assert_eq(vault_urls_parse(NULL, &none), -EBADMSG);
        cr_assert_eq(none.n, 0);
}
