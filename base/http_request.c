/* What goes out: a request is checked and made into libcurl's options.
 *
 * A transfer's easy handle is freed with it, never reused: the buffers through which headers and
 * bodies passed go back through the wiping allocators at once (base/wipe.h). */
#include "base/http_impl.h"
#include "base/wipe.h"

#define URL_MAX ((size_t)16 << 10)
#define CA_CACHE_SECONDS 300L /* a CA file that was replaced is seen that late */

static bool has_control(const char *s)
{
        for (; *s; s++)
                if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        return true;
        return false;
}

/* curl_url_get() allocates with libcurl's allocator, which is not always ours. */
static CURLUcode get_part(CURLU *url, CURLUPart part, unsigned flags, char **ret)
{
        char *s = NULL;

        CURLUcode u = curl_url_get(url, part, &s, flags);
        if (u != CURLUE_OK)
                return u;
        *ret = strdup(s);
        curl_free(s);
        return *ret ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;
}

static void url_freep(CURLU **url)
{
        curl_url_cleanup(*url);
}

static bool has_user(CURLU *url)
{
        _cleanup_secret_ char *user = NULL, *password = NULL;

        return get_part(url, CURLUPART_USER, 0, &user) != CURLUE_NO_USER ||
               get_part(url, CURLUPART_PASSWORD, 0, &password) != CURLUE_NO_PASSWORD;
}

/* The whole URL is in no message: what does not parse may hold anything. */
static int parse_url(
        struct transfer *t, const struct http_request *req, bool allow_http, struct err *e)
{
        _cleanup_(url_freep) CURLU *url = curl_url();

        if (!url)
                return -ENOMEM;
        if (strlen(req->url) > URL_MAX)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "URL is longer than %zu bytes", URL_MAX);
        if (has_control(req->url))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "URL is not valid: it has a control character");
        CURLUcode u = curl_url_set(url, CURLUPART_URL, req->url, CURLU_NON_SUPPORT_SCHEME);
        if (u == CURLUE_OK)
                u = get_part(url, CURLUPART_SCHEME, 0, &t->scheme);
        if (u == CURLUE_OK)
                u = get_part(url, CURLUPART_HOST, 0, &t->host);
        if (u == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (u != CURLUE_OK)
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "URL is not valid: %s", curl_url_strerror(u));
        bool https = streq(t->scheme, "https"), http = streq(t->scheme, "http");
        if (!https && !http)
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "scheme %s of the URL is not https (host %s)", t->scheme, t->host);
        if (get_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &t->port) != CURLUE_OK)
                return -ENOMEM;
        if (has_user(url))
                return err_set_cause(e, ERR_USAGE, -EINVAL,
                        "URL of host %s holds a user or password, which is not supported", t->host);
        if (http && !allow_http) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "plain http is refused: http://%s:%s", t->host,
                        t->port);
                err_hint(e, "use https");
                return -EINVAL;
        }
        return 0;
}

static int add_header(struct transfer *t, const char *line)
{
        struct curl_slist *list = curl_slist_append(t->headers, line);
        if (!list)
                return -ENOMEM;
        t->headers = list;
        return 0;
}

static int set_headers(struct transfer *t, const struct http_request *req, struct err *e)
{
        int r = 0;

        for (const char *const *h = req->headers; h && *h && r == 0; h++) {
                const char *colon = strchr(*h, ':');
                if (!colon || colon == *h || has_control(*h))
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "a request header is not of the form \"Name: value\"");
                r = add_header(t, *h);
        }
        if (r == 0)
                r = add_header(t, "Expect:"); /* never wait for 100 Continue */
        return r;
}

static bool is_method(const char *s)
{
        if (!*s)
                return false;
        for (; *s; s++)
                if (*s < 'A' || *s > 'Z')
                        return false;
        return true;
}

#define SET(option, value)                                             \
        do {                                                           \
                if (r == CURLE_OK)                                     \
                        r = curl_easy_setopt(easy, (option), (value)); \
        } while (0)

static CURLcode set_limits(CURL *easy, struct transfer *t)
{
        CURLcode r = CURLE_OK;

        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
        SET(CURLOPT_TIMEOUT_MS, (long)t->total_timeout_ms);
        SET(CURLOPT_MAXFILESIZE_LARGE, t->on_data ? (curl_off_t)0 : (curl_off_t)t->max);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        /* A look-up cannot be interrupted. Without this, cancelling it or its time limit would
         * wait in pthread_join() for getaddrinfo(), and with it the whole loop; so the thread is
         * left to end and to clean up by itself. Test: http, cancel_in_look_up_does_not_block. */
        SET(CURLOPT_QUICK_EXIT, 1L);
        return r;
}

static CURLcode set_security(CURL *easy, struct transfer *t, const char *proxy)
{
        CURLcode r = CURLE_OK;

        SET(CURLOPT_PROTOCOLS_STR, t->scheme);
        SET(CURLOPT_REDIR_PROTOCOLS_STR, t->scheme);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
        /* Only a CA file, never a folder beside it: the folder built into libcurl would be asked
         * even where the endpoint names a file; and only without one does libcurl keep the parsed
         * file for the next connection. (Parsing the system's takes tens of milliseconds, on this
         * thread, and a first fetch opens sixteen connections.) */
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_PROXY_CAPATH, NULL);
        SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
        if (t->ca_pem) {
                struct curl_blob blob = {
                        .data = t->ca_pem, .len = strlen(t->ca_pem), .flags = CURL_BLOB_NOCOPY};
                SET(CURLOPT_CAINFO_BLOB, &blob);
                SET(CURLOPT_PROXY_CAINFO_BLOB, &blob);
        } else if (t->ca_file) {
                SET(CURLOPT_CAINFO, t->ca_file);
                SET(CURLOPT_PROXY_CAINFO, t->ca_file);
        }
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_PROXY, proxy ? proxy : "");
        SET(CURLOPT_NOPROXY, ""); /* http_proxy_for() has asked no_proxy already */
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        return r;
}

