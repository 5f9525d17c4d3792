/* The command's side of a mount: find or start a worker, ask it, wait. Both print what is to be
 * said and return the exit status. */
#pragma once

#include "cli/options.h"
#include "cli/restore.h"
#include "mount/request.h"

int mount_in_background(const struct mount_request *q, const struct options *o);

struct foreground_options {
        bool keep;               /* a restart of the service keeps the mount */
        struct restore *restore; /* what the service manager has kept; NULL: nothing */
};

/* With a worker of its own, until it is unmounted or a signal comes. Empties the request, secret
 * and all, once the worker has it. */
int mount_in_foreground(
        struct mount_request *q, const struct options *o, const struct foreground_options *f);
