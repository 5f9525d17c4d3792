/* What an identity mode supplies to auth/auth.c, and what the modes share.
 *
 * A mode is stateless: it checks a configuration, says how it is called and which request fetches a
 * token. Cache, single flight, refresh and error texts are the same for all.
 */
#pragma once

#include "auth/auth.h"

/* The longest access token that is taken; those of Entra have 1 to 4 KiB. */
#define AUTH_TOKEN_MAX ((size_t)64 << 10)
/* The largest answer of a token endpoint that is read. */
#define AUTH_ANSWER_MAX ((size_t)256 << 10)

/* The configuration as an identity keeps it: own copies, checked. */
struct auth_params {
        enum auth_mode_id mode;
        char *tenant, *client_id; /* "" where the mode has none */
        char *authority;          /* ends with a slash; NULL for AUTH_VM_IDENTITY */
        char *imds_endpoint;      /* no slash at the end; NULL for AUTH_CLIENT_SECRET */
        struct sec *client_secret;
        char *ca_file, *ca_pem, *proxy;
        struct http_endpoint endpoint; /* points to the three above */
};

/* A token request. `request` points to what else is in here. */
struct auth_request {
        struct http_request request;
        char *url;
        char *body; /* holds the client secret */
        const char *headers[4];
        struct http_endpoint endpoint;
};
void auth_request_done(struct auth_request *q);

struct auth_mode {
        /* Whether the configuration is complete and well-formed. */
        int (*check)(const struct auth_config *cfg, struct err *e);
        /* For people: "service principal CLIENT of tenant TENANT". */
        int (*describe)(const struct auth_params *p, char **ret);
        int (*build)(const struct auth_params *p, const char *scope, struct auth_request *ret);
        const struct http_retry *retry; /* NULL: http_retry_default */
};
extern const struct auth_mode auth_client_secret, auth_imds;

/* "https://vault.azure.net/.default" to "https://vault.azure.net", as v1 endpoints want it. */
int auth_resource_of_scope(const char *scope, char **ret);

/* --- auth/token.c --- */

/* Reads the body of a 200 answer of either kind of endpoint. lifetime is in seconds and positive.
 * -EBADMSG with the reason in e. The texts never quote the answer. */
int auth_token_parse(const char *body, size_t len, int64_t now, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e);

/* --- auth/auth_error.c --- */

/* Turns an answer that brought no token into an error: "failed to get key vault token: IDENTITY at
 * ENDPOINT: what the service said", the cause and the next step. Returns a negative errno. */
int auth_error(const struct auth_params *p, const char *identity, const struct http_response *resp,
        struct err *e);
