/* Who asks, and whom: a class and its surroundings resolved into one identity and one vault.
 *
 * Which identity that is depends on who mounts: a command takes it from the user's surroundings
 * (cli/identity_find.h), the CSI driver from what kubelet sends. The endpoints are found here for
 * both. A worker gets the result (identity_format, identity_parse) and opens it (identity_open).
 * Nothing is sent here.
 */
#pragma once

#include "auth/auth.h"
#include "base/json.h"
#include "spc/spc.h"
#include "vault/vault.h"

#define IDENTITY_SECRET_MAX ((size_t)64 << 10)

struct identity {
        enum auth_mode_id mode;
        char *tenant;    /* "" for a VM's */
        char *client_id; /* service principal, or a VM's user-assigned identity, or "" */
        enum auth_id_kind id_kind;
        struct sec *secret;  /* client secret, certificate's password, IDENTITY_HEADER or token, or
                                NULL */
        char *authority;     /* "https://.../" */
        char *imds_endpoint; /* NULL for the default */
        char *source, *file; /* of a credential that is read anew: for the helper, for people */
        bool send_chain;
        char *subject; /* "NAMESPACE/SERVICEACCOUNT" of a token that is handed over, in `secret` */
        char *token_proxy, *sni, *proxy_ca_pem; /* identity binding */
        char *pod, *pod_namespace;
        char *vault_url; /* without a slash at the end */
        char *scope;     /* "https://vault.azure.net/.default" */
        char *ca_file;   /* absolute, or NULL */
        char *ca_pem;    /* its content, once identity_read_ca() was called; or NULL */
};

void identity_done(struct identity *i);
#define _cleanup_identity_ _cleanup_(identity_done)

/* Which managed identity a class asks for: client_id and id_kind. -ENOMEM. */
int identity_name_managed(const struct spc_class *class, struct identity *i);

/* Where a class's services are, when that is not what its cloud says; NULL: not said. */
struct identity_endpoints {
        const char *vault_url; /* may hold "{vault}" */
        const char *authority_host;
        const char *imds_endpoint;
        const char *ca_file; /* absolute */
};
/* Fills authority, imds_endpoint, vault_url, scope and ca_file, which are empty. The environment's
 * AZURE_AUTHORITY_HOST and AZURE_POD_IDENTITY_AUTHORITY_HOST count where nothing was said, the
 * first only where the class names no cloud. Plain http is refused but for the metadata service. */
int identity_resolve_endpoints(const struct spc_class *class, const struct identity_endpoints *o,
        struct identity *i, struct err *e);

/* A bundle of every public authority has 250 KiB. */
#define IDENTITY_CA_MAX ((size_t)512 << 10)

/* A bundle of certificates in PEM, in place of what *where had (NULL, or malloc(3)'s). The error
 * has the cause ERR_LOCAL; `what` is what it calls the file: "the CA file". */
int identity_read_pem(const char *path, const char *what, char **where, struct err *e);

/* Reads the CA file for a worker, whose account may not be allowed to, and which sees nothing of
 * the user's files. */
int identity_read_ca(struct identity *i, struct err *e);

/* Over the control socket and for a later worker; holds the secret, so wipe what it is printed
 * into.
 */
cJSON *identity_format(const struct identity *i);
int identity_parse(const cJSON *j, struct identity *ret, struct err *e);

/* References to the vault as this identity sees it. */
int identity_open(const struct identity *i, struct auths *auths, struct vaults *vaults,
        struct vault **ret, struct err *e);
