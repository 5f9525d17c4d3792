#include "csi/driver.h"

#include "base/log.h"

struct csi_driver {
        struct csi_services services;
        struct csi_node node;
        struct volumes *volumes;
        struct rpc_server *server;
        const struct fs *fs;
};

#define SERVICE(name)                                                \
        static void on_##name(void *userdata, struct rpc_call *call) \
        {                                                            \
                struct csi_driver *d = userdata;                     \
                name(&d->services, call);                            \
        }
#define NODE(name)                                                   \
        static void on_##name(void *userdata, struct rpc_call *call) \
        {                                                            \
                struct csi_driver *d = userdata;                     \
                name(&d->node, call);                                \
        }
SERVICE(csi_get_plugin_info)
SERVICE(csi_get_plugin_capabilities)
SERVICE(csi_probe)
SERVICE(registration_get_info)
SERVICE(registration_notify)
SERVICE(health_check)
NODE(node_get_info)
NODE(node_get_capabilities)
NODE(node_publish_volume)
NODE(node_unpublish_volume)
NODE(node_get_volume_stats)

static const struct rpc_method methods[] = {
        {"/csi.v1.Identity/GetPluginInfo", on_csi_get_plugin_info},
        {"/csi.v1.Identity/GetPluginCapabilities", on_csi_get_plugin_capabilities},
        {"/csi.v1.Identity/Probe", on_csi_probe},
        {"/csi.v1.Node/NodeGetInfo", on_node_get_info},
        {"/csi.v1.Node/NodeGetCapabilities", on_node_get_capabilities},
        {"/csi.v1.Node/NodePublishVolume", on_node_publish_volume},
        {"/csi.v1.Node/NodeUnpublishVolume", on_node_unpublish_volume},
        {"/csi.v1.Node/NodeGetVolumeStats", on_node_get_volume_stats},
        {"/pluginregistration.Registration/GetInfo", on_registration_get_info},
        {"/pluginregistration.Registration/NotifyRegistrationStatus", on_registration_notify},
        {"/grpc.health.v1.Health/Check", on_health_check},
};

static bool is_ready(void *userdata)
{
        const struct csi_driver *d = userdata;

        return fs_keeper_pid(d->fs) > 0;
}

static int listen_all(struct csi_driver *d, const struct csi_driver_config *cfg, struct err *e)
{
        int r = 0;

        for (size_t i = 0; i < cfg->n_listen_fds; i++) {
                if (r == 0)
                        r = rpc_server_listen(d->server, cfg->listen_fds[i], e);
                else
                        safe_close(cfg->listen_fds[i]);
        }
        return r;
}

int csi_driver_new(const struct csi_driver_config *cfg, struct csi_driver **ret, struct err *e)
{
        _cleanup_(csi_driver_freep) struct csi_driver *d = calloc(1, sizeof *d);
        int r = d ? csi_driver_name_check(cfg->driver_name, e)
                  : err_set(e, -ENOMEM, "out of memory");

        if (r == 0) {
                d->fs = cfg->volumes.parts.fs;
                d->services = (struct csi_services){.driver_name = cfg->driver_name,
                        .endpoint = cfg->endpoint,
                        .is_ready = is_ready,
                        .userdata = d};
                r = volumes_new(&cfg->volumes, &d->volumes, e);
        }
        if (r == 0) {
                d->node = (struct csi_node){.node_id = cfg->node_id,
                        .kubelet_dir = cfg->kubelet_dir,
                        .volumes = d->volumes};
                r = rpc_server_new(cfg->loop, methods, ELEMENTSOF(methods), d, &d->server, e);
        }
        if (r < 0) {
                for (size_t i = 0; i < cfg->n_listen_fds; i++)
                        safe_close(cfg->listen_fds[i]);
                return r;
        }
        r = listen_all(d, cfg, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

void csi_driver_free(struct csi_driver *d)
{
        if (!d)
                return;
        rpc_server_free(d->server);
        volumes_free(d->volumes);
        free(d);
}

void csi_driver_make_way(struct csi_driver *d)
{
        rpc_server_stop_listening(d->server);
}

bool csi_driver_is_quiet(const struct csi_driver *d)
{
        return rpc_server_is_quiet(d->server) && volumes_are_quiet(d->volumes);
}

struct volumes *csi_driver_volumes(const struct csi_driver *d)
{
        return d->volumes;
}
