/* The command's side of a mount: find or start a worker, ask it, wait. Both print what is to be
 * said and return the exit status. */
#pragma once

#include "cli/options.h"
#include "cli/request.h"

int mount_in_background(const struct mount_request *q, const struct options *o);

/* With a worker of its own, until it is unmounted or a signal comes. */
int mount_in_foreground(const struct mount_request *q, const struct options *o);
