#include "vault/vault_error.h"

#include <criterion/criterion.h>

#include "answer.h"
#include "fixture.h"

#define VAULT "https://contoso.vault.azure.net"
#define OID "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define CALLER "Caller: appid=1;oid=" OID ";iss=https://sts.windows.net/t/"
#define BODY(code, message, inner)                                                       \
        "{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\",\"innererror\":{" \
        "\"code\":\"" inner "\"}}}"

static const struct vault_error_info secret = {
        .kind = VAULT_SECRET,
        .name = "db",
        .version = "",
        .vault_url = VAULT,
        .identity = "service principal app of tenant ten",
};

static void make(struct err *e, const struct vault_error_info *info, int status, const char *body,
        const char *header, const char *value, int want, enum err_cause cause)
{
        struct answer a;

        int r = vault_error(info, answer_make(&a, status, body, header, value), e);
        cr_expect(r == want, "%d: %d", status, r);
        cr_expect(e->cause == cause, "%d: %s", status, err_cause_name(e->cause));
        cr_expect(e->code == want);
        cr_expect(strchr(e->text, '\n') == NULL && strchr(e->text, '\r') == NULL);
}

Test(vault_error, has_object_vault_identity_and_codes)
{
        _cleanup_err_ struct err e = {0};

        make(&e, &secret, 403,
                BODY("Forbidden",
                        "Caller is not authorized.\\r\\n" CALLER "\\r\\nAction: 'x'\\r\\n",
                        "ForbiddenByRbac"),
                NULL, NULL, -EACCES, ERR_FORBIDDEN);
        cr_expect_str_eq(e.text,
                "failed to get objectType:secret, objectName:db, objectVersion:: vault " VAULT
                ", as service principal app of tenant ten: StatusCode=403 Code=\"Forbidden\" "
                "InnerCode=\"ForbiddenByRbac\" Message=\"Caller is not authorized. " CALLER
                " Action: 'x'\"");
}

Test(vault_error, names_the_role_for_each_type)
{
        static const struct {
                enum vault_kind kind;
                const char *type, *role;
        } cases[] = {
                {VAULT_SECRET, "objectType secret needs the role", "\"Key Vault Secrets User\""},
                {VAULT_KEY, "objectType key needs the role", "\"Key Vault Certificate User\""},
                {VAULT_CERT, "objectType cert needs the role", "\"Key Vault Certificate User\""},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                struct vault_error_info info = secret;
                info.kind = cases[i].kind;
                make(&e, &info, 403,
                        BODY("Forbidden",
                                CALLER
                                "\\r\\nResource: '/subscriptions/s/resourcegroups/rg/providers/"
                                "microsoft.keyvault/vaults/contoso/secrets/db'",
                                "ForbiddenByRbac"),
                        NULL, NULL, -EACCES, ERR_FORBIDDEN);
                expect_in(e.hint, cases[i].type);
                expect_in(e.hint, cases[i].role);
                expect_in(e.hint, "--assignee-object-id " OID);
                expect_in(e.hint, "--scope /subscriptions/s/resourcegroups/rg/providers/"
                                  "microsoft.keyvault/vaults/contoso;");
        }
}

