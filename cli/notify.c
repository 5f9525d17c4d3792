#include "cli/notify.h"

#include "base/notify.h"

void notify_service_manager(const char *state)
{
        const char *address = getenv("NOTIFY_SOCKET");

        /* a manager that does not listen does not matter to the mount */
        if (address)
                (void)notify_send(address, state, -EBADF);
}
