/* AKS identity binding: the cluster's token proxy, and the TLS server name that it is asked by.
 *
 * The name depends on the cluster alone: 'a', then base32hex (RFC 4648 section 7, lower case, no
 * padding) of SHA-256("identity-binding" ID), then ".ests.aks". The ID stands in the API server's
 * own certificate, as a subject alternative name hcp-kubernetes.ID.svc.cluster.local.
 */
#pragma once

#include "base/err.h"

#define BINDING_PROXY_DEFAULT "https://kubernetes.default.svc.cluster.local"
#define BINDING_CA_DEFAULT "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
#define BINDING_AUDIENCE "api://AKSIdentityBinding"

/* https, without user, query or fragment; sni (or NULL) is a host name. -EINVAL. */
int auth_binding_check(const char *url, const char *sni, struct err *e);
/* "https://HOST[:PORT][/PREFIX]" to "HOST:PORT" and "/PREFIX" or "". Of a URL that was checked. */
int auth_binding_parse_url(const char *url, char **ret_host_port, char **ret_prefix);

#define BINDING_SNI_MAX 64
/* -EINVAL for an id that no cluster has. */
int auth_binding_sni(const char *id, char ret[static BINDING_SNI_MAX]);
/* The id in such a name, or NULL when it is none; *ret_len its length. */
const char *auth_binding_id(const char *dns_name, size_t *ret_len);

/* Asks the API server for its certificate and makes the name from it. Blocks: ten seconds at most,
 * and as long as the host's name takes to resolve. port NULL: 443; ca_pem: of the cluster, always
 * verified. */
int auth_binding_discover(const char *host, const char *port, const char *ca_pem,
        char ret[static BINDING_SNI_MAX], struct err *e);
