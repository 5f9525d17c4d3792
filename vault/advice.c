#include "vault/advice.h"

#include <stdio.h>
#include <strings.h>

#define NAME_CHARS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
#define GUID_CHARS "0123456789abcdefABCDEF-"
#define ADDRESS_CHARS "0123456789abcdefABCDEF.:"
#define RESOURCE_CHARS NAME_CHARS "/._()"

/* What a command line needs of the object and the vault. */
struct words {
        char vault[64];
        char name[128];
        const char *noun; /* "secret", "key", "certificate": az keyvault's own */
        const char *role;
        char caller[80], address[64];
        char scope[512];
};

static bool is_safe(const char *s, const char *chars, size_t max)
{
        size_t n = s ? strlen(s) : 0;

        return n > 0 && n < max && strspn(s, chars) == n;
}

/* The word behind `key` in the service's text, "" when there is none or it is too long. */
static void find_word(
        const char *message, const char *key, const char *chars, char *out, size_t size)
{
        const char *p = message ? strstr(message, key) : NULL;

        out[0] = '\0';
        if (!p)
                return;
        p += strlen(key);
        size_t n = strspn(p, chars);
        if (n == 0 || n >= size)
                return;
        memcpy(out, p, n);
        out[n] = '\0';
}

/* The vault's own resource id, out of that of the object: ".../vaults/NAME/secrets/x". */
static void cut_to_vault(char *resource)
{
        char *p = strstr(resource, "/vaults/");

        p = p ? strchr(p + strlen("/vaults/"), '/') : NULL;
        if (p)
                *p = '\0';
        else
                resource[0] = '\0';
}

static void find_words(
        const struct vault_error_info *info, const struct advice_facts *facts, struct words *w)
{
        const char *host = strstr(info->vault_url, "://");

        *w = (struct words){
                .noun = info->kind == VAULT_CERT ? "certificate" : vault_kind_name(info->kind),
                .role = info->kind == VAULT_SECRET ? "Key Vault Secrets User"
                                                   : "Key Vault Certificate User"};
        find_word(host, "://", NAME_CHARS, w->vault, sizeof(w->vault));
        if (!*w->vault)
                strcpy(w->vault, "<vault>");
        snprintf(w->name, sizeof(w->name), "%s",
                is_safe(info->name, NAME_CHARS, sizeof(w->name)) ? info->name : "<name>");
        find_word(facts->message, "oid=", GUID_CHARS, w->caller, sizeof(w->caller));
        if (!*w->caller)
                strcpy(w->caller, "<object id of the identity>");
        find_word(
                facts->message, "Client address: ", ADDRESS_CHARS, w->address, sizeof(w->address));
        find_word(facts->message, "Resource: '", RESOURCE_CHARS, w->scope, sizeof(w->scope));
        cut_to_vault(w->scope);
        if (!*w->scope)
                snprintf(w->scope, sizeof(w->scope),
                        "$(az keyvault show --name %s --query id --output tsv)", w->vault);
}

static void advise_role(const struct vault_error_info *info, const struct words *w, struct err *e)
{
        err_hint(e,
                "objectType %s needs the role \"%s\" on the vault: az role assignment create "
                "--role \"%s\" --assignee-object-id %s --scope %s; a new assignment takes some "
                "minutes to work",
                vault_kind_name(info->kind), w->role, w->role, w->caller, w->scope);
}

static void advise_policy(const struct vault_error_info *info, const struct words *w, struct err *e)
{
        err_hint(e,
                "the identity needs the %s permission for %ss in the vault's access policy: az "
                "keyvault set-policy --name %s --object-id %s --%s-permissions get%s",
                info->listing ? "list" : "get", w->noun, w->vault, w->caller, w->noun,
                info->listing ? " list" : "");
}

static void advise_either(const struct vault_error_info *info, const struct words *w, struct err *e)
{
        err_hint(e,
                "objectType %s needs the role \"%s\" on the vault; a vault with access policies "
                "needs: az keyvault set-policy --name %s --object-id %s --%s-permissions get%s",
                vault_kind_name(info->kind), w->role, w->vault, w->caller, w->noun,
                info->listing ? " list" : "");
}

