#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/mode.h"
#include "support/wire.h"

static char tenant[] = "contoso.example", client[] = "11111111-2222-3333-4444-555555555555",
            none[] = "", authority[] = "https://login.microsoftonline.com/",
            imds[] = "http://169.254.169.254";
static const char identity[] = "IDENTITY";

static struct sec *make_secret(const char *s)
{
        struct sec *secret = NULL;

        cr_assert_eq(sec_new(s, strlen(s), &secret), 0);
        return secret;
}

static struct auth_params principal(const char *secret)
{
        return (struct auth_params){.mode = AUTH_CLIENT_SECRET,
                .tenant = tenant,
                .client_id = client,
                .authority = authority,
                .client_secret = make_secret(secret)};
}

static struct auth_params vm(char *client_id)
{
        return (struct auth_params){.mode = AUTH_VM_IDENTITY,
                .tenant = none,
                .client_id = client_id,
                .imds_endpoint = imds};
}

/* The texts of one answer; static until the next call. */
static struct err *explain(const struct auth_params *p, int status, const char *body)
{
        static struct err e;
        static const char *const headers[] = {"Content-Type: text/html; charset=utf-8", NULL};
        struct wire w;

        wire_make(status, body, headers, &w);
        cr_assert_lt(auth_error(p, identity, &w.response, NULL, &e), 0);
        cr_assert_eq(e.code < 0, true);
        cr_assert_not_null(startswith(err_text(&e), "failed to get key vault token: IDENTITY at "));
        cr_assert_not_null(e.hint);
        cr_assert_null(strchr(err_text(&e), '\n'));
        wire_done(&w);
        return &e;
}

#define ENTRA(error, code, text)                                                    \
        "{\"error\":\"" error "\",\"error_description\":\"AADSTS" code ": " text    \
        "\\r\\nTrace ID: aaaa-1\\r\\nCorrelation ID: bbbb-2\\r\\nTimestamp: now\"," \
        "\"error_codes\":[" code "],\"trace_id\":\"aaaa-1\",\"correlation_id\":\"bbbb-2\"}"

Test(auth_error, codes_have_their_next_step)
{
        static const struct {
                const char *body, *hint;
                enum err_cause cause;
        } cases[] = {
                {ENTRA("invalid_client", "7000215", "Invalid client secret provided."), "VALUE",
                        ERR_AUTH},
                {ENTRA("invalid_client", "7000222", "expired"),
                        "az ad app credential reset --id 1111", ERR_AUTH},
                {ENTRA("invalid_request", "7000218", "x"), "empty", ERR_AUTH},
                {ENTRA("unauthorized_client", "700016", "x"), "application (client) id", ERR_AUTH},
                {ENTRA("unauthorized_client", "7000112", "x"), "disabled", ERR_AUTH},
                {ENTRA("invalid_request", "90002", "x"), "check tenantId (contoso.example)",
                        ERR_AUTH},
                {ENTRA("invalid_request", "900023", "x"), "check tenantId", ERR_AUTH},
                {ENTRA("invalid_client", "700027", "x"), "not registered", ERR_AUTH},
                {ENTRA("invalid_request", "70021", "x"), "federated-credential list", ERR_AUTH},
                {ENTRA("invalid_client", "700213", "x"), "federated-credential list", ERR_AUTH},
                {ENTRA("invalid_resource", "500011", "x"), "cloudName", ERR_AUTH},
                {ENTRA("invalid_grant", "50034", "x"), "not known to tenant", ERR_AUTH},
                {ENTRA("access_denied", "53003", "x"), "conditional access", ERR_AUTH},
                {ENTRA("odd", "123456", "x"), "https://login.microsoftonline.com/error?code=123456",
                        ERR_AUTH},
                {ENTRA("server_error", "90033", "x"), "trouble", ERR_SERVICE},
                {ENTRA("invalid_grant", "50196", "loop"), "too many requests", ERR_THROTTLED},
        };
        struct auth_params p = principal("s3cr3t-value");

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct err *e = explain(&p, 400, cases[i].body);
                cr_expect_not_null(strstr(e->hint, cases[i].hint), "%zu: %s", i, e->hint);
                cr_expect_eq(e->cause, cases[i].cause, "%zu", i);
                cr_expect_not_null(strstr(e->text, "AADSTS"), "%s", e->text);
                cr_expect_not_null(strstr(e->text, "(trace id aaaa-1, correlation id bbbb-2)"));
                cr_expect_null(strstr(e->text, "Timestamp"), "%s", e->text);
                cr_expect_not_null(strstr(e->text, "https://login.microsoftonline.com/"));
                err_done(e);
        }
        sec_unref(p.client_secret);
}

