/* A descriptor beside a message: SCM_RIGHTS, unix(7). */
#pragma once

#include <sys/socket.h>

#include "base/util.h"

union passfd {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
};

/* Has msg carry fd, which stays the caller's; nothing for a negative one. `control` lives until msg
 * is sent. */
static inline void passfd_set(struct msghdr *msg, union passfd *control, int fd)
{
        if (fd < 0)
                return;
        *control = (union passfd){0};
        msg->msg_control = control->buf;
        msg->msg_controllen = sizeof control->buf;
        struct cmsghdr *c = CMSG_FIRSTHDR(msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
}
