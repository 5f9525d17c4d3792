/* A command's own way to the vaults of a class, without a worker: for those that ask once and mount
 * nothing. */
#pragma once

#include "cli/identity_find.h"
#include "mount/vault_urls.h"

struct auth_helper;

/* Begins as DIRECT_NONE. */
struct direct {
        /* direct_resolve() */
        struct identity identity;
        struct vault_urls urls;
        /* direct_open() */
        struct loop *loop;
        struct http_client *http;
        struct auth_helper *helper; /* with its socket, for credentials that are no plain secret */
        int helper_fd;
        struct auths *auths;
        struct vaults *vaults;
        struct vault *vault;     /* the class's */
        struct vault_set others; /* what else it names */
};
#define DIRECT_NONE ((struct direct){.helper_fd = -EBADF})

/* Reads what is named on the command line, in files and in the environment; sends nothing but what
 * identity_find_sni() does. */
int direct_resolve(const struct spc_class *class, struct options *o, credentials_warn_fn warn,
        struct direct *d, struct err *e);
/* Before any thread. */
int direct_open(struct direct *d, struct err *e);
void direct_done(struct direct *d); /* after all that holds a vault */
