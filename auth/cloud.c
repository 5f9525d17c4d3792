/* The Azure clouds, and the environment file of an Azure Stack. */
#include "auth/cloud.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/json.h"

#define ENV_FILE_MAX ((size_t)256 << 10)

struct known {
        const char *name, *also; /* a second name for the same cloud, or NULL */
        const char *authority, *vault_suffix;
};

static const struct known table[] = {
        {"AzurePublicCloud", "AzureCloud", "https://login.microsoftonline.com/", "vault.azure.net"},
        {"AzureUSGovernmentCloud", "AzureUSGovernment", "https://login.microsoftonline.us/",
                "vault.usgovcloudapi.net"},
        {"AzureChinaCloud", NULL, "https://login.chinacloudapi.cn/", "vault.azure.cn"},
        {"AzureGermanCloud", NULL, "https://login.microsoftonline.de/", "vault.microsoftazure.de"},
};
#define STACK "AzureStackCloud"

void cloud_done(struct cloud *c)
{
        if (!c)
                return;
        free(c->name);
        free(c->authority);
        free(c->vault_resource);
        free(c->vault_suffix);
        *c = (struct cloud){0};
}

static int fill(const char *name, const char *authority, const char *resource, const char *suffix,
        struct cloud *ret)
{
        struct cloud c = {0};

