/* The HTTPS listener: which vault, which part of it, or Entra. */

#include <stdio.h>
#include <strings.h>

#include "tests/emulator/call.h"

static const struct {
        const char *name;
        enum api api;
} api_versions[] = {
        {"2015-02-01-preview", API_2015},
        {"2015-06-01", API_2015},
        {"2016-10-01", API_2016},
        {"7.0-preview", API_70},
        {"7.0", API_70},
        {"7.1-preview", API_71},
        {"7.1", API_71},
        {"7.2-preview", API_72},
        {"7.2", API_72},
        {"7.3-preview", API_73},
        {"7.3", API_73},
        {"7.4-preview.1", API_74},
        {"7.4", API_74},
        {"7.5-preview.1", API_75},
        {"7.5", API_75},
        {"7.6-preview.2", API_76},
        {"7.6", API_76},
        {"2025-06-01-preview", API_2025},
        {"2025-07-01", API_2025},
        {"2026-04-01", API_2026},
};

#define LATEST_API "2026-04-01"

/* What a path below a vault begins with. */
static const struct {
        const char *segment;
        enum kind kind;
        bool deleted;
} parts[] = {
        {"secrets", KIND_SECRET, false},
        {"keys", KIND_KEY, false},
        {"certificates", KIND_CERTIFICATE, false},
        {"deletedsecrets", KIND_SECRET, true},
        {"deletedkeys", KIND_KEY, true},
        {"deletedcertificates", KIND_CERTIFICATE, true},
};

static int find_part(const char *segment)
{
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (strcasecmp(segment, parts[i].segment) == 0)
                        return (int)i;
        return -1;
}

/* Where a request goes, by its path and host alone. */
struct target {
        bool is_vault;
        char name[64]; /* of the vault as asked for; may be none that exists */
        bool by_path;
        size_t skip; /* segments in front of the vault's own */
};

static void find_target(const struct request *r, struct target *t)
{
        *t = (struct target){0};
        if (r->n_segments >= 2 && streq(r->segments[0], "vaults")) {
                t->is_vault = t->by_path = true;
                t->skip = 2;
                snprintf(t->name, sizeof t->name, "%s", r->segments[1]);
        } else if (r->n_segments >= 1 && find_part(r->segments[0]) >= 0) {
                const char *host = request_host(r);
                t->is_vault = true;
                snprintf(t->name, sizeof t->name, "%.*s",
                        (int)MIN(strcspn(host, ".:"), sizeof t->name - 1), host);
        }
}

void note_identity(struct request *r)
{
        const char *header = request_header(r, "Authorization");
        _cleanup_(token_done) struct token t = {0};
        struct target target;

        if (r->listener != LISTEN_HTTPS)
                return;
        find_target(r, &target);
        if (!target.is_vault)
                return;
        (void)set_string(&r->vault, target.name);
        if (header && strncasecmp(header, "Bearer ", 7) == 0 &&
                token_read(&r->emu->signer, header + 7, &t) == 0)
                r->identity = TAKE_PTR(t.client_id);
}

/* --- faults with a status --- */

void fault_status_answer(struct request *r, unsigned status, struct answer *a)
{
        struct target target;
        struct out o = {0};

        find_target(r, &target);
        if (r->listener == LISTEN_IMDS) {
                imds_fault_answer(r, status, a);
                return;
        }
        if (!target.is_vault) {
                entra_fault_answer(r, status, a);
                return;
        }
        if (status == 429)
                write_error(&o, "Throttled", NULL,
                        "Request was not processed because too many requests were received. "
                        "Reason: VaultRequestTypeLimitReached");
        else if (status == 401)
                write_error(&o, "Unauthorized", NULL,
                        "AKV10000: Request is missing a Bearer or PoP token.");
        else if (status == 403)
                write_error(&o, "Forbidden", "AccessDenied", "Access denied");
        else if (status >= 500)
                write_error(&o, status == 503 ? "ServiceUnavailable" : "InternalServerError", NULL,
                        "The emulator was told to fail this request.");
        else
                write_error(
                        &o, "BadParameter", NULL, "The emulator was told to refuse this request.");
        answer_out(a, status, &o);
        store_lock(r->emu->store);
        struct vault *v = store_find_vault(r->emu->store, target.name);
        vault_headers(r, v, a);
        if (status == 401)
                answer_header(a, "WWW-Authenticate",
                        "Bearer authorization=\"%s/%s\", resource=\"%s\"", r->emu->authority,
                        v ? v->tenant : DEFAULT_TENANT, v ? v->resource : VAULT_RESOURCE);
        store_unlock(r->emu->store);
}

/* --- a vault's data plane --- */

static bool check_api_version(struct call *c)
{
        c->api_version = request_param(c->request, "api-version");
        if (isempty(c->api_version)) {
                call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                        "api-version must be specified");
                return false;
        }
        for (size_t i = 0; i < ELEMENTSOF(api_versions); i++)
                if (strcasecmp(api_versions[i].name, c->api_version) == 0) {
                        c->api_version = api_versions[i].name;
                        c->api = api_versions[i].api;
                        return true;
                }
        call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                "The specified version (%s) is not recognized. Consider using the latest supported "
                "version (%s).",
                c->api_version, LATEST_API);
        return false;
}

