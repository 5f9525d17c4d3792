/* Entra: the token endpoints (v1 and v2.0), openid-configuration, instance discovery. */

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/wipe.h"
#include "tests/emulator/assertion.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/sent.h"

#define JWT_BEARER "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static void entra_headers(struct answer *a, const char *cache)
{
        char id[GUID_LEN + 1], cookie[33];
        char expires[64];
        time_t then = time(NULL) + (time_t)30 * 24 * 60 * 60;
        struct tm tm;

        guid_make(id);
        version_make(cookie);
        gmtime_r(&then, &tm);
        strftime(expires, sizeof expires, "%a, %d-%b-%Y %H:%M:%S GMT", &tm);
        answer_header(a, "Cache-Control", "%s", cache);
        if (strstr(cache, "no-store")) {
                answer_header(a, "Pragma", "no-cache");
                answer_header(a, "Expires", "-1");
        }
        if (a->body_len > 0)
                answer_header(a, "Content-Type", "application/json; charset=utf-8");
        answer_header(a, "Strict-Transport-Security", "max-age=31536000; includeSubDomains");
        answer_header(a, "X-Content-Type-Options", "nosniff");
        answer_header(a, "P3P", "CP=\"DSP CUR OTPi IND OTRi ONL FIN\"");
        answer_header(a, "x-ms-request-id", "%s", id);
        answer_header(a, "x-ms-ests-server", "2.1.14357.8 - EMU ProdSlices");
        answer_header(a, "X-XSS-Protection", "0");
        answer_header(a, "Set-Cookie",
                "fpc=%s; expires=%s; path=/; secure; HttpOnly; SameSite=None", cookie, expires);
        answer_header(a, "Set-Cookie",
                "x-ms-gateway-slice=estsfd; path=/; secure; samesite=none; httponly");
}

static void fail(struct request *r, struct answer *a, unsigned status, const char *error,
        unsigned code, const char *fmt, ...) _printf_(6, 7);

static void fail(struct request *r, struct answer *a, unsigned status, const char *error,
        unsigned code, const char *fmt, ...)
{
        char text[1024], trace[GUID_LEN + 1], correlation[GUID_LEN + 1], stamp[32];
        const char *client = request_header(r, "client-request-id");
        time_t now = time(NULL);
        struct out o = {0};
        struct tm tm;
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        guid_make(trace);
        guid_make(correlation);
        if (client && strlen(client) == GUID_LEN)
                memcpy(correlation, client, sizeof correlation);
        gmtime_r(&now, &tm);
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%SZ", &tm);

        out_open(&o, '{');
        out_member(&o, "error", error);
        out_memberf(&o, "error_description",
                "AADSTS%u: %s Trace ID: %s Correlation ID: %s Timestamp: %s", code, text, trace,
                correlation, stamp);
        out_key(&o, "error_codes");
        out_open(&o, '[');
        out_int(&o, code);
        out_close(&o, ']');
        out_member(&o, "timestamp", stamp);
        out_member(&o, "trace_id", trace);
        out_member(&o, "correlation_id", correlation);
        out_memberf(&o, "error_uri", "https://%s/error?code=%u", request_host(r), code);
        out_close(&o, '}');
        answer_out(a, status, &o);
}

void entra_fault_answer(struct request *r, unsigned status, struct answer *a)
{
        if (status == 429)
                fail(r, a, status, "temporarily_unavailable", 90033,
                        "A transient error has occurred. Please try again.");
        else if (status >= 500)
                fail(r, a, status, "server_error", 90033,
                        "A transient error has occurred. Please try again.");
        else
                fail(r, a, status, "invalid_request", 900144,
                        "The emulator was told to refuse this request.");
        entra_headers(a, "no-store, no-cache");
}

/* --- discovery --- */

static void strings(struct out *o, const char *name, const char *const *list)
{
        out_key(o, name);
        out_open(o, '[');
        for (; *list; list++)
                out_string(o, *list);
        out_close(o, ']');
}

