/* Which identity a pod's class is asked as, and what proves it: what kubelet sent with the publish,
 * and nothing else (reference section 1.4).
 *
 *   usePodIdentity      the pod's name and namespace, for NMI to judge
 *   useVMManagedIdentity  the node's
 *   useAzureTokenProxy  clientID, and the service account's token for AKS identity binding
 *   clientID            clientID, and the service account's token (workload identity)
 *   else                clientid and clientsecret of nodePublishSecretRef
 *
 * A token is taken only when its subject is the pod's own service account (csi/service_tokens.h),
 * which with that is part of the cache's key.
 */
#pragma once

#include "csi/publish_request.h"
#include "mount/identity.h"

/* Of the driver, the same for all pods; NULL: not known. Borrowed. */
struct pod_identity_config {
        const char *token_proxy, *sni; /* identity binding; token_proxy NULL: AKS's own */
        const char *proxy_ca_pem;      /* the cluster's authority */
};

/* Fills what proves `ret`, whose endpoints are there already. The error has the cause ERR_USAGE for
 * a class or a request that cannot be asked with, ERR_AUTH for what the cluster does not provide.
 */
int pod_identity_choose(const struct pod_identity_config *cfg, const struct spc_class *class,
        const struct publish_request *r, struct identity *ret, struct err *e);

/* The token for that identity among those that kubelet sent, of the pod's own account. -ENOENT:
 * none is for its audience; errors as above. */
int pod_identity_token(
        const struct publish_request *r, bool binding, struct sec **ret, struct err *e);
