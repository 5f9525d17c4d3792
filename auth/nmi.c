/* aad-pod-identity: its node-managed identity (NMI) on this node hands out tokens for the pod that
 * the headers name. Asked once: a failure is the pod's answer. Reference section 3.3. */
#include <strings.h>

#include "auth/mode.h"
#include "base/json.h"

static bool is_label(const char *s)
{
        return !isempty(s) && strlen(s) <= AUTH_ID_MAX &&
               s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] ==
                       '\0';
}

static int check(const struct auth_config *cfg, struct err *e)
{
        const char *missing = isempty(cfg->pod)             ? "pod name is not provided"
                              : isempty(cfg->pod_namespace) ? "pod namespace is not provided"
                                                            : NULL;
        if (missing) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "%s", missing);
                err_hint(e, "pod identity is for pods: outside of the CSI driver set POD_NAME and "
                            "POD_NAMESPACE (the downward API's metadata.name and "
                            "metadata.namespace)");
                return -EINVAL;
        }
        if (!is_label(cfg->pod) || !is_label(cfg->pod_namespace))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "name or namespace of the pod has characters that no pod's has");
        return auth_managed_check(cfg, "pod identity (NMI)", e);
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(ret, "pod identity of %s/%s", p->pod_namespace, p->pod);
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        _cleanup_free_ char *resource = NULL;
        struct auth_request q = {.endpoint = p->endpoint};

        q.endpoint.allow_http = true;
        q.endpoint.proxy = "";
        int r = auth_resource_of_scope(scope, &resource);
        /* as it stands: NMI was never sent anything else */
        if (r == 0)
                r = xasprintf(&q.url, "%s/host/token/?resource=%s", p->imds_endpoint, resource);
        if (r == 0)
                r = xasprintf(&q.header, "podns: %s", p->pod_namespace);
        if (r == 0)
                r = xasprintf(&q.host, "podname: %s", p->pod);
        if (r < 0) {
                auth_request_done(&q);
                return r;
        }
        q.headers[0] = q.header;
        q.headers[1] = q.host;
        auth_request_finish(&q, ret);
        return 0;
}

/* {"token":{"access_token":...,"expires_on":...},"clientid":...} */
static int parse(const char *body, size_t len, int64_t now, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e)
{
        _cleanup_json_ cJSON *j = NULL;
        int64_t expires = 0;

        if (json_parse(body, len, &j) < 0 || !cJSON_IsObject(j))
                return err_set_cause(e, ERR_SERVICE, -EBADMSG, "the answer is not a JSON object");
        const cJSON *inner = json_get(j, "token");
        const char *token = json_string(inner, "access_token");
        if (isempty(token) || isempty(json_string(j, "clientid")))
                return err_set_cause(e, ERR_AUTH, -EBADMSG,
                        "nmi did not return expected values in response: token and clientid");
        if (json_int64(inner, "expires_on", &expires) < 0)
                return err_set_cause(
                        e, ERR_SERVICE, -EBADMSG, "nmi's answer has no valid expires_on");
        return auth_token_take(
                token, expires < now ? 0 : expires - now, ret_token, ret_lifetime, e);
}

static const struct http_retry once = {.tries = 1};

const struct auth_mode auth_nmi = {
        .name = "pod",
        .check = check,
        .describe = describe,
        .build = build,
        .parse = parse,
        .retry = &once,
};
