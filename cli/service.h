/* This process as a service of systemd's. */
#pragma once

#include <systemd/sd-bus.h>

#include "base/util.h"

/* Whether this service is being stopped only to be started again (systemctl restart): asked of the
 * service manager, which sends the same signal for both. False when it cannot be asked, or does not
 * answer within seconds: a mount that is taken down is better than one that nobody serves.
 * Shown by tests/integration/test_service.py. */
bool service_is_restarting(void);
