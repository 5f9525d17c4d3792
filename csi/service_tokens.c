#include "csi/service_tokens.h"

#include "auth/jwt.h"
#include "base/json.h"
#include "base/wipe.h"

static int check_subject(const char *token, size_t len, const char *namespace,
        const char *service_account, struct err *e)
{
        struct jwt_claims claims;
        _cleanup_free_ char *subject = NULL;

        int r = jwt_read_claims(token, len, &claims);
        if (r == -ENOMEM)
                return err_set(e, r, "out of memory");
        if (r < 0)
                return err_set_cause(e, ERR_USAGE, r, "the service account token is no token");
        r = xasprintf(&subject, "system:serviceaccount:%s:%s", namespace, service_account);
        if (r < 0)
                return err_set(e, r, "out of memory");
        if (streq(claims.sub, subject))
                return 0;
        return err_set_cause(e, ERR_USAGE, -EACCES,
                "the service account token is that of %s, and the pod's account is %s", claims.sub,
                subject);
}

int service_token_find(const char *tokens, const char *audience, const char *namespace,
        const char *service_account, struct sec **ret, struct err *e)
{
        size_t len = strnlen(tokens, SERVICE_TOKENS_MAX + 1);
        _cleanup_json_ cJSON *map = NULL;

        if (len > SERVICE_TOKENS_MAX)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the service account tokens are too long");
        int r = json_parse(tokens, len, &map);
        if (r == -ENOMEM)
                return err_set(e, r, "out of memory");
        if (r < 0 || !cJSON_IsObject(map))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "the service account tokens are no JSON object");
        const char *token = json_string(json_get(map, audience), "token");
        if (isempty(token)) {
                err_set_cause(e, ERR_USAGE, -ENOENT,
                        "kubelet sent no service account token for the audience %s", audience);
                err_hint(e, "the CSIDriver object needs it under tokenRequests: - audience: %s",
                        audience);
                return -ENOENT;
        }
        len = strlen(token);
        r = check_subject(token, len, namespace, service_account, e);
        if (r < 0)
                return r;
        r = sec_new(token, len, ret);
        return r < 0 ? err_set(e, r, "out of memory") : 0;
}
