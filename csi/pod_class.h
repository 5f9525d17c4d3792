/* From a pod's volume and the class it names to what is mounted: the API server's object, overlaid
 * with the volume's attributes as upstream does it (reference section 5.4), the identity
 * (csi/pod_identity.h) and the volume's own wishes. Nothing is sent and nothing is touched. */
#pragma once

#include "base/json.h"
#include "csi/pod_identity.h"
#include "mount/request.h"

/* Of the driver, the same for all pods. Strings are borrowed. */
struct pod_class_config {
        struct identity_endpoints endpoints; /* ca_file: for messages */
        const char *ca_pem;                  /* its content, or NULL */
        struct pod_identity_config identity;
        usec_t poll_interval;
        struct view_policy policy;
        struct view_shape shape;
        bool secret_memory_required;
};

/* object: a SecretProviderClass as the API server has it. The error's text is upstream's where it
 * has one. */
int pod_class_request(const struct pod_class_config *cfg, const struct publish_request *r,
        const cJSON *object, struct mount_request *ret, struct err *e);

/* The code for kubelet: a final one where somebody has to mend something, else one after which
 * kubelet asks again and takes the volume for unfinished. */
enum rpc_code pod_class_code(const struct err *e);

/* Puts upstream's words before the text: what every guide tells people to look for. Returns the
 * error's code. */
int pod_class_failed(const char *namespace, const char *pod, struct err *e);
/* The same of several objects: the first says most, the others are named until that are max bytes.
 * A cause that all have in common is told once. */
int pod_class_failures(const char *namespace, const char *pod, const struct err *errors, size_t n,
        size_t max, struct err *e);

/* The volume's own part of the mount, which a later worker finds again: identifies it. */
struct pod_volume {
        char *volume_id;
        char *pod_name, *pod_namespace, *pod_uid, *service_account;
        char *class_name;
        char *class_uid; /* of what it was mounted from (csi/classes.h); "": not known */
        uint64_t class_generation;
        char *selinux_context; /* "": none */
        bool binding;          /* its token is that for identity binding */
};
void pod_volume_done(struct pod_volume *v);
#define _cleanup_pod_volume_ _cleanup_(pod_volume_done)
/* class: the object, or NULL before it is there. */
int pod_volume_copy(
        const struct publish_request *r, const cJSON *class, bool binding, struct pod_volume *ret);
int pod_volume_format(const struct pod_volume *v, char **ret);
int pod_volume_parse(const char *note, struct pod_volume *ret); /* -EBADMSG, -ENOMEM */
