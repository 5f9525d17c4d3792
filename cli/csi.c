/* `akvfs csi`: the CSI driver of one node.
 *
 * This process becomes the keeper: it binds the sockets that kubelet looks for, mounts, and starts
 * the worker again when that dies; the worker (cli/csi_worker.c) does everything else, as an
 * account of its own. */
#include <sys/prctl.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/csi_pod.h"
#include "cli/csi_sockets.h"
#include "cli/csi_start.h"
#include "cli/hygiene.h"
#include "cli/worker_user.h"
#include "fs/keeper.h"

static const char help[] =
        "akvfs csi --nodeid NAME [OPTIONS]\n"
        "\n"
        "The CSI driver of a node: answers kubelet, reads SecretProviderClasses from the API server\n"
        "and mounts them into pods. Runs until it is told to end, as root, in a pod of each node.\n"
        "SIGTERM: no new volumes; what is mounted stays until kubelet unpublishes it, or a second\n"
        "SIGTERM. SIGINT takes everything away and ends. SIGHUP polls now.\n"
        "\n"
        "Kubelet:\n"
        "  --nodeid NAME              the node's name (KUBE_NODE_NAME)\n"
        "  --driver-name NAME         as in the CSIDriver object: secrets.akvfs.io, or\n"
        "                             secrets-store.csi.k8s.io to stand in for that driver\n"
        "  --endpoint unix:///PATH    the driver's socket; default unix:///csi/csi.sock\n"
        "  --kubelet-registration-path PATH\n"
        "                             the same socket on the host; default\n"
        "                             KUBELET-DIR/plugins/DRIVER-NAME/csi.sock\n"
        "  --registration-dir DIR     kubelet's plugins_registry; default /registration\n"
        "  --kubelet-dir DIR          volumes lie below it; default /var/lib/kubelet, the same path\n"
        "                             here as on the host, mounted Bidirectional\n"
        "\n"
        "The API server, for classes; in a pod all of it is known:\n"
        "  --kube-server URL          https://HOST:PORT\n"
        "  --kube-token-file FILE, --kube-ca-file FILE\n"
        "                             the service account's token, read anew for each request, and\n"
        "                             the cluster's authority\n"
        "\n"
        "With a keeper in a pod of its own (akvfs keeper), which binds and mounts:\n"
        "  --keeper SOCKET            where it listens, such as /run/akvfs/keeper.sock. This process\n"
        "                             then only keeps a worker running, needs CAP_SETUID, CAP_SETGID,\n"
        "                             CAP_KILL and CAP_IPC_LOCK, and makes way at SIGTERM\n"
        "\n"
        "Pages, over plain HTTP and so on this machine alone unless told otherwise:\n"
        "  --health-addr ADDRESS:PORT, --metrics-addr ADDRESS:PORT\n"
        "                             /healthz for probes, default 127.0.0.1:9808, and /metrics for\n"
        "                             Prometheus, default 127.0.0.1:8095; :PORT is every address,\n"
        "                             off is none\n"
        "\n"
        "Volumes:\n"
        "  --max-volumes N            at once on this node; default and most 4096\n"
        "  --poll-interval TIME       how often each object is polled: 30s, 2m (default), off\n"
        "  --cert-key-files           besides the secret of a certificate, FILE.crt and FILE.key\n"
        "  --pem-chain on|off         certificates of a PFX leaf first (on), or as they are in it\n"
        "  --write-cert-and-key-in-separate-files[=BOOL], --construct-pem-chain[=BOOL]\n"
        "                             the same two, as the Azure provider has them\n"
        "  --on-deleted, --on-disabled, --on-expired, --on-forbidden keep|remove\n"
        "                             as of akvfs mount\n"
        "  --secret-memory require|prefer\n"
        "                             whether values may be in memory that could be swapped\n"
        "\n"
        "Where tokens and objects come from:\n"
        "  --vault-url URL            instead of https://KEYVAULTNAME.SUFFIX; {vault} in it stands\n"
        "                             for the class's keyvaultName\n"
        "  --authority-host URL       instead of the cloud's (AZURE_AUTHORITY_HOST)\n"
        "  --imds-endpoint URL        instead of http://169.254.169.254\n"
        "  --ca-file FILE             PEM bundle to trust instead of the system's\n"
        "  --token-proxy-url URL, --sni-name NAME\n"
        "                             identity binding on AKS; found by itself there\n"
        "\n"
        "Logging, to standard error:\n"
        "  --log-level LEVEL          error, warning, info (default) or debug\n"
        "  --log-json                 one JSON object a line\n"
        "\n"
        "Exit status: 0 ended as told, 1 failed, 2 wrong use. See docs/csi.md.\n"
        "\n"
        "Example, in a container of a DaemonSet:\n"
        "  akvfs csi --nodeid $(KUBE_NODE_NAME) --driver-name secrets-store.csi.k8s.io\n";

