/* What a worker takes over of a connection that another one served.
 *
 * Since Linux 6.9 the kernel sends requests that were read and not answered once more on request
 * (FUSE_NOTIFY_RESEND, fs/fuse/dev.c: fuse_resend), and nothing is lost. Before that a worker gets
 * a clone of the connection (FUSE_DEV_IOC_CLONE, Linux 4.2): when it dies, the requests that were
 * in its hands fail with ECONNABORTED instead of waiting for an answer that nobody can give.
 */
#pragma once

#include "base/util.h"

/* Whether this kernel can resend: by its version, so that a kernel which cannot is never taken for
 * one that can. AKVFS_NO_RESEND in the environment says no, for tests. */
bool keeper_can_resend(void);

/* Asks for it. -EINVAL where the kernel cannot, -ENODEV when the connection is over. */
int keeper_resend(int fuse_fd);

/* A clone of the connection, close-on-exec and non-blocking, or negative errno. */
int keeper_clone(int fuse_fd);
