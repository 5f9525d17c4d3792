/* Which files a worker can still open (Linux 5.13, landlock(7)): to read, what resolving names, TLS
 * and OpenSSL's modules ask of a system; to write or to make, none. Everything else that it serves
 * with came as a descriptor or over the control socket. */
#pragma once

#include "base/err.h"

/* Before the first thread: those that follow inherit it. `control_socket` stays removable, for a
 * worker that may; `more` (NULL-terminated, or NULL) are folders that stay readable too. 1 when
 * bound, 0 where the kernel has none. */
int landlock_enter(const char *control_socket, const char *const *more, struct err *e);
