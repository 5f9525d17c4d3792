/* A service principal with a certificate: instead of a secret, an assertion signed by its key
 * (private_key_jwt). The file is read and parsed for each token and nothing of it is kept. */
#include "auth/mode.h"
#include "base/wipe.h"

static int check(const struct auth_config *cfg, struct err *e)
{
        int r = auth_entra_check(cfg, e);
        if (r < 0)
                return r;
        if (isempty(cfg->source) || isempty(cfg->file)) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "no client certificate is set");
                err_hint(e, "set AZURE_CLIENT_CERTIFICATE_PATH to a PEM or PFX file that holds the "
                            "certificate and its private key");
                return -EINVAL;
        }
        if (cfg->secret && memchr(sec_bytes(cfg->secret), '\0', sec_len(cfg->secret)))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the certificate's password has a NUL byte in it");
        return 0;
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(ret, "service principal %s of tenant %s (certificate %s)", p->client_id,
                p->tenant, p->file);
}

static int load(const struct auth_params *p, const struct auth_material *m, struct jwt_signer **ret,
        struct err *e)
{
        _cleanup_secret_ char *password = NULL;
        const char *why = NULL;

        if (p->secret) {
                password = strndup(sec_bytes(p->secret), sec_len(p->secret));
                if (!password)
                        return -ENOMEM;
        }
        int r = jwt_signer_new(m->bytes, m->len, password, ret, &why);
        if (r == -ENOMEM || r == 0)
                return r;
        err_set_cause(e, ERR_AUTH, r, "client certificate %s: %s", p->file, why);
        err_hint(e, "it is PEM or PFX with the certificate and its RSA private key; a PFX with a "
                    "password, or an encrypted key, needs --client-certificate-password-file or "
                    "AZURE_CLIENT_CERTIFICATE_PASSWORD");
        return r;
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        _cleanup_(jwt_signer_freep) struct jwt_signer *signer = NULL;
        _cleanup_secret_ char *jwt = NULL, *proof = NULL;
        _cleanup_free_ char *audience = NULL;

        int r = load(p, m, &signer, e);
        if (r == 0)
                r = auth_entra_token_url(p, &audience);
        if (r == 0) {
                const struct jwt_request q = {
                        .client_id = p->client_id,
                        .audience = audience,
                        .now = m->now,
                        .adfs = auth_is_adfs(p),
                        .chain = p->send_chain,
                };
                r = jwt_sign(signer, &q, &jwt);
        }
        if (r == 0)
                r = auth_entra_assertion(jwt, strlen(jwt), &proof);
        return r < 0 ? r : auth_entra_request(p, scope, proof, ret);
}

const struct auth_mode auth_certificate = {
        .name = "certificate",
        .needs_source = true,
        .check = check,
        .describe = describe,
        .build = build,
};
