#include "csi/driver_metrics.h"

#include <criterion/criterion.h>

static struct driver_metrics *d;
static char *text;

static void set_up(void)
{
        cr_assert_eq(driver_metrics_new(&d), 0);
}

static void tear_down(void)
{
        driver_metrics_free(d);
        free(text);
}

TestSuite(driver_metrics, .init = set_up, .fini = tear_down, .timeout = 60);

static void expect(const char *line)
{
        size_t len;

        free(text);
        cr_assert_eq(driver_metrics_text(d, &text, &len), 0);
        const char *found = strstr(text, line);
        cr_expect(found && (found == text || found[-1] == '\n') && found[strlen(line)] == '\n',
                "%s", line);
}

Test(driver_metrics, publishes_are_counted_as_dashboards_ask_for_them)
{
        driver_metrics_published(d, RPC_OK);
        driver_metrics_published(d, RPC_OK);
        driver_metrics_published(d, RPC_INVALID_ARGUMENT);
        driver_metrics_unpublished(d, RPC_OK);
        driver_metrics_unpublished(d, RPC_UNAVAILABLE);
        expect("node_publish_total{provider=\"azure\",os_type=\"linux\"} 2");
        expect("node_publish_error_total{provider=\"azure\",error_type=\"InvalidArgument\","
               "os_type=\"linux\"} 1");
        expect("node_unpublish_total{os_type=\"linux\"} 1");
        expect("node_unpublish_error_total{os_type=\"linux\"} 1");
}

Test(driver_metrics, a_volume_s_duration_is_from_the_first_request_to_the_last_word)
{
        driver_metrics_mounted(d, RPC_OK, USEC_PER_SEC / 5);
        driver_metrics_mounted(d, RPC_OK, 0);
        driver_metrics_mounted(d, RPC_INVALID_ARGUMENT, 3 * USEC_PER_SEC);
        expect("akvfs_publish_duration_seconds_bucket{code=\"OK\",le=\"0.1\"} 1");
        expect("akvfs_publish_duration_seconds_bucket{code=\"OK\",le=\"0.25\"} 2");
        expect("akvfs_publish_duration_seconds_sum{code=\"OK\"} 0.2");
        expect("akvfs_publish_duration_seconds_count{code=\"InvalidArgument\"} 1");
}

Test(driver_metrics, refreshes_say_whether_a_file_changed)
{
        driver_metrics_refreshed(d, true, RPC_OK);
        driver_metrics_refreshed(d, false, RPC_OK);
        driver_metrics_refreshed(d, false, RPC_UNAVAILABLE);
        expect("rotation_reconcile_total{provider=\"azure\",os_type=\"linux\",rotated=\"true\"} 1");
        expect("rotation_reconcile_total{provider=\"azure\",os_type=\"linux\",rotated=\"false\"} 1");
        expect("rotation_reconcile_error_total{provider=\"azure\",error_type=\"Unavailable\","
               "os_type=\"linux\",rotated=\"false\"} 1");
}

Test(driver_metrics, levels_and_totals_are_what_was_told_last)
{
        expect("akvfs_volumes 0");
        driver_metrics_levels(d, &(struct driver_levels){.volumes = 30, .vault_requests = 100});
        driver_metrics_levels(d, &(struct driver_levels){.volumes = 12,
                                         .failing = 3,
                                         .outdated = 2,
                                         .classes = 7,
                                         .classes_failing = 1,
                                         .vault_requests = 104});
        driver_metrics_event(d, "MountLost");
        driver_metrics_republish_failed(d, RPC_INVALID_ARGUMENT);
        expect("akvfs_volumes 12");
        expect("akvfs_volumes_failing 3");
        expect("akvfs_volumes_outdated 2");
        expect("akvfs_classes_watched 7");
        expect("akvfs_classes_failing 1");
        expect("akvfs_vault_requests_total 104");
        expect("akvfs_events_total{reason=\"MountLost\"} 1");
        expect("akvfs_republish_error_total{error_type=\"InvalidArgument\"} 1");
        expect("akvfs_build_info{version=\"" AKVFS_VERSION "\"} 1");
}
