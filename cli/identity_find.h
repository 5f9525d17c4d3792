/* Which identity and vault a command's user means: from the class, the options and what was found
 * of credentials. Resolved by the command, whose environment and working directory the user meant,
 * not by the worker. */
#pragma once

#include "cli/credentials.h"
#include "cli/options.h"
#include "mount/identity.h"

/* The class's parameters win over the credentials' names and over AZURE_AUTHORITY_HOST; options win
 * over the class's cloud. warn (optional) is told what is passed over. Nothing is sent. */
int identity_resolve(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *ret,
        struct err *e);

/* Identity binding without a TLS name that was given: asks the cluster's API server for its
 * certificate, which has it. Blocks for ten seconds at most. */
int identity_find_sni(struct identity *i, struct err *e);

/* Makes the credential known to the helper of the worker that gets this identity: before the
 * request is sent. 1 when identity_unregister() has to follow once the mount stands or failed. */
int identity_register(const struct identity *i, int control_dir_fd, struct err *e);
void identity_unregister(const struct identity *i, int control_dir_fd);
