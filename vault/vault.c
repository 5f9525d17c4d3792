#include <strings.h>

#include "vault/client.h"
#include "vault/text.h"

#define URL_MAX ((size_t)1024)
#define NAME_HOLE "{vault}"
#define NAME_MIN 3
#define NAME_MAX_LENGTH 24

struct vaults {
        struct loop *loop;
        struct http_client *http;
        struct vault *first;
        uint64_t requests; /* of those that have gone */
};

int vaults_new(struct loop *l, struct http_client *http, struct vaults **ret)
{
        struct vaults *v = calloc(1, sizeof(*v));

        if (!v)
                return -ENOMEM;
        v->loop = l;
        v->http = http;
        *ret = v;
        return 0;
}

void vaults_free(struct vaults *v)
{
        if (!v)
                return;
        for (struct vault *one = v->first; one; one = one->next)
                one->owner = NULL;
        free(v);
}

/* Lower-case scheme and host, no default port, no trailing slash. */
static int normalise_url(const char *url, char **ret_url, char **ret_host, struct err *e)
{
        if (strlen(url) > URL_MAX || strncasecmp(url, "https://", strlen("https://")) != 0)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "the vault's URL is not an https URL");
        for (const char *p = url; *p; p++)
                if (*p <= ' ' || *p > '~' || strchr("?#@\\\"<>", *p))
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "the vault's URL has a character that cannot be in it");

        const char *authority = url + strlen("https://");
        size_t len = strcspn(authority, "/");
        const char *path = authority + len;
        size_t path_len = strlen(path);
        while (path_len > 0 && path[path_len - 1] == '/')
                path_len--;
        if (len > 4 && strncmp(authority + len - 4, ":443", 4) == 0)
                len -= 4;
        /* A host in brackets is an address, whose colons are its own. */
        size_t host_len = *authority == '[' ? strcspn(authority, "]") + 1 : 0;
        if (host_len == 0)
                host_len = strcspn(authority, ":/");
        if (len == 0 || host_len == 0 || host_len > len)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "the vault's URL has no host");

        _cleanup_free_ char *result = NULL;
        int r = xasprintf(&result, "https://%.*s%.*s", (int)len, authority, (int)path_len, path);
        char *host = r == 0 ? strndup(authority, host_len) : NULL;
        if (!host)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory");
        for (size_t i = 0; i < strlen("https://") + len; i++)
                if (result[i] >= 'A' && result[i] <= 'Z')
                        result[i] = (char)(result[i] - 'A' + 'a');
        for (char *p = host; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        *ret_url = TAKE_PTR(result);
        *ret_host = host;
        return 0;
}

static bool same_endpoint(const struct http_endpoint *a, const struct http_endpoint *b)
{
        return streq_ptr(a->ca_file, b->ca_file) && streq_ptr(a->ca_pem, b->ca_pem) &&
               streq_ptr(a->proxy, b->proxy) && a->allow_http == b->allow_http &&
               a->connect_timeout_ms == b->connect_timeout_ms &&
               a->total_timeout_ms == b->total_timeout_ms && a->response_max == b->response_max;
}

static bool same_retry(const struct http_retry *a, const struct http_retry *b)
{
        return a->tries == b->tries && a->base_ms == b->base_ms && a->cap_ms == b->cap_ms &&
               a->retry_status == b->retry_status && a->transport_tries == b->transport_tries;
}

static bool is_zero_retry(const struct http_retry *a)
{
        return same_retry(a, &(struct http_retry){0});
}

