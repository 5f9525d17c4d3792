/* The identity of the virtual machine, from the instance metadata service: plain http to a
 * link-local address that only this machine reaches. Never through a proxy, which would ask on
 * behalf of another machine.
 *
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 * has the request and the rules for trying again. */
#include <stdio.h>

#include "auth/mode.h"

#define IMDS_API_VERSION "2018-02-01"
#define CLIENT_ID_MAX ((size_t)256)

/* Statuses that the service documents as passing: 404 and 410 while it is being updated, 429, and
 * every 5xx that has a name. */
static bool retry_status(int status)
{
        return status == 404 || status == 410 || status == 429 ||
               (status >= 500 && status <= 508) || status == 510 || status == 511;
}

/* Seven requests in all. Where nothing answers at all there is no service, and three are enough:
 * outside Azure a mount has to fail soon and not after minutes. */
static const struct http_retry imds_retry = {
        .tries = 7,
        .base_ms = 2000,
        .cap_ms = 25000,
        .retry_status = retry_status,
        .transport_tries = 3,
};

#define IMDS_CONNECT_TIMEOUT_MS 3000

static int check(const struct auth_config *cfg, struct err *e)
{
        const char *endpoint = cfg->imds_endpoint;

        if (cfg->client_id && strlen(cfg->client_id) > CLIENT_ID_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "userAssignedIdentityID is longer than %zu bytes", CLIENT_ID_MAX);
        if (!endpoint)
                return 0;
        const char *rest = startswith(endpoint, "http://");
        if (!rest)
                rest = startswith(endpoint, "https://");
        if (!rest || !*rest || *rest == '/' || strpbrk(rest, "?#@ \t\r\n")) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "endpoint of the instance metadata service %s is not an http or https URL",
                        strpbrk(endpoint, "@\t\r\n") ? "given" : endpoint);
                err_hint(e, "it is of the form http://169.254.169.254 (--imds-endpoint, "
                            "AZURE_POD_IDENTITY_AUTHORITY_HOST)");
                return -EINVAL;
        }
        return 0;
}

static int describe(const struct auth_params *p, char **ret)
{
        if (*p->client_id)
                return xasprintf(ret, "managed identity %s of this VM", p->client_id);
        return xasprintf(ret, "system-assigned managed identity of this VM");
}

static int build(const struct auth_params *p, const char *scope, struct auth_request *ret)
{
        _cleanup_free_ char *resource = NULL, *resource_escaped = NULL, *client_id = NULL;
        struct auth_request q = {
                .headers = {"Metadata: true", "Accept: application/json"},
                .endpoint = p->endpoint,
        };

        q.endpoint.allow_http = true;
        q.endpoint.proxy = "";
        q.endpoint.connect_timeout_ms = IMDS_CONNECT_TIMEOUT_MS;

        int r = auth_resource_of_scope(scope, &resource);
        if (r == 0)
                r = http_escape(resource, &resource_escaped);
        if (r == 0)
                r = http_escape(p->client_id, &client_id);
        if (r == 0)
                r = xasprintf(&q.url,
                        "%s/metadata/identity/oauth2/token?api-version=" IMDS_API_VERSION
                        "%s%s&resource=%s",
                        p->imds_endpoint, *client_id ? "&client_id=" : "", client_id,
                        resource_escaped);
        if (r < 0) {
                auth_request_done(&q);
                return r;
        }
        *ret = q;
        ret->request = (struct http_request){
                .method = "GET",
                .url = ret->url,
                .headers = ret->headers,
                .endpoint = &ret->endpoint,
        };
        return 0;
}

const struct auth_mode auth_imds = {
        .check = check,
        .describe = describe,
        .build = build,
        .retry = &imds_retry,
};
