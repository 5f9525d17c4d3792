/* sd_notify(3)'s protocol: datagrams to a service manager, which may keep descriptors for us
 * (systemd's "file descriptor store", https://systemd.io/FILE_DESCRIPTOR_STORE/). */
#pragma once

#include "base/util.h"

/* One message, "KEY=VALUE" lines, with a descriptor or -EBADF. `address` as in $NOTIFY_SOCKET: a
 * path, or '@' and an abstract name. Never blocks: -EAGAIN when the manager's queue is full. */
int notify_send(const char *address, const char *message, int fd);
