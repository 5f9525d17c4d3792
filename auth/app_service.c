/* The managed identity of App Service, Functions and Container Apps: an endpoint of this very
 * instance, and a header that proves that the request comes from inside it.
 *
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity, "REST endpoint
 * reference". */
#include "auth/mode.h"
#include "base/wipe.h"

#define HEADER_MAX ((size_t)4096)

static int check(const struct auth_config *cfg, struct err *e)
{
        if (isempty(cfg->imds_endpoint) || !cfg->secret || sec_len(cfg->secret) == 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "IDENTITY_ENDPOINT and IDENTITY_HEADER have to be set together");
        if (sec_len(cfg->secret) > HEADER_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "IDENTITY_HEADER is longer than %zu bytes", HEADER_MAX);
        for (size_t i = 0; i < sec_len(cfg->secret); i++) {
                unsigned char c = ((const unsigned char *)sec_bytes(cfg->secret))[i];
                if (c <= 0x20 || c >= 0x7f)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "IDENTITY_HEADER has a character that no header can have");
        }
        return auth_managed_check(cfg, "App Service's identity", e);
}

static int describe(const struct auth_params *p, char **ret)
{
        return auth_managed_describe(p, "App Service instance", ret);
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        static const char *const names[] = {"client_id", "object_id", "mi_res_id"};
        char *header = wipe_join("X-IDENTITY-HEADER: ", sec_bytes(p->secret), sec_len(p->secret));

        if (!header)
                return -ENOMEM;
        return auth_managed_request(p, p->imds_endpoint, "2019-08-01", names, scope, header, ret);
}

const struct auth_mode auth_app_service = {
        .name = "app-service",
        .check = check,
        .describe = describe,
        .build = build,
        .retry = &auth_imds_retry,
};
