/* The driver's series, and when each is counted.
 *
 * Those without a prefix have the names and labels of the Secrets Store CSI Driver's, so that
 * dashboards and alerts written for it go on (upstream-behaviour: "node_publish_total" and the
 * like; `provider` is "azure", `os_type` is "linux"); their `error_type` is the gRPC code that
 * kubelet got, by name. What that driver does not count is akvfs_*.
 *
 *     node_publish_total                 publishes that were answered OK
 *     node_publish_error_total           and those that were not
 *     node_unpublish_total, node_unpublish_error_total
 *     rotation_reconcile_total           refreshes of a volume; rotated: whether a file changed
 *     rotation_reconcile_error_total     those that failed
 *     akvfs_publish_duration_seconds     from kubelet's request to the answer
 *     akvfs_volumes                      published now
 *     akvfs_volumes_failing              of them, with an object that is not as the vault has it
 *     akvfs_volumes_outdated             of them, of a class that has changed or gone since
 *     akvfs_republish_error_total        what kubelet brings for a volume cannot be taken; it is
 *                                        answered OK all the same
 *     akvfs_classes_watched, akvfs_classes_failing
 *                                        csi/classes.h
 *     akvfs_vault_requests_total         requests to vaults
 *     akvfs_events_total                 events on pods, by reason
 *     akvfs_build_info
 *
 * No series has a pod, a class, a vault or an object in it: they come and go. Loop thread only.
 */
#pragma once

#include "base/loop.h"
#include "csi/metrics.h"
#include "csi/rpc.h"

struct driver_metrics;

int driver_metrics_new(struct driver_metrics **ret);
void driver_metrics_free(struct driver_metrics *d);
DEFINE_CLEANUP(struct driver_metrics *, driver_metrics_free)

/* What kubelet was answered, republishes too. */
void driver_metrics_published(struct driver_metrics *d, enum rpc_code code);
void driver_metrics_unpublished(struct driver_metrics *d, enum rpc_code code);
/* A volume is mounted, or has been given up: once for each, whoever waited for it. */
void driver_metrics_mounted(struct driver_metrics *d, enum rpc_code code, usec_t took);
/* A volume was refreshed after it had been published. code: RPC_OK, or what a publish would have
 * been answered. */
void driver_metrics_refreshed(struct driver_metrics *d, bool rotated, enum rpc_code code);
void driver_metrics_republish_failed(struct driver_metrics *d, enum rpc_code code);
void driver_metrics_event(struct driver_metrics *d, const char *reason);

/* What is so now, rather than counted. */
struct driver_levels {
        size_t volumes, failing, outdated;
        size_t classes, classes_failing;
        uint64_t vault_requests; /* since the start, by whoever sends them */
};
void driver_metrics_levels(struct driver_metrics *d, const struct driver_levels *now);

int driver_metrics_text(const struct driver_metrics *d, char **ret, size_t *ret_len);
