/* `akvfs keeper`: the keeper of a CSI driver as a process of its own.
 *
 * It binds kubelet's sockets, mounts and holds what is mounted; the worker, which answers kubelet,
 * comes from another container (`akvfs csi --keeper`, cli/csi_pod.h) and can be replaced, killed or
 * run out of memory without a mount noticing. */
#include <sched.h>
#include <signal.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/csi_sockets.h"
#include "cli/csi_start.h"
#include "cli/hygiene.h"
#include "fs/keeper.h"

static const char help[] =
        "akvfs keeper [OPTIONS]\n"
        "\n"
        "The keeper of a node's CSI driver, in a pod of its own: it binds kubelet's sockets, mounts,\n"
        "and holds what is mounted for the worker, which comes from another pod (akvfs csi --keeper).\n"
        "It speaks to nobody else, parses nothing and has no secret. Another keeper that is started\n"
        "takes everything over from it. SIGTERM: it goes on until nothing is mounted, or another keeper\n"
        "has come. SIGINT, or a second SIGTERM, takes everything away and ends. Runs as root.\n"
        "\n"
        "  --listen SOCKET            where the worker comes to; default /run/akvfs/keeper.sock. Its\n"
        "                             folder is root's alone\n"
        "  --driver-name NAME         as of akvfs csi\n"
        "  --endpoint unix:///PATH    the driver's socket; default unix:///csi/csi.sock\n"
        "  --registration-dir DIR     kubelet's plugins_registry; default /registration\n"
        "  --kubelet-dir DIR          volumes lie below it; default /var/lib/kubelet, the same path\n"
        "                             here as on the host, mounted Bidirectional\n"
        "  --log-level LEVEL          error, warning, info (default) or debug\n"
        "  --log-json                 one JSON object a line\n"
        "\n"
        "Exit status: 0 ended as told, 1 failed, 2 wrong use. See docs/csi.md.\n"
        "\n"
        "Example, in a container of a DaemonSet:\n"
        "  akvfs keeper --driver-name secrets-store.csi.k8s.io\n";

static int run(const struct csi_options *o, struct csi_sockets *s)
{
        const struct keeper_options options = {.pass_fds = s->fds,
                .n_pass_fds = s->n_fds,
                .lasting = true,
                .gated = true,
                .gate_fd = MAX(s->gate, 0),
                .below = o->kubelet_dir,
                .door_fd = MAX(s->door, 0),
                .take_fd = MAX(s->take, 0)};

        /* the keeper's own from now on */
        s->door = s->take = s->gate = -EBADF;
        return keeper_run(&options);
}

/* It has nobody to speak to. Sockets that have a name in the file system are of no network. */
static void leave_network(void)
{
        if (unshare(CLONE_NEWNET) < 0)
                log_warning(
                        "the network of this container stays within reach: %s", strerror(errno));
}

/* From the moment that the sockets are there they are the keeper's to remove. */
static void hold_signals(void)
{
        sigset_t ends;

        sigemptyset(&ends);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGINT);
        sigprocmask(SIG_BLOCK, &ends, NULL);
}

int cli_csi_keeper(int argc, char **argv)
{
        _cleanup_csi_options_ struct csi_options o = {0};
        _cleanup_err_ struct err e = {0};
        struct csi_sockets s;
        int status;

        int r = csi_options_parse_keeper(argc, argv, &o, &e);
        if (csi_is_answered("keeper", help, &o, r, &e, &status))
                return status;
        csi_sockets_init(&s);
        r = csi_check_root("mounting into pods", &e);
        if (r == 0)
                r = csi_check_folder(&o, &e);
        if (r == 0 && hygiene_protect() < 0)
                r = err_set(&e, -EIO, "could not protect memory");
        if (r == 0)
                leave_network();
        hold_signals();
        if (r == 0)
                r = csi_sockets_bind(&o, true, &s, &e);
        bool bound = s.n_fds > 0;
        if (r == 0) {
                log_info("akvfs %s: the keeper of %s is ready for a worker at %s", AKVFS_VERSION,
                        o.driver_name, o.gate);
                r = run(&o, &s);
        }
        bool over = r == KEEPER_HANDED_OVER;
        if (!over && (bound || r == 0))
                csi_sockets_remove(&o, &s);
        csi_sockets_done(&s);
        if (over || bound || r == 0)
                csi_sockets_sweep_gate(&o);
        if (over) {
                csi_wait_for_the_end();
                r = 0;
        }
        return r < 0 ? cli_fail("keeper", &e) : r;
}
