/* The CSI driver as kubelet sees it: the services on their sockets, and the volumes behind them.
 *
 * Two sockets, each with all services: the driver's own (kubelet's plugins folder) and the one in
 * kubelet's plugins_registry, on which it asks what the first is. All on the loop's thread.
 */
#pragma once

#include "csi/node.h"
#include "csi/services.h"

struct csi_driver;

struct csi_driver_config {
        struct loop *loop;
        const char *driver_name;
        const char *endpoint; /* the driver's socket, on the host */
        const char *node_id;
        const char *kubelet_dir;
        const int *listen_fds; /* taken over, also on failure */
        size_t n_listen_fds;
        /* Of the pages (csi/driver_web.h), or NULL. One that cannot be had is told in the log, and
         * volumes are served all the same: whoever asks there finds out. */
        const char *health_address, *metrics_address;
        struct volumes_config volumes; /* but `metrics` and `news` */
};

/* Strings are borrowed. */
int csi_driver_new(const struct csi_driver_config *cfg, struct csi_driver **ret, struct err *e);
void csi_driver_free(struct csi_driver *d);
DEFINE_CLEANUP(struct csi_driver *, csi_driver_free)

/* Another process takes the sockets and the volumes over: nobody new is listened to. Who was let in
 * before may have its call still on the way, and is served. Quiet: everybody has been answered, and
 * each volume is mounted. */
void csi_driver_make_way(struct csi_driver *d);
bool csi_driver_is_quiet(const struct csi_driver *d);

struct volumes *csi_driver_volumes(const struct csi_driver *d); /* borrowed */
