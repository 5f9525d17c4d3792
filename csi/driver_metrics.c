#include "csi/driver_metrics.h"

enum {
        PUBLISHED,
        PUBLISH_ERRORS,
        UNPUBLISHED,
        UNPUBLISH_ERRORS,
        REFRESHED,
        REFRESH_ERRORS,
        PUBLISH_DURATION,
        REPUBLISH_ERRORS,
        VOLUMES,
        FAILING,
        OUTDATED,
        CLASSES,
        CLASSES_FAILING,
        VAULT_REQUESTS,
        EVENTS,
        BUILD,
        N_FAMILIES,
};

/* Kubelet gives up after two minutes. */
static const double publish_seconds[] = {
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};

#define OS_TYPE "linux"
#define PROVIDER "azure"

static const struct metric_family families[N_FAMILIES] = {
        [PUBLISHED] = {.name = "node_publish_total",
                .help = "Total number of node publish calls",
                .labels = {"provider", "os_type"}},
        [PUBLISH_ERRORS] = {.name = "node_publish_error_total",
                .help = "Total number of node publish calls with error",
                .labels = {"provider", "error_type", "os_type"}},
        [UNPUBLISHED] = {.name = "node_unpublish_total",
                .help = "Total number of node unpublish calls",
                .labels = {"os_type"}},
        [UNPUBLISH_ERRORS] = {.name = "node_unpublish_error_total",
                .help = "Total number of node unpublish calls with error",
                .labels = {"os_type"}},
        [REFRESHED] = {.name = "rotation_reconcile_total",
                .help = "Total number of rotation reconciles",
                .labels = {"provider", "os_type", "rotated"}},
        [REFRESH_ERRORS] = {.name = "rotation_reconcile_error_total",
                .help = "Total number of rotation reconciles with error",
                .labels = {"provider", "error_type", "os_type", "rotated"}},
        [PUBLISH_DURATION] = {.name = "akvfs_publish_duration_seconds",
                .help = "From kubelet's first request for a volume until it is mounted or given up",
                .kind = METRIC_HISTOGRAM,
                .labels = {"code"},
                .buckets = publish_seconds,
                .n_buckets = ELEMENTSOF(publish_seconds)},
        [REPUBLISH_ERRORS] = {.name = "akvfs_republish_error_total",
                .help = "Republishes that were answered OK and could not be taken",
                .labels = {"error_type"}},
        [VOLUMES] = {.name = "akvfs_volumes",
                .help = "Volumes that are published now",
                .kind = METRIC_GAUGE},
        [FAILING] = {.name = "akvfs_volumes_failing",
                .help = "Volumes with an object that is not as the vault has it now",
                .kind = METRIC_GAUGE},
        [OUTDATED] = {.name = "akvfs_volumes_outdated",
                .help = "Volumes of a class that has changed or gone since they were mounted",
                .kind = METRIC_GAUGE},
        [CLASSES] = {.name = "akvfs_classes_watched",
                .help = "Classes that are watched at the API server",
                .kind = METRIC_GAUGE},
        [CLASSES_FAILING] = {.name = "akvfs_classes_failing",
                .help = "Of these, classes whose changes are not noticed for the time being",
                .kind = METRIC_GAUGE},
        [VAULT_REQUESTS] = {.name = "akvfs_vault_requests_total",
                .help = "Requests that vaults were sent"},
        [EVENTS] = {.name = "akvfs_events_total",
                .help = "Events said on pods, by reason",
                .labels = {"reason"}},
        [BUILD] = {.name = "akvfs_build_info",
                .help = "The version that runs",
                .kind = METRIC_GAUGE,
                .labels = {"version"}},
};

struct driver_metrics {
        struct metrics *metrics;
};

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

void driver_metrics_published(struct driver_metrics *d, enum rpc_code code)
{
        const char *name = rpc_code_name(code);

        if (code == RPC_OK)
                metrics_add(d->metrics, PUBLISHED, VALUES(PROVIDER, OS_TYPE), 1);
        else
                metrics_add(d->metrics, PUBLISH_ERRORS, VALUES(PROVIDER, name, OS_TYPE), 1);
}

void driver_metrics_mounted(struct driver_metrics *d, enum rpc_code code, usec_t took)
{
        metrics_observe(d->metrics, PUBLISH_DURATION, VALUES(rpc_code_name(code)),
                (double)took / (double)USEC_PER_SEC);
}

void driver_metrics_unpublished(struct driver_metrics *d, enum rpc_code code)
{
        metrics_add(
                d->metrics, code == RPC_OK ? UNPUBLISHED : UNPUBLISH_ERRORS, VALUES(OS_TYPE), 1);
}

void driver_metrics_refreshed(struct driver_metrics *d, bool rotated, enum rpc_code code)
{
        const char *changed = rotated ? "true" : "false";

        if (code == RPC_OK)
                metrics_add(d->metrics, REFRESHED, VALUES(PROVIDER, OS_TYPE, changed), 1);
        else
                metrics_add(d->metrics, REFRESH_ERRORS,
                        VALUES(PROVIDER, rpc_code_name(code), OS_TYPE, changed), 1);
}

void driver_metrics_republish_failed(struct driver_metrics *d, enum rpc_code code)
{
        metrics_add(d->metrics, REPUBLISH_ERRORS, VALUES(rpc_code_name(code)), 1);
}

void driver_metrics_event(struct driver_metrics *d, const char *reason)
{
        metrics_add(d->metrics, EVENTS, VALUES(reason), 1);
}

void driver_metrics_levels(struct driver_metrics *d, const struct driver_levels *now)
{
        metrics_set(d->metrics, VOLUMES, NULL, (double)now->volumes);
        metrics_set(d->metrics, FAILING, NULL, (double)now->failing);
        metrics_set(d->metrics, OUTDATED, NULL, (double)now->outdated);
        metrics_set(d->metrics, CLASSES, NULL, (double)now->classes);
        metrics_set(d->metrics, CLASSES_FAILING, NULL, (double)now->classes_failing);
        metrics_set(d->metrics, VAULT_REQUESTS, NULL, (double)now->vault_requests);
}

int driver_metrics_text(const struct driver_metrics *d, char **ret, size_t *ret_len)
{
        return metrics_text(d->metrics, ret, ret_len);
}

int driver_metrics_new(struct driver_metrics **ret)
{
        _cleanup_(driver_metrics_freep) struct driver_metrics *d = calloc(1, sizeof *d);

        if (!d)
                return -ENOMEM;
        int r = metrics_new(families, N_FAMILIES, &d->metrics);
        if (r < 0)
                return r;
        metrics_set(d->metrics, BUILD, VALUES(AKVFS_VERSION), 1);
        *ret = TAKE_PTR(d);
        return 0;
}

void driver_metrics_free(struct driver_metrics *d)
{
        if (!d)
                return;
        metrics_free(d->metrics);
        free(d);
}
