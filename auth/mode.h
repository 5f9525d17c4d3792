/* What an identity mode supplies to auth/auth.c, and what the modes share.
 *
 * A mode is stateless: it checks a configuration, says how it is called and which request fetches a
 * token. Cache, single flight, refresh and error texts are the same for all.
 */
#pragma once

#include "auth/auth.h"
#include "auth/jwt.h"

/* The longest access token that is taken; those of Entra have 1 to 4 KiB. */
#define AUTH_TOKEN_MAX ((size_t)64 << 10)
/* The largest answer of a token endpoint that is read. */
#define AUTH_ANSWER_MAX ((size_t)256 << 10)
/* Ids, names of pods and the like. */
#define AUTH_ID_MAX ((size_t)256)

/* The configuration as an identity keeps it: own copies, checked. */
struct auth_params {
        enum auth_mode_id mode;
        char *tenant, *client_id; /* "" where the mode has none */
        enum auth_id_kind id_kind;
        char *authority;     /* ends with a slash; NULL where a machine's own endpoint is asked */
        char *imds_endpoint; /* no slash at the end; NULL where the authority is asked */
        struct sec *client_secret, *secret;
        char *source, *file, *subject;
        char *token_proxy, *sni, *proxy_ca_pem;
        char *pod, *pod_namespace;
        bool send_chain;
        char *ca_file, *ca_pem, *proxy;
        struct http_endpoint endpoint; /* points to the three above */
};

/* --- auth/params.c --- */

int auth_params_fill(const struct auth_config *cfg, struct auth_params *p);
void auth_params_done(struct auth_params *p);
int auth_params_key(const struct auth_params *p, char **ret);
bool auth_params_same_endpoint(const struct auth_params *a, const struct auth_params *b);
/* Where tokens are asked for, for messages. Never NULL. */
const char *auth_params_endpoint(const struct auth_params *p);

/* --- auth/request.c --- */

/* A token request. `request` points to what else is in here. */
struct auth_request {
        struct http_request request;
        char *url;
        char *body;   /* holds the client secret; wiped */
        char *header; /* one that is made here, and may hold a secret; wiped */
        char *host;   /* another one */
        char *connect_to;
        const char *headers[6];
        struct http_endpoint endpoint;
};
void auth_request_done(struct auth_request *q);
/* Takes q over into ret and makes ret->request of it: a POST where there is a body. */
void auth_request_finish(struct auth_request *q, struct auth_request *ret);

/* What a request is made of besides the parameters. */
struct auth_material {
        const char *bytes; /* the file's, or az's answer; NUL-terminated; NULL without a source */
        size_t len;
        int64_t now; /* seconds since the epoch */
};

struct auth_mode {
        const char *name;
        /* The helper is asked for p->source, where there is one, before each request. */
        bool needs_source;
        /* Whether the configuration is complete and well-formed. */
        int (*check)(const struct auth_config *cfg, struct err *e);
        /* For people: "service principal CLIENT of tenant TENANT". */
        int (*describe)(const struct auth_params *p, char **ret);
        /* NULL: there is no request, the material is the answer. */
        int (*build)(const struct auth_params *p, const struct auth_material *m, const char *scope,
                struct auth_request *ret, struct err *e);
        /* A 401 that asks for a proof which the helper can read: its name. Then `build` is called
         * once more, with the proof as material. NULL: a 401 is a refusal. */
        int (*challenge)(const struct auth_params *p, const struct http_response *resp, char **ret,
                struct err *e);
        /* NULL: auth_token_parse(). */
        int (*parse)(const char *body, size_t len, int64_t now, struct sec **ret_token,
                int64_t *ret_lifetime, struct err *e);
        const struct http_retry *retry; /* NULL: http_retry_default */
};
extern const struct auth_mode auth_client_secret, auth_imds, auth_certificate, auth_federated,
        auth_nmi, auth_app_service, auth_arc, auth_azure_cli;
const struct auth_mode *auth_mode_of(enum auth_mode_id id);

/* --- auth/entra.c: what service principals and workload identity have in common --- */

int auth_entra_check(const struct auth_config *cfg, struct err *e);
/* AD FS instead of Entra: another path, and no v2.0. */
bool auth_is_adfs(const struct auth_params *p);
/* <authority><tenant>/oauth2/v2.0/token. Caller frees. */
int auth_entra_token_url(const struct auth_params *p, char **ret);
/* The client credentials grant (RFC 6749 section 4.4) with `proof`, which is escaped already:
 * "client_secret=..." or the like. */
int auth_entra_request(const struct auth_params *p, const char *scope, const char *proof,
        struct auth_request *ret);
/* The proof by a signed assertion (RFC 7523 section 2.2); wiped by the caller. */
int auth_entra_assertion(const char *jwt, size_t len, char **ret);

/* --- auth/managed.c: what the metadata endpoints have in common --- */

int auth_managed_check(const struct auth_config *cfg, const char *what, struct err *e);
int auth_managed_describe(const struct auth_params *p, const char *where, char **ret);
/* GET `url`?api-version=...[&NAME=client id]&resource=..., with `header` and never through a proxy.
 * names are those of a client, object and resource id. `header` is taken over, may be NULL. */
int auth_managed_request(const struct auth_params *p, const char *url, const char *api_version,
        const char *const names[static 3], const char *scope, char *header,
        struct auth_request *ret);
/* The rules for trying again that the metadata services document. */
extern const struct http_retry auth_imds_retry;

/* --- auth/token.c --- */

/* Reads the body of a 200 answer of either kind of endpoint. lifetime is in seconds and positive.
 * -EBADMSG with the reason in e. The texts never quote the answer. */
int auth_token_parse(const char *body, size_t len, int64_t now, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e);
/* A token and its remaining seconds, checked: of the right characters, bounded, not over. */
int auth_token_take(const char *token, int64_t lifetime, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e);

/* --- auth/auth_error.c --- */

/* Turns an answer that brought no token into an error: "failed to get key vault token: IDENTITY at
 * ENDPOINT: what the service said", the cause and the next step. claims (or NULL) are those of the
 * federated token that was sent. Returns a negative errno. */
int auth_error(const struct auth_params *p, const char *identity, const struct http_response *resp,
        const struct jwt_claims *claims, struct err *e);
/* The part of it for answers of Entra: what to do about an AADSTS code. auth/entra_hint.c */
void auth_entra_hint(
        const struct auth_params *p, uint64_t code, const struct jwt_claims *claims, struct err *e);
