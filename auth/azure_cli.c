/* Whoever has done `az login` on this machine: the helper runs `az account get-access-token`, which
 * keeps the refresh tokens itself, and its answer is the token. */
#include <time.h>

#include "auth/mode.h"
#include "base/json.h"

static int check(const struct auth_config *cfg, struct err *e)
{
        return isempty(cfg->source)
                       ? err_set_cause(e, ERR_USAGE, -EINVAL, "the Azure CLI is not set")
                       : 0;
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(
                ret, "login of the Azure CLI%s%s", *p->tenant ? " in tenant " : "", p->tenant);
}

/* "2024-01-31 12:34:56.000000", local time: what versions before 2.54 say. */
static int parse_local_time(const char *s, int64_t *ret)
{
        struct tm tm = {.tm_isdst = -1};

        const char *end = s ? strptime(s, "%Y-%m-%d %H:%M:%S", &tm) : NULL;
        if (!end || (*end && *end != '.'))
                return -EINVAL;
        time_t t = mktime(&tm);
        if (t < 0)
                return -EINVAL;
        *ret = t;
        return 0;
}

static int parse(const char *body, size_t len, int64_t now, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e)
{
        _cleanup_json_ cJSON *j = NULL;
        int64_t expires = 0;

        if (json_parse(body, len, &j) < 0 || !cJSON_IsObject(j))
                return err_set_cause(e, ERR_AUTH, -EBADMSG, "what az printed is not a JSON object");
        const char *token = json_string(j, "accessToken");
        if (isempty(token))
                return err_set_cause(e, ERR_AUTH, -EBADMSG, "what az printed has no accessToken");
        if (json_int64(j, "expires_on", &expires) < 0 &&
                parse_local_time(json_string(j, "expiresOn"), &expires) < 0)
                return err_set_cause(e, ERR_AUTH, -EBADMSG,
                        "what az printed has neither a valid expires_on nor expiresOn");
        return auth_token_take(
                token, expires < now ? 0 : expires - now, ret_token, ret_lifetime, e);
}

const struct auth_mode auth_azure_cli = {
        .name = "azure-cli",
        .needs_source = true,
        .check = check,
        .describe = describe,
        .parse = parse,
};
