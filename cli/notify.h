/* sd_notify(3)'s protocol: one datagram to $NOTIFY_SOCKET. */
#pragma once

#include "base/util.h"

/* state: "READY=1", "STOPPING=1", ... Nothing happens when there is no such socket. */
void notify_service_manager(const char *state);
