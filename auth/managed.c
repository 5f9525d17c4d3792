/* What the metadata endpoints of managed identities have in common: plain http to this machine,
 * never through a proxy, which would ask on behalf of another machine. */
#include <stdio.h>

#include "auth/mode.h"

#define RESOURCE_ID_MAX ((size_t)1024)
#define CONNECT_TIMEOUT_MS 3000

/* Statuses that the service documents as passing: 404 and 410 while it is being updated, 429, and
 * every 5xx that has a name. */
static bool retry_status(int status)
{
        return status == 404 || status == 410 || status == 429 ||
               (status >= 500 && status <= 508) || status == 510 || status == 511;
}

/* Seven requests in all, over some 97 seconds: 410 may last for 70. Where nothing answers at all
 * there is no service, and three are enough: outside Azure a mount has to fail soon and not after
 * minutes. */
const struct http_retry auth_imds_retry = {
        .tries = 7,
        .base_ms = 2000,
        .cap_ms = 25000,
        .retry_status = retry_status,
        .transport_tries = 3,
};

int auth_managed_check(const struct auth_config *cfg, const char *what, struct err *e)
{
        const char *endpoint = cfg->imds_endpoint;
        size_t max = cfg->id_kind == AUTH_BY_RESOURCE_ID ? RESOURCE_ID_MAX : AUTH_ID_MAX;

        if (cfg->client_id && strlen(cfg->client_id) > max)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "userAssignedIdentityID is longer than %zu bytes", max);
        if (!endpoint)
                return 0;
        const char *rest = startswith(endpoint, "http://");
        if (!rest)
                rest = startswith(endpoint, "https://");
        if (!rest || !*rest || *rest == '/' || strpbrk(rest, "?#@ \t\r\n")) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "endpoint of %s %s is not an http or https URL", what,
                        strpbrk(endpoint, "@\t\r\n") ? "given" : endpoint);
                err_hint(e, "it is of the form http://169.254.169.254 (--imds-endpoint, "
                            "AZURE_POD_IDENTITY_AUTHORITY_HOST, IDENTITY_ENDPOINT)");
                return -EINVAL;
        }
        return 0;
}

int auth_managed_describe(const struct auth_params *p, const char *where, char **ret)
{
        static const char *const kinds[] = {"", "of object id ", "of resource "};

        if (*p->client_id)
                return xasprintf(ret, "managed identity %s%s of this %s", kinds[p->id_kind],
                        p->client_id, where);
        return xasprintf(ret, "system-assigned managed identity of this %s", where);
}

int auth_managed_request(const struct auth_params *p, const char *url, const char *api_version,
        const char *const names[static 3], const char *scope, char *header,
        struct auth_request *ret)
{
        _cleanup_free_ char *resource = NULL, *resource_escaped = NULL, *id = NULL;
        struct auth_request q = {.header = header, .endpoint = p->endpoint};
        bool named = *p->client_id;

        q.headers[0] = header ? header : "Metadata: true";
        q.headers[1] = "Accept: application/json";
        q.endpoint.allow_http = true;
        q.endpoint.proxy = "";
        q.endpoint.connect_timeout_ms = CONNECT_TIMEOUT_MS;

        int r = auth_resource_of_scope(scope, &resource);
        if (r == 0)
                r = http_escape(resource, &resource_escaped);
        if (r == 0)
                r = http_escape(p->client_id, &id);
        if (r == 0)
                r = xasprintf(&q.url, "%s?api-version=%s%s%s%s%s&resource=%s", url, api_version,
                        named ? "&" : "", named ? names[p->id_kind] : "", named ? "=" : "", id,
                        resource_escaped);
        if (r < 0) {
                auth_request_done(&q);
                return r;
        }
        auth_request_finish(&q, ret);
        return 0;
}
