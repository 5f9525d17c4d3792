/* What a worker is left with before it is executed.
 *
 * The keeper mounts and renames, so it needs root; the worker parses what comes from outside, so it
 * gets an account of its own and no capability but CAP_IPC_LOCK (memfd_secret and locked memory
 * count against RLIMIT_MEMLOCK without it), carried over execve(2) as an ambient one. Nothing that
 * it executes could ever give it more: no_new_privs. See capabilities(7), "Ambient set".
 */
#pragma once

#include "base/util.h"

/* In a child, before execve(2). uid (uid_t)-1 keeps user and groups, for a keeper that is no root
 * itself. Returns a negative errno, and then the child must not go on. Test: keeper_drop. */
int keeper_drop(uid_t uid, gid_t gid);
