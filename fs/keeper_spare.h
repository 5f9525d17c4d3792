/* The spare child: answers EIO in a worker's stead.
 *
 * When workers keep dying, those who read would wait for ever, in D state once a request has been
 * taken up. The spare reads requests and answers each without looking at anything but the 40-byte
 * header: it holds no name and no byte of any file, so what asks for one gets EIO. It takes up what
 * the dead worker had read and not answered (notification RESEND, Linux 6.9).
 *
 * What asks for neither is answered as by a worker: STATFS tells of a file system (of no size, for
 * that is not known), closing succeeds, IOCTL and xattrs get the errors that callers of a plain
 * file expect, and changes are refused. RENAME gets no answer, for a rename that was applied and
 * then failed would leave kernel and table at odds: it waits for the worker. No answer is one that
 * the kernel keeps (ENOSYS).
 */
#pragma once

#include "base/util.h"

/* Forks the spare with duplicates of these connections. Its pid, or negative errno. */
pid_t keeper_spare_start(const int *fuse_fds, size_t n);

/* The answer to a request: a positive errno, 0 for success, or one of these. */
#define SPARE_SILENCE (-1)
#define SPARE_STATFS (-2)
int keeper_spare_answer(uint32_t opcode);
