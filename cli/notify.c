#include "cli/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

void notify_service_manager(const char *state)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        size_t len = path ? strlen(path) : 0;

        /* '@' stands for the zero byte of an abstract name */
        if (len < 2 || len >= sizeof sa.sun_path || (path[0] != '/' && path[0] != '@'))
                return;
        memcpy(sa.sun_path, path, len);
        if (path[0] == '@')
                sa.sun_path[0] = '\0';
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);

        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        /* a manager that does not listen does not matter to the mount */
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                (const struct sockaddr *)&sa, size);
}