Test(vault_error, names_the_policy_for_each_type)
{
        static const struct {
                enum vault_kind kind;
                bool listing;
                const char *inner, *hint;
        } cases[] = {
                {VAULT_SECRET, false, "AccessDenied",
                        "--name contoso --object-id " OID " --secret-permissions get"},
                {VAULT_KEY, false, "ForbiddenByPolicy", " --key-permissions get"},
                {VAULT_CERT, false, "AccessDenied", " --certificate-permissions get"},
                {VAULT_SECRET, true, "AccessDenied", " --secret-permissions get list"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                struct vault_error_info info = secret;
                _cleanup_free_ char *body = NULL;
                info.kind = cases[i].kind;
                info.listing = cases[i].listing;
                cr_assert(xasprintf(&body, BODY("Forbidden", "no right; " CALLER, "%s"),
                                  cases[i].inner) == 0);
                make(&e, &info, 403, body, NULL, NULL, -EACCES, ERR_FORBIDDEN);
                expect_in(e.hint, cases[i].hint);
                if (cases[i].listing)
                        expect_in(e.text, ": listing its versions: ");
        }
}

Test(vault_error, tells_firewall_connection_and_disabled_apart)
{
        _cleanup_err_ struct err e = {0};

        make(&e, &secret, 403,
                BODY("Forbidden", "Client address: 20.1.2.3\\r\\nCaller: x", "ForbiddenByFirewall"),
                NULL, NULL, -ENETUNREACH, ERR_FORBIDDEN);
        expect_in(e.hint, "az keyvault network-rule add --name contoso --ip-address 20.1.2.3");
        make(&e, &secret, 403, BODY("Forbidden", "no public access", "ForbiddenByConnection"), NULL,
                NULL, -ENETUNREACH, ERR_FORBIDDEN);
        expect_in(e.hint, "private");
        make(&e, &secret, 403,
                BODY("Forbidden", "Operation get is not allowed on a disabled secret.",
                        "SecretDisabled"),
                NULL, NULL, -EACCES, ERR_DISABLED);
        expect_in(e.hint, "set-attributes --vault-name contoso --name db --enabled true");
        make(&e, &secret, 403, "{\"error\":{\"code\":\"Forbidden\",\"message\":\"no\"}}", NULL,
                NULL, -EACCES, ERR_FORBIDDEN);
        expect_in(e.hint, "Key Vault Secrets User");
        expect_in(e.hint, "set-policy");
}

Test(vault_error, explains_what_is_missing)
{
        _cleanup_err_ struct err e = {0};
        struct vault_error_info info = secret;
        const char *body = "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"not here\"}}";

        make(&e, &info, 404, body, NULL, NULL, -ENOENT, ERR_NOT_FOUND);
        expect_in(e.text, "StatusCode=404 Code=\"SecretNotFound\" Message=\"not here\"");
        expect_in(e.hint, "az keyvault secret list --vault-name contoso");
        expect_in(e.hint, "az keyvault secret recover --vault-name contoso --name db");
        info.version = "0123";
        make(&e, &info, 404, body, NULL, NULL, -ENOENT, ERR_NOT_FOUND);
        expect_in(e.hint, "az keyvault secret list-versions --vault-name contoso --name db");
        info.version = "latest";
        make(&e, &info, 404, body, NULL, NULL, -ENOENT, ERR_NOT_FOUND);
        expect_in(e.hint, "leave objectVersion empty");
        expect_in(e.text, "objectVersion:latest: ");
        make(&e, &info, 400, "{\"error\":{\"code\":\"BadParameter\",\"message\":\"bad\"}}", NULL,
                NULL, -EINVAL, ERR_USAGE);
        expect_in(e.hint, "leave objectVersion empty");
        info.version = "";
        make(&e, &info, 400, "{\"error\":{\"code\":\"BadParameter\",\"message\":\"bad\"}}", NULL,
                NULL, -EINVAL, ERR_USAGE);
        expect_in(e.hint, "127 letters");
        make(&e, &info, 400,
                "{\"error\":{\"code\":\"BadParameter\",\"message\":\"The specified version (7.4) is "
                "not recognized.\"}}",
                NULL, NULL, -EINVAL, ERR_USAGE);
        expect_in(e.hint, "API version 7.4");
}

Test(vault_error, names_the_vaults_tenant_on_401)
{
        _cleanup_err_ struct err e = {0};

        make(&e, &secret, 401,
                "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10032: Invalid issuer.\"}}",
                "WWW-Authenticate",
                "Bearer authorization=\"https://login.microsoftonline.com/" OID
                "\", resource=\"https://vault.azure.net\"",
                -EACCES, ERR_AUTH);
        expect_in(e.text, "AKV10032");
        expect_in(e.hint, "belongs to tenant " OID);
        make(&e, &secret, 401, "", NULL, NULL, -EACCES, ERR_AUTH);
        expect_in(e.text, "StatusCode=401 Code=\"\" Message=\"\"");
        expect_in(e.hint, "tenant");
}

Test(vault_error, statuses_have_their_causes)
{
        _cleanup_err_ struct err e = {0};

        make(&e, &secret, 429, "{\"error\":{\"code\":\"Throttled\",\"message\":\"x\"}}", NULL, NULL,
                -EAGAIN, ERR_THROTTLED);
        expect_in(e.hint, "poll_interval");
        make(&e, &secret, 408, "", NULL, NULL, -ETIMEDOUT, ERR_TIMEOUT);
        make(&e, &secret, 500, "", NULL, NULL, -EREMOTEIO, ERR_SERVICE);
        make(&e, &secret, 503, "", "x-ms-error-code", "ServerBusy", -EREMOTEIO, ERR_SERVICE);
        expect_in(e.text, "Code=\"ServerBusy\"");
        make(&e, &secret, 302, "", NULL, NULL, -EREMOTEIO, ERR_SERVICE);
        make(&e, &secret, 204, "", NULL, NULL, -EREMOTEIO, ERR_SERVICE);
        make(&e, &secret, 409, BODY("Conflict", "x", "ObjectIsBeingDeleted"), NULL, NULL,
                -EREMOTEIO, ERR_SERVICE);
        expect_in(e.text, "InnerCode=\"ObjectIsBeingDeleted\"");
}

Test(vault_error, bodies_of_others_are_not_repeated)
{
        _cleanup_err_ struct err e = {0};
        const char *echo = "You sent: Authorization: Bearer "
                           "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6 and so on and on";

        make(&e, &secret, 502, "<html><body>Bearer abc</body></html>", NULL, NULL, -EREMOTEIO,
                ERR_SERVICE);
        expect_in(e.text, "(an HTML page of 36 bytes)");
        cr_expect(!strstr(e.text, "abc"));
        expect_in(e.hint, "proxy");
        make(&e, &secret, 403, "<html>Blocked</html>", NULL, NULL, -EACCES, ERR_FORBIDDEN);
        expect_in(e.hint, "proxy");
        make(&e, &secret, 400, "oops", "Content-Type", "text/html; charset=utf-8", -EINVAL,
                ERR_USAGE);
        expect_in(e.text, "(an HTML page of 4 bytes)");
        make(&e, &secret, 401, "OK", NULL, NULL, -EACCES, ERR_AUTH);
        expect_in(e.text, "Message=\"OK\"");
        make(&e, &secret, 502, echo, NULL, NULL, -EREMOTEIO, ERR_SERVICE);
        cr_expect(!strstr(e.text, "eyJ"), "%s", e.text);
        make(&e, &secret, 401,
                "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"bad token "
                "eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y\"}}",
                NULL, NULL, -EACCES, ERR_AUTH);
        expect_in(e.text, "bad token [token]");
        make(&e, &secret, 403, "{\"error\":\"odd\"}", NULL, NULL, -EACCES, ERR_FORBIDDEN);
        make(&e, &secret, 403, "{\"error\":{\"code\":5,\"innererror\":[]}}", NULL, NULL, -EACCES,
                ERR_FORBIDDEN);
}

Test(vault_error, words_of_the_service_cannot_become_commands)
{
        _cleanup_err_ struct err e = {0};
        struct vault_error_info info = secret;

        info.name = "a;reboot";
        make(&e, &info, 403,
                BODY("Forbidden", "oid=$(reboot) Resource: '/x;reboot/vaults/v/secrets/s'",
                        "ForbiddenByRbac"),
                NULL, NULL, -EACCES, ERR_FORBIDDEN);
        expect_in(e.hint, "--assignee-object-id <object id of the identity>");
        expect_in(e.hint, "--scope $(az keyvault show --name contoso --query id --output tsv)");
        cr_expect(!strstr(e.hint, "reboot"));
        make(&e, &info, 404, "", NULL, NULL, -ENOENT, ERR_NOT_FOUND);
        expect_in(e.hint, "--name <name>");
        cr_expect(!strstr(e.hint, "reboot"));
}

Test(vault_error, no_answer_keeps_its_cause_and_its_next_step)
{
        _cleanup_err_ struct err e = {0};
        struct http_response resp = {.body = "", .peer = ""};

        err_set_cause(
                &resp.error, ERR_DNS, -EHOSTUNREACH, "contoso.vault.azure.net does not resolve");
        err_hint(&resp.error, "check the name");
        cr_expect_eq(vault_error(&secret, &resp, &e), -EHOSTUNREACH);
        cr_expect_eq(e.cause, ERR_DNS);
        cr_expect_str_eq(e.text,
                "failed to get objectType:secret, objectName:db, objectVersion:: vault " VAULT
                ", as service principal app of tenant ten: contoso.vault.azure.net does not resolve");
        cr_expect_str_eq(e.hint, "check the name");
        cr_expect_eq(vault_error(&secret, &resp, NULL), -EHOSTUNREACH);
        err_done(&resp.error);
}

Test(vault_error, frames_failures_that_are_no_answer)
{
        _cleanup_err_ struct err e = {0};

        err_set_cause(&e, ERR_SERVICE, -EBADMSG, "secret value is nil");
        cr_expect_eq(vault_error_frame(&secret, -EBADMSG, &e), -EBADMSG);
        expect_in(e.text, "failed to get objectType:secret, objectName:db, objectVersion:: vault");
        expect_in(e.text, ": secret value is nil");

        struct vault_error_info named = secret;
        named.identity = NULL;
        err_set(&e, -EACCES, "no token for app");
        vault_error_frame(&named, -EACCES, &e);
        expect_in(e.text, "vault " VAULT ": no token for app");
}

Test(vault_error, tells_who_asks_from_where_from)
{
        static const struct {
                const char *inner;
                int r;
                enum err_cause cause;
        } cases[] = {
                {"ForbiddenByRbac", -EACCES, ERR_FORBIDDEN},
                {"ForbiddenByPolicy", -EACCES, ERR_FORBIDDEN},
                {"ForbiddenByFirewall", -ENETUNREACH, ERR_FORBIDDEN},
                {"ForbiddenByConnection", -ENETUNREACH, ERR_FORBIDDEN},
                {"SecretDisabled", -EACCES, ERR_DISABLED},
                {"KeyDisabled", -EACCES, ERR_DISABLED},
                {"SecretExpired", -EKEYEXPIRED, ERR_DISABLED},
                {"SecretNotYetValid", -EACCES, ERR_DISABLED},
                {"SomethingNew", -EACCES, ERR_FORBIDDEN},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_err_ struct err e = {0};
                char body[128];

                snprintf(body, sizeof(body), BODY("Forbidden", "no", "%s"), cases[i].inner);
                make(&e, &secret, 403, body, NULL, NULL, cases[i].r, cases[i].cause);
                cr_expect(e.hint != NULL, "%s", cases[i].inner);
        }
}

Test(vault_error, an_expired_object_gets_a_new_version_or_date)
{
        _cleanup_err_ struct err e = {0};

        make(&e, &secret, 403, BODY("Forbidden", "expired", "SecretExpired"), NULL, NULL,
                -EKEYEXPIRED, ERR_DISABLED);
        expect_in(e.hint, "az keyvault secret set-attributes --vault-name contoso --name db "
                          "--expires");
}

#define TEN "11111111-2222-3333-4444-555555555555"
#define OTHER "99999999-2222-3333-4444-555555555555"
#define CHALLENGE                                                       \
        "Bearer authorization=\"https://login.microsoftonline.com/" TEN \
        "\", resource=\"https://vault.azure.net\""

static void refuse_token(struct err *e, const char *identity, const char *message)
{
        struct vault_error_info info = secret;
        char body[512];

        info.identity = identity;
        snprintf(body, sizeof(body), "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"%s\"}}",
                message);
        make(e, &info, 401, body, "WWW-Authenticate", CHALLENGE, -EACCES, ERR_AUTH);
}

Test(vault_error, the_tenants_are_held_against_each_other)
{
        _cleanup_err_ struct err other = {0}, same = {0}, issuer = {0}, audience = {0};

        refuse_token(&other, "service principal app of tenant " OTHER, "AKV10000: no");
        expect_in(other.hint, "the vault belongs to tenant " TEN);
        expect_in(other.hint, "(tenantID: " TEN ")");
        refuse_token(&same, "service principal app of tenant " TEN, "AKV10000: no");
        expect_in(same.hint, "as the identity does");
        refuse_token(&issuer, "managed identity of this VM",
                "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/" TEN
                "/, found https://sts.windows.net/" OTHER "/.");
        expect_in(issuer.hint, "belongs to tenant " TEN " and the identity to tenant " OTHER);
        refuse_token(&audience, "x",
                "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://x.");
        expect_in(audience.hint, "audience");
}

Test(vault_error, listing_needs_the_list_permission)
{
        _cleanup_err_ struct err e = {0};
        struct vault_error_info info = secret;

        info.name = "";
        info.listing = true;
        make(&e, &info, 403, BODY("Forbidden", CALLER, "AccessDenied"), NULL, NULL, -EACCES,
                ERR_FORBIDDEN);
        cr_expect(startswith(e.text, "failed to list objectType:secret: vault " VAULT));
        expect_in(e.hint, "az keyvault set-policy --name contoso --object-id " OID
                          " --secret-permissions get list");
}

Test(vault_error, says_who_answered_and_how)
{
        _cleanup_err_ struct err e = {0};
        struct answer a;
        struct http_response *resp = answer_make(&a, 403, BODY("Forbidden", "no", "AccessDenied"),
                "x-ms-keyvault-network-info", "conn_type=PrivateLink;addr=10.0.0.4");

        resp->peer = "10.0.0.9";
        cr_expect_eq(vault_error(&secret, resp, &e), -EACCES);
        expect_in(e.text, ", answered by 10.0.0.9 over its private link");
}