Test(auth_error, code_from_the_text_where_there_is_no_list)
{
        struct auth_params p = principal("s3cr3t-value");

        struct err *e = explain(&p, 401,
                "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: gone. Trace "
                "ID: x Correlation ID: y\"}");
        cr_assert_not_null(strstr(e->hint, "expired"));
        cr_assert_str_eq(e->text + strlen(e->text) - 5, "gone.");
        err_done(e);
        sec_unref(p.client_secret);
}

Test(auth_error, white_space_around_the_secret_is_told)
{
        static const char *const odd[] = {
                "secret\n", " secret", "secret ", "\tsecret", "secret\r\n"};

        for (size_t i = 0; i < ELEMENTSOF(odd); i++) {
                struct auth_params p = principal(odd[i]);
                struct err *e = explain(&p, 401, ENTRA("invalid_client", "7000215", "x"));
                cr_expect_not_null(strstr(e->hint, "white space"), "%s", e->hint);
                err_done(e);
                sec_unref(p.client_secret);
        }
}

Test(auth_error, statuses_without_words)
{
        struct auth_params p = principal("s3cr3t-value");
        static const struct {
                int status;
                const char *body;
                enum err_cause cause;
        } cases[] = {
                {429, "", ERR_THROTTLED},
                {500, "<html>", ERR_SERVICE},
                {503, "{}", ERR_SERVICE},
                {302, "", ERR_SERVICE},
                {404, "nothing", ERR_SERVICE},
                {400, "[]", ERR_AUTH},
                {403, "{\"error\":5}", ERR_AUTH},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char status[32];
                struct err *e = explain(&p, cases[i].status, cases[i].body);
                snprintf(status, sizeof status, "status %d ", cases[i].status);
                cr_expect_eq(e->cause, cases[i].cause, "%d", cases[i].status);
                cr_expect_not_null(strstr(e->text, status), "%s", e->text);
                cr_expect_not_null(strstr(e->text, "content type: text/html"), "%s", e->text);
                err_done(e);
        }
        /* the form of a gateway in between */
        struct err *e =
                explain(&p, 403, "{\"error\":{\"code\":\"Blocked\",\"message\":\"By policy\"}}");
        cr_expect_not_null(strstr(e->text, "status 403 Blocked: By policy"), "%s", e->text);
        err_done(e);
        sec_unref(p.client_secret);
}

/* A service that repeats the request, or sends ten thousand lines, does neither to our log. */
Test(auth_error, nothing_secret_and_nothing_endless_is_repeated)
{
        static char body[20000];
        struct auth_params p = principal("s3cr3t-value");

        struct err *e = explain(&p, 400,
                "{\"error\":\"s3cr3t-value\",\"error_description\":\"you sent s3cr3t-value and "
                "s3cr3t-value\\u001b[2J\\n\",\"trace_id\":\"s3cr3t-value\"}");
        cr_expect_null(strstr(e->text, "s3cr3t"), "%s", e->text);
        cr_expect_null(strchr(e->text, '\x1b'));
        cr_expect_not_null(strstr(e->text, "you sent ************ and"), "%s", e->text);
        err_done(e);

        /* at the very place where the text is cut, and as a form has it */
        for (size_t at = 680; at < 700; at++) {
                size_t k = (size_t)sprintf(
                        body, "{\"error\":\"x\",\"error_description\":\"%*s", (int)at, "-");
                sprintf(body + k, "s3cr3t-value s3cr3t-value\"}");
                e = explain(&p, 400, body);
                cr_expect_null(strstr(e->text, "s3c"), "%s", e->text);
                err_done(e);
        }
        struct auth_params odd = principal("s3c r3t+");
        e = explain(&odd, 400, "{\"error\":\"x\",\"error_description\":\"s3c%20r3t%2B\"}");
        cr_expect_null(strstr(e->text, "s3c"), "%s", e->text);
        err_done(e);
        sec_unref(odd.client_secret);
        struct auth_params stars = principal("*****");
        e = explain(&stars, 400, "{\"error\":\"x\",\"error_description\":\"*********\"}");
        err_done(e);
        sec_unref(stars.client_secret);

        size_t n = (size_t)sprintf(body, "{\"error\":\"x\",\"error_description\":\"");
        while (n < 10000) /* of two bytes each, at odd offsets: none is cut in half */
                n += (size_t)sprintf(body + n, "\xc3\xa4");
        sprintf(body + n, "\"}");
        e = explain(&p, 400, body);
        cr_expect_lt(strlen(e->text), 1000);
        cr_expect_eq((unsigned char)e->text[strlen(e->text) - 1], 0xa4);
        err_done(e);
        sec_unref(p.client_secret);
}

