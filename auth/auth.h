/* Identities and their tokens.
 *
 * A struct auth is one identity: it hands out bearer tokens for a scope, asynchronously, from a
 * cache, asking its endpoint once however many wait (single flight), and early (before expiry, with
 * jitter). Identities are shared by all mounts: auth_open() gives the same object for the same
 * configuration, told apart by auth_key(). Loop thread only.
 *
 * One file an identity mode, each of which supplies a struct auth_mode (auth/mode.h); cache, single
 * flight and refresh are auth/auth.c's, one request for a token is auth/fetch.c's.
 */
#pragma once

#include "base/err.h"
#include "base/http.h"
#include "base/sec.h"

struct auths;       /* all identities of this process */
struct auth;        /* one of them, reference-counted */
struct auth_helper; /* auth/helper.h: who reads files and runs az */

int auths_new(struct loop *l, struct http_client *http, struct auths **ret);
/* For identities whose credential is a file or a program's answer. Borrowed until auths_free(); it
 * must outlive every identity. */
void auths_set_helper(struct auths *a, struct auth_helper *helper);
/* After the last auth_unref, and before the loop and the client go. */
void auths_free(struct auths *a);
DEFINE_CLEANUP(struct auths *, auths_free)

enum auth_mode_id {
        AUTH_CLIENT_SECRET, /* service principal with a secret */
        AUTH_VM_IDENTITY,   /* managed identity of a virtual machine (IMDS) */
        AUTH_CERTIFICATE,   /* service principal with a certificate */
        AUTH_FEDERATED, /* workload identity, and AKS identity binding where token_proxy is set */
        AUTH_POD_IDENTITY, /* aad-pod-identity (NMI) */
        AUTH_APP_SERVICE,  /* managed identity of App Service, Functions, Container Apps */
        AUTH_ARC,          /* managed identity of a machine connected by Azure Arc */
        AUTH_AZURE_CLI,    /* who has done `az login` */
        AUTH_MODES
};
/* "client-secret", "vm", ...: stable words for options, JSON and auth_key(). */
const char *auth_mode_name(enum auth_mode_id id);
int auth_mode_find(const char *name, enum auth_mode_id *ret); /* -EINVAL */

/* How client_id names a managed identity. */
enum auth_id_kind { AUTH_BY_CLIENT_ID, AUTH_BY_OBJECT_ID, AUTH_BY_RESOURCE_ID };

/* Strings and secrets are borrowed during auth_open(). What a mode has no use for is NULL. */
struct auth_config {
        enum auth_mode_id mode;
        const char *tenant;    /* of service principals and workload identity: [0-9A-Za-z.-]+,
                                  "adfs" for AD FS; optional for AUTH_AZURE_CLI */
        const char *client_id; /* application id; or the user-assigned managed identity, "" for the
                                  system-assigned one */
        enum auth_id_kind id_kind;
        struct sec *client_secret; /* AUTH_CLIENT_SECRET */
        struct sec *secret;        /* AUTH_CERTIFICATE: the file's password; AUTH_APP_SERVICE:
                                      IDENTITY_HEADER; AUTH_FEDERATED without a file: the token */
        const char *authority;     /* "https://login.microsoftonline.com/": https only */
        const char *imds_endpoint; /* of managed identities and NMI; NULL: the mode's default */

        /* AUTH_CERTIFICATE, AUTH_FEDERATED, AUTH_ARC, AUTH_AZURE_CLI: what the helper knows the
         * credential as, and how people do (a path; "az"). The file is read again for each token,
         * so one that is replaced counts from the next token on. */
        const char *source, *file;
        bool send_chain; /* AUTH_CERTIFICATE: x5c, for subject-name-and-issuer trust */

        /* AUTH_FEDERATED: "NAMESPACE/SERVICEACCOUNT" that the platform vouches for, part of the key
         * where a token is handed over; NULL for a file. */
        const char *subject;
        const char *token_proxy, *sni; /* identity binding: https URL, and TLS server name */
        const char *proxy_ca_pem;      /* its authority; NULL: as `endpoint` says */

        const char *pod, *pod_namespace; /* AUTH_POD_IDENTITY */

        struct http_endpoint endpoint; /* CA file and proxy for the authority; strings are copied */
};

/* A reference to the identity, made or found. Checks the configuration, sends nothing. Found means
 * the same auth_key() and the same endpoint settings. -EINVAL with the reason in e. */
int auth_open(struct auths *a, const struct auth_config *cfg, struct auth **ret, struct err *e);
struct auth *auth_ref(struct auth *a);
struct auth *auth_unref(struct auth *a);
DEFINE_CLEANUP(struct auth *, auth_unref)

/* A newer token for an AUTH_FEDERATED identity that was opened with one: used for the next request.
 * A failure that was remembered is forgotten, since the new token may be right. */
int auth_set_assertion(struct auth *a, struct sec *token);

/* What tells identities apart, for the cache's keys: mode, authority, tenant, client id and, where
 * a secret is the proof, its SHA-256. Holds no secret. */
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

/* "https://vault.azure.net/.default" to "https://vault.azure.net", as v1 endpoints want it. Caller
 * frees. */
int auth_resource_of_scope(const char *scope, char **ret);

/* Requests sent to token endpoints so far, for status and tests. */
uint64_t auth_requests(const struct auth *a);
