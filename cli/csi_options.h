/* The words of `akvfs csi`, read by the command and once more by its worker, to which they are
 * passed as they came. Nothing is looked up but the environment. */
#pragma once

#include "cli/options.h"

#define CSI_ENDPOINT_DEFAULT "unix:///csi/csi.sock"
#define CSI_REGISTRATION_DEFAULT "/registration"
#define CSI_KUBELET_DEFAULT "/var/lib/kubelet"

struct csi_options {
        struct options common;        /* poll interval, endpoints, policies, log level */
        const char *endpoint;         /* the socket's path, without unix:// */
        const char *registration_dir; /* kubelet's plugins_registry, as it is seen here */
        char *registered_path;        /* the socket's path on the host; owned */
        const char *node_id, *driver_name;
        const char *kubelet_dir;
        uint64_t max_volumes;                                     /* 1 to FS_MOUNTS_MAX */
        const char *kube_server, *kube_token_file, *kube_ca_file; /* kube_server NULL: in a pod */
        const char *health_address, *metrics_address; /* web_address_check()ed; NULL: not served */
        bool help;
};

/* -EINVAL with cause ERR_USAGE. Strings are those of argv and of the environment. */
int csi_options_parse(int argc, char **argv, struct csi_options *ret, struct err *e);
void csi_options_done(struct csi_options *o);
#define _cleanup_csi_options_ _cleanup_(csi_options_done)