static void openid_configuration(struct request *r, struct answer *a, const char *tenant)
{
        const char *host = request_host(r);
        struct out o = {0};

        r->operation = "entra.openid-configuration";
        out_open(&o, '{');
        out_memberf(&o, "token_endpoint", "https://%s/%s/oauth2/v2.0/token", host, tenant);
        strings(&o, "token_endpoint_auth_methods_supported",
                (const char *const[]){
                        "client_secret_post", "private_key_jwt", "client_secret_basic", NULL});
        out_memberf(&o, "jwks_uri", "https://%s/%s/discovery/v2.0/keys", host, tenant);
        strings(&o, "response_modes_supported",
                (const char *const[]){"query", "fragment", "form_post", NULL});
        strings(&o, "subject_types_supported", (const char *const[]){"pairwise", NULL});
        strings(&o, "id_token_signing_alg_values_supported", (const char *const[]){"RS256", NULL});
        strings(&o, "response_types_supported",
                (const char *const[]){"code", "id_token", "code id_token", "id_token token", NULL});
        strings(&o, "scopes_supported",
                (const char *const[]){"openid", "profile", "email", "offline_access", NULL});
        out_memberf(&o, "issuer", "https://%s/%s/v2.0", host, tenant);
        out_member_bool(&o, "request_uri_parameter_supported", false);
        out_member(&o, "userinfo_endpoint", "https://graph.microsoft.com/oidc/userinfo");
        out_memberf(
                &o, "authorization_endpoint", "https://%s/%s/oauth2/v2.0/authorize", host, tenant);
        out_memberf(&o, "device_authorization_endpoint", "https://%s/%s/oauth2/v2.0/devicecode",
                host, tenant);
        out_member_bool(&o, "http_logout_supported", true);
        out_member_bool(&o, "frontchannel_logout_supported", true);
        out_memberf(&o, "end_session_endpoint", "https://%s/%s/oauth2/v2.0/logout", host, tenant);
        strings(&o, "claims_supported",
                (const char *const[]){"sub", "iss", "cloud_instance_name",
                        "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud",
                        "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name",
                        "tid", "ver", "at_hash", "c_hash", "email", NULL});
        out_member(&o, "tenant_region_scope", "WW");
        out_member(&o, "cloud_instance_name", "microsoftonline.com");
        out_member(&o, "cloud_graph_host_name", "graph.windows.net");
        out_member(&o, "msgraph_host", "graph.microsoft.com");
        out_member(&o, "rbac_url", "https://pas.windows.net");
        out_close(&o, '}');
        answer_out(a, MHD_HTTP_OK, &o);
        entra_headers(a, "max-age=86400, private");
        answer_header(a, "Access-Control-Allow-Origin", "*");
        answer_header(a, "Access-Control-Allow-Methods", "GET, OPTIONS");
}

static void instance_discovery(struct request *r, struct answer *a)
{
        const char *host = request_host(r);
        struct out o = {0};

        r->operation = "entra.instance-discovery";
        out_open(&o, '{');
        out_memberf(&o, "tenant_discovery_endpoint",
                "https://%s/%s/v2.0/.well-known/openid-configuration", host, DEFAULT_TENANT);
        out_member(&o, "api-version", "1.1");
        out_key(&o, "metadata");
        out_open(&o, '[');
        out_open(&o, '{');
        out_member(&o, "preferred_network", host);
        out_member(&o, "preferred_cache", host);
        strings(&o, "aliases", (const char *const[]){host, NULL});
        out_close(&o, '}');
        out_close(&o, ']');
        out_close(&o, '}');
        answer_out(a, MHD_HTTP_OK, &o);
        entra_headers(a, "max-age=86400, private");
}

/* --- tokens --- */

static bool right_secret(struct request *r, struct answer *a, const struct identity *i)
{
        const char *given = request_form_value(r, "client_secret");

        for (const struct client_secret *s = i->secrets; s; s = s->next) {
                if (!streq(s->value, given))
                        continue;
                if (!s->expired)
                        return true;
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 7000222,
                        "The provided client secret keys for app '%s' are expired. Visit the Azure "
                        "portal to create new keys for your app: https://aka.ms/NewClientSecret, or "
                        "consider using certificate credentials for added security: "
                        "https://aka.ms/certCreds.",
                        i->client_id);
                return false;
        }
        fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the "
                "client secret value, not the client secret ID, for a secret added to app '%s'.",
                i->client_id);
        return false;
}

/* An assertion that the application signed with the key of a certificate. */
static bool right_signature(
        struct request *r, struct answer *a, const struct identity *i, const cJSON *claims)
{
        const char *jwt = request_form_value(r, "client_assertion");
        const char *subject = json_string(claims, "sub"), *audience = json_string(claims, "aud");
        _cleanup_free_ char *here = NULL;

        enum assertion_fault fault = assertion_verify(i, jwt);
        if (fault == ASSERTION_BAD_FORM) {
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 5002723,
                        "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 "
                        "thumbprint, nor keyId specified in token header.");
                return false;
        }
        if (fault != ASSERTION_GOOD) {
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 700027,
                        "Client assertion contains an invalid signature. [Reason - %s, Please visit "
                        "the Azure Portal, Graph Explorer or directly use MS Graph to see configured "
                        "keys for app Id '%s'.]",
                        fault == ASSERTION_UNKNOWN_KEY ? "The key was not found."
                                                       : "The key was found, but use of the key to "
                                                         "verify the signature failed.",
                        i->client_id);
                return false;
        }
        if (xasprintf(&here, "https://%s%s", request_host(r), r->path) < 0 || !subject ||
                !streq(subject, i->client_id) || !audience || !streq(audience, here)) {
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 700023,
                        "Client assertion audience claim does not match Realm issuer.");
                return false;
        }
        return true;
}

