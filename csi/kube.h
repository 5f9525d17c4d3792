/* The Kubernetes API server, as a pod's service account may ask it.
 *
 * One struct kube is one server and one account: in a cluster the address is in the environment,
 * and the account's token and the authority's certificate are files that kubelet keeps fresh
 * ("Accessing the Kubernetes API from a Pod", kubernetes.io). The token is read again for each
 * request: kubelet replaces it before it ends. The authority is read again for a new connection,
 * as base/http.h says.
 *
 * Nothing cluster-wide is listed or watched: every path has a namespace in it, and what is watched
 * a name as well (csi/kube_watch.h). Answers are bounded by KUBE_ANSWER_MAX. Requests are tried
 * again as base/http.h says, on 429 (when Retry-After says), 5xx and when there was no answer.
 * HTTP/2 where the server has it, so that many of them share one connection.
 *
 * Loop thread only.
 */
#pragma once

#include "base/http.h"
#include "base/json.h"

#define KUBE_ANSWER_MAX ((size_t)4 << 20) /* an object is at most 1.5 MiB */
#define KUBE_TOKEN_MAX ((size_t)64 << 10)
#define KUBE_TOKEN_FILE "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define KUBE_CA_FILE "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"

struct kube;
struct kube_call;

struct kube_config {
        const char *server;     /* "https://10.0.0.1:443", no slash at the end */
        const char *token_file; /* KUBE_TOKEN_FILE */
        const char *ca_file;    /* KUBE_CA_FILE */
        /* What a second of any pause of csi/kube* takes: 0 for a second, less in tests. Retry-After
         * is the server's to say, and stays as it is. */
        usec_t second;
};

/* The server's address from KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. -ENOENT with a
 * hint when this is no pod. */
int kube_server_from_environment(char **ret, struct err *e);

int kube_new(struct http_client *http, const struct kube_config *cfg, struct kube **ret);
void kube_free(struct kube *k); /* after its calls are over or cancelled */
DEFINE_CLEANUP(struct kube *, kube_free)

/* answer is the object that was asked for, borrowed during the call, and may hold secrets; NULL
 * when error says why: its text holds the server's own message, its cause is ERR_NOT_FOUND (404),
 * ERR_FORBIDDEN (403), ERR_AUTH (401), ERR_THROTTLED (429), ERR_SERVICE, or what base/http.h says,
 * and `status` the HTTP status (409: somebody was faster), 0 when there was none. */
typedef void (*kube_done_fn)(
        void *userdata, const cJSON *answer, int status, const struct err *error);

/* GET of a path below the server, e.g. kube_class_path()'s. *ret is valid until the callback, which
 * is never called from within. */
int kube_get(struct kube *k, const char *path, kube_done_fn done, void *userdata,
        struct kube_call **ret, struct err *e);
/* POST of an object to the path of its collection. One that names itself can be sent twice without
 * harm when the first answer got lost: the second is answered 409, and then the object is there. */
int kube_create(struct kube *k, const char *path, const cJSON *object, kube_done_fn done,
        void *userdata, struct kube_call **ret, struct err *e);
/* PATCH of an object with a JSON merge patch (RFC 7396). One that holds metadata.resourceVersion
 * changes that version alone, and 409 is the caller's to read the object again; any other is tried
 * again on 409, which then means that the server was too busy with others' changes. */
int kube_patch(struct kube *k, const char *path, const cJSON *patch, kube_done_fn done,
        void *userdata, struct kube_call **ret, struct err *e);
/* DELETE. The answer is the object or a Status; 404 when it was gone already. The driver itself
 * deletes nothing, and its role has no verb for it (deploy/kubernetes): for whoever keeps objects
 * of their own. */
int kube_delete(struct kube *k, const char *path, kube_done_fn done, void *userdata,
        struct kube_call **ret, struct err *e);
struct kube_call *kube_cancel(struct kube_call *call); /* no callback after this; returns NULL */

/* "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/NS/secretproviderclasses/NAME", or without NAME
 * when that is NULL; caller frees. Both are DNS names by now (csi/publish_request.h); anything else
 * is escaped. */
int kube_class_path(const char *namespace, const char *name, char **ret);
