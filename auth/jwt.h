/* JSON Web Tokens (RFC 7519): those we sign, and what others say of themselves.
 *
 * Nothing here verifies a signature: a federated token is for Entra to judge, an access token for
 * the vault, and their claims are read for messages only.
 */
#pragma once

#include "base/util.h"

/* Without padding (RFC 4648 section 5). Caller frees; NULL when memory is short. */
char *jwt_base64url(const void *data, size_t len);

/* "system:serviceaccount:" and two names of a cluster, at most 253 characters each, fit in whole.
 */
#define JWT_TEXT_MAX 576
struct jwt_claims {
        char iss[JWT_TEXT_MAX], sub[JWT_TEXT_MAX], aud[JWT_TEXT_MAX]; /* "" when absent */
        char app[JWT_TEXT_MAX]; /* appid, or what Entra's v2 tokens call it: azp */
        char oid[JWT_TEXT_MAX], tid[JWT_TEXT_MAX];
        int64_t exp; /* 0 when absent */
};
/* Bounded copies without control characters; of several audiences the first. -EINVAL for what is no
 * token (access tokens may be opaque), -ENOMEM. */
int jwt_read_claims(const char *token, size_t len, struct jwt_claims *ret);
/* Three parts of base64url, nothing around them, at most 64 KiB. */
bool jwt_is_well_formed(const char *token, size_t len);

/* White space around a token, which an editor or echo(1) left. */
void jwt_trim(const char **token, size_t *len);

/* --- auth/assertion.c: private_key_jwt (RFC 7523) --- */

struct evp_pkey_st;
/* What Entra's certificate credentials are: a key, its certificate, and those above it. */
struct jwt_signer;
/* PEM (key and certificates in any order) or PKCS#12; password may be NULL. The key must be RSA and
 * that of one of the certificates. -EINVAL, with the reason in *ret_why (static text). */
int jwt_signer_new(const void *data, size_t len, const char *password, struct jwt_signer **ret,
        const char **ret_why);
void jwt_signer_free(struct jwt_signer *s);
DEFINE_CLEANUP(struct jwt_signer *, jwt_signer_free)

struct jwt_request {
        const char *client_id, *audience;
        int64_t now;
        /* PS256 with x5t#S256, as Entra wants it; with `adfs` RS256 with the SHA-1 x5t, the only
         * kind that AD FS knows */
        bool adfs;
        bool chain; /* x5c: the certificates too */
};
/* A signed assertion, good for ten minutes. Wiped by the caller. */
int jwt_sign(const struct jwt_signer *s, const struct jwt_request *r, char **ret);
