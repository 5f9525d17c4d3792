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
void driver_metrics_volumes(struct driver_metrics *d, size_t now);
void driver_metrics_event(struct driver_metrics *d, const char *reason);
/* How many there were since the start, as the cache counts them. */
void driver_metrics_vault_requests(struct driver_metrics *d, uint64_t total);

int driver_metrics_text(const struct driver_metrics *d, char **ret, size_t *ret_len);
