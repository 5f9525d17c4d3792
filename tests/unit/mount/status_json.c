#include <criterion/criterion.h>

#include "mount/status_json.h"

static struct sec *bytes;

static void set_up(void)
{
        cr_assert_eq(sec_new("s3cret", 6, &bytes), 0);
}

static void tear_down(void)
{
        bytes = sec_unref(bytes);
}

TestSuite(status_json, .init = set_up, .fini = tear_down);

static struct view_file file(const char *path, const char *name)
{
        return (struct view_file){
                .path = path,
                .mode = -1,
                .bytes = bytes,
                .mtime = 1700000000,
                .kind = VAULT_SECRET,
                .object_name = name,
                .object_id = "https://v/secrets/pw/abc",
                .version = "abc",
                .content_type = "text/plain",
                .enabled = true,
                .expires = VAULT_NO_TIME,
                .refs = 1,
        };
}

Test(status_json, the_contract)
{
        struct view_file one = file("db/password", "pw"), two = file("b", "b");
        two.expires = 1800000000;
        _cleanup_err_ struct err error = {0};
        err_set(&error, -EIO, "the vault is \"away\"");
        const struct status_file files[] = {
                {&one, {.fetched_at = 1700000100, .next_poll = 1700000300}, VIEW_FINE},
                {&two,
                        {.fetched_at = 1700000090,
                                .next_poll = 1700000200,
                                .error = &error,
                                .failures = 3},
                        VIEW_DELETED},
        };
        const struct spc_object optional = {
                .name = (char *)"o", .file = (char *)"opt", .type = SPC_KEY};
        const struct view_absent absent = {.object = &optional,
                .trouble = VIEW_DELETED,
                .state = {.error = &error, .next_poll = 1700000200, .failures = 1}};
        const struct spc_selector selector = {.like = {.vault = (char *)""},
                .prefix = (char *)"",
                .glob = (char *)"app-*",
                .tag = (char *)""};
        const struct view_selected selected = {.selector = &selector, .n_objects = 4};
        const struct status_mount m = {
                .mountpoint = "/mnt/a b",
                .class = "web",
                .state = "mounted",
                .vault = "https://v",
                .identity = "service principal x of tenant y",
                .keeper_pid = 12,
                .worker_pid = 34,
                .worker_starts = 3,
                .generation = 5,
                .fuse_requests = 1234567890123,
                .refused_requests = 2,
                .secret_kind = "locked",
                .poll_interval = 1500 * USEC_PER_MSEC,
                .uid = 1000,
                .gid = 100,
                .mode = 0440,
                .files = files,
                .n_files = 2,
                .absent = &absent,
                .n_absent = 1,
                .selected = &selected,
                .n_selected = 1,
        };

        _cleanup_json_ cJSON *j = status_mount_json(&m, 1700000107);
        char *text = cJSON_PrintUnformatted(j);
        cr_assert_str_eq(text,
                "{\"mountpoint\":\"/mnt/a b\",\"class\":\"web\",\"keeper_pid\":12,\"worker_pid\":34,"
                "\"generation\":5,\"next_poll\":\"2023-11-14T22:16:40Z\","
                "\"fuse_requests\":1234567890123,\"refused_requests\":2,\"state\":\"mounted\","
                "\"vault\":\"https://v\",\"identity\":\"service principal x of tenant y\","
                "\"poll_interval_seconds\":1.5,\"uid\":1000,\"gid\":100,\"mode\":\"0440\","
                "\"vault_requests\":0,\"token_requests\":0,\"worker_starts\":3,\"refetch\":null,"
                "\"secret_memory\":{\"bytes\":0,\"locked\":false,\"kind\":\"locked\"},\"objects\":["
                "{\"file\":\"db/password\",\"object\":\"pw\",\"version\":\"abc\","
                "\"updated\":\"2023-11-14T22:13:20Z\",\"age_seconds\":7,\"expires\":null,"
                "\"error\":null,\"type\":\"secret\",\"id\":\"https://v/secrets/pw/abc\","
                "\"content_type\":\"text/plain\",\"enabled\":true,\"size\":6,"
                "\"fetched\":\"2023-11-14T22:15:00Z\",\"next_poll\":\"2023-11-14T22:18:20Z\","
                "\"failures\":0,\"state\":\"ok\",\"shown\":true},"
                "{\"file\":\"b\",\"object\":\"b\",\"version\":\"abc\","
                "\"updated\":\"2023-11-14T22:13:20Z\",\"age_seconds\":17,"
                "\"expires\":\"2027-01-15T08:00:00Z\",\"error\":\"the vault is \\\"away\\\"\","
                "\"type\":\"secret\",\"id\":\"https://v/secrets/pw/abc\","
                "\"content_type\":\"text/plain\",\"enabled\":true,\"size\":6,"
                "\"fetched\":\"2023-11-14T22:14:50Z\",\"next_poll\":\"2023-11-14T22:16:40Z\","
                "\"failures\":3,\"state\":\"deleted\",\"shown\":true},"
                "{\"file\":\"opt\",\"object\":\"o\",\"version\":null,\"updated\":null,"
                "\"age_seconds\":null,\"expires\":null,\"id\":null,\"content_type\":null,"
                "\"enabled\":null,\"size\":null,\"error\":\"the vault is \\\"away\\\"\","
                "\"type\":\"key\",\"fetched\":null,\"next_poll\":\"2023-11-14T22:16:40Z\","
                "\"failures\":1,\"state\":\"deleted\",\"shown\":false}],"
                "\"selectors\":[{\"selector\":\"secrets like app-*\",\"vault\":\"https://v\","
                "\"objects\":4,\"error\":null}]}");
        cJSON_free(text);
}

