/* `akvfs csi --keeper`: the worker in a container of its own.
 *
 * This process is the container's first. It connects to the keeper's gate (fs/keeper_gate.h) as
 * root, forks, and the child becomes the worker with an account of its own, for which the container
 * needs CAP_SETUID and CAP_SETGID; CAP_KILL, to tell it to end; and CAP_IPC_LOCK, for the worker.
 * It reads nothing but the keeper's messages before that, and afterwards only waits:
 *
 * - The worker dies: another one is started, and comes back without taking anybody's place. The
 *   first of all has to have been taken by the keeper: this process ends with it otherwise, so that
 *   an update that cannot work goes no further.
 * - It made way: another pod's worker serves. Until this process is told to end it asks at
 *   times whether one is wanted.
 * - The keeper hangs up: it was killed. The worker goes on and has turned to its heir, whose other
 *   end is here: that is brought to the next keeper by a new worker, which then takes the place of
 *   the one that gave everything back.
 * - SIGTERM, SIGINT and SIGHUP are passed on. SIGTERM has the worker make way: what is mounted is
 *   the keeper's.
 */
#pragma once

#include "cli/csi_options.h"

/* o->gate is set. Returns when told to end: 0, or negative errno when it cannot even begin. argv is
 * that of `akvfs csi`. */
int csi_pod_run(const struct csi_options *o, int argc, char **argv, struct err *e);
