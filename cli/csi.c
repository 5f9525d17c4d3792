/* `akvfs csi`: the CSI driver of one node.
 *
 * This process becomes the keeper: it binds the sockets that kubelet looks for, mounts, and starts
 * the worker again when that dies; the worker (cli/csi_worker.c) does everything else, as an
 * account of its own. */
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "auth/binding.h"
#include "cli/cli.h"
#include "cli/csi_options.h"
#include "cli/daemon.h"
#include "cli/hygiene.h"
#include "cli/rundir.h"
#include "cli/worker_user.h"
#include "csi/kube.h"
#include "fs/keeper.h"
#include "mount/identity.h"

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

/* --- sockets --- */

/* Whoever is there already is dead, or about to be: kubelet speaks to who came last. */
static int listen_at(const char *path, int *ret, struct err *e)
{
        _cleanup_free_ char *copy = strdup(path);
        const char *name = strrchr(path, '/') + 1;

        if (!copy)
                return err_set(e, -ENOMEM, "out of memory");
        _cleanup_close_ int dir = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = dir < 0 || (unlinkat(dir, name, 0) < 0 && errno != ENOENT) ? -errno : 0;
        if (r == 0)
                r = socket_listen_at(dir, name, SOCK_STREAM, ret);
        if (r < 0) {
                err_set_cause(e, ERR_LOCAL, r, "could not listen on %s: %s", path, strerror(-r));
                if (r == -ENOENT)
                        err_hint(e, "the folder has to be there: in a pod, a hostPath volume");
                return r;
        }
        return 0;
}

static int registration_socket(const struct csi_options *o, char **ret)
{
        return xasprintf(ret, "%s/%s-reg.sock", o->registration_dir, o->driver_name);
}

/* --- what the worker could not do --- */

/* Its account may not read it, and Landlock closes the way to it. */
static int open_ca(const struct csi_options *o, int *ret, struct err *e)
{
        static const char what[] = "the CA file";
        const char *path = o->common.ca_file;
        _cleanup_free_ char *pem = NULL;

        if (!path)
                return 0;
        int r = identity_read_pem(path, what, &pem, e); /* wrong words are said at once */
        if (r < 0)
                return r;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_set_cause(e, ERR_LOCAL, -errno, "could not read %s %s: %s", what, path,
                        strerror(errno));
        *ret = fd;
        return 0;
}

/* "--sni-name" of this cluster's token proxy: on AKS the API server's certificate tells. Elsewhere
 * there is none, and a class that asks for identity binding is told so. */
static int find_sni(const struct csi_options *o, char **ret, struct err *e)
{
        _cleanup_free_ char *host = NULL, *prefix = NULL, *pem = NULL;
        _cleanup_err_ struct err why = {0};
        const char *port = getenv("KUBERNETES_SERVICE_PORT");
        char sni[BINDING_SNI_MAX];
        size_t len = 0;

        if (o->common.sni_name || o->kube_server || isempty(port) ||
                read_whole_file(o->kube_ca_file, IDENTITY_CA_MAX, &pem, &len) < 0)
                return 0;
        if (auth_binding_parse_url(BINDING_PROXY_DEFAULT, &host, &prefix) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        *strchr(host, ':') = '\0';
        if (auth_binding_discover(host, port, pem, sni, &why) < 0) {
                log_info("no identity binding here: %s", err_text(&why));
                return 0;
        }
        return xasprintf(ret, "--sni-name=%s", sni) < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

/* --- the keeper --- */

struct start {
        struct rundir rundir;
        char *socket; /* of commands: akvfs status */
        int fds[4];   /* WORKER_LISTEN_FD and on: commands, driver, registration, CA file */
        size_t n_fds;
        int door, take; /* -EBADF: none */
        char *registration;
};

static void start_done(struct start *s)
{
        for (size_t i = 0; i < s->n_fds; i++)
                safe_close(s->fds[i]);
        safe_close(s->door);
        safe_close(s->take);
        rundir_done(&s->rundir);
        free(s->socket);
        free(s->registration);
}

static int move_up(int *fd)
{
        int high = fcntl(*fd, F_DUPFD_CLOEXEC, 16);

        if (high < 0)
                return -errno;
        close(*fd);
        *fd = high;
        return 0;
}

/* Those are for what the worker finds its own at. */
static int away_from_low_numbers(struct start *s, struct err *e)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n_fds; i++)
                r = move_up(&s->fds[i]);
        if (r == 0 && s->door >= 0)
                r = move_up(&s->door);
        if (r == 0 && s->take >= 0)
                r = move_up(&s->take);
        return r < 0 ? err_set(e, r, "no descriptors: %s", strerror(-r)) : 0;
}

/* The sockets, or the door of who has them: then that one hands them over with all that is mounted.
 */