static int run(
        const struct csi_options *o, int argc, char **argv, struct csi_sockets *s, struct err *e)
{
        _cleanup_csi_words_ struct csi_words words = {0};
        char run_as[WORKER_USER_SIZE];

        int r = csi_words_make(o, s->socket, argc, argv, &words, e);
        if (r < 0)
                return r;
        struct keeper_options options = {.worker_argv = words.argv,
                .pass_fds = s->fds,
                .n_pass_fds = s->n_fds,
                .drop = worker_user_find(run_as),
                .guarded = true,
                .standby = true,
                .lasting = true,
                .below = o->kubelet_dir,
                .door_fd = MAX(s->door, 0),
                .take_fd = MAX(s->take, 0)};
        if (options.drop && worker_user_parse(run_as, &options.worker_uid, &options.worker_gid) < 0)
                return err_set(e, -EINVAL, "%s is no account for a worker", run_as);
        /* the keeper's own from now on */
        s->door = s->take = -EBADF;
        return keeper_run(&options);
}

/* The keeper and the worker, from here. */
static int run_both(const struct csi_options *o, int argc, char **argv, struct err *e)
{
        struct csi_sockets s;
        int ca = -EBADF;

        csi_sockets_init(&s);
        int r = csi_check_folder(o, e);
        if (r == 0)
                r = csi_check_cluster(o, e);
        if (r == 0)
                r = csi_open_ca(o, &ca, e);
        if (r == 0)
                r = csi_sockets_bind(o, false, &s, e);
        bool bound = s.n_fds > 0;
        if (r == 0 && bound && ca >= 0 && csi_sockets_add(&s, TAKE_FD(ca)) < 0)
                r = err_set(e, -EMFILE, "no descriptor for the CA file");
        safe_close(ca);
        if (r == 0) {
                (void)prctl(PR_SET_NAME, KEEPER_COMM);
                r = run(o, argc, argv, &s, e);
        }
        if (r == KEEPER_HANDED_OVER) {
                csi_wait_for_the_end();
                r = 0;
        } else if (bound || r == 0) {
                /* one that could take nothing over has nothing to remove either */
                csi_sockets_remove(o, &s);
        }
        csi_sockets_done(&s);
        return r;
}

int cli_csi(int argc, char **argv)
{
        _cleanup_csi_options_ struct csi_options o = {0};
        _cleanup_err_ struct err e = {0};
        int status;

        int r = csi_options_parse(argc, argv, &o, &e);
        if (csi_is_answered("csi", help, &o, r, &e, &status))
                return status;
        r = csi_check_root(o.gate ? "coming to the keeper" : "mounting into pods", &e);
        if (r == 0 && hygiene_protect() < 0)
                r = err_set(&e, -EIO, "could not protect memory");
        if (r == 0)
                r = o.gate ? csi_pod_run(&o, argc, argv, &e) : run_both(&o, argc, argv, &e);
        return r < 0 ? cli_fail("csi", &e) : r;
}
