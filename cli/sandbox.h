/* What a worker can still ask of the kernel once it has started: the system calls of a list.
 *
 * Whoever takes a worker over, by a mistake in a parser, can execute nothing, trace nobody, mount
 * nothing and open no socket but of the internet, of unix and of netlink (which getaddrinfo(3)
 * asks). A call that is not on the list ends the worker by SIGSYS, and the kernel logs its number;
 * the keeper then starts another one. The list is tested by all integration tests, which run under
 * it.
 *
 * AKVFS_SECCOMP=log in the environment of `akvfs mount` has the kernel log such calls and let them
 * through, to find out what a new library needs. A worker of a sanitized build does not enter: a
 * leak checker traces its own process.
 */
#pragma once

#include "base/err.h"

/* Before the first thread: those that follow inherit it. listens: it has pages to serve, and may
 * listen(2); any other worker is given the sockets that it listens on. */
int sandbox_enter(bool listens, struct err *e);
