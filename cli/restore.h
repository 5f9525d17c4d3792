/* What the service manager kept from the last life of this service, and how a new keeper gets it.
 *
 * The descriptors come as systemd hands over any (sd_listen_fds(3)), under the names of
 * fs/keeper_store.h. They were stored by a keeper of ours; a service that lets others write to its
 * notification socket (NotifyAccess=all) may hold others' too, so all is looked at again by the
 * keeper that gets it (fs/keeper_takeover.h), as anything that a worker gives back.
 */
#pragma once

#include "base/err.h"
#include "fs/keeper_store.h"

#define RESTORE_FDS_MAX 256

struct restore {
        size_t n;
        int fds[RESTORE_FDS_MAX];
        char names[RESTORE_FDS_MAX][64]; /* longer ones are none of ours */
        struct keeper_msg hello;         /* of the record */
        size_t n_mounts;
        struct keeper_msg *mounts; /* GIVE, each with its connection's name */
};

/* Takes what was passed to this process. False: there is nothing to go on with. */
bool restore_find(struct restore *ret);
void restore_done(struct restore *r);
/* Whether that is a mount point of it. */
bool restore_has(const struct restore *r, const char *path);

/* Plays the keeper before for the one at the other end of `socket`; returns when that has taken
 * everything. pass_fds: as in struct keeper_options. */
int restore_hand_over(const struct restore *r, int socket, const int *pass_fds, size_t n_pass_fds,
        int door_fd, struct err *e);

/* Nobody goes on with it: the mounts are taken away, and the manager is told to keep nothing. */
void restore_abandon(struct restore *r);
