/* Which account the worker of root's mounts gets: `akvfs` where there is such a user, else an id
 * that nobody has. An ordinary user's worker runs as that user. */
#pragma once

#include <sys/types.h>

#include "base/util.h"

#define WORKER_USER_NAME "akvfs"
/* The first tried, with a group of the same number; the next below while somebody has it. Above
 * what useradd(8) gives away and below nobody's 65534. */
#define WORKER_USER_ID 65533
#define WORKER_USER_SIZE 24

/* "UID:GID" for worker_user_parse(). False when the worker keeps the caller's account: the caller
 * is not root, or root of a user namespace that has no other ids. Asks the user database, so only
 * the command calls it, never the keeper. */
bool worker_user_find(char ret[static WORKER_USER_SIZE]);

/* -EINVAL, also for 0, which a worker never is. */
int worker_user_parse(const char *text, uid_t *ret_uid, gid_t *ret_gid);
