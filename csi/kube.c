#include "csi/kube_private.h"

#include "base/wipe.h"

struct kube {
        struct http_client *http;
        char *server, *token_file, *ca_file;
        usec_t second;
        struct http_retry retry;
};

struct kube_call {
        struct kube *kube;
        struct http_call *call;
        kube_done_fn done;
        void *userdata;
};

/* --- where --- */

int kube_server_from_environment(char **ret, struct err *e)
{
        const char *host = getenv("KUBERNETES_SERVICE_HOST");
        const char *port = getenv("KUBERNETES_SERVICE_PORT");
        uint64_t number;

        if (isempty(host) || isempty(port)) {
                err_set_cause(e, ERR_USAGE, -ENOENT,
                        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is "
                        "no pod");
                err_hint(e, "run it in a cluster, or name the API server and its token with "
                            "--kube-server, --kube-token-file and --kube-ca-file");
                return -ENOENT;
        }
        if (parse_u64(port, UINT16_MAX, &number) < 0 || number == 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "KUBERNETES_SERVICE_PORT is no port: \"%.20s\"", port);
        bool v6 = strchr(host, ':') != NULL;
        int r = xasprintf(
                ret, "https://%s%.253s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", (unsigned)number);
        return r < 0 ? err_set(e, r, "out of memory") : 0;
}

int kube_class_path(const char *namespace, const char *name, char **ret)
{
        _cleanup_free_ char *ns = NULL, *n = NULL;

        int r = http_escape(namespace, &ns);
        if (r == 0)
                r = http_escape(name ? name : "", &n);
        if (r == 0)
                r = xasprintf(ret,
                        "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/%s/secretproviderclasses"
                        "%s%s",
                        ns, name ? "/" : "", n);
        return r;
}

int kube_new(struct http_client *http, const struct kube_config *cfg, struct kube **ret)
{
        _cleanup_(kube_freep) struct kube *k = calloc(1, sizeof *k);

        if (!k)
                return -ENOMEM;
        k->http = http;
        k->second = cfg->second ? cfg->second : USEC_PER_SEC;
        k->retry = http_retry_default;
        k->retry.base_ms =
                (unsigned)(kube_pause(k, k->retry.base_ms * USEC_PER_MSEC) / USEC_PER_MSEC);
        k->server = strdup(cfg->server);
        k->token_file = strdup(cfg->token_file);
        k->ca_file = strdup(cfg->ca_file);
        if (!k->server || !k->token_file || !k->ca_file)
                return -ENOMEM;
        *ret = TAKE_PTR(k);
        return 0;
}

usec_t kube_pause(const struct kube *k, usec_t pause)
{
        return pause * k->second / USEC_PER_SEC;
}

void kube_free(struct kube *k)
{
        if (!k)
                return;
        free(k->server);
        free(k->token_file);
        free(k->ca_file);
        free(k);
}

/* --- calls --- */

struct kube_call *kube_cancel(struct kube_call *call)
{
        if (call) {
                http_cancel(call->call);
                free(call);
        }
        return NULL;
}

/* "Authorization: Bearer ...", in memory that is wiped. */
static int authorization(const struct kube *k, char **ret, struct err *e)
{
        static const char begin[] = "Authorization: Bearer ";
        _cleanup_secret_ char *token = NULL;
        size_t len;

        int r = read_whole_file(k->token_file, KUBE_TOKEN_MAX, &token, &len);
        if (r < 0) {
                err_set_cause(e, ERR_LOCAL, r, "the service account's token %s cannot be read: %s",
                        k->token_file, strerror(-r));
                err_hint(e, "the pod needs automountServiceAccountToken: true");
                return r;
        }
        while (len > 0 && strchr(" \t\r\n", token[len - 1]))
                token[--len] = '\0';
        /* What comes from a file becomes a header: one line of printable characters. */
        for (size_t i = 0; i < len; i++)
                if (token[i] <= ' ' || token[i] > '~')
                        len = 0;
        if (len == 0)
                return err_set_cause(e, ERR_LOCAL, -EINVAL,
                        "the service account's token %s is empty or no token", k->token_file);
        char *header = wipe_malloc(sizeof begin + len);
        if (!header)
                return err_set(e, -ENOMEM, "out of memory");
        memcpy(header, begin, sizeof begin - 1);
        memcpy(header + sizeof begin - 1, token, len + 1);
        *ret = header;
        return 0;
}

static enum err_cause cause_of(int status)
{
        switch (status) {
        case 401:
                return ERR_AUTH;
        case 403:
                return ERR_FORBIDDEN;
        case 404:
                return ERR_NOT_FOUND;
        case 429:
                return ERR_THROTTLED;
        default:
                return ERR_SERVICE;
        }
}

