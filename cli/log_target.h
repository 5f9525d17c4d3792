/* Where a process of ours logs: `log=` of a mount. */
#pragma once

#include "base/err.h"

/* What a daemon gets when nobody said: "syslog" where /dev/log answers, else the file
 * `akvfs.log` in the control directory. Caller frees. */
int log_target_default(const char *rundir, char **ret);

/* Neither "syslog" nor "stderr". */
bool log_target_is_file(const char *target);

/* A file for that, opened as below and by nobody written to yet. */
int log_target_append(const char *file, int *ret_fd, struct err *e);

/* "syslog", "stderr", or the absolute name of a file that is appended to (made with mode 0600; a
 * symlink is refused). Lines go there from now on; the descriptor of a file stays open for good.
 * ret_fd (optional): that descriptor, or -EBADF. */
int log_target_open(const char *target, int *ret_fd, struct err *e);