/* cJSON ends a string at \u0000 without a word. */
static bool holds_nul(const char *json)
{
        for (const char *p = json; (p = strchr(p, '\\')); p += 2) {
                if (startswith(p, "\\u0000"))
                        return true;
                if (!p[1])
                        break;
        }
        return false;
}

static bool parse_body(struct call *c)
{
        const char *m = c->request->method;

        if (!streq(m, "PUT") && !streq(m, "POST") && !streq(m, "PATCH"))
                return true;
        if (c->request->body_len == 0) {
                c->body = cJSON_CreateObject();
                return c->body;
        }
        int r = json_parse(c->request->body, c->request->body_len, &c->body);
        if (r == 0 && cJSON_IsObject(c->body) && !holds_nul(c->request->body))
                return true;
        call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                "Request body is not a valid JSON object");
        return false;
}

static bool check_name(struct call *c)
{
        if (c->n_segments < 2 || object_name_valid(c->segments[1]))
                return true;
        call_fail(c, MHD_HTTP_BAD_REQUEST, "BadParameter", NULL,
                "The request URI contains an invalid name: %s", c->segments[1]);
        return false;
}

static void dispatch(struct call *c)
{
        static void (*const handlers[KINDS])(struct call *) = {
                secrets_call, keys_call, certificates_call};

        int part = c->n_segments > 0 ? find_part(c->segments[0]) : -1;
        if (part < 0) {
                call_fail(c, MHD_HTTP_NOT_FOUND, "NotFound", NULL,
                        "A vault has nothing at this path");
                return;
        }
        c->kind = parts[part].kind;
        if (!check_api_version(c) || !check_name(c) || !parse_body(c))
                return;
        if (parts[part].deleted)
                deleted_call(c, c->kind);
        else
                handlers[c->kind](c);
}

static bool make_bases(struct call *c, const struct target *t)
{
        const char *host = request_host(c->request);
        const char *colon = strrchr(host, ':'), *bracket = strrchr(host, ']');
        bool port = colon && (!bracket || colon > bracket);
        const char *path = t->by_path ? "/vaults/" : "", *name = t->by_path ? c->vault->name : "";

        return xasprintf(&c->base, "https://%s%s%s", host, path, name) == 0 &&
               xasprintf(&c->link_base, "https://%s%s%s%s", host, port ? "" : ":443", path, name) ==
                       0;
}

/* The page of the front end, which sees a bad path before the vault does: HTML, not JSON. */
static void answer_html(struct answer *a)
{
        answer_text(a, MHD_HTTP_BAD_REQUEST,
                "<!DOCTYPE html>\n<html>\n<head><title>Runtime Error</title></head>\n<body>\n"
                "<h1>Server Error in '/' Application.</h1>\n<h2><i>Runtime Error</i></h2>\n"
                "<p>The request's path holds a character that is not allowed there.</p>\n"
                "</body>\n</html>\n");
        answer_header(a, "Cache-Control", "private");
        answer_header(a, "Content-Type", "text/html; charset=utf-8");
        answer_header(a, "X-Content-Type-Options", "nosniff");
        answer_header(a, "Strict-Transport-Security", "max-age=31536000;includeSubDomains");
}

static bool illegal_path(const struct request *r)
{
        if (r->path_illegal)
                return true;
        for (size_t i = 0; i < r->n_segments; i++)
                if (strpbrk(r->segments[i], "<>*%&:\\?"))
                        return true;
        return false;
}

static void vault_call(struct request *r, struct answer *a, const struct target *t)
{
        struct call c = {.emu = r->emu, .request = r, .answer = a};
        struct store *s = r->emu->store;

        store_lock(s);
        c.vault = store_find_vault(s, t->name);
        if (!c.vault) {
                /* The real name would not resolve; this says what to do about it. */
                call_fail(&c, MHD_HTTP_NOT_FOUND, "VaultNotFound", NULL,
                        "The emulator has no vault named \"%s\": use /vaults/NAME/ in front of the "
                        "path, a host name NAME.vault.localhost, or add the vault",
                        t->name);
        } else {
                c.segments = r->segments + t->skip;
                c.n_segments = r->n_segments - t->skip;
                (void)set_string(&r->vault, c.vault->name);
                if (!make_bases(&c, t))
                        call_no_memory(&c);
                else if (call_authenticate(&c))
                        dispatch(&c);
        }
        vault_headers(r, c.vault, a);
        if (c.granted && c.vault->model == ACCESS_RBAC)
                answer_header(a, "x-ms-keyvault-rbac-assignment-id", "%s", c.who->object_id);
        if (c.pkcs10) {
                answer_drop_header(a, "Content-Type");
                answer_header(a, "Content-Type", "application/pkcs10; charset=utf-8");
        }
        store_unlock(s);
        cJSON_Delete(c.body);
        free(c.base);
        free(c.link_base);
}

void handle_https(struct request *r, struct answer *a)
{
        struct target target;

        find_target(r, &target);
        if (r->body_too_large) {
                struct out o = {0};
                write_error(&o, "BadParameter", NULL, "Request body is too large");
                answer_out(a, MHD_HTTP_CONTENT_TOO_LARGE, &o);
                vault_headers(r, NULL, a);
        } else if (illegal_path(r))
                answer_html(a);
        else if (target.is_vault)
                vault_call(r, a, &target);
        else
                handle_entra(r, a);
}
