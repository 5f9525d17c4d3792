/* What to do about an AADSTS code.
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes lists them. */
#include "auth/binding.h"
#include "auth/mode.h"

static bool has_blank_ends(const struct sec *secret)
{
        const char *s = sec_bytes(secret);
        size_t len = sec_len(secret);

        return len > 0 && (strchr(" \t\r\n", s[0]) || strchr(" \t\r\n", s[len - 1]));
}

static const char *or_absent(const char *s)
{
        return *s ? s : "(absent)";
}

/* The three that have to be equal, as the token has them, and the command that makes them so. A
 * managed identity has its credentials elsewhere than an application; nothing tells which it is. */
static void hint_federated(const struct auth_params *p, const struct jwt_claims *c, struct err *e)
{
        const char *id = p->client_id;
        const char *audience = p->token_proxy ? BINDING_AUDIENCE : "api://AzureADTokenExchange";
        static const struct jwt_claims none;
        const char *slash = p->subject ? strchr(p->subject, '/') : NULL;
        int namespace = slash ? (int)(slash - p->subject) : 0;

        if (!c)
                c = &none;
        /* Lines: what the token says beside what is required, then the whole command. */
        err_hint(e,
                "%s has no federated credential that matches its token:\n"
                "  issuer    token: %s; required: the cluster's (az aks show -g GROUP -n CLUSTER "
                "--query oidcIssuerProfile.issuerUrl -o tsv)\n"
                "  subject   token: %s; required: system:serviceaccount:%.*s:%s\n"
                "  audience  token: %s; required: %s\n"
                "az identity federated-credential create --name akvfs --identity-name IDENTITY "
                "--resource-group GROUP --issuer '%s' --subject '%s' --audiences '%s'\n"
                "(IDENTITY is the managed identity with client id %s; of an application: az ad app "
                "federated-credential create --id %s --parameters "
                "'{\"name\":\"akvfs\",\"issuer\":\"%s\",\"subject\":\"%s\",\"audiences\":[\"%s\"]}'; "
                "what is there: az ad app federated-credential list --id %s)",
                id, or_absent(c->iss), or_absent(c->sub), slash ? namespace : 11,
                slash ? p->subject : "<namespace>", slash ? slash + 1 : "<name>", or_absent(c->aud),
                audience, *c->iss ? c->iss : "ISSUER", *c->sub ? c->sub : "SUBJECT", audience, id,
                id, *c->iss ? c->iss : "ISSUER", *c->sub ? c->sub : "SUBJECT", audience, id);
}

void auth_entra_hint(
        const struct auth_params *p, uint64_t code, const struct jwt_claims *claims, struct err *e)
{
        const char *id = p->client_id, *tenant = p->tenant;

        switch (code) {
        case 7000215:
                if (p->client_secret && has_blank_ends(p->client_secret))
                        err_hint(e,
                                "the client secret given begins or ends with white space (a line "
                                "end, perhaps): store it without");
                else
                        err_hint(e,
                                "give the secret's VALUE, which is shown once when it is made, not "
                                "its id; a new one: az ad app credential reset --id %s",
                                id);
                return;
        case 7000222:
                err_hint(e,
                        "the client secret has expired; make a new one and store it: az ad app "
                        "credential reset --id %s",
                        id);
                return;
        case 7000218:
                err_hint(e, "the client secret did not arrive: is it empty?");
                return;
        case 7000112:
                err_hint(e,
                        "application %s is disabled in tenant %s: enable it in Enterprise "
                        "applications",
                        id, tenant);
                return;
        case 700016:
                err_hint(e,
                        "check that %s is the application (client) id, not an object id, and that "
                        "tenant %s is the one it is registered in: az ad sp show --id %s",
                        id, tenant, id);
                return;
        case 90002:
        case 900023:
                err_hint(e,
                        "check tenantId (%s) in the class or AZURE_TENANT_ID, and cloudName: az "
                        "account show --query tenantId",
                        tenant);
                return;
        case 900382:
        case 90038:
                err_hint(e, "the tenant lives in another cloud: check cloudName");
                return;
        case 700027:
                if (p->mode == AUTH_CERTIFICATE)
                        err_hint(e,
                                "the certificate in %s is not registered for application %s, or "
                                "with another key: az ad app credential list --id %s --cert; "
                                "register it: az ad app credential reset --id %s --cert "
                                "@CERTIFICATE.pem --append",
                                p->file, id, id, id);
                else
                        err_hint(e,
                                "the certificate or key that signed the request is not registered "
                                "for application %s: az ad app credential list --id %s --cert",
                                id, id);
                return;
        case 700024:
                err_hint(e, "%s",
                        p->mode == AUTH_CERTIFICATE
                                ? "this machine's clock is wrong: timedatectl"
                                : "the federated token has expired or is not valid yet: is its file "
                                  "still renewed, and is this machine's clock right?");
                return;
        case 70021:
        case 700211:
        case 700212:
        case 700213:
                hint_federated(p, claims, e);
                return;
        case 500011:
                err_hint(e,
                        "the vault's resource is not known in tenant %s: check cloudName and the "
                        "tenant",
                        tenant);
                return;
        case 50034:
        case 50126:
                err_hint(e, "this account is not known to tenant %s or its password is wrong",
                        tenant);
                return;
        case 53003:
        case 530003:
                err_hint(e, "a conditional access policy blocks this identity from this network");
                return;
        default:
                break;
        }
        if (code)
                err_hint(e, "see https://login.microsoftonline.com/error?code=%llu",
                        (unsigned long long)code);
        else
                err_hint(e, "check --authority-host and cloudName, and whether a proxy answered "
                            "in its place");
}
