/* The spare child: answers EIO in a worker's stead.
 *
 * When workers keep dying, those who read would wait for ever, in D state once a request has been
 * taken up. The spare reads requests and answers each with an error without looking at anything but
 * the 40-byte header: it holds no name and no byte of any file. It takes up what the dead worker
 * had read and not answered (notification RESEND, Linux 6.9). IOCTL, STATFS and xattrs get the
 * errors that callers of a plain file expect; RENAME gets none, for a rename that was applied and
 * then failed would leave kernel and table at odds: it waits for the worker.
 */
#pragma once

#include "base/util.h"

/* Forks the spare with duplicates of these connections. Its pid, or negative errno. */
pid_t keeper_spare_start(const int *fuse_fds, size_t n);

/* The answer to a request: a positive errno, or 0 for none. */
int keeper_spare_answer(uint32_t opcode);
