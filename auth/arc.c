/* The managed identity of a machine that Azure Arc connects. Its agent listens on this machine and
 * answers 401 with the name of a file that only root and the group himds can read; who can say what
 * is in it may have a token.
 *
 * The name comes from whoever listens there, so it is not opened as it stands: it has to be a
 * file's in the agent's own folder, and the helper is asked for that file by its last part alone,
 * without following a symlink.
 *
 * https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication */
#include <strings.h>

#include "auth/helper.h"
#include "auth/mode.h"
#include "base/wipe.h"

static int check(const struct auth_config *cfg, struct err *e)
{
        if (!isempty(cfg->client_id)) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "Azure Arc has no user-assigned identities, and userAssignedIdentityID is "
                        "%s",
                        cfg->client_id);
                err_hint(e, "leave userAssignedIdentityID out: the machine's own identity is used");
                return -EINVAL;
        }
        if (isempty(cfg->source))
                return err_set_cause(e, ERR_USAGE, -EINVAL, "no key folder is set for Azure Arc");
        return auth_managed_check(cfg, "Azure Arc's agent", e);
}

static int describe(const struct auth_params *p, char **ret)
{
        return xasprintf(ret, "managed identity of this Azure Arc machine");
}

static int build(const struct auth_params *p, const struct auth_material *m, const char *scope,
        struct auth_request *ret, struct err *e)
{
        static const char *const names[] = {"client_id", "object_id", "msi_res_id"};
        char *header = NULL;

        if (m->bytes) {
                const char *key = m->bytes;
                size_t len = m->len;
                jwt_trim(&key, &len);
                for (size_t i = 0; i < len; i++)
                        if (key[i] <= 0x20 || key[i] >= 0x7f)
                                len = 0;
                if (len == 0)
                        return err_set_cause(e, ERR_AUTH, -EINVAL,
                                "Azure Arc's key file is empty or holds what no header can have");
                header = wipe_join("Authorization: Basic ", key, len);
                if (!header)
                        return -ENOMEM;
        }
        int r = auth_managed_request(p, p->imds_endpoint, "2020-06-01", names, scope, header, ret);
        if (r == 0 && header) {
                ret->headers[1] = "Metadata: true";
                ret->headers[2] = "Accept: application/json";
        }
        return r;
}

/* Basic realm=/var/opt/azcmagent/tokens/0d1c....key */
static int challenge(
        const struct auth_params *p, const struct http_response *resp, char **ret, struct err *e)
{
        const char *header = http_header(resp, "WWW-Authenticate");

        if (!header || strncasecmp(header, "Basic ", 6) != 0)
                return err_set_cause(e, ERR_AUTH, -EBADMSG,
                        "Azure Arc's agent answered 401 without naming a key file");
        const char *path = header + 6;
        while (*path == ' ')
                path++;
        if (strncasecmp(path, "realm=", 6) != 0)
                return err_set_cause(e, ERR_AUTH, -EBADMSG,
                        "Azure Arc's agent answered 401 without naming a key file");
        path += 6;
        size_t len = strlen(path);
        if (len >= 2 && path[0] == '"' && path[len - 1] == '"') {
                path++;
                len -= 2;
        }
        _cleanup_free_ char *name = strndup(path, len);
        if (!name)
                return -ENOMEM;
        size_t folder = strlen(p->file);
        bool below = startswith(name, p->file) && name[folder] == '/';
        if (!below || !helper_is_key_name(name + folder + 1))
                return err_set_cause(e, ERR_AUTH, -EBADMSG,
                        "Azure Arc's agent names a key file that is not one of %s/*.key", p->file);
        memmove(name, name + folder + 1, strlen(name + folder + 1) + 1);
        *ret = TAKE_PTR(name);
        return 0;
}

const struct auth_mode auth_arc = {
        .name = "arc",
        .check = check,
        .describe = describe,
        .build = build,
        .challenge = challenge,
        .retry = &auth_imds_retry,
};
