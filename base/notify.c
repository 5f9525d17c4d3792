#include "base/notify.h"

#include <sys/un.h>

#include "base/passfd.h"

int notify_send(const char *address, const char *message, int fd)
{
        union passfd control;
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        struct iovec iov = {(void *)(uintptr_t)message, strlen(message)};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &sa};
        size_t len = strlen(address);

        if (len < 2 || len >= sizeof sa.sun_path || (address[0] != '/' && address[0] != '@'))
                return -EINVAL;
        memcpy(sa.sun_path, address, len);
        if (address[0] == '@')
                sa.sun_path[0] = '\0';
        msg.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        passfd_set(&msg, &control, fd);
        _cleanup_close_ int out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (out < 0 || sendmsg(out, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                return -errno;
        return 0;
}