static cJSON *one_object(const struct view_file *f, struct cache_state state, int64_t now)
{
        const struct status_file files[] = {{f, state, VIEW_FINE}};
        const struct status_mount m = {.mountpoint = "/m",
                .class = "c",
                .state = "mounted",
                .vault = "",
                .identity = "",
                .files = files,
                .n_files = 1};

        return status_mount_json(&m, now);
}

static cJSON *refetching(int64_t at, const char *error)
{
        const struct status_mount m = {.mountpoint = "/m",
                .class = "c",
                .state = "mounted",
                .vault = "",
                .identity = "",
                .refetching = true,
                .refetch_at = at,
                .refetch_error = error};

        return status_mount_json(&m, 1700000107);
}

/* After a change of worker it is never said that nothing will be polled any more. */
Test(status_json, what_is_fetched_again_has_a_next_try)
{
        _cleanup_json_ cJSON *under_way = refetching(0, NULL);
        const cJSON *r = json_get(under_way, "refetch");
        cr_assert_str_eq(json_string(under_way, "next_poll"), "2023-11-14T22:15:07Z", "now");
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(r, "next_try")));
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(r, "error")));

        _cleanup_json_ cJSON *waiting = refetching(1700000300, "no answer");
        r = json_get(waiting, "refetch");
        cr_assert_str_eq(json_string(waiting, "next_poll"), "2023-11-14T22:18:20Z");
        cr_assert_str_eq(json_string(r, "next_try"), "2023-11-14T22:18:20Z");
        cr_assert_str_eq(json_string(r, "error"), "no answer");
}

Test(status_json, nothing_known_is_null)
{
        struct view_file one = file("a", "a");
        one.mtime = 0;

        _cleanup_json_ cJSON *j = one_object(&one, (struct cache_state){0}, 1700000107);
        const cJSON *o = cJSON_GetArrayItem(json_get(j, "objects"), 0);
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(j, "next_poll")));
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(o, "updated")));
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(o, "age_seconds")));
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(o, "fetched")));
}

Test(status_json, a_clock_that_went_back_makes_no_negative_age)
{
        const struct view_file one = file("a", "a");
        int64_t age = -1;

        _cleanup_json_ cJSON *j = one_object(&one, (struct cache_state){.fetched_at = 2000}, 1000);
        const cJSON *o = cJSON_GetArrayItem(json_get(j, "objects"), 0);
        cr_assert_eq(json_int64(o, "age_seconds", &age), 0);
        cr_assert_eq(age, 0);
}
