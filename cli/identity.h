/* Who asks, and whom: a class and its surroundings resolved into one identity and one vault.
 *
 * Resolved by the command, whose environment and working directory the user meant; the worker gets
 * the result (identity_format, identity_parse) and opens it (identity_open). Nothing is sent here.
 */
#pragma once

#include "auth/auth.h"
#include "base/json.h"
#include "cli/credentials.h"
#include "spc/spc.h"
#include "vault/vault.h"

struct identity {
        enum auth_mode_id mode;
        char *tenant;    /* "" for a VM's */
        char *client_id; /* service principal, or a VM's user-assigned identity, or "" */
        enum auth_id_kind id_kind;
        struct sec *secret;  /* client secret, certificate's password or IDENTITY_HEADER, or NULL */
        char *authority;     /* "https://.../" */
        char *imds_endpoint; /* NULL for the default */
        char *source, *file; /* of a credential that is read anew: for the helper, for people */
        bool send_chain;
        char *token_proxy, *sni, *proxy_ca_pem; /* identity binding */
        char *pod, *pod_namespace;
        char *vault_url; /* without a slash at the end */
        char *scope;     /* "https://vault.azure.net/.default" */
        char *ca_file;   /* absolute, or NULL */
        char *ca_pem;    /* its content, once identity_read_ca() was called; or NULL */
};

void identity_done(struct identity *i);
#define _cleanup_identity_ _cleanup_(identity_done)

/* The class's parameters win over the credentials' names and over AZURE_AUTHORITY_HOST; options win
 * over the class's cloud. warn (optional) is told what is passed over. */
int identity_resolve(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *ret,
        struct err *e);

/* A bundle of every public authority has 250 KiB. */
#define IDENTITY_CA_MAX ((size_t)512 << 10)

/* Reads the CA file for a worker, whose account may not be allowed to, and which sees nothing of
 * the user's files. */
int identity_read_ca(struct identity *i, struct err *e);

/* Identity binding without a TLS name that was given: asks the cluster's API server for its
 * certificate, which has it. Blocks for ten seconds at most. */
int identity_find_sni(struct identity *i, struct err *e);

/* Makes the credential known to the helper of the worker that gets this identity: before the
 * request is sent. 1 when identity_unregister() has to follow once the mount stands or failed. */
int identity_register(const struct identity *i, int control_dir_fd, struct err *e);
void identity_unregister(const struct identity *i, int control_dir_fd);

/* Over the control socket; holds the secret, so wipe what it is printed into. */
cJSON *identity_format(const struct identity *i);
int identity_parse(const cJSON *j, struct identity *ret, struct err *e);

/* References to the vault as this identity sees it. */
int identity_open(const struct identity *i, struct auths *auths, struct vaults *vaults,
        struct vault **ret, struct err *e);
