/* Why there is no token, in words: what the service said of itself, kept, and the next step.
 *
 * Answers look like {"error":"invalid_client","error_description":"AADSTS7000215: Invalid client
 * secret provided. ...\r\nTrace ID: ...\r\nCorrelation ID: ...\r\nTimestamp: ...",
 * "error_codes":[7000215],"trace_id":"...","correlation_id":"..."}; newer ones have blanks in place
 * of the line ends, and IMDS sends the first two members only.
 */
#include <stdio.h>

#include "auth/mode.h"
#include "base/json.h"
#include "base/wipe.h"

#define DESCRIPTION_MAX 700
#define WORD_MAX 80

struct said {
        char error[WORD_MAX];
        char description[DESCRIPTION_MAX + 1];
        char trace[WORD_MAX], correlation[WORD_MAX];
        uint64_t code; /* AADSTS number; 0 when there is none */
};

/* Copies what is printable, at most size - 1 bytes, no part of a multi-byte character. */
static void copy_text(char *out, size_t size, const char *s)
{
        size_t n = 0;

        while (*s && n + 1 < size) {
                unsigned char c = (unsigned char)*s++;
                out[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        }
        if (*s)
                while (n > 0 && ((unsigned char)*s & 0xc0) == 0x80)
                        s--, n--;
        while (n > 0 && out[n - 1] == ' ')
                n--;
        out[n] = '\0';
}

/* An id is a GUID; what is not made of its characters is not repeated. */
static void copy_id(char out[WORD_MAX], const char *s)
{
        out[0] = '\0';
        if (!s || strlen(s) >= WORD_MAX)
                return;
        if (s[strspn(s, "0123456789abcdefABCDEF-")] == '\0')
                memcpy(out, s, strlen(s) + 1);
}

static uint64_t find_code(const cJSON *j, const char *description)
{
        const cJSON *codes = json_get(j, "error_codes");
        const cJSON *first = cJSON_IsArray(codes) ? cJSON_GetArrayItem(codes, 0) : NULL;

        if (first && cJSON_IsNumber(first) && first->valuedouble >= 1 && first->valuedouble < 1e12)
                return (uint64_t)first->valuedouble;
        const char *p = description ? strstr(description, "AADSTS") : NULL;
        uint64_t code = 0;
        if (p)
                for (p += strlen("AADSTS"); *p >= '0' && *p <= '9' && code < 1000000000; p++)
                        code = code * 10 + (uint64_t)(*p - '0');
        return code;
}

/* No service is known to repeat the secret. One that does must not get it into a log: it is covered
 * before anything is cut, so that no part of it stays at an end. */
static void hide(char *text, const char *needle, size_t len)
{
        if (len < 4)
                return;
        for (char *p = text; (p = memmem(p, strlen(p), needle, len)); p += len)
                memset(p, '*', len);
}

/* Whatever has the form of a token is none of a message's business. */
static void hide_tokens(char *text)
{
        for (char *p = text; (p = strstr(p, "eyJ"));) {
                size_t len =
                        strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.+/=");
                if (len >= 16)
                        memset(p, '*', len);
                p += len;
        }
}

static void hide_secret(const struct auth_params *p, char *text)
{
        _cleanup_secret_ char *plain = NULL, *escaped = NULL;

        if (!text)
                return;
        hide_tokens(text);
        if (p->secret)
                hide(text, sec_bytes(p->secret), sec_len(p->secret));
        if (!p->client_secret)
                return;
        size_t len = sec_len(p->client_secret);
        hide(text, sec_bytes(p->client_secret), len);
        plain = strndup(sec_bytes(p->client_secret), len);
        if (!plain || http_escape(plain, &escaped) < 0)
                *text = '\0'; /* better no text */
        else
                hide(text, escaped, strlen(escaped));
}

static void read_said(
        const struct auth_params *p, const struct http_response *resp, struct said *ret)
{
        _cleanup_json_ cJSON *j = NULL;

        *ret = (struct said){0};
        if (json_parse(resp->body, resp->body_len, &j) < 0)
                return;

        /* Gateways in between put an object with code and message there. */
        const cJSON *inner = json_get(j, "error");
        char *error = cJSON_GetStringValue(inner);
        char *description = cJSON_GetStringValue(json_get(j, "error_description"));
        if (cJSON_IsObject(inner)) {
                error = cJSON_GetStringValue(json_get(inner, "code"));
                description = cJSON_GetStringValue(json_get(inner, "message"));
        }
        hide_secret(p, error);
        hide_secret(p, description);
        ret->code = find_code(j, description);
        if (error)
                copy_text(ret->error, sizeof ret->error, error);
        copy_id(ret->trace, json_string(j, "trace_id"));
        copy_id(ret->correlation, json_string(j, "correlation_id"));
        if (description) {
                char text[DESCRIPTION_MAX + 1];
                copy_text(text, sizeof text, description);
                /* The ids and the time are said once, and behind. */
                char *ids = strstr(text, "Trace ID:");
                if (ids)
                        *ids = '\0';
                copy_text(ret->description, sizeof ret->description, text);
        }
}

static void hint_identity(const struct auth_params *p, struct err *e)
{
        if (p->mode == AUTH_APP_SERVICE)
                err_hint(
                        e, *p->client_id
                                   ? "the requested identity isn't assigned to this resource: az "
                                     "webapp identity assign --identities RESOURCE-ID"
                                   : "this app has no system-assigned identity: az webapp identity "
                                     "assign, or set userAssignedIdentityID");
        else if (*p->client_id)
                err_hint(e,
                        "the requested identity isn't assigned to this resource: check that %s is "
                        "%s and assigned to this VM: az vm identity assign (on AKS: az vmss "
                        "identity assign)",
                        p->client_id,
                        p->id_kind == AUTH_BY_CLIENT_ID ? "a client id (not an object or resource "
                                                          "id)"
                        : p->id_kind == AUTH_BY_OBJECT_ID ? "an identity's object (principal) id"
                                                          : "an identity's whole resource id");
        else
                err_hint(e, "this VM has no system-assigned identity: az vm identity assign -g "
                            "GROUP -n VM, or set userAssignedIdentityID");
}

static void hint_imds(
        const struct auth_params *p, int status, const struct said *said, struct err *e)
{
        if (p->mode == AUTH_POD_IDENTITY)
                err_hint(e, "%s",
                        status == 403 || status == 404
                                ? "no AzureIdentity is bound to this pod: its label "
                                  "aadpodidbinding must be the selector of an AzureIdentityBinding, "
                                  "and kubectl get azureassignedidentity -A must list it"
                                : "see the logs of nmi on this node: kubectl logs -n kube-system -l "
                                  "component=nmi");
        else if (p->mode == AUTH_ARC)
                err_hint(e, "is the agent connected? azcmagent show");
        else if (strstr(said->description, "Multiple user assigned identities"))
                err_hint(e, "this VM has several user-assigned identities: set "
                            "userAssignedIdentityID to the client id of one (az vm identity show)");
        else if (strstr(said->description, "metadata header"))
                err_hint(e, "something between this process and the metadata service took the "
                            "Metadata header away: nothing may be between them");
        else if (strstr(said->description, "Identity not found") || status == 400)
                hint_identity(p, e);
        else
                err_hint(e, "is this an Azure VM, and may this process ask its metadata service?");
}

static enum err_cause cause_of(const struct auth_params *p, int status, const struct said *said)
{
        if (status == 429 || said->code == 50196)
                return ERR_THROTTLED;
        if (status >= 500 || said->code == 90033)
                return ERR_SERVICE;
        if (status == 400 || status == 401 || status == 403)
                return ERR_AUTH;
        /* IMDS is a service of this very machine; 404 there means no identity endpoint. */
        if (p->imds_endpoint && (status == 404 || status == 410))
                return ERR_AUTH;
        return ERR_SERVICE;
}

static int no_answer(const struct auth_params *p, const char *identity,
        const struct http_response *resp, struct err *e)
{
        int r = resp->error.code < 0 ? resp->error.code : -EIO;

        err_set_cause(e, resp->error.cause, r, "failed to get key vault token: %s at %s: %s",
                identity, auth_params_endpoint(p), err_text(&resp->error));
        if (p->mode == AUTH_VM_IDENTITY)
                err_hint(e,
                        "no instance metadata service answers at %s: a VM's identity works on an "
                        "Azure VM only, and a firewall or network policy may block it; elsewhere "
                        "use a service principal (AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)",
                        p->imds_endpoint);
        else if (p->mode == AUTH_POD_IDENTITY)
                err_hint(e,
                        "no NMI answers at %s: pod identity needs the nmi DaemonSet on this node "
                        "and this process in the host's network; it is no longer maintained, use "
                        "workload identity",
                        p->imds_endpoint);
        else if (p->mode == AUTH_ARC)
                err_hint(e, "no agent answers at %s: systemctl status himdsd", p->imds_endpoint);
        else if (resp->error.hint)
                err_hint(e, "%s", resp->error.hint);
        return r;
}

/* NMI answers in plain text, and this is how it was always shown. */
static void nmi_said(const struct auth_params *p, const char *identity, enum err_cause cause,
        const struct http_response *resp, struct err *e)
{
        char text[DESCRIPTION_MAX + 1] = "";
        _cleanup_secret_ char *body = strndup(resp->body, MIN(resp->body_len, (size_t)65536));

        if (body) {
                hide_secret(p, body);
                copy_text(text, sizeof text, body);
        }
        err_set_cause(e, cause, -EACCES,
                "failed to get key vault token: %s at %s: nmi response failed with status code: %d, "
                "response body: %s",
                identity, p->imds_endpoint, resp->status, text);
}

int auth_error(const struct auth_params *p, const char *identity, const struct http_response *resp,
        const struct jwt_claims *claims, struct err *e)
{
        struct said said;
        char ids[2 * WORD_MAX + 40] = "";

        if (resp->status == 0)
                return no_answer(p, identity, resp, e);
        read_said(p, resp, &said);

        enum err_cause cause = cause_of(p, resp->status, &said);
        if (*said.trace || *said.correlation)
                snprintf(ids, sizeof ids, " (trace id %s, correlation id %s)",
                        *said.trace ? said.trace : "-", *said.correlation ? said.correlation : "-");
        if (p->mode == AUTH_POD_IDENTITY)
                nmi_said(p, identity, cause, resp, e);
        else if (*said.error || *said.description)
                err_set_cause(e, cause, -EACCES,
                        "failed to get key vault token: %s at %s: status %d %s%s%s%s", identity,
                        auth_params_endpoint(p), resp->status, said.error,
                        *said.description ? ": " : "", said.description, ids);
        else {
                const char *type = http_header(resp, "Content-Type");
                char shown[WORD_MAX] = "none";
                if (type)
                        copy_text(shown, sizeof shown, type);
                err_set_cause(e, cause, -EACCES,
                        "failed to get key vault token: %s at %s: status %d without an error of "
                        "its own (content type: %s)",
                        identity, auth_params_endpoint(p), resp->status, shown);
        }

        if (cause == ERR_THROTTLED)
                err_hint(e, "too many requests; they are slowed down and go on by themselves");
        else if (cause == ERR_SERVICE)
                err_hint(e, "the service has trouble or something answered in its place; see "
                            "https://azure.status.microsoft");
        else if (p->imds_endpoint)
                hint_imds(p, resp->status, &said, e);
        else
                auth_entra_hint(p, said.code, claims, e);
        return -EACCES;
}