        c.name = strdup(name);
        c.authority = strdup(authority);
        c.vault_resource = strdup(resource);
        c.vault_suffix = strdup(suffix);
        if (!c.name || !c.authority || !c.vault_resource || !c.vault_suffix) {
                cloud_done(&c);
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

static int fill_known(const struct known *k, struct cloud *ret)
{
        _cleanup_free_ char *resource = NULL;

        int r = xasprintf(&resource, "https://%s", k->vault_suffix);
        if (r < 0)
                return r;
        assert(resource);
        return fill(k->name, k->authority, resource, k->vault_suffix, ret);
}

static int unknown(const char *name, struct err *e)
{
        char shown[64];
        size_t n = 0;

        for (; name[n] && n < sizeof shown - 1; n++)
                shown[n] = (char)toupper((unsigned char)name[n]);
        shown[n] = '\0';
        err_set_cause(e, ERR_USAGE, -EINVAL,
                "cloudName %s is not valid, error: autorest/azure: There is no cloud environment "
                "matching the name \"%s\"",
                name, shown);
        err_hint(e, "valid names: AzurePublicCloud (or AzureCloud, or none), "
                    "AzureUSGovernmentCloud (or AzureUSGovernment), AzureChinaCloud, "
                    "AzureGermanCloud, AzureStackCloud");
        return -EINVAL;
}

/* --- Azure Stack --- */

/* Keys match without regard to case, as the files were always read. "N/A" is how the generators of
 * these files say that there is none. *ret is NULL then; -EINVAL when it is no string. */
static int member(const cJSON *j, const char *name, const char **ret)
{
        const cJSON *m = cJSON_GetObjectItem(j, name);

        *ret = NULL;
        if (!m || cJSON_IsNull(m))
                return 0;
        const char *s = cJSON_GetStringValue(m);
        if (!s)
                return -EINVAL;
        if (*s && strcasecmp(s, "N/A") != 0)
                *ret = s;
        return 0;
}

static bool is_https_url(const char *s)
{
        const char *rest = startswith(s, "https://");

        return rest && *rest && *rest != '/' && strlen(s) < 1024 && !strpbrk(s, "?#@ \t\r\n");
}

static bool is_dns_suffix(const char *s)
{
        if (!*s || *s == '.' || strlen(s) > 253)
                return false;
        return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ==
               '\0';
}

/* Exactly one slash at the end, or none. Caller frees. */
static int with_end(const char *url, const char *end, char **ret)
{
        size_t len = strlen(url);

        while (len > 0 && url[len - 1] == '/')
                len--;
        return xasprintf(ret, "%.*s%s", (int)len, url, end);
}

static int bad_file(const char *file, const char *why, struct err *e)
{
        err_set_cause(e, ERR_USAGE, -EINVAL, "cloudName " STACK " is not valid, error: %s: %s",
                file, why);
        err_hint(e, "the file is JSON with activeDirectoryEndpoint, keyVaultEndpoint and "
                    "keyVaultDNSSuffix");
        return -EINVAL;
}

static int read_stack(const char *file, const cJSON *j, struct cloud *ret, struct err *e)
{
        _cleanup_free_ char *authority_url = NULL, *resource_url = NULL;
        const char *authority, *endpoint, *suffix;

        if (member(j, "activeDirectoryEndpoint", &authority) < 0 ||
                member(j, "keyVaultEndpoint", &endpoint) < 0 ||
                member(j, "keyVaultDNSSuffix", &suffix) < 0)
                return bad_file(file, "an endpoint is not a string", e);
        if (!authority)
                authority = getenv("AZURE_AUTHORITY_HOST");
        if (isempty(authority))
                authority = table[0].authority;
        if (!is_https_url(authority))
                return bad_file(file, "activeDirectoryEndpoint is not an https URL", e);
        if (!endpoint && !suffix)
                return bad_file(file, "neither keyVaultEndpoint nor keyVaultDNSSuffix is there", e);
        if (endpoint && !is_https_url(endpoint))
                return bad_file(file, "keyVaultEndpoint is not an https URL", e);
        if (suffix && *suffix == '.')
                suffix++;
        if (suffix && !is_dns_suffix(suffix))
                return bad_file(file, "keyVaultDNSSuffix is not a DNS name", e);

        int r = with_end(authority, "/", &authority_url);
        if (r == 0)
                r = endpoint ? with_end(endpoint, "", &resource_url)
                             : xasprintf(&resource_url, "https://%s", suffix);
        if (r < 0)
                return r;
        assert(authority_url && resource_url);
        if (!suffix) {
                suffix = resource_url + strlen("https://");
                if (!is_dns_suffix(suffix))
                        return bad_file(file, "keyVaultDNSSuffix is missing", e);
        }
        return fill(STACK, authority_url, resource_url, suffix, ret);
}

static int find_stack(const char *file, struct cloud *ret, struct err *e)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ cJSON *j = NULL;
        size_t len;

        if (isempty(file))
                file = getenv("AZURE_ENVIRONMENT_FILEPATH");
        if (!file)
                file = "";
        /* A pod's author may have named it to a driver that all pods of a node share. */
        int r = *file ? read_regular_file(file, ENV_FILE_MAX, &text, &len) : -ENOENT;
        if (r < 0) {
                err_set_cause(e, ERR_USAGE, r,
                        "cloudName " STACK " is not valid, error: open %s: %s", file,
                        r == -EFBIG    ? "larger than 256 KiB"
                        : r == -EINVAL ? "not a regular file"
                                       : strerror(-r));
                err_hint(e, "name the environment file of the Azure Stack with cloudEnvFileName "
                            "in the class, or with AZURE_ENVIRONMENT_FILEPATH");
                return r;
        }
        if (json_parse(text, len, &j) < 0 || !cJSON_IsObject(j))
                return bad_file(file, "not a JSON object", e);
        return read_stack(file, j, ret, e);
}

int cloud_find(const char *name, const char *env_file, struct cloud *ret, struct err *e)
{
        int r = -EINVAL;

        if (isempty(name))
                name = table[0].name;
        if (strcasecmp(name, STACK) == 0)
                r = find_stack(env_file, ret, e);
        else {
                const struct known *k = NULL;
                for (size_t i = 0; i < ELEMENTSOF(table); i++)
                        if (strcasecmp(name, table[i].name) == 0 ||
                                (table[i].also && strcasecmp(name, table[i].also) == 0))
                                k = &table[i];
                if (!k)
                        return unknown(name, e);
                r = fill_known(k, ret);
        }
        if (r == -ENOMEM)
                err_set_cause(e, ERR_LOCAL, r, "not enough memory for a cloud");
        return r;
}
