#include "cli/csi_worker.h"

#include <libgen.h>

#include "base/log.h"
#include "cli/csi_options.h"
#include "cli/daemon.h"

struct csi_worker {
        struct csi_options options;
        char *server, *ca_pem, *proxy_ca_pem;
        char *token_copy, *ca_copy; /* whose folders are in the list */
        const char *folders[3];
        struct kube *kube;
        struct csi_driver *driver;
};

/* By descriptor: the file is root's, perhaps. A worker that follows another finds its offset where
 * that left it. */
static int read_ca(struct csi_worker *w, struct err *e)
{
        _cleanup_free_ char *text = NULL;

        if (!w->options.common.ca_file)
                return 0;
        /* The descriptor is that of the process that bound the sockets, which may be another one by
         * now; where the account may read the file itself, that counts. */
        size_t len = 0;
        if (read_whole_file(w->options.common.ca_file, IDENTITY_CA_MAX, &w->ca_pem, &len) == 0)
                return 0;
        text = calloc(1, IDENTITY_CA_MAX + 1);
        if (!text)
                return err_set(e, -ENOMEM, "out of memory");
        ssize_t n = pread(WORKER_CA_FD, text, IDENTITY_CA_MAX, 0);
        if (n <= 0)
                return err_set_cause(e, ERR_LOCAL, n < 0 ? -errno : -ENODATA,
                        "could not read the CA file %s", w->options.common.ca_file);
        w->ca_pem = TAKE_PTR(text);
        (void)close(WORKER_CA_FD);
        return 0;
}

/* Outside AKS there is none, and identity binding then trusts the system's. */
static int read_proxy_ca(struct csi_worker *w, struct err *e)
{
        _cleanup_err_ struct err why = {0};

        int r = identity_read_pem(
                w->options.kube_ca_file, "the cluster's authority", &w->proxy_ca_pem, &why);
        if (r == -ENOMEM)
                return err_set(e, r, "out of memory");
        if (r < 0)
                log_warning("%s", err_text(&why));
        return 0;
}

static int list_folders(struct csi_worker *w)
{
        w->token_copy = strdup(w->options.kube_token_file);
        w->ca_copy = strdup(w->options.kube_ca_file);
        if (!w->token_copy || !w->ca_copy)
                return -ENOMEM;
        w->folders[0] = dirname(w->token_copy);
        w->folders[1] = dirname(w->ca_copy);
        return 0;
}

int csi_worker_new(int argc, char **argv, struct csi_worker **ret, struct err *e)
{
        _cleanup_(csi_worker_freep) struct csi_worker *w = calloc(1, sizeof *w);

        if (!w)
                return err_set(e, -ENOMEM, "out of memory");
        int r = csi_options_parse(argc, argv, &w->options, e);
        if (r < 0)
                return r;
        if (w->options.kube_server) {
                w->server = strdup(w->options.kube_server);
                r = w->server ? 0 : err_set(e, -ENOMEM, "out of memory");
        } else
                r = kube_server_from_environment(&w->server, e);
        if (r == 0)
                r = read_ca(w, e);
        if (r == 0)
                r = read_proxy_ca(w, e);
        if (r == 0)
                r = rpc_load(e);
        if (r < 0)
                return r;
        if (list_folders(w) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        *ret = TAKE_PTR(w);
        return 0;
}

const char *const *csi_worker_folders(const struct csi_worker *w)
{
        return w->folders;
}

int csi_worker_start(struct csi_worker *w, const struct class_mount_parts *parts,
        struct http_client *http, void (*idle)(void *userdata), void *userdata, struct err *e)
{
        static const int listening[] = {WORKER_CSI_FD, WORKER_REGISTRATION_FD};
        const struct options *o = &w->options.common;
        const struct kube_config kube = {.server = w->server,
                .token_file = w->options.kube_token_file,
                .ca_file = w->options.kube_ca_file};

        if (kube_new(http, &kube, &w->kube) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        const struct csi_driver_config cfg = {
                .loop = parts->loop,
                .driver_name = w->options.driver_name,
                .endpoint = w->options.registered_path,
                .node_id = w->options.node_id,
                .kubelet_dir = w->options.kubelet_dir,
                .health_address = w->options.health_address,
                .metrics_address = w->options.metrics_address,
                .listen_fds = listening,
                .n_listen_fds = ELEMENTSOF(listening),
                .volumes = {.parts = *parts,
                        .kube = w->kube,
                        .class = {.endpoints = {.vault_url = o->vault_url,
                                          .authority_host = o->authority_host,
                                          .imds_endpoint = o->imds_endpoint,
                                          .ca_file = o->ca_file},
                                .ca_pem = w->ca_pem,
                                .identity = {.token_proxy = o->token_proxy_url,
                                        .sni = o->sni_name,
                                        .proxy_ca_pem = w->proxy_ca_pem},
                                .poll_interval = o->poll_interval,
                                .policy = o->policy,
                                .shape = o->shape,
                                .secret_memory_required = o->secret_memory_required},
                        .max = (size_t)w->options.max_volumes,
                        .idle = idle,
                        .userdata = userdata},
        };
        return csi_driver_new(&cfg, &w->driver, e);
}

void csi_worker_make_way(struct csi_worker *w)
{
        csi_driver_make_way(w->driver);
}

bool csi_worker_is_quiet(const struct csi_worker *w)
{
        return csi_driver_is_quiet(w->driver);
}

struct volumes *csi_worker_volumes(const struct csi_worker *w)
{
        return w->driver ? csi_driver_volumes(w->driver) : NULL;
}

void csi_worker_free(struct csi_worker *w)
{
        if (!w)
                return;
        csi_driver_free(w->driver);
        kube_free(w->kube);
        csi_options_done(&w->options);
        free(w->server);
        free(w->ca_pem);
        free(w->proxy_ca_pem);
        free(w->token_copy);
        free(w->ca_copy);
        free(w);
}
