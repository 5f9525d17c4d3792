/* What `akvfs status` tells while there is no vault, view or mount yet. With them:
 * tests/integration/test_commands.py, and after a change of worker test_crash.py. */
#include <criterion/criterion.h>

#include "mount/class_mount_private.h"

TestSuite(class_mount_status, .timeout = 60);

static cJSON *status_of(enum class_mount_state state, bool adopted)
{
        static char name[] = "web", mountpoint[] = "/mnt/a b", url[] = "https://v.vault.azure.net";
        static struct spc_class class = {.name = name};
        struct class_mount cm = {.state = state,
                .adoption = {.pending = adopted},
                .request = {.mountpoint = mountpoint,
                        .class = &class,
                        .poll_interval = 2 * USEC_PER_SEC,
                        .uid = 5,
                        .gid = 6,
                        .mode = 0440,
                        .identity = {.vault_url = url}}};

        return class_mount_status(&cm, 77, 1700000000);
}

Test(class_mount_status, before_anything_is_there)
{
        static const char *const names[] = {
                [FETCHING] = "fetching",
                [MOUNTING] = "mounting",
                [MOUNTED] = "mounted",
                [ENDING] = "ending",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_json_ cJSON *j = status_of((enum class_mount_state)i, false);
                int64_t n = -1;

                cr_assert_not_null(j);
                cr_assert_str_eq(json_string(j, "state"), names[i]);
                cr_assert_str_eq(json_string(j, "mountpoint"), "/mnt/a b");
                cr_assert_str_eq(json_string(j, "class"), "web");
                cr_assert_str_eq(json_string(j, "vault"), "https://v.vault.azure.net");
                cr_assert_str_eq(json_string(j, "identity"), "");
                cr_assert_eq(json_int64(j, "worker_pid", &n), 0);
                cr_assert_eq(n, 77);
                cr_assert_eq(json_int64(j, "keeper_pid", &n), 0);
                cr_assert_eq(n, 0);
                cr_assert_eq(json_int64(j, "generation", &n), 0);
                cr_assert_eq(n, 0);
                cr_assert_eq(cJSON_GetArraySize(json_get(j, "objects")), 0);
        }
}

Test(class_mount_status, taken_over_and_being_fetched_again)
{
        _cleanup_json_ cJSON *j = status_of(MOUNTED, true);

        cr_assert(cJSON_IsObject(json_get(j, "refetch")));
        cr_assert_str_eq(json_string(j, "next_poll"), "2023-11-14T22:13:20Z", "now");
        _cleanup_json_ cJSON *other = status_of(MOUNTED, false);
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(other, "refetch")));
}

/* Its mount may have gone before anything was fetched again. */
Test(class_mount_status, taken_over_and_without_its_mount)
{
        _cleanup_json_ cJSON *j = status_of(ENDING, true);

        cr_assert_not_null(j);
        cr_assert_str_eq(json_string(j, "state"), "ending");
        cr_assert(cJSON_IsNull(cJSON_GetObjectItem(j, "refetch")));
        cr_assert_eq(cJSON_GetArraySize(json_get(j, "objects")), 0);
}
