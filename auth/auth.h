/* Identities and their tokens.
 *
 * A struct auth is one identity: it hands out bearer tokens for a scope, asynchronously, from a
 * cache, asking its endpoint once however many wait (single flight), and early (before expiry, with
 * jitter). Identities are shared by all mounts: auth_open() gives the same object for the same
 * configuration, told apart by auth_key(). Loop thread only.
 *
 * One file an identity mode: auth/client_secret.c, auth/imds.c. Each supplies a struct auth_mode;
 * cache, single flight, refresh and error shaping are auth/auth.c's.
 */
#pragma once

#include "base/err.h"
#include "base/http.h"
#include "base/sec.h"

struct auths; /* all identities of this process */
struct auth;  /* one of them, reference-counted */

int auths_new(struct loop *l, struct http_client *http, struct auths **ret);
/* After the last auth_unref, and before the loop and the client go. */
void auths_free(struct auths *a);
DEFINE_CLEANUP(struct auths *, auths_free)

enum auth_mode_id { AUTH_CLIENT_SECRET, AUTH_VM_IDENTITY };

struct auth_config {
        enum auth_mode_id mode;
        const char *tenant;    /* needed by AUTH_CLIENT_SECRET; [0-9A-Za-z.-]+ */
        const char *client_id; /* service principal's app id; for a VM the user-assigned identity,
                                  "" for the system-assigned one */
        struct sec *client_secret;     /* a reference is taken */
        const char *authority;         /* "https://login.microsoftonline.com/": https only */
        const char *imds_endpoint;     /* "http://169.254.169.254": NULL for that */
        struct http_endpoint endpoint; /* CA file and proxy for the authority; strings are copied */
};

/* A reference to the identity, made or found. Checks the configuration, sends nothing. Found means
 * the same auth_key() and the same endpoint settings. -EINVAL, or -EOPNOTSUPP for AD FS, with the
 * reason in e. */
int auth_open(struct auths *a, const struct auth_config *cfg, struct auth **ret, struct err *e);
struct auth *auth_ref(struct auth *a);
struct auth *auth_unref(struct auth *a);
DEFINE_CLEANUP(struct auth *, auth_unref)

/* What tells identities apart, for the cache's keys: mode, authority, tenant, client id and, for a
 * service principal, a SHA-256 of its secret. Holds no secret. */
const char *auth_key(const struct auth *a);
/* For messages: "service principal CLIENT of tenant TENANT", "managed identity of this VM". */
const char *auth_describe(const struct auth *a);

struct auth_token {
        struct sec *token;  /* borrowed during the callback; ref to keep */
        int64_t expires_at; /* seconds since the epoch */
};
/* On failure token is NULL and error says why (cause ERR_AUTH, ERR_DNS, ...). Never called from
 * within auth_get_token().
 *
 * A failure is remembered: for 1 s, doubling to 60 s (or for as long as Retry-After says, up to ten
 * minutes) whoever asks gets the same error without a request. */
typedef void (*auth_token_fn)(
        void *userdata, const struct auth_token *token, const struct err *error);

struct auth_wait;
/* scope: "https://vault.azure.net/.default". *ret (optional) is valid until the callback. A wait
 * keeps its identity alive: cancel it before auths_free(). */
int auth_get_token(struct auth *a, const char *scope, auth_token_fn done, void *userdata,
        struct auth_wait **ret);
struct auth_wait *auth_cancel(struct auth_wait *w); /* no callback after this; returns NULL */

/* A service refused this token (401): the next auth_get_token() fetches a new one. Does nothing
 * when the cached token is another one by now, nor twice within ten seconds: a vault that refuses
 * every token must not become a storm at the token endpoint. */
void auth_reject_token(struct auth *a, const char *scope, const struct sec *token);

/* Requests sent to token endpoints so far, for status and tests. */
uint64_t auth_requests(const struct auth *a);