static int set_connect_to(struct transfer *t, const char *where)
{
        _cleanup_free_ char *rule = NULL;

        if (!where)
                return 0;
        if (xasprintf(&rule, "%s:%s:%s", t->host, t->port, where) < 0)
                return -ENOMEM;
        t->connect_to = curl_slist_append(NULL, rule);
        if (!t->connect_to ||
                curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to) != CURLE_OK)
                return -ENOMEM;
        return 0;
}

static CURLcode set_request(CURL *easy, struct transfer *t, const struct http_request *req)
{
        bool http2 = req->endpoint && req->endpoint->http2;
        CURLcode r = CURLE_OK;

        SET(CURLOPT_HTTP_VERSION,
                http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
        /* Rather wait for a connection that is being made than make another one. */
        SET(CURLOPT_PIPEWAIT, http2 ? 1L : 0L);
        SET(CURLOPT_URL, req->url);
        SET(CURLOPT_PATH_AS_IS, 1L);
        SET(CURLOPT_USERAGENT, "akvfs/" AKVFS_VERSION);
        SET(CURLOPT_HTTPHEADER, t->headers);
        if (streq(req->method, "HEAD"))
                SET(CURLOPT_NOBODY, 1L);
        else if (t->request_body || streq(req->method, "POST")) {
                SET(CURLOPT_POST, 1L);
                SET(CURLOPT_POSTFIELDS, t->request_body ? t->request_body : "");
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(t->request_body ? req->body_len : 0));
        }
        if (!streq(req->method, "GET") && !streq(req->method, "HEAD") &&
                !streq(req->method, "POST"))
                SET(CURLOPT_CUSTOMREQUEST, req->method);
        SET(CURLOPT_PRIVATE, t);
        return r;
}
#undef SET

static int prepare(struct transfer *t, const struct http_request *req, struct err *e)
{
        static const struct http_endpoint defaults;
        const struct http_endpoint *ep = req->endpoint ? req->endpoint : &defaults;
        _cleanup_secret_ char *proxy = NULL;

        t->connect_timeout_ms =
                ep->connect_timeout_ms ? ep->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
        t->total_timeout_ms = ep->total_timeout_ms ? ep->total_timeout_ms : HTTP_TOTAL_TIMEOUT_MS;
        t->on_data = req->on_data;
        t->max = ep->response_max ? ep->response_max : HTTP_RESPONSE_MAX;
        if (ep->ca_file && !(t->ca_file = strdup(ep->ca_file)))
                return -ENOMEM;
        if (ep->ca_pem && !(t->ca_pem = strdup(ep->ca_pem)))
                return -ENOMEM;
        if (req->body) {
                t->request_body = malloc(MAX(req->body_len, (size_t)1));
                if (!t->request_body)
                        return -ENOMEM;
                memcpy(t->request_body, req->body, req->body_len);
        }
        int r = parse_url(t, req, ep->allow_http, e);
        if (r == 0)
                r = set_headers(t, req, e);
        if (r == 0)
                r = http_proxy_for(t->scheme, t->host, ep, &proxy);
        if (r < 0)
                return r;
        if (proxy && (r = http_proxy_name(proxy, &t->proxy_name)) < 0)
                return r;

        t->easy = curl_easy_init();
        if (!t->easy)
                return -ENOMEM;
        r = set_connect_to(t, ep->connect_to);
        if (r < 0)
                return r;
        CURLcode code = set_limits(t->easy, t);
        if (code == CURLE_OK)
                code = set_security(t->easy, t, proxy);
        if (code == CURLE_OK)
                code = set_request(t->easy, t, req);
        if (code == CURLE_OK)
                code = http_transfer_receive(t);
        if (code == CURLE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (code != CURLE_OK)
                return err_set_cause(e, ERR_LOCAL, -EINVAL, "cannot set up a request to %s: %s",
                        t->host, curl_easy_strerror(code));
        return 0;
}

int http_transfer_new(const struct http_request *req, struct transfer **ret, struct err *e)
{
        if (!is_method(req->method))
                return err_set_cause(e, ERR_USAGE, -EINVAL, "not a method of HTTP");

        _cleanup_(http_transfer_freep) struct transfer *t = calloc(1, sizeof *t);
        int r = t ? prepare(t, req, e) : -ENOMEM;
        if (r == -ENOMEM)
                err_set_cause(e, ERR_LOCAL, r, "not enough memory for a request");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

void http_transfer_free(struct transfer *t)
{
        if (!t)
                return;
        if (t->easy)
                curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
        curl_slist_free_all(t->connect_to);
        erase_and_free(t->request_body);
        erase_and_free(t->body);
        erase_and_free(t->exchange.headers);
        free(t->scheme);
        free(t->host);
        free(t->port);
        free(t->proxy_name);
        free(t->ca_file);
        free(t->ca_pem);
        erase_and_free(t); /* libcurl's words are in it */
}

int http_escape(const char *s, char **ret)
{
        static const char digits[] = "0123456789ABCDEF";
        char *out = malloc(3 * strlen(s) + 1);
        if (!out)
                return -ENOMEM;

        char *p = out;
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;
                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        strchr("-._~", c))
                        *p++ = (char)c;
                else {
                        *p++ = '%';
                        *p++ = digits[c >> 4];
                        *p++ = digits[c & 15];
                }
        }
        *p = '\0';
        *ret = out;
        return 0;
}
