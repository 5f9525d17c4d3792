/* What kubelet asks for with NodePublishVolume, checked: who the pod is, what it wants, where.
 *
 * Identity is what kubelet says, never what a pod says. Volume attributes are written by whoever
 * writes the pod, and kubelet puts its own keys (csi.storage.k8s.io/...) over them, so those of its
 * keys that it sets are trusted and every other key of that prefix is refused: an author may have
 * written it in the hope that some version of kubelet does not. The pod's keys are there only when
 * the CSIDriver object says podInfoOnMount; without them nothing is published.
 *
 * Checks are made in CSI's order with the texts that guides tell people to look for
 * (upstream-behaviour: "Volume capability missing in request" and the like), before anything is
 * touched. Everything is bounded: see the limits below.
 */
#pragma once

#include "csi/proto/csi.pb-c.h"
#include "csi/rpc.h"

#define PUBLISH_VOLUME_ID_MAX 128 /* the specification's limit for a string field */
#define PUBLISH_PATH_MAX 4095
#define PUBLISH_ENTRIES_MAX 256     /* of attributes, and of secrets */
#define PUBLISH_KEY_MAX 317         /* a Kubernetes label key: 253 + 1 + 63 */
#define PUBLISH_VALUE_MAX (1 << 20) /* of an attribute: what an API object can hold */

struct publish_entry {
        char *key, *value;
};

struct publish_request {
        char *volume_id;
        char *target_path;
        char *class_name; /* NULL: not named */
        char *pod_name, *pod_namespace, *pod_uid, *service_account;
        gid_t mount_group;     /* (gid_t)-1: none was asked for */
        char *selinux_context; /* base/selinux.h; NULL: none was asked for */
        /* What the pod's author wrote, to overlay the class's parameters with. */
        struct publish_entry *attributes;
        size_t n_attributes;
        /* nodePublishSecretRef's data. Wiped. */
        struct publish_entry *secrets;
        size_t n_secrets;
        char *tokens; /* the service account's, as kubelet's JSON; NULL: none. Wiped. */
};

/* kubelet_dir: targets lie below it, e.g. "/var/lib/kubelet". *ret is published only when every
 * check is passed; otherwise *ret_code says which gRPC code the error has. */
int publish_request_parse(const Csi__V1__NodePublishVolumeRequest *m, const char *kubelet_dir,
        struct publish_request *ret, enum rpc_code *ret_code, struct err *e);
void publish_request_done(struct publish_request *r);
#define _cleanup_publish_request_ _cleanup_(publish_request_done)

/* The two that name a volume and nothing else (NodeUnpublishVolume, NodeGetVolumeStats). */
int volume_id_parse(const ProtobufCBinaryData *field, char **ret, struct err *e);
/* Absolute, lexically clean, below kubelet_dir. That no component is a symlink is the keeper's to
 * see, when it opens the path (openat2 with RESOLVE_NO_SYMLINKS). what: "Target path". */
int volume_path_parse(const ProtobufCBinaryData *field, const char *what, const char *kubelet_dir,
        char **ret, struct err *e);