Test(auth_error, imds)
{
        static const struct {
                int status;
                const char *body, *hint;
                bool user_assigned;
                enum err_cause cause;
        } cases[] = {
                {400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}",
                        "no system-assigned identity", false, ERR_AUTH},
                {400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}",
                        "the requested identity isn't assigned to this resource", true, ERR_AUTH},
                {400,
                        "{\"error\":\"invalid_request\",\"error_description\":\"Multiple user "
                        "assigned identities exist, please specify the clientId / resourceId of "
                        "the identity in the token request\"}",
                        "userAssignedIdentityID", false, ERR_AUTH},
                {429,
                        "{\"error\":\"invalid_request\",\"error_description\":\"Temporarily "
                        "throttled, too many requests\"}",
                        "too many requests", false, ERR_THROTTLED},
                {404, "", "Azure VM", false, ERR_AUTH},
                {500, "", "trouble", false, ERR_SERVICE},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct auth_params p = vm(cases[i].user_assigned ? client : none);
                struct err *e = explain(&p, cases[i].status, cases[i].body);
                cr_expect_not_null(strstr(e->hint, cases[i].hint), "%zu: %s", i, e->hint);
                cr_expect_eq(e->cause, cases[i].cause, "%zu", i);
                cr_expect_not_null(strstr(e->text, "http://169.254.169.254"));
                err_done(e);
        }
}