/* A federated token: issuer, subject and audience have to be registered. Their signatures are not
 * checked: the emulator has nobody's keys. */
static bool right_assertion(struct request *r, struct answer *a, const struct identity *i)
{
        _cleanup_json_ cJSON *claims = assertion_part(request_form_value(r, "client_assertion"), 1);
        const char *issuer = json_string(claims, "iss"), *subject = json_string(claims, "sub");
        const char *audience = json_string(claims, "aud");
        int64_t expires = 0;

        if (!audience) /* a list of one, as Kubernetes writes it */
                audience = cJSON_GetStringValue(cJSON_GetArrayItem(json_get(claims, "aud"), 0));
        if (!issuer || !subject || !audience) {
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 50027,
                        "JWT token is invalid or malformed.");
                return false;
        }
        if (json_int64(claims, "exp", &expires) < 0 || expires <= now_seconds()) {
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 700024,
                        "Client assertion is not within its valid time range.");
                return false;
        }
        if (streq(issuer, i->client_id))
                return right_signature(r, a, i, claims);
        for (const struct federated *f = i->federated; f; f = f->next)
                if (streq(f->issuer, issuer) && streq(f->subject, subject) &&
                        streq(f->audience, audience))
                        return true;
        if (i->federated)
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 700213,
                        "No matching federated identity record found for presented assertion "
                        "subject '%s'. Check your federated identity credential Subject, Audience "
                        "and Issuer against the presented assertion. "
                        "https://learn.microsoft.com/entra/workload-id/"
                        "workload-identity-federation",
                        subject);
        else
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 70021,
                        "No matching federated identity record found for presented assertion. "
                        "Assertion Issuer: '%s'. Assertion Subject: '%s'. Assertion Audience: '%s'. "
                        "https://docs.microsoft.com/en-us/azure/active-directory/develop/"
                        "workload-identity-federation",
                        issuer, subject, audience);
        return false;
}

static bool missing(struct request *r, struct answer *a, const char *name)
{
        fail(r, a, MHD_HTTP_BAD_REQUEST, "invalid_request", 900144,
                "The request body must contain the following parameter: '%s'.", name);
        return false;
}

/* Who asks, and whether they prove it. Fails the answer and gives NULL otherwise. */
static const struct identity *authenticate(
        struct request *r, struct answer *a, const struct tenant *t)
{
        const char *client_id = request_form_value(r, "client_id");
        const char *type = request_form_value(r, "client_assertion_type");
        bool good;

        if (isempty(client_id)) {
                (void)missing(r, a, "client_id");
                return NULL;
        }
        (void)set_string(&r->identity, client_id);
        struct identity *i = store_find_identity(r->emu->store, client_id);
        if (!i || (t && strcasecmp(i->tenant, t->id) != 0)) {
                fail(r, a, MHD_HTTP_BAD_REQUEST, "unauthorized_client", 700016,
                        "Application with identifier '%s' was not found in the directory '%s'. This "
                        "can happen if the application has not been installed by the administrator "
                        "of the tenant or consented to by any user in the tenant. You may have sent "
                        "your authentication request to the wrong tenant.",
                        client_id,
                        t && t->domain ? t->domain
                        : t            ? t->id
                                       : "adfs");
                return NULL;
        }
        if (request_form_value(r, "client_assertion"))
                good = type && streq(type, JWT_BEARER) ? right_assertion(r, a, i)
                                                       : missing(r, a, "client_assertion_type");
        else if (request_form_value(r, "client_secret"))
                good = right_secret(r, a, i);
        else {
                fail(r, a, MHD_HTTP_UNAUTHORIZED, "invalid_client", 7000218,
                        "The request body must contain the following parameter: "
                        "'client_assertion' or 'client_secret'.");
                good = false;
        }
        return good ? i : NULL;
}

