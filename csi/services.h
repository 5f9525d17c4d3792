/* What kubelet and probes ask before any volume: who is this, what can it do, is it well.
 *
 * csi.v1.Identity, pluginregistration.Registration and grpc.health.v1.Health, none of which knows
 * of volumes. Each function ends the call it is given. All on the loop's thread.
 *
 * CSI specification 1.9, "Identity Service RPC"; kubelet's pluginregistration v1, which calls
 * GetInfo on any socket that appears in its plugins_registry and expects the type "CSIPlugin".
 */
#pragma once

#include "csi/rpc.h"

#define CSI_DRIVER_NAME "secrets.akvfs.io"
#define CSI_DRIVER_NAME_UPSTREAM "secrets-store.csi.k8s.io"
#define CSI_DRIVER_NAME_MAX 63 /* the specification's limit */

struct csi_services {
        const char *driver_name; /* csi_driver_name_check()ed */
        const char *endpoint;    /* the driver's socket as kubelet finds it, on the host */
        /* The process's own health, never the vault's: false while the keeper is not there. */
        bool (*is_ready)(void *userdata);
        void *userdata;
        bool registered; /* what kubelet said last */
};

/* Letters, digits, '-' and '.', the first and last of them a letter or a digit. -EINVAL. */
int csi_driver_name_check(const char *name, struct err *e);

void csi_get_plugin_info(struct csi_services *s, struct rpc_call *call);
void csi_get_plugin_capabilities(struct csi_services *s, struct rpc_call *call);
void csi_probe(struct csi_services *s, struct rpc_call *call);

void registration_get_info(struct csi_services *s, struct rpc_call *call);
void registration_notify(struct csi_services *s, struct rpc_call *call);

/* Check alone: Watch and List are UNIMPLEMENTED, as the protocol allows. */
void health_check(struct csi_services *s, struct rpc_call *call);