static int copy_string(const char *s, const char **ret)
{
        *ret = s ? strdup(s) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

static int fill(struct vault *v, const struct vault_config *cfg)
{
        v->endpoint = cfg->endpoint;
        v->endpoint.ca_file = v->endpoint.ca_pem = v->endpoint.proxy = NULL;
        if (copy_string(cfg->endpoint.ca_file, &v->endpoint.ca_file) < 0 ||
                copy_string(cfg->endpoint.ca_pem, &v->endpoint.ca_pem) < 0 ||
                copy_string(cfg->endpoint.proxy, &v->endpoint.proxy) < 0)
                return -ENOMEM;
        v->configured_scope = strdup(cfg->scope);
        v->scope = strdup(cfg->scope);
        if (!v->configured_scope || !v->scope)
                return -ENOMEM;
        return xasprintf(&v->key, "%s|%s", v->url, auth_key(cfg->auth));
}

static struct vault *find(struct vaults *all, const char *url, const struct vault_config *cfg,
        const struct http_retry *retry)
{
        for (struct vault *v = all->first; v; v = v->next)
                if (streq(v->url, url) && streq(v->configured_scope, cfg->scope) &&
                        streq(auth_key(v->auth), auth_key(cfg->auth)) &&
                        same_endpoint(&v->endpoint, &cfg->endpoint) && same_retry(&v->retry, retry))
                        return v;
        return NULL;
}

int vault_open(
        struct vaults *all, const struct vault_config *cfg, struct vault **ret, struct err *e)
{
        _cleanup_(vault_unrefp) struct vault *v = NULL;
        _cleanup_free_ char *url = NULL, *host = NULL;
        const struct http_retry *retry =
                is_zero_retry(&cfg->retry) ? &http_retry_default : &cfg->retry;

        int r = normalise_url(cfg->url, &url, &host, e);
        if (r < 0)
                return r;
        struct vault *known = find(all, url, cfg, retry);
        if (known) {
                *ret = vault_ref(known);
                return 0;
        }
        v = calloc(1, sizeof(*v));
        if (!v)
                return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory");
        v->refs = 1;
        v->loop = all->loop;
        v->http = all->http;
        v->url = TAKE_PTR(url);
        v->host = TAKE_PTR(host);
        v->retry = *retry;
        v->auth = auth_ref(cfg->auth);
        r = fill(v, cfg);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "out of memory");
        v->owner = all;
        v->next = all->first;
        if (v->next)
                v->next->prev = v;
        all->first = v;
        *ret = TAKE_PTR(v);
        return 0;
}

struct vault *vault_ref(struct vault *v)
{
        if (v)
                v->refs++;
        return v;
}

struct vault *vault_unref(struct vault *v)
{
        if (!v || --v->refs > 0)
                return NULL;
        if (v->owner) {
                if (v->prev)
                        v->prev->next = v->next;
                else
                        v->owner->first = v->next;
                if (v->next)
                        v->next->prev = v->prev;
                v->owner->requests += v->requests;
        }
        auth_unref(v->auth);
        free(v->url);
        free(v->host);
        free(v->key);
        free(v->configured_scope);
        free(v->scope);
        free((char *)v->endpoint.ca_file);
        free((char *)v->endpoint.ca_pem);
        free((char *)v->endpoint.proxy);
        free(v);
        return NULL;
}

const char *vault_url(const struct vault *v)
{
        return v->url;
}

const char *vault_key(const struct vault *v)
{
        return v->key;
}

struct auth *vault_auth(const struct vault *v)
{
        return v->auth;
}

uint64_t vault_requests(const struct vault *v)
{
        return v->requests;
}

uint64_t vaults_requests(const struct vaults *all)
{
        uint64_t n = all->requests;

        for (const struct vault *v = all->first; v; v = v->next)
                n += v->requests;
        return n;
}

/* --- names to URLs -------------------------------------------------------------------------- */

static int bad_name(const char *name, const char *rule, struct err *e)
{
        _cleanup_free_ char *shown = oneline(name, strlen(name));

        return err_set_cause(e, ERR_USAGE, -EINVAL,
                "failed to get vault: Invalid vault name: \"%.80s\", must %s", shown ? shown : "",
                rule);
}

static int check_name(const char *name, struct err *e)
{
        size_t len = strlen(name);

        if (len < NAME_MIN || len > NAME_MAX_LENGTH)
                return bad_name(name, "be between 3 and 24 chars", e);
        if (strspn(name, "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != len)
                return bad_name(name, "match [-a-zA-Z0-9]{3,24}", e);
        return 0;
}

static int expand(const char *pattern, const char *name, char **ret)
{
        _cleanup_free_ char *out = strdup(pattern);
        char *hole;

        if (!out)
                return -ENOMEM;
        while ((hole = strstr(out, NAME_HOLE))) {
                char *longer = NULL;
                int r = xasprintf(&longer, "%.*s%s%s", (int)(hole - out), out, name,
                        hole + strlen(NAME_HOLE));
                if (r < 0)
                        return r;
                free(out);
                out = longer;
        }
        *ret = TAKE_PTR(out);
        return 0;
}

int vault_make_url(
        const char *name, const char *suffix, const char *override, char **ret, struct err *e)
{
        _cleanup_free_ char *url = NULL, *host = NULL;

        int r = check_name(name, e);
        if (r < 0)
                return r;
        if (!isempty(override) && strlen(override) > URL_MAX)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "the vault's URL is too long");
        r = isempty(override) ? xasprintf(&url, "https://%s.%s", name, suffix)
                              : expand(override, name, &url);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "out of memory");
        return normalise_url(url, ret, &host, e);
}
