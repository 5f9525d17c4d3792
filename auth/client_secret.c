/* A service principal with a client secret: the OAuth 2.0 client credentials grant (RFC 6749
 * section 4.4). */
#include "auth/mode.h"
#include "base/wipe.h"

#define CLIENT_SECRET_MAX ((size_t)4096)

static int check(const struct auth_config *cfg, struct err *e)
{
        int r = auth_entra_check(cfg, e);
        if (r < 0)
                return r;
        if (!cfg->client_secret || sec_len(cfg->client_secret) == 0) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "could not find clientsecret in secrets");
                err_hint(e, "set AZURE_CLIENT_SECRET, or name a file that holds the secret");
                return -EINVAL;
        }
        if (sec_len(cfg->client_secret) > CLIENT_SECRET_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "the client secret is longer than %zu bytes", CLIENT_SECRET_MAX);
        if (memchr(sec_bytes(cfg->client_secret), '\0', sec_len(cfg->client_secret)))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the client secret has a NUL byte in it");
        return 0;
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(ret, "service principal %s of tenant %s", p->client_id, p->tenant);
}

static int make_proof(const struct sec *secret, char **ret)
{
        _cleanup_secret_ char *plain = wipe_join("", sec_bytes(secret), sec_len(secret)),
                              *escaped = NULL;
        int r = plain ? http_escape(plain, &escaped) : -ENOMEM;
        if (r < 0)
                return r;
        char *proof = wipe_join("client_secret=", escaped, strlen(escaped));
        if (!proof)
                return -ENOMEM;
        *ret = proof;
        return 0;
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        _cleanup_secret_ char *proof = NULL;

        int r = make_proof(p->client_secret, &proof);
        return r < 0 ? r : auth_entra_request(p, scope, proof, ret);
}

const struct auth_mode auth_client_secret = {
        .name = "client-secret",
        .check = check,
        .describe = describe,
        .build = build,
};