void kube_explain(const struct kube *k, struct http_response *resp, struct err *e)
{
        _cleanup_json_ cJSON *status = NULL;
        const char *message = NULL;

        if (resp->status == 0) {
                err_move(e, &resp->error);
                err_wrap(e, e->code, "the API server cannot be asked");
                return;
        }
        if (resp->status >= 200 && resp->status <= 299)
                return;
        /* A Status object says in `message` what people know from kubectl. */
        if (json_parse(resp->body, resp->body_len, &status) == 0)
                message = json_string(status, "message");
        enum err_cause cause = cause_of(resp->status);
        if (message)
                err_set_cause(e, cause, -EPROTO, "%.2000s", message);
        else
                err_set_cause(e, cause, -EPROTO, "the API server %s answered %d without a reason",
                        k->server, resp->status);
        if (cause == ERR_FORBIDDEN)
                err_hint(e, "the driver's service account lacks a role for this: compare with the "
                            "ClusterRole in deploy/kubernetes");
        else if (cause == ERR_AUTH)
                err_hint(e, "the API server does not take the token in %s", k->token_file);
}

void kube_answer(
        const struct kube *k, struct http_response *resp, cJSON **ret_object, struct err *e)
{
        _cleanup_json_ cJSON *answer = NULL;

        kube_explain(k, resp, e);
        if (e->code)
                return;
        int r = json_parse(resp->body, resp->body_len, &answer);
        if (r == 0 && !cJSON_IsObject(answer))
                r = -EINVAL;
        if (r < 0)
                err_set_cause(e, ERR_SERVICE, r,
                        "the API server %s answered what is no JSON object", k->server);
        else
                *ret_object = TAKE_PTR(answer);
}

static void on_answer(void *userdata, struct http_response *resp)
{
        _cleanup_free_ struct kube_call *c = userdata;
        _cleanup_err_ struct err e = {0};
        _cleanup_json_ cJSON *answer = NULL;

        c->call = NULL;
        kube_answer(c->kube, resp, &answer, &e);
        c->done(c->userdata, answer, resp->status, e.code ? &e : NULL);
}

int kube_send(struct kube *k, const struct kube_send *what, http_done_fn done, void *userdata,
        struct http_call **ret, struct err *e)
{
        _cleanup_secret_ char *bearer = NULL;
        _cleanup_free_ char *url = NULL, *type = NULL;

        int r = authorization(k, &bearer, e);
        if (r < 0)
                return r;
        if (xasprintf(&url, "%s%s", k->server, what->path) < 0 ||
                (what->type && xasprintf(&type, "Content-Type: %s", what->type) < 0))
                return err_set(e, -ENOMEM, "out of memory");
        const char *const headers[] = {bearer, "Accept: application/json", type, NULL};
        const struct http_endpoint endpoint = {
                .ca_file = k->ca_file,
                .http2 = true,
                .total_timeout_ms = what->total_ms,
                .response_max = KUBE_ANSWER_MAX,
        };
        const struct http_request request = {
                .method = what->method,
                .url = url,
                .headers = headers,
                .body = what->body,
                .body_len = what->body ? strlen(what->body) : 0,
                .endpoint = &endpoint,
                .on_data = what->on_data,
        };
        if (what->once)
                return http_send(k->http, &request, done, userdata, ret, e);
        struct http_retry retry = k->retry;
        retry.retry_status = what->retry_status;
        return http_send_retrying(k->http, &request, &retry, done, userdata, ret, e);
}

static int call_new(struct kube *k, const struct kube_send *what, kube_done_fn done, void *userdata,
        struct kube_call **ret, struct err *e)
{
        _cleanup_free_ struct kube_call *c = calloc(1, sizeof *c);

        if (!c)
                return err_set(e, -ENOMEM, "out of memory");
        *c = (struct kube_call){.kube = k, .done = done, .userdata = userdata};
        int r = kube_send(k, what, on_answer, c, &c->call, e);
        if (r < 0)
                return r;
        struct kube_call *started = TAKE_PTR(c);
        if (ret)
                *ret = started;
        return 0;
}

int kube_get(struct kube *k, const char *path, kube_done_fn done, void *userdata,
        struct kube_call **ret, struct err *e)
{
        return call_new(
                k, &(struct kube_send){.method = "GET", .path = path}, done, userdata, ret, e);
}

int kube_create(struct kube *k, const char *path, const cJSON *object, kube_done_fn done,
        void *userdata, struct kube_call **ret, struct err *e)
{
        _cleanup_secret_ char *body = cJSON_PrintUnformatted(object);

        if (!body)
                return err_set(e, -ENOMEM, "out of memory");
        return call_new(k,
                &(struct kube_send){
                        .method = "POST", .path = path, .type = "application/json", .body = body},
                done, userdata, ret, e);
}

static bool retry_conflict(int status)
{
        return status == 409 || http_retry_status(status);
}

int kube_patch(struct kube *k, const char *path, const cJSON *patch, kube_done_fn done,
        void *userdata, struct kube_call **ret, struct err *e)
{
        bool of_one_version = json_get(json_get(patch, "metadata"), "resourceVersion") != NULL;
        _cleanup_secret_ char *body = cJSON_PrintUnformatted(patch);

        if (!body)
                return err_set(e, -ENOMEM, "out of memory");
        return call_new(k,
                &(struct kube_send){.method = "PATCH",
                        .path = path,
                        .type = "application/merge-patch+json",
                        .body = body,
                        .retry_status = of_one_version ? NULL : retry_conflict},
                done, userdata, ret, e);
}

int kube_delete(struct kube *k, const char *path, kube_done_fn done, void *userdata,
        struct kube_call **ret, struct err *e)
{
        return call_new(
                k, &(struct kube_send){.method = "DELETE", .path = path}, done, userdata, ret, e);
}
