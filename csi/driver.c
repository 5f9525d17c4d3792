#include "csi/driver.h"

#include "base/log.h"
#include "csi/driver_web.h"

struct csi_driver {
        struct csi_services services;
        struct csi_node node;
        struct volumes *volumes;
        struct rpc_server *server;
        const struct fs *fs;
        const struct vaults *vaults;
        struct driver_metrics *metrics;
        struct news *news;
        struct driver_web *health, *pages;
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

static void on_publish_ended(void *userdata, enum rpc_code code)
{
        const struct csi_driver *d = userdata;

        driver_metrics_published(d->metrics, code);
}

static void on_unpublish_ended(void *userdata, enum rpc_code code)
{
        const struct csi_driver *d = userdata;

        driver_metrics_unpublished(d->metrics, code);
}

static const struct rpc_method methods[] = {
        {.path = "/csi.v1.Identity/GetPluginInfo", .fn = on_csi_get_plugin_info},
        {.path = "/csi.v1.Identity/GetPluginCapabilities", .fn = on_csi_get_plugin_capabilities},
        {.path = "/csi.v1.Identity/Probe", .fn = on_csi_probe},
        {.path = "/csi.v1.Node/NodeGetInfo", .fn = on_node_get_info},
        {.path = "/csi.v1.Node/NodeGetCapabilities", .fn = on_node_get_capabilities},
        {.path = "/csi.v1.Node/NodePublishVolume",
                .fn = on_node_publish_volume,
                .ended = on_publish_ended},
        {.path = "/csi.v1.Node/NodeUnpublishVolume",
                .fn = on_node_unpublish_volume,
                .ended = on_unpublish_ended},
        {.path = "/csi.v1.Node/NodeGetVolumeStats", .fn = on_node_get_volume_stats},
        {.path = "/pluginregistration.Registration/GetInfo", .fn = on_registration_get_info},
        {.path = "/pluginregistration.Registration/NotifyRegistrationStatus",
                .fn = on_registration_notify},
        {.path = "/grpc.health.v1.Health/Check", .fn = on_health_check},
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

/* --- pages --- */

static void collect(void *userdata)
{
        const struct csi_driver *d = userdata;
        struct driver_levels now = {.vault_requests = vaults_requests(d->vaults)};

        volumes_get_levels(d->volumes, &now);
        now.classes = news_classes(d->news, &now.classes_failing);
        driver_metrics_levels(d->metrics, &now);
}

static void serve_pages(struct csi_driver *d, struct loop *l, const char *address, bool metrics,
        struct driver_web **ret)
{
        struct driver_web_config cfg = {.loop = l,
                .metrics = metrics ? d->metrics : NULL,
                .is_ready = is_ready,
                .collect = collect,
                .userdata = d};
        _cleanup_free_ char *where = NULL;
        _cleanup_err_ struct err e = {0};

        if (!address)
                return;
        int r = web_listen(address, &cfg.listen_fd, &where, &e);
        if (r == 0)
                r = driver_web_new(&cfg, ret, &e);
        if (r == 0)
                log_info("%s: %s", metrics ? "metrics" : "health", where);
        else
                log_error("no page for %s: %s" ERR_HINT_FMT, metrics ? "metrics" : "health",
                        err_text(&e), ERR_HINT_ARGS(&e));
}

static int make_volumes(struct csi_driver *d, const struct csi_driver_config *cfg, struct err *e)
{
        struct volumes_config volumes = cfg->volumes;

        int r = driver_metrics_new(&d->metrics);
        const struct news_config news = {.loop = cfg->loop,
                .kube = volumes.kube,
                .driver_name = cfg->driver_name,
                .node_id = cfg->node_id,
                .metrics = d->metrics};
        if (r == 0)
                r = news_new(&news, &d->news);
        if (r < 0)
                return err_set(e, r, "out of memory");
        volumes.metrics = d->metrics;
        volumes.news = d->news;
        return volumes_new(&volumes, &d->volumes, e);
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
                d->vaults = cfg->volumes.parts.vaults;
                r = make_volumes(d, cfg, e);
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
        serve_pages(d, cfg->loop, cfg->health_address, false, &d->health);
        serve_pages(d, cfg->loop, cfg->metrics_address, true, &d->pages);
        *ret = TAKE_PTR(d);
        return 0;
}

void csi_driver_free(struct csi_driver *d)
{
        if (!d)
                return;
        driver_web_free(d->health);
        driver_web_free(d->pages);
        rpc_server_free(d->server);
        volumes_free(d->volumes);
        news_free(d->news);
        driver_metrics_free(d->metrics);
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
