#include "fs/keeper_resend.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#define NOTIFY_RESEND 7 /* enum fuse_notify_code, protocol 7.40 */

bool keeper_can_resend(void)
{
        struct utsname u;
        unsigned major = 0, minor = 0;

        if (getenv("AKVFS_NO_RESEND"))
                return false;
        if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
                return false;
        return major > 6 || (major == 6 && minor >= 9);
}

int keeper_resend(int fuse_fd)
{
        struct fuse_out_header out = {.len = sizeof out, .error = NOTIFY_RESEND};

        return write(fuse_fd, &out, sizeof out) < 0 ? -errno : 0;
}

int keeper_clone(int fuse_fd)
{
        _cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        uint32_t old = (uint32_t)fuse_fd;

        if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &old) < 0)
                return -errno;
        return TAKE_FD(fd);
}
