/* What proves an identity, as the user's surroundings give it: not the class, which may overrule
 * it.
 *
 * Taken from the first of: the files named by options, the environment, systemd's credentials
 * directory (LoadCredential=). The environment's copy of the secret is wiped once it is read, so
 * that /proc/PID/environ of a long-running `mount -f` no longer shows it.
 */
#pragma once

#include "base/err.h"
#include "base/sec.h"
#include "cli/options.h"

#define CREDENTIALS_FILE_MAX ((size_t)64 << 10)

struct credentials {
        char *tenant;       /* NULL when nobody said */
        char *client_id;    /* NULL when nobody said */
        struct sec *secret; /* NULL when nobody said */
        const char
                *secret_from; /* "AZURE_CLIENT_SECRET", "--client-secret-file", ...: for messages */
        char *certificate;    /* AZURE_CLIENT_CERTIFICATE_PATH, absolute */
        struct sec *password; /* AZURE_CLIENT_CERTIFICATE_PASSWORD */
        bool send_chain;      /* AZURE_CLIENT_SEND_CERTIFICATE_CHAIN */
        char *token_file;     /* AZURE_FEDERATED_TOKEN_FILE */

        /* how a managed identity's surroundings are told (reference section 3.4) */
        char *identity_endpoint, *imds_endpoint; /* IDENTITY_ENDPOINT, IMDS_ENDPOINT */
        struct sec *identity_header;             /* IDENTITY_HEADER */
        bool service_fabric;                     /* IDENTITY_SERVER_THUMBPRINT */
        bool arc_agent;                          /* Azure Arc's agent is installed */
        char *pod, *pod_namespace;               /* POD_NAME, POD_NAMESPACE */
};

/* warn (optional) is told of files that others can read. */
typedef void (*credentials_warn_fn)(const char *text);
int credentials_find(
        const struct options *o, credentials_warn_fn warn, struct credentials *ret, struct err *e);
void credentials_done(struct credentials *c);
#define _cleanup_credentials_ _cleanup_(credentials_done)

/* Value of KEY in lines of KEY=VALUE (as systemd's EnvironmentFile= and `docker --env-file` have
 * them: '#' comments, an optional "export ", quotes around the value). 0 and a view into text, or
 * -ENOENT. */
int credentials_env_file_get(
        const char *text, size_t len, const char *key, const char **ret, size_t *ret_len);
