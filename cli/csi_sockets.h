/* The sockets of a CSI driver, bound by whoever is the keeper: kubelet's, that of commands, and the
 * doors beside it (cli/rundir.h). Or the door of who has them already, for one that takes over. */
#pragma once

#include "cli/csi_options.h"
#include "cli/rundir.h"

struct csi_sockets {
        struct rundir rundir;
        char *socket; /* of commands: akvfs status */
        int fds[4]; /* WORKER_LISTEN_FD and on: commands, driver, registration; the CA file's place
                       is behind them */
        size_t n_fds;
        int door, take; /* -EBADF: none */
        int gate; /* where workers come from elsewhere (fs/keeper_gate.h); -EBADF: nowhere, or it
                     comes with all that is taken */
        char *registration;
};

void csi_sockets_init(struct csi_sockets *s);
/* Binds them, and with `gated` listens at o->gate; or s->take is the door of another driver of that
 * name, which hands them over with all that is mounted, and nothing is bound. None of them has a
 * number that a worker finds its own at. */
int csi_sockets_bind(const struct csi_options *o, bool gated, struct csi_sockets *s, struct err *e);
/* One more for the worker, behind the others; taken over. */
int csi_sockets_add(struct csi_sockets *s, int fd);
/* Whoever has taken over listens at the gate too, or needs none. */
void csi_sockets_sweep_gate(const struct csi_options *o);
/* Kubelet forgets a driver whose socket has gone from its registry. */
void csi_sockets_remove(const struct csi_options *o, const struct csi_sockets *s);
/* Closes them, and frees. */
void csi_sockets_done(struct csi_sockets *s);