/* The token's audience: `resource` of v1, `scope` without its "/.default" of v2.0. Caller frees. */
static char *audience(struct request *r, struct answer *a, bool v2)
{
        const char *text = request_form_value(r, v2 ? "scope" : "resource");

        if (isempty(text)) {
                (void)missing(r, a, v2 ? "scope" : "resource");
                return NULL;
        }
        if (!v2)
                return strdup(text);
        const char *end = strstr(text, "/.default");
        const char *more = end ? end + strlen("/.default") : "";
        if (!end || end == text || memchr(text, ' ', (size_t)(end - text)) ||
                (*more && !streq(more, " openid offline_access profile"))) {
                fail(r, a, MHD_HTTP_BAD_REQUEST, "invalid_scope", 1002012,
                        "The provided value for scope %s is not valid. Client credential flows must "
                        "have a scope value with /.default suffixed to the resource identifier "
                        "(application ID URI).",
                        text);
                return NULL;
        }
        return strndup(text, (size_t)(end - text));
}

static void answer_token(
        struct request *r, struct answer *a, const struct identity *i, const char *aud, bool v2)
{
        int64_t lifetime = r->emu->settings.token_lifetime;
        _cleanup_secret_ char *token = NULL;
        struct out o = {0};

        if (token_issue(&r->emu->signer, i, aud, lifetime, &token) < 0) {
                answer_text(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "");
                return;
        }
        int64_t left = MAX(lifetime - 1, (int64_t)0); /* 3599 for an hour */
        out_open(&o, '{');
        if (v2) {
                out_member(&o, "token_type", "Bearer");
                out_member_int(&o, "expires_in", left);
                out_member_int(&o, "ext_expires_in", left);
        } else {
                out_memberf(&o, "expires_in", "%lld", (long long)left);
                out_member(&o, "token_type", "Bearer");
                out_memberf(&o, "ext_expires_in", "%lld", (long long)left);
                out_memberf(&o, "expires_on", "%lld", (long long)now_seconds() + lifetime);
                out_memberf(&o, "not_before", "%lld", (long long)now_seconds() - 300);
                out_member(&o, "resource", aud);
        }
        out_member(&o, "access_token", token);
        out_close(&o, '}');
        answer_out(a, MHD_HTTP_OK, &o);
}

static void token_request(struct request *r, struct answer *a, const char *name, bool v2)
{
        r->operation = "entra.token";
        const struct tenant *t = store_find_tenant(r->emu->store, name);
        /* AD FS has no tenants, and takes a scope at what looks like a v1 endpoint. */
        bool adfs = strcasecmp(name, "adfs") == 0;
        v2 = v2 || adfs;
        if (!t && !adfs) {
                fail(r, a, MHD_HTTP_BAD_REQUEST, "invalid_request", 90002,
                        "No service namespace named '%s' was found in the data store.", name);
                return;
        }
        if (!streq(r->method, "POST") || request_form(r) < 0) {
                fail(r, a, MHD_HTTP_BAD_REQUEST, "invalid_request", 900561,
                        "The endpoint only accepts POST requests. Received a %s request.",
                        r->method);
                return;
        }
        const char *grant = request_form_value(r, "grant_type");
        if (isempty(grant)) {
                (void)missing(r, a, "grant_type");
                return;
        }
        if (!streq(grant, "client_credentials")) {
                fail(r, a, MHD_HTTP_BAD_REQUEST, "unsupported_grant_type", 70003,
                        "The app requested an unsupported grant type '%s'.", grant);
                return;
        }
        note_sent(r);
        const struct identity *i = authenticate(r, a, t);
        _cleanup_free_ char *aud = i ? audience(r, a, v2) : NULL;
        if (aud)
                answer_token(r, a, i, aud, v2);
}

void handle_entra(struct request *r, struct answer *a)
{
        char **s = r->segments;
        size_t n = r->n_segments;
        bool well_known =
                n >= 3 && streq(s[n - 2], ".well-known") && streq(s[n - 1], "openid-configuration");

        store_lock(r->emu->store);
        if (n == 4 && streq(s[1], "oauth2") && streq(s[2], "v2.0") && streq(s[3], "token"))
                token_request(r, a, s[0], true);
        else if (n == 3 && streq(s[1], "oauth2") && streq(s[2], "token"))
                token_request(r, a, s[0], false);
        else if (n == 3 && streq(s[1], "discovery") && streq(s[2], "instance"))
                instance_discovery(r, a);
        else if (well_known && (n == 3 || (n == 4 && streq(s[1], "v2.0")))) {
                const struct tenant *t = store_find_tenant(r->emu->store, s[0]);
                if (t || streq(s[0], "common") || streq(s[0], "organizations"))
                        openid_configuration(r, a, t ? t->id : DEFAULT_TENANT);
                else
                        fail(r, a, MHD_HTTP_BAD_REQUEST, "invalid_tenant", 90002,
                                "No service namespace named '%s' was found in the data store.",
                                s[0]);
        } else
                answer_text(a, MHD_HTTP_NOT_FOUND, "");
        store_unlock(r->emu->store);
        if (a->n_headers == 0)
                entra_headers(a, "no-store, no-cache");
}
