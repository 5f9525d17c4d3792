/* The identity of the virtual machine, from the instance metadata service: plain http to a
 * link-local address that only this machine reaches.
 *
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 * has the request and the rules for trying again. */
#include "auth/mode.h"

static int check(const struct auth_config *cfg, struct err *e)
{
        return auth_managed_check(cfg, "the instance metadata service", e);
}

static int describe(const struct auth_params *p, char **ret)
{
        return auth_managed_describe(p, "VM", ret);
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        static const char *const names[] = {"client_id", "object_id", "msi_res_id"};
        _cleanup_free_ char *url = NULL;

        int r = xasprintf(&url, "%s/metadata/identity/oauth2/token", p->imds_endpoint);
        return r < 0 ? r : auth_managed_request(p, url, "2018-02-01", names, scope, NULL, ret);
}

const struct auth_mode auth_imds = {
        .name = "vm",
        .check = check,
        .describe = describe,
        .build = build,
        .retry = &auth_imds_retry,
};
