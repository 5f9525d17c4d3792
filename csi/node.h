/* csi.v1.Node: what kubelet asks about volumes (CSI specification 1.9, "Node Service RPC").
 * Requests are checked here; csi/volumes.h does what they ask. Each function ends the call it is
 * given, now or later. All on the loop's thread. */
#pragma once

#include "csi/volumes.h"

#define NODE_ID_MAX 192 /* the specification's limit is 256 bytes, kubelet's for it 192 */

struct csi_node {
        const char *node_id;
        const char *kubelet_dir; /* absolute, without a slash at the end */
        struct volumes *volumes;
};

void node_get_info(struct csi_node *n, struct rpc_call *call);
void node_get_capabilities(struct csi_node *n, struct rpc_call *call);
void node_publish_volume(struct csi_node *n, struct rpc_call *call);
void node_unpublish_volume(struct csi_node *n, struct rpc_call *call);
void node_get_volume_stats(struct csi_node *n, struct rpc_call *call);
