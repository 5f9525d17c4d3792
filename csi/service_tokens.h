/* The service account tokens that kubelet hands over with a publish, one for each audience of the
 * CSIDriver object's tokenRequests:
 *
 *     {"api://AzureADTokenExchange":{"token":"eyJ...","expirationTimestamp":"2026-01-02T03:04:05Z"}}
 *
 * ("Token Requests", kubernetes-csi.github.io). The token is proof of the identity only to Entra,
 * which checks its signature. Here its subject has to be the pod's own service account, as kubelet
 * names it: a token that a pod's author wrote into the attributes in place of kubelet's would
 * otherwise make this pod's cache keys another account's.
 */
#pragma once

#include "base/err.h"
#include "base/sec.h"

#define SERVICE_TOKENS_MAX ((size_t)1 << 20)
#define SERVICE_TOKEN_EXCHANGE "api://AzureADTokenExchange"
#define SERVICE_TOKEN_BINDING "api://AKSIdentityBinding"

/* The token for this audience, for this account; borrowed strings. -ENOENT: there is none for this
 * audience, with a hint; -EINVAL for what is no such map; -EACCES for another account's. */
int service_token_find(const char *tokens, const char *audience, const char *namespace,
        const char *service_account, struct sec **ret, struct err *e);