static void advise_forbidden(const struct vault_error_info *info, const struct advice_facts *facts,
        const struct words *w, struct err *e)
{
        const char *inner = facts->inner ? facts->inner : "";

        if (strstr(inner, "Expired") || strstr(inner, "NotYetValid"))
                err_hint(e,
                        "the %s is %s: set a new version, or change its dates: az keyvault %s "
                        "set-attributes --vault-name %s --name %s %s",
                        w->noun, strstr(inner, "Expired") ? "expired" : "not valid yet", w->noun,
                        w->vault, w->name,
                        strstr(inner, "Expired") ? "--expires <date>" : "--not-before <date>");
        else if (strstr(inner, "Disabled"))
                err_hint(e,
                        "enable it: az keyvault %s set-attributes --vault-name %s --name %s%s%s "
                        "--enabled true",
                        w->noun, w->vault, w->name,
                        is_safe(info->version, NAME_CHARS, 128) ? " --version " : "",
                        is_safe(info->version, NAME_CHARS, 128) ? info->version : "");
        else if (streq(inner, "ForbiddenByRbac"))
                advise_role(info, w, e);
        else if (streq(inner, "ForbiddenByPolicy") || streq(inner, "AccessDenied"))
                advise_policy(info, w, e);
        else if (streq(inner, "ForbiddenByFirewall"))
                err_hint(e,
                        "the vault's firewall does not let %s in: az keyvault network-rule add "
                        "--name %s --ip-address %s, or reach the vault from a network that it "
                        "allows",
                        *w->address ? w->address : "this address", w->vault,
                        *w->address ? w->address : "<address>");
        else if (streq(inner, "ForbiddenByConnection"))
                err_hint(e,
                        "the vault takes private connections only: its name has to resolve to its "
                        "private endpoint from here (privatelink.vaultcore.azure.net), see az "
                        "network private-endpoint-connection list --id %s",
                        w->scope);
        else
                advise_either(info, w, e);
}

static void advise_missing(
        const struct vault_error_info *info, const struct words *w, struct err *e)
{
        if (streq_ptr(info->version, "latest"))
                err_hint(e, "\"latest\" is no version: leave objectVersion empty for the newest");
        else if (!isempty(info->version))
                err_hint(e,
                        "see which versions there are: az keyvault %s list-versions --vault-name "
                        "%s --name %s",
                        w->noun, w->vault, w->name);
        else
                err_hint(e,
                        "check objectName and objectType: az keyvault %s list --vault-name %s; if "
                        "it was deleted: az keyvault %s recover --vault-name %s --name %s",
                        w->noun, w->vault, w->noun, w->vault, w->name);
}

static void advise_bad_request(
        const struct vault_error_info *info, const struct advice_facts *facts, struct err *e)
{
        if (facts->message && strstr(facts->message, "The specified version"))
                err_hint(e, "this vault's service is too old for API version " VAULT_API_VERSION
                            " (Azure Stack Hub before its update?)");
        else if (streq_ptr(info->version, "latest"))
                err_hint(e, "\"latest\" is no version: leave objectVersion empty for the newest");
        else
                err_hint(e,
                        "a name is 1 to 127 letters, digits and hyphens, a version 32 hexadecimal "
                        "digits");
}

/* A 401 behind a token that Entra gave: of another tenant, most often. The identity's words name
 * its own (auth_describe()), and a token of a wrong issuer is quoted by the service. */
static void advise_token(
        const struct vault_error_info *info, const struct advice_facts *facts, struct err *e)
{
        const char *tenant = is_safe(facts->tenant, NAME_CHARS ".", 128) ? facts->tenant : NULL;
        const char *said = facts->message ? facts->message : "";
        const char *found = strstr(said, "found");
        char own[80];

        find_word(found, "sts.windows.net/", GUID_CHARS, own, sizeof(own));
        if (strstr(said, "AKV10022"))
                err_hint(e, "the token is for another audience than this vault's: check cloudName, "
                            "and the vault's URL");
        else if (tenant && *own && strcasecmp(own, tenant) != 0)
                err_hint(e,
                        "the vault belongs to tenant %s and the identity to tenant %s: set "
                        "tenantID: %s, and use an identity of that tenant",
                        tenant, own, tenant);
        else if (tenant && info->identity && strcasestr(info->identity, tenant))
                err_hint(e,
                        "the vault belongs to tenant %s, as the identity does, and refuses its "
                        "token all the same: is this machine's clock right, and is the identity "
                        "still there (az ad sp show --id <client id>)?",
                        tenant);
        else if (tenant)
                err_hint(e,
                        "the vault belongs to tenant %s: the identity must be of that tenant "
                        "(tenantID: %s)",
                        tenant, tenant);
        else
                err_hint(e, "the identity must be of the vault's tenant (tenantID)");
}

void advice(const struct vault_error_info *info, const struct advice_facts *facts, struct err *e)
{
        struct words w;

        /* The service speaks JSON; only its front end's 400 is a page. */
        if (facts->html && facts->status != 400) {
                err_hint(e, "something between here and the vault may have answered: check "
                            "https_proxy, no_proxy and the vault's URL");
                return;
        }
        find_words(info, facts, &w);
        switch (facts->status) {
        case 400:
                advise_bad_request(info, facts, e);
                break;
        case 401:
                advise_token(info, facts, e);
                break;
        case 403:
                advise_forbidden(info, facts, &w, e);
                break;
        case 404:
                advise_missing(info, &w, e);
                break;
        case 429:
                err_hint(e,
                        "the vault is asked too often: raise poll_interval, or spread the objects "
                        "over more vaults");
                break;
        default:
                if (facts->status >= 500)
                        err_hint(e, "the service has a fault of its own; it is tried again");
                break;
        }
}