static int bind_all(const struct csi_options *o, struct start *s, struct err *e)
{
        _cleanup_close_ int lock = -EBADF, ca = -EBADF;
        _cleanup_free_ char *name = NULL;

        int r = rundir_open(true, &s->rundir, e);
        if (r == 0)
                r = rundir_lock(&s->rundir, &lock, e);
        if (r < 0)
                return r;
        if (xasprintf(&name, "w-%s.sock", o->driver_name) < 0 ||
                xasprintf(&s->socket, "%s/%s", s->rundir.path, name) < 0 ||
                registration_socket(o, &s->registration) < 0)
                return err_set(e, -ENOMEM, "out of memory");
        r = open_ca(o, &ca, e);
        if (r < 0)
                return r;
        r = rundir_knock(&s->rundir, name, &s->take);
        if (r == 0) {
                log_info("another akvfs csi serves %s: taking over from it", o->driver_name);
                return away_from_low_numbers(s, e);
        }
        if (r == -EPERM) {
                err_set_cause(
                        e, ERR_LOCAL, r, "who serves %s is neither root nor this user", s->socket);
                err_hint(e, "end that process: whatever is at this path is no driver's");
                return r;
        }
        rundir_remove(&s->rundir, name);
        rundir_sweep(&s->rundir);
        free(s->socket);
        s->socket = NULL;
        r = rundir_listen_as(&s->rundir, name, &s->fds[0], &s->door, &s->socket, e);
        if (r < 0)
                return r;
        s->n_fds = 1;
        r = listen_at(o->endpoint, &s->fds[1], e);
        s->n_fds += r == 0;
        /* Last: kubelet calls as soon as it sees it. */
        if (r == 0)
                r = listen_at(s->registration, &s->fds[2], e);
        s->n_fds += r == 0;
        if (r == 0 && ca >= 0)
                s->fds[s->n_fds++] = TAKE_FD(ca);
        return r < 0 ? r : away_from_low_numbers(s, e);
}

static int run(const struct csi_options *o, int argc, char **argv, struct start *s, struct err *e)
{
        _cleanup_free_ char *sni = NULL;
        char run_as[WORKER_USER_SIZE], level[2];
        const char *base[DAEMON_ARGC_MAX];
        size_t n = 0;

        int r = find_sni(o, &sni, e);
        if (r < 0)
                return r;
        const struct daemon_words words = {.socket = s->socket,
                .log = "stderr",
                .log_level = o->common.log_level < 0 ? LOG_INFO : o->common.log_level,
                .log_json = o->common.log_json,
                .privileged = true,
                .csi = true};
        daemon_words_format(&words, "worker", level, base);
        _cleanup_free_ const char **worker =
                calloc(DAEMON_ARGC_MAX + (size_t)argc + 2, sizeof(const char *));
        if (!worker)
                return err_set(e, -ENOMEM, "out of memory");
        for (size_t i = 0; base[i]; i++)
                worker[n++] = base[i];
        /* the words that were given, as they came */
        for (int i = 1; i < argc; i++)
                worker[n++] = argv[i];
        if (sni)
                worker[n++] = sni;

        struct keeper_options options = {.worker_argv = worker,
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

/* Everything is another process's. This one ends when it is told to, and not before: whatever
 * started it would only start it again, and that would take everything back. */
static void wait_for_the_end(void)
{
        sigset_t ends;
        int which;

        log_info("another akvfs csi has taken over: nothing is left to do here");
        (void)signal(SIGCHLD, SIG_IGN); /* the last worker */
        sigemptyset(&ends);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGINT);
        (void)sigwait(&ends, &which);
}

static int check_machine(const struct csi_options *o, struct err *e)
{
        struct stat st;

        if (geteuid() != 0) {
                err_set_cause(e, ERR_LOCAL, -EPERM, "mounting into pods needs root");
                err_hint(e, "the container needs privileged: true; the worker that speaks to the "
                            "network gets an account of its own");
                return -EPERM;
        }
        if (stat(o->kubelet_dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
                err_set_cause(
                        e, ERR_LOCAL, -ENOENT, "kubelet's folder %s is not there", o->kubelet_dir);
                err_hint(e, "--kubelet-dir, and in a pod a hostPath volume at the same path");
                return -ENOENT;
        }
        if (!o->kube_server) {
                _cleanup_free_ char *server = NULL;
                return kube_server_from_environment(&server, e);
        }
        return 0;
}

/* Kubelet forgets a driver whose socket has gone from its registry. */
static void remove_sockets(const struct csi_options *o, const struct start *s)
{
        const char *name = s->socket ? strrchr(s->socket, '/') + 1 : NULL;

        if (s->registration)
                (void)unlink(s->registration);
        (void)unlink(o->endpoint);
        if (name)
                rundir_remove(&s->rundir, name);
}

int cli_csi(int argc, char **argv)
{
        _cleanup_csi_options_ struct csi_options o = {0};
        _cleanup_err_ struct err e = {0};
        struct start s = {.rundir = {.fd = -EBADF}, .door = -EBADF, .take = -EBADF};

        int r = csi_options_parse(argc, argv, &o, &e);
        if (r < 0)
                return cli_fail("csi", &e);
        if (o.help) {
                fputs(help, stdout);
                return cli_finish_output("csi");
        }
        if (o.common.log_level >= 0)
                log_set_level((enum log_level)o.common.log_level);
        log_set_json(o.common.log_json);
        r = check_machine(&o, &e);
        if (r == 0 && hygiene_protect() < 0)
                r = err_set(&e, -EIO, "could not protect memory");
        if (r == 0)
                r = bind_all(&o, &s, &e);
        bool bound = s.n_fds > 0;
        if (r == 0) {
                (void)prctl(PR_SET_NAME, "akvfs-keeper");
                r = run(&o, argc, argv, &s, &e);
        }
        if (r == KEEPER_HANDED_OVER) {
                wait_for_the_end();
                r = 0;
        } else if (bound || r == 0) {
                /* one that could take nothing over has nothing to remove either */
                remove_sockets(&o, &s);
        }
        start_done(&s);
        return r < 0 ? cli_fail("csi", &e) : r;
}
