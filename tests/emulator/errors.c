#include <stdarg.h>
#include <stdio.h>

#include "base/wipe.h"
#include "tests/emulator/call.h"

void write_error(struct out *o, const char *code, const char *inner, const char *message)
{
        out_open(o, '{');
        out_key(o, "error");
        out_open(o, '{');
        out_member(o, "code", code);
        out_member(o, "message", message);
        if (inner) {
                out_key(o, "innererror");
                out_open(o, '{');
                out_member(o, "code", inner);
                out_close(o, '}');
        }
        out_close(o, '}');
        out_close(o, '}');
}

void vault_headers(const struct request *r, const struct vault *v, struct answer *a)
{
        char id[GUID_LEN + 1];
        const char *client_id = request_header(r, "x-ms-client-request-id");

        guid_make(id);
        answer_header(a, "Cache-Control", "no-cache");
        answer_header(a, "Pragma", "no-cache");
        if (a->body_len > 0)
                answer_header(a, "Content-Type", "application/json; charset=utf-8");
        answer_header(a, "Expires", "-1");
        answer_header(a, "x-ms-keyvault-region", "%s", v ? v->location : "westus");
        if (client_id && strlen(client_id) <= 128)
                answer_header(a, "x-ms-client-request-id", "%s", client_id);
        answer_header(a, "x-ms-request-id", "%s", id);
        answer_header(a, "x-ms-keyvault-service-version", SERVICE_VERSION);
        answer_header(a, "x-ms-keyvault-network-info",
                "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;");
        answer_header(a, "X-Content-Type-Options", "nosniff");
        answer_header(a, "Strict-Transport-Security", "max-age=31536000;includeSubDomains");
}

void call_no_memory(struct call *c)
{
        answer_text(c->answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "");
}

void call_fail(
        struct call *c, unsigned status, const char *code, const char *inner, const char *fmt, ...)
{
        _cleanup_free_ char *message = NULL;
        struct out o = {0};
        va_list ap;

        va_start(ap, fmt);
        int n = vasprintf(&message, fmt, ap);
        va_end(ap);
        if (n < 0) {
                message = NULL;
                call_no_memory(c);
                return;
        }
        write_error(&o, code, inner, message);
        answer_out(c->answer, status, &o);
}

void call_not_found(struct call *c, enum kind kind, const char *name, const char *version)
{
        char code[32];

        snprintf(code, sizeof code, "%sNotFound", kind_title(kind));
        call_fail(c, MHD_HTTP_NOT_FOUND, code, NULL,
                "A %s with (name/id) %s%s%s was not found in this key vault. If you recently "
                "deleted this %s you may be able to recover it using the correct recovery command. "
                "For help resolving this issue, please see "
                "https://go.microsoft.com/fwlink/?linkid=2125182",
                kind_word(kind), name, isempty(version) ? "" : "/", version ? version : "",
                kind_word(kind));
}

void call_deleted_not_found(struct call *c, enum kind kind, const char *name)
{
        char code[32];

        snprintf(code, sizeof code, "%sNotFound", kind_title(kind));
        call_fail(c, MHD_HTTP_NOT_FOUND, code, NULL, "Deleted %s not found: %s", kind_title(kind),
                name);
}

void call_method_not_allowed(struct call *c)
{
        call_fail(c, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed", NULL, "HTTP %s not allowed",
                c->request->method);
}
