#include "csi/node.h"

#include "base/log.h"

/* csi.v1.NodeServiceCapability.RPC.Type */
#define GET_VOLUME_STATS 2
#define VOLUME_CONDITION 4
#define VOLUME_MOUNT_GROUP 6
/* csi.v1.VolumeUsage.Unit */
#define UNIT_BYTES 1
#define UNIT_INODES 2

void node_get_info(struct csi_node *n, struct rpc_call *call)
{
        Csi__V1__NodeGetInfoResponse answer = CSI__V1__NODE_GET_INFO_RESPONSE__INIT;

        answer.node_id = rpc_borrow(n->node_id);
        rpc_reply(call, &answer.base);
}

void node_get_capabilities(struct csi_node *n, struct rpc_call *call)
{
        static const int types[] = {GET_VOLUME_STATS, VOLUME_CONDITION, VOLUME_MOUNT_GROUP};
        Csi__V1__NodeGetCapabilitiesResponse answer = CSI__V1__NODE_GET_CAPABILITIES_RESPONSE__INIT;
        Csi__V1__NodeServiceCapability capabilities[ELEMENTSOF(types)];
        Csi__V1__NodeServiceCapability__RPC rpcs[ELEMENTSOF(types)];
        Csi__V1__NodeServiceCapability *list[ELEMENTSOF(types)];

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                csi__v1__node_service_capability__init(&capabilities[i]);
                csi__v1__node_service_capability__rpc__init(&rpcs[i]);
                rpcs[i].type = types[i];
                capabilities[i].rpc = &rpcs[i];
                list[i] = &capabilities[i];
        }
        answer.capabilities = list;
        answer.n_capabilities = ELEMENTSOF(list);
        rpc_reply(call, &answer.base);
}

/* --- publish --- */

/* A pod that runs loses its volume's folder to some kubelets when a republish fails: what is
 * mounted is well, whatever is wrong with the request. */
static bool is_published(const struct csi_node *n, const Csi__V1__NodePublishVolumeRequest *m,
        const struct err *error)
{
        _cleanup_free_ char *id = NULL, *path = NULL;

        return volume_id_parse(&m->volume_id, &id, NULL) == 0 &&
               volume_path_parse(&m->target_path, "Target path", n->kubelet_dir, &path, NULL) ==
                       0 &&
               volumes_refuse_republish(n->volumes, path, id, error);
}

void node_publish_volume(struct csi_node *n, struct rpc_call *call)
{
        Csi__V1__NodePublishVolumeRequest *m =
                rpc_call_message(call, &csi__v1__node_publish_volume_request__descriptor);
        _cleanup_publish_request_ struct publish_request r = {.mount_group = (gid_t)-1};
        enum rpc_code code = RPC_INVALID_ARGUMENT;
        _cleanup_err_ struct err e = {0};

        if (!m)
                return;
        int k = publish_request_parse(m, n->kubelet_dir, &r, &code, &e);
        bool published = k < 0 && is_published(n, m, &e);
        rpc_message_free(m);
        if (published) {
                Csi__V1__Nothing answer = CSI__V1__NOTHING__INIT;

                log_error("republish: %s; what is mounted stays as it is", err_text(&e));
                rpc_reply(call, &answer.base);
        } else if (k < 0) {
                _cleanup_free_ char *text = NULL;

                log_error("failed to process mount request: %s: %s", rpc_code_name(code),
                        err_text(&e));
                if (e.hint && xasprintf(&text, "%s. %s", err_text(&e), e.hint) < 0)
                        text = NULL;
                rpc_fail(call, k == -ENOMEM ? RPC_RESOURCE_EXHAUSTED : code,
                        text ? text : err_text(&e));
        } else
                volumes_publish(n->volumes, &r, call);
}

/* --- by id and path --- */

/* False: the call has been answered. */
static bool parse_volume(const struct csi_node *n, struct rpc_call *call,
        const ProtobufCBinaryData *id_field, const ProtobufCBinaryData *path_field,
        const char *what, char **ret_path)
{
        _cleanup_free_ char *id = NULL;
        _cleanup_err_ struct err e = {0};

        int k = volume_id_parse(id_field, &id, &e);
        if (k == 0)
                k = volume_path_parse(path_field, what, n->kubelet_dir, ret_path, &e);
        if (k < 0)
                rpc_fail(call, k == -ENOMEM ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT,
                        err_text(&e));
        return k == 0;
}

void node_unpublish_volume(struct csi_node *n, struct rpc_call *call)
{
        Csi__V1__NodeUnpublishVolumeRequest *m =
                rpc_call_message(call, &csi__v1__node_unpublish_volume_request__descriptor);
        _cleanup_free_ char *path = NULL;

        if (!m)
                return;
        bool ok = parse_volume(n, call, &m->volume_id, &m->target_path, "Target path", &path);
        rpc_message_free(m);
        if (ok)
                volumes_unpublish(n->volumes, path, call);
}

static void reply_stats(const struct class_mount *mount, struct rpc_call *call)
{
        Csi__V1__NodeGetVolumeStatsResponse answer = CSI__V1__NODE_GET_VOLUME_STATS_RESPONSE__INIT;
        Csi__V1__VolumeCondition condition = CSI__V1__VOLUME_CONDITION__INIT;
        Csi__V1__VolumeUsage usage[] = {CSI__V1__VOLUME_USAGE__INIT, CSI__V1__VOLUME_USAGE__INIT};
        Csi__V1__VolumeUsage *list[] = {&usage[0], &usage[1]};
        _cleanup_free_ char *trouble = NULL;
        size_t files = 0;
        uint64_t bytes = 0;

        int fresh = class_mount_is_fresh(mount, &trouble);
        if (fresh < 0 || class_mount_usage(mount, &files, &bytes) < 0) {
                rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
                return;
        }
        /* As full as it can be: nothing is ever written. */
        usage[0].unit = UNIT_BYTES;
        usage[0].used = usage[0].total = (int64_t)bytes;
        usage[1].unit = UNIT_INODES;
        usage[1].used = usage[1].total = (int64_t)files;
        answer.usage = list;
        answer.n_usage = ELEMENTSOF(list);
        condition.abnormal = !fresh;
        condition.message = rpc_borrow(
                fresh ? "every object is as the vault had it at the last poll" : trouble);
        answer.volume_condition = &condition;
        rpc_reply(call, &answer.base);
}

void node_get_volume_stats(struct csi_node *n, struct rpc_call *call)
{
        Csi__V1__NodeGetVolumeStatsRequest *m =
                rpc_call_message(call, &csi__v1__node_get_volume_stats_request__descriptor);
        _cleanup_free_ char *path = NULL;

        if (!m)
                return;
        bool ok = parse_volume(n, call, &m->volume_id, &m->volume_path, "Volume path", &path);
        rpc_message_free(m);
        if (!ok)
                return;
        const struct class_mount *mount = volumes_find(n->volumes, path);
        if (mount)
                reply_stats(mount, call);
        else
                rpc_fail(call, RPC_NOT_FOUND, "no volume is published at this path");
}
