#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "tests/emulator/call.h"

#define RESOURCE_ID                                                                              \
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/emulator/providers/" \
        "microsoft.keyvault/vaults/"

/* The challenge comes with every 401, also with one for a token that was sent. */
static bool refuse(struct call *c, const char *fmt, ...) _printf_(2, 3);

static bool refuse(struct call *c, const char *fmt, ...)
{
        char message[1024];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(message, sizeof message, fmt, ap);
        va_end(ap);
        call_fail(c, MHD_HTTP_UNAUTHORIZED, "Unauthorized", NULL, "%s", message);
        answer_header(c->answer, "WWW-Authenticate",
                "Bearer authorization=\"%s/%s\", resource=\"%s\"", c->emu->authority,
                c->vault->tenant, c->vault->resource);
        return false;
}

static bool check_token(struct call *c, const char *text)
{
        _cleanup_(token_done) struct token t = {0};
        char expected[256];

        if (token_read(&c->emu->signer, text, &t) < 0) {
                char header[128];
                snprintf(header, sizeof header, "%.*s", (int)MIN(strcspn(text, "."), (size_t)100),
                        text);
                return refuse(c,
                        "AKV10046: Unable to resolve the key used for signature validation. "
                        "EncodedJwtHeader: '%s'.",
                        header);
        }
        if (!streq(t.audience, c->vault->resource))
                return refuse(c, "AKV10022: Invalid audience. Expected %s, found: %s.",
                        c->vault->resource, t.audience);
        snprintf(expected, sizeof expected, "https://sts.windows.net/%s/", c->vault->tenant);
        if (strcasecmp(t.issuer, expected) != 0)
                return refuse(c, "AKV10032: Invalid issuer. Expected one of %s, found %s.",
                        expected, t.issuer);
        struct identity *who = store_find_identity(c->emu->store, t.client_id);
        if (t.expires <= now_seconds() || !who || who->generation != t.generation)
                return refuse(c, "[TokenExpired] Error validating token: 'S2S12086'.");
        c->who = who;
        return true;
}

bool call_authenticate(struct call *c)
{
        const char *header = request_header(c->request, "Authorization");

        if (!header || strncasecmp(header, "Bearer ", 7) != 0 || !header[7])
                return refuse(c, "AKV10000: Request is missing a Bearer or PoP token.");
        return check_token(c, header + 7);
}

/* --- rights --- */

static void caller(const struct call *c, char *text, size_t size)
{
        const struct identity *i = c->who;

        snprintf(text, size, "appid=%s;oid=%s;iss=https://sts.windows.net/%s/%s%s", i->client_id,
                i->object_id, i->tenant, i->resource_id ? ";xms_mirid=" : "",
                i->resource_id ? i->resource_id : "");
}

static bool network_open(struct call *c)
{
        char who[768];

        if (c->vault->network == NETWORK_OPEN)
                return true;
        caller(c, who, sizeof who);
        if (c->vault->network == NETWORK_FIREWALL)
                call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden", "ForbiddenByFirewall",
                        "Client address is not authorized and caller is not a trusted service.\r\n"
                        "Client address: 127.0.0.1\r\nCaller: %s\r\nVault: %s;location=%s",
                        who, c->vault->name, c->vault->location);
        else
                call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden", "ForbiddenByConnection",
                        "Public network access is disabled and request is not from a trusted "
                        "service nor via an approved private link.\r\nCaller: %s\r\n"
                        "Vault: %s;location=%s",
                        who, c->vault->name, c->vault->location);
        return false;
}

static const char *rbac_action(enum kind kind, enum operation op, char *buf, size_t size)
{
        const char *verb = NULL;

        if (kind == KIND_SECRET)
                verb = op == OP_GET    ? "getSecret/action"
                       : op == OP_LIST ? "readMetadata/action"
                       : op == OP_SET  ? "setSecret/action"
                                       : NULL;
        if (!verb)
                switch (op) {
                case OP_GET:
                case OP_LIST:
                        verb = "read";
                        break;
                case OP_CREATE:
                        verb = "create/action";
                        break;
                case OP_IMPORT:
                        verb = "import/action";
                        break;
                case OP_UPDATE:
                        verb = "update/action";
                        break;
                case OP_DELETE:
                        verb = "delete";
                        break;
                case OP_RECOVER:
                        verb = "recover/action";
                        break;
                case OP_PURGE:
                        verb = "purge/action";
                        break;
                case OP_ROTATE:
                        verb = "rotate/action";
                        break;
                default:
                        verb = "write";
                        break;
                }
        snprintf(buf, size, "Microsoft.KeyVault/vaults/%s/%s", kind_segment(kind), verb);
        return buf;
}

static void refuse_rbac(struct call *c, enum kind kind, enum operation op, const char *name)
{
        char who[768], action[128];

        caller(c, who, sizeof who);
        call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden", "ForbiddenByRbac",
                "Caller is not authorized to perform action on resource.\r\n"
                "If role assignments, deny assignments or role definitions were changed recently, "
                "please observe propagation time.\r\nCaller: %s\r\nAction: '%s'\r\n"
                "Resource: '" RESOURCE_ID "%s%s%s%s%s'\r\nAssignment: (not found)\r\n"
                "DenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\n"
                "Vault: %s;location=%s\r\n",
                who, rbac_action(kind, op, action, sizeof action), c->vault->name, name ? "/" : "",
                name ? kind_segment(kind) : "", name ? "/" : "", name ? name : "", c->vault->name,
                c->vault->location);
}

static void refuse_policy(struct call *c, enum kind kind, enum operation op, bool on_policy)
{
        char who[768];

        caller(c, who, sizeof who);
        if (!on_policy)
                call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden", "AccessDenied",
                        "Access denied. Caller was not found on any access policy.\r\n"
                        "Caller: %s\r\nVault: %s;location=%s",
                        who, c->vault->name, c->vault->location);
        else
                call_fail(c, MHD_HTTP_FORBIDDEN, "Forbidden",
                        kind == KIND_KEY ? "ForbiddenByPolicy" : "AccessDenied",
                        "The user, group or application '%s' does not have %s %s permission on key "
                        "vault '%s;location=%s'. For help resolving this issue, please see "
                        "https://go.microsoft.com/fwlink/?linkid=2125287",
                        who, kind_segment(kind), operation_name(op), c->vault->name,
                        c->vault->location);
}

bool call_permitted(struct call *c, enum kind kind, enum operation op, const char *name)
{
        const struct grant *found = NULL;

        if (!network_open(c))
                return false;
        c->granted = true;
        if (!c->who->grants)
                return true;
        for (const struct grant *g = c->who->grants; g; g = g->next) {
                if (strcasecmp(g->vault, c->vault->name) == 0) {
                        found = g;
                        break;
                }
                if (streq(g->vault, "*"))
                        found = g;
        }
        if (found && found->mask[kind] & 1U << op)
                return true;
        c->granted = false;
        if (c->vault->model == ACCESS_RBAC)
                refuse_rbac(c, kind, op, name);
        else
                refuse_policy(
                        c, kind, op, found && (found->mask[0] || found->mask[1] || found->mask[2]));
        return false;
}
