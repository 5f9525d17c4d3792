/* Inside vault/: one vault, and an authorised GET to it.
 *
 * vault/vault.c keeps the vaults, vault/request.c sends one GET with all that belongs to its token,
 * vault/call.c makes objects and lists of versions out of those.
 */
#pragma once

#include "vault/vault.h"

struct vault {
        unsigned refs;
        struct vaults *owner; /* NULL once vaults_free() was called */
        struct vault *prev, *next;
        struct loop *loop;
        struct http_client *http;

        char *url, *key;
        char *host;             /* of the URL, lower case, without port */
        char *configured_scope; /* what tells vaults apart */
        char *scope;            /* what tokens are asked for: a challenge may have changed it */
        struct auth *auth;
        struct http_endpoint endpoint; /* strings owned */
        struct http_retry retry;
        uint64_t requests;
        bool foreign_challenge; /* warned of one */
};

/* The answer, any status; or no answer, status 0, its error saying why. token_failed: there was
 * none because there was no token. Called exactly once, from the loop. */
typedef void (*vault_request_fn)(void *userdata, struct http_response *resp, bool token_failed);

struct vault_request;
/* GETs a URL of this vault with the identity's token. A 401 is answered at most twice: once by
 * asking for the resource that the challenge names, if it is another one of the vault's own domain,
 * and once with a fresh token. v must outlive the request. */
int vault_request_new(struct vault *v, const char *url, vault_request_fn done, void *userdata,
        struct vault_request **ret);
struct vault_request *vault_request_free(struct vault_request *q); /* no callback; returns NULL */