Test(auth_error, managed_identities_elsewhere)
{
        static char app[] = "http://127.0.0.1:41741/msi/token", nmi[] = "http://localhost:2579",
                    arc[] = "http://127.0.0.1:40342";
        static const char not_found[] =
                "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}";
        const struct {
                enum auth_mode_id mode;
                char *endpoint, *client_id;
                enum auth_id_kind kind;
                int status;
                const char *body, *text, *hint;
        } cases[] = {
                {AUTH_APP_SERVICE, app, none, AUTH_BY_CLIENT_ID, 400, not_found,
                        "Identity not found", "az webapp identity assign"},
                {AUTH_APP_SERVICE, app, client, AUTH_BY_CLIENT_ID, 400, not_found,
                        "Identity not found", "--identities"},
                {AUTH_VM_IDENTITY, imds, client, AUTH_BY_OBJECT_ID, 400, not_found,
                        "Identity not found", "object (principal) id"},
                {AUTH_VM_IDENTITY, imds, client, AUTH_BY_RESOURCE_ID, 400, not_found,
                        "Identity not found", "whole resource id"},
                {AUTH_ARC, arc, none, AUTH_BY_CLIENT_ID, 403, "{}", "status 403", "azcmagent show"},
                {AUTH_POD_IDENTITY, nmi, none, AUTH_BY_CLIENT_ID, 404,
                        "no AzureAssignedIdentity\n\x1b[31mfound",
                        "nmi response failed with status code: 404, response body: no "
                        "AzureAssignedIdentity  [31mfound",
                        "aadpodidbinding"},
                {AUTH_POD_IDENTITY, nmi, none, AUTH_BY_CLIENT_ID, 400, "bad", "response body: bad",
                        "logs of nmi"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct auth_params p = {.mode = cases[i].mode,
                        .tenant = none,
                        .client_id = cases[i].client_id,
                        .id_kind = cases[i].kind,
                        .imds_endpoint = cases[i].endpoint};
                struct err *e = explain(&p, cases[i].status, cases[i].body);
                cr_expect_not_null(strstr(e->text, cases[i].text), "%zu: %s", i, e->text);
                cr_expect_not_null(strstr(e->hint, cases[i].hint), "%zu: %s", i, e->hint);
                cr_expect_eq(e->cause, ERR_AUTH, "%zu", i);
                err_done(e);
        }
}

Test(auth_error, assertions)
{
        static char path[] = "/etc/app.pem", subject[] = "prod/web", proxy[] = "https://p";
        static const struct jwt_claims claims = {
                .iss = "https://issuer/", .sub = "system:serviceaccount:a:b", .aud = "other"};
        static const char body[] = ENTRA("invalid_client", "700213",
                "No matching federated identity record found for presented assertion");
        struct auth_params p = {.mode = AUTH_CERTIFICATE,
                .tenant = tenant,
                .client_id = client,
                .authority = authority,
                .file = path};
        _cleanup_err_ struct err e = {0};
        struct wire w;

        struct err *said = explain(&p, 401, ENTRA("invalid_client", "700027", "x"));
        cr_assert_not_null(strstr(said->hint, "the certificate in /etc/app.pem is not registered"));
        err_done(said);
        said = explain(&p, 401, ENTRA("invalid_client", "700024", "x"));
        cr_assert_not_null(strstr(said->hint, "clock"));
        err_done(said);

        p.mode = AUTH_FEDERATED;
        p.subject = subject;
        wire_make(401, body, NULL, &w);
        auth_error(&p, identity, &w.response, &claims, &e);
        cr_assert_not_null(strstr(e.hint, "issuer    token: https://issuer/; required"));
        cr_assert_not_null(strstr(e.hint, "subject   token: system:serviceaccount:a:b; required: "
                                          "system:serviceaccount:prod:web"));
        cr_assert_not_null(strstr(e.hint, "audience  token: other; required: "
                                          "api://AzureADTokenExchange"));
        p.token_proxy = proxy;
        auth_error(&p, identity, &w.response, NULL, &e);
        cr_assert_not_null(strstr(e.hint, "audience  token: (absent); required: "
                                          "api://AKSIdentityBinding"));
        wire_done(&w);
}

Test(auth_error, no_answer_keeps_the_cause)
{
        struct auth_params p = principal("s3cr3t-value"), v = vm(none);
        struct http_response resp = {.body = "", .peer = ""};
        _cleanup_err_ struct err e = {0};

        err_set_cause(&resp.error, ERR_DNS, -EHOSTUNREACH, "host name x does not resolve");
        err_hint(&resp.error, "check the name");
        cr_assert_eq(auth_error(&p, identity, &resp, NULL, &e), -EHOSTUNREACH);
        cr_assert_eq(e.cause, ERR_DNS);
        cr_assert_not_null(strstr(e.text, "host name x does not resolve"));
        cr_assert_str_eq(e.hint, "check the name");
        cr_assert_eq(auth_error(&v, identity, &resp, NULL, &e), -EHOSTUNREACH);
        cr_assert_not_null(strstr(e.hint, "Azure VM only"));
        err_done(&resp.error);
        sec_unref(p.client_secret);
}

/* --- what the services really said --- */

Test(auth_error, recorded_answers)
{
        static const struct {
                const char *name;
                enum err_cause cause;
                const char *text, *hint;
        } expected[] = {
                {"entra-400-aadsts50126", ERR_AUTH,
                        "AADSTS50126: Error validating credentials due to invalid username or "
                        "password. (trace id be3e1080-",
                        "not known to tenant"},
                {"entra-400-aadsts700016-quoted", ERR_AUTH,
                        "unauthorized_client: AADSTS700016: Application with identifier",
                        "az ad sp"},
                {"entra-400-aadsts70016-pending", ERR_AUTH, "authorization_pending: AADSTS70016",
                        "error?code=70016"},
                {"entra-400-aadsts70021-quoted", ERR_AUTH,
                        "AADSTS70021: No matching federated identity record found",
                        "federated-credential"},
                {"entra-400-aadsts90002", ERR_AUTH, "AADSTS90002: No service namespace named",
                        "tenantId"},
                {"entra-401-aadsts7000215", ERR_AUTH,
                        "invalid_client: AADSTS7000215: Invalid client secret provided.", "VALUE"},
                {"entra-401-aadsts7000222-quoted", ERR_AUTH,
                        "AADSTS7000222: The provided client secret keys for app", "expired"},
                {"entra-401-aadsts700027", ERR_AUTH,
                        "AADSTS700027: Client assertion contains an invalid signature.",
                        "not registered"},
                {"imds-400-identity-not-found-quoted", ERR_AUTH,
                        "invalid_request: Identity not found", "no system-assigned identity"},
                {"imds-400-metadata-header-missing", ERR_AUTH,
                        "Required metadata header not specified", "between"},
                {"imds-429-throttled-reassembled", ERR_THROTTLED,
                        "Temporarily throttled, too many requests", "slowed down"},
        };
        static const char *const prefixes[] = {"entra-4", "imds-4"};
        struct auth_params p = principal("s3cr3t-value"), v = vm(none);
        unsigned n = 0;

        if (wire_folder())
                for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                        _cleanup_(wire_list_freep) char **names = wire_list(prefixes[i]);
                        for (char **name = names; *name; name++, n++) {
                                _cleanup_err_ struct err e = {0};
                                struct wire w;
                                size_t k = 0;
                                while (k < ELEMENTSOF(expected) && !streq(expected[k].name, *name))
                                        k++;
                                cr_assert_lt(k, ELEMENTSOF(expected), "%s is new", *name);
                                wire_load(*name, &w);
                                auth_error(i == 0 ? &p : &v, identity, &w.response, NULL, &e);
                                cr_expect_eq(e.cause, expected[k].cause, "%s", *name);
                                cr_expect_not_null(
                                        strstr(e.text, expected[k].text), "%s: %s", *name, e.text);
                                cr_expect_not_null(
                                        strstr(e.hint, expected[k].hint), "%s: %s", *name, e.hint);
                                cr_expect_null(strstr(e.text, "Trace ID"), "%s", e.text);
                                wire_done(&w);
                        }
                }
        cr_expect(n == 0 || n == ELEMENTSOF(expected));
        sec_unref(p.client_secret);
}
