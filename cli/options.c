#include "cli/options.h"

#include <assert.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "cli/log_target.h"

const char options_help_endpoints[] =
        "What a certificate looks like:\n"
        "  --cert-key-files           besides the secret of a certificate, FILE.crt and FILE.key\n"
        "  --pem-chain on|off         certificates of a PFX leaf first (on), or as they are in it\n"
        "\n"
        "Where tokens and objects come from:\n"
        "  --name NAME                which class, when the file holds several (-o class=NAME)\n"
        "  --vault-url URL            instead of https://KEYVAULTNAME.SUFFIX; {vault} in it stands\n"
        "                             for the class's keyvaultName\n"
        "  --authority-host URL       instead of the cloud's (AZURE_AUTHORITY_HOST)\n"
        "  --imds-endpoint URL        instead of http://169.254.169.254\n"
        "                             (AZURE_POD_IDENTITY_AUTHORITY_HOST)\n"
        "  --ca-file FILE             PEM bundle to trust instead of the system's\n"
        "  --client-secret-file FILE  the service principal's secret (AZURE_CLIENT_SECRET)\n"
        "  --client-certificate FILE  or its certificate and key, PEM or PFX, read again for each\n"
        "                             token (AZURE_CLIENT_CERTIFICATE_PATH)\n"
        "  --client-certificate-password-file FILE\n"
        "                             the password of that (AZURE_CLIENT_CERTIFICATE_PASSWORD)\n"
        "  --federated-token-file FILE\n"
        "                             workload identity: the token to exchange, read again for each\n"
        "                             token (AZURE_FEDERATED_TOKEN_FILE)\n"
        "  --azure-cli                ask as who has done az login, whatever the class says\n"
        "  --token-proxy-url URL, --sni-name NAME\n"
        "                             identity binding on AKS: its proxy and the TLS name for it\n"
        "  --env-file FILE            lines of AZURE_TENANT_ID=, AZURE_CLIENT_ID=,\n"
        "                             AZURE_CLIENT_SECRET=, read instead of the environment\n"
        "Credentials are taken from these, else from the environment variables, else from\n"
        "azure-tenant-id, azure-client-id and azure-client-secret in $CREDENTIALS_DIRECTORY\n"
        "(systemd's LoadCredential=). What the class itself says comes first. Proxies are taken from\n"
        "https_proxy and no_proxy. docs/identity.md has every way to prove an identity.\n";

/* --- the table --- */

enum option_id {
        OPT_CLASS = OPTIONS_ID_FIRST,
        OPT_VAULT_URL,
        OPT_AUTHORITY_HOST,
        OPT_IMDS_ENDPOINT,
        OPT_CA_FILE,
        OPT_CLIENT_SECRET_FILE,
        OPT_CLIENT_CERTIFICATE,
        OPT_CERTIFICATE_PASSWORD_FILE,
        OPT_FEDERATED_TOKEN_FILE,
        OPT_AZURE_CLI,
        OPT_TOKEN_PROXY_URL,
        OPT_SNI_NAME,
        OPT_ENV_FILE,
        OPT_CERT_KEY_FILES,
        OPT_PEM_CHAIN,
        OPT_POLL_INTERVAL,
        OPT_UID,
        OPT_GID,
        OPT_MODE,
        OPT_LOG,
        OPT_LOG_LEVEL,
        OPT_ALLOW_OTHER,
        OPT_NO_ALLOW_OTHER,
        OPT_XATTR,
        OPT_AUDIT,
        OPT_SECRET_MEMORY,
        OPT_LOG_JSON,
        OPT_ON_DELETED,
        OPT_ON_DISABLED,
        OPT_ON_EXPIRED,
        OPT_ON_FORBIDDEN,
        OPT_ON_VAULT_GONE,
};

/* Those that `get` takes come first. */
#define ENDPOINT_OPTIONS 16

static const struct word long_words[] = {
        {"name", 0, true, OPT_CLASS},
        {"class", 0, true, OPT_CLASS},
        {"vault-url", 0, true, OPT_VAULT_URL},
        {"authority-host", 0, true, OPT_AUTHORITY_HOST},
        {"imds-endpoint", 0, true, OPT_IMDS_ENDPOINT},
        {"ca-file", 0, true, OPT_CA_FILE},
        {"client-secret-file", 0, true, OPT_CLIENT_SECRET_FILE},
        {"client-certificate", 0, true, OPT_CLIENT_CERTIFICATE},
        {"client-certificate-password-file", 0, true, OPT_CERTIFICATE_PASSWORD_FILE},
        {"federated-token-file", 0, true, OPT_FEDERATED_TOKEN_FILE},
        {"azure-cli", 0, false, OPT_AZURE_CLI},
        {"token-proxy-url", 0, true, OPT_TOKEN_PROXY_URL},
        {"sni-name", 0, true, OPT_SNI_NAME},
        {"env-file", 0, true, OPT_ENV_FILE},
        {"cert-key-files", 0, false, OPT_CERT_KEY_FILES},
        {"pem-chain", 0, true, OPT_PEM_CHAIN},
        {"poll-interval", 0, true, OPT_POLL_INTERVAL},
        {"uid", 0, true, OPT_UID},
        {"gid", 0, true, OPT_GID},
        {"mode", 0, true, OPT_MODE},
        {"log", 0, true, OPT_LOG},
        {"log-level", 0, true, OPT_LOG_LEVEL},
        {"allow-other", 0, false, OPT_ALLOW_OTHER},
        {"no-allow-other", 0, false, OPT_NO_ALLOW_OTHER},
        {"xattr", 0, false, OPT_XATTR},
        {"audit", 0, false, OPT_AUDIT},
        {"secret-memory", 0, true, OPT_SECRET_MEMORY},
        {"log-json", 0, false, OPT_LOG_JSON},
        {"on-deleted", 0, true, OPT_ON_DELETED},
        {"on-disabled", 0, true, OPT_ON_DISABLED},
        {"on-expired", 0, true, OPT_ON_EXPIRED},
        {"on-forbidden", 0, true, OPT_ON_FORBIDDEN},
        {"on-vault-gone", 0, true, OPT_ON_VAULT_GONE},
};

const struct word *options_words(bool endpoints_only, size_t *ret_n)
{
        *ret_n = endpoints_only ? ENDPOINT_OPTIONS : ELEMENTSOF(long_words);
        return long_words;
}

/* In -o the words are written with '_'. */
static const struct word *find_key(const char *key)
{
        for (size_t i = 0; i < ELEMENTSOF(long_words); i++) {
                const char *a = long_words[i].name, *b = key;

                while (*a && (*a == *b || (*a == '-' && *b == '_')))
                        a++, b++;
                if (!*a && !*b)
                        return &long_words[i];
        }
        return NULL;
}

/* --- values --- */

static int wrong(struct err *e, const char *key, const char *value, const char *expected)
{
        err_set_cause(e, ERR_USAGE, -EINVAL, "option %s=%s is not valid", key, value);
        err_hint(e, "%s", expected);
        return -EINVAL;
}

int options_parse_interval(const char *s, usec_t *ret, struct err *e)
{
        static const char expected[] =
                "write a number with a unit (ms, s, m, h, d), such as 30s or 1h30m, or off";
        static const struct {
                const char *name;
                usec_t usec;
        } units[] = {
                {"ms", USEC_PER_MSEC},
                {"s", USEC_PER_SEC},
                {"m", 60 * USEC_PER_SEC},
                {"h", 3600 * USEC_PER_SEC},
                {"d", 86400 * USEC_PER_SEC},
        };
        usec_t total = 0;

        if (streq(s, "off")) {
                *ret = 0;
                return 0;
        }
        const char *p = s;
        do {
                usec_t n = 0, unit = 0;
                if (*p < '0' || *p > '9')
                        return wrong(e, "poll_interval", s, expected);
                for (; *p >= '0' && *p <= '9'; p++) {
                        n = n * 10 + (usec_t)(*p - '0');
                        if (n > OPTIONS_POLL_MAX)
                                return wrong(e, "poll_interval", s, "a year is the longest");
                }
                size_t len = strcspn(p, "0123456789");
                for (size_t i = 0; i < ELEMENTSOF(units); i++)
                        if (strlen(units[i].name) == len && memcmp(p, units[i].name, len) == 0)
                                unit = units[i].usec;
                if (len == 0 && p - s == (ptrdiff_t)strlen(s) && total == 0)
                        unit = USEC_PER_SEC;
                if (!unit)
                        return wrong(e, "poll_interval", s, expected);
                if (n > OPTIONS_POLL_MAX / unit)
                        return wrong(e, "poll_interval", s, "a year is the longest");
                total += n * unit;
                p += len;
        } while (*p);

        if (total > OPTIONS_POLL_MAX)
                return wrong(e, "poll_interval", s, "a year is the longest");
        if (total < OPTIONS_POLL_MIN)
                return wrong(
                        e, "poll_interval", s, "10ms is the shortest; off polls on request only");
        *ret = total;
        return 0;
}

const char *options_format_interval(usec_t interval, char buf[static 64])
{
        static const struct {
                const char *name;
                usec_t usec;
        } units[] = {
                {"d", 86400 * USEC_PER_SEC},
                {"h", 3600 * USEC_PER_SEC},
                {"m", 60 * USEC_PER_SEC},
                {"s", USEC_PER_SEC},
                {"ms", USEC_PER_MSEC},
        };
        size_t n = 0;

        if (interval == 0)
                return strcpy(buf, "off");
        buf[0] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                usec_t count = interval / units[i].usec;

                if (count == 0)
                        continue;
                interval -= count * units[i].usec;
                int r = snprintf(
                        buf + n, 64 - n, "%llu%s", (unsigned long long)count, units[i].name);
                if (r < 0 || (size_t)r >= 64 - n)
                        break;
                n += (size_t)r;
        }
        return buf;
}

static int parse_uid(const char *value, uid_t *ret, struct err *e)
{
        uint64_t number;

        /* 2^32-1 is "no user" to the kernel */
        if (parse_u64(value, UINT32_MAX - 1, &number) == 0) {
                *ret = (uid_t)number;
                return 0;
        }
        const struct passwd *pw = getpwnam(value);
        if (!pw)
                return wrong(e, "uid", value, "there is no such user; a number is possible too");
        *ret = pw->pw_uid;
        return 0;
}

static int parse_gid(const char *value, gid_t *ret, struct err *e)
{
        uint64_t number;

        if (parse_u64(value, UINT32_MAX - 1, &number) == 0) {
                *ret = (gid_t)number;
                return 0;
        }
        const struct group *gr = getgrnam(value);
        if (!gr)
                return wrong(e, "gid", value, "there is no such group; a number is possible too");
        *ret = gr->gr_gid;
        return 0;
}

static int parse_mode(const char *value, mode_t *ret, struct err *e)
{
        mode_t mode = 0;
        size_t len = strlen(value);

        if (len == 0 || len > 4 || strspn(value, "01234567") != len)
                return wrong(e, "mode", value, "write an octal mode of files, such as 0440");
        for (const char *p = value; *p; p++)
                mode = mode * 8 + (mode_t)(*p - '0');
        if (mode > 0777)
                return wrong(e, "mode", value, "set-id and sticky bits have no meaning here");
        *ret = mode;
        return 0;
}

static int parse_log_level(const char *value, int *ret, struct err *e)
{
        static const char *const names[] = {
                [LOG_ERROR] = "error",
                [LOG_WARNING] = "warning",
                [LOG_INFO] = "info",
                [LOG_DEBUG] = "debug",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(value, names[i])) {
                        *ret = (int)i;
                        return 0;
                }
        return wrong(e, "log_level", value, "known are error, warning, info and debug");
}

static int parse_secret_memory(const char *value, bool *ret, struct err *e)
{
        if (!streq(value, "require") && !streq(value, "prefer"))
                return wrong(e, "secret_memory", value, "known are require and prefer");
        *ret = streq(value, "require");
        return 0;
}

static int parse_pem_chain(const char *value, bool *ret_keep_order, struct err *e)
{
        if (!streq(value, "on") && !streq(value, "off"))
                return wrong(e, "pem_chain", value,
                        "on puts the leaf first, off leaves the order of the PFX");
        *ret_keep_order = streq(value, "off");
        return 0;
}

static int parse_policy(const char *key, const char *value, bool *ret, struct err *e)
{
        if (!streq(value, "keep") && !streq(value, "remove"))
                return wrong(e, key, value, "known are keep and remove");
        *ret = streq(value, "remove");
        return 0;
}

/* A deleted vault and one that cannot be reached look the same from here. */
static int parse_vault_gone(const char *value, struct err *e)
{
        bool removed = false;

        int r = parse_policy("on_vault_gone", value, &removed, e);
        if (r == 0 && removed)
                r = wrong(e, "on_vault_gone", value,
                        "a vault that does not answer always means keep: nobody can tell one that "
                        "is gone from one that cannot be reached");
        return r;
}

static int set_string(char **field, const char *value, struct err *e)
{
        int r = replace_string(field, value);

        return r < 0 ? err_set(e, r, "out of memory") : 0;
}

void options_init(struct options *o)
{
        *o = (struct options){
                .poll_interval = OPTIONS_POLL_DEFAULT,
                .uid = geteuid(),
                .gid = getegid(),
                .mode = 0644,
                .allow_other = -1,
                .log_level = -1,
        };
}

void options_done(struct options *o)
{
        free(o->class_name);
        free(o->vault_url);
        free(o->authority_host);
        free(o->imds_endpoint);
        free(o->ca_file);
        free(o->client_secret_file);
        free(o->client_certificate);
        free(o->certificate_password_file);
        free(o->federated_token_file);
        free(o->token_proxy_url);
        free(o->sni_name);
        free(o->env_file);
        free(o->log);
        *o = (struct options){0};
}

int options_set_word(struct options *o, int id, const char *value, struct err *e)
{
        switch ((enum option_id)id) {
        case OPT_CLASS:
                return set_string(&o->class_name, value, e);
        case OPT_VAULT_URL:
                return set_string(&o->vault_url, value, e);
        case OPT_AUTHORITY_HOST:
                return set_string(&o->authority_host, value, e);
        case OPT_IMDS_ENDPOINT:
                return set_string(&o->imds_endpoint, value, e);
        case OPT_CA_FILE:
                return set_string(&o->ca_file, value, e);
        case OPT_CLIENT_SECRET_FILE:
                return set_string(&o->client_secret_file, value, e);
        case OPT_CLIENT_CERTIFICATE:
                return set_string(&o->client_certificate, value, e);
        case OPT_CERTIFICATE_PASSWORD_FILE:
                return set_string(&o->certificate_password_file, value, e);
        case OPT_FEDERATED_TOKEN_FILE:
                return set_string(&o->federated_token_file, value, e);
        case OPT_AZURE_CLI:
                o->azure_cli = true;
                return 0;
        case OPT_TOKEN_PROXY_URL:
                return set_string(&o->token_proxy_url, value, e);
        case OPT_SNI_NAME:
                return set_string(&o->sni_name, value, e);
        case OPT_ENV_FILE:
                return set_string(&o->env_file, value, e);
        case OPT_CERT_KEY_FILES:
                o->shape.cert_key_files = true;
                return 0;
        case OPT_PEM_CHAIN:
                return parse_pem_chain(value, &o->shape.keep_chain_order, e);
        case OPT_POLL_INTERVAL:
                return options_parse_interval(value, &o->poll_interval, e);
        case OPT_UID:
                return parse_uid(value, &o->uid, e);
        case OPT_GID:
                return parse_gid(value, &o->gid, e);
        case OPT_MODE:
                return parse_mode(value, &o->mode, e);
        case OPT_LOG:
                return set_string(&o->log, value, e);
        case OPT_LOG_LEVEL:
                return parse_log_level(value, &o->log_level, e);
        case OPT_ALLOW_OTHER:
                o->allow_other = 1;
                return 0;
        case OPT_NO_ALLOW_OTHER:
                o->allow_other = 0;
                return 0;
        case OPT_XATTR:
                o->xattr = true;
                return 0;
        case OPT_AUDIT:
                o->audit = true;
                return 0;
        case OPT_SECRET_MEMORY:
                return parse_secret_memory(value, &o->secret_memory_required, e);
        case OPT_LOG_JSON:
                o->log_json = true;
                return 0;
        case OPT_ON_DELETED:
                return parse_policy("on_deleted", value, &o->policy.remove_deleted, e);
        case OPT_ON_DISABLED:
                return parse_policy("on_disabled", value, &o->policy.remove_disabled, e);
        case OPT_ON_EXPIRED:
                return parse_policy("on_expired", value, &o->policy.remove_expired, e);
        case OPT_ON_FORBIDDEN:
                return parse_policy("on_forbidden", value, &o->policy.remove_forbidden, e);
        case OPT_ON_VAULT_GONE:
                return parse_vault_gone(value, e);
        }
        assert(!"an id that is not in the table");
        return -EINVAL;
}

int options_set(struct options *o, const char *key, const char *value, struct err *e)
{
        const struct word *w = find_key(key);

        if (!w) {
                const char *names[ELEMENTSOF(long_words)];
                for (size_t i = 0; i < ELEMENTSOF(long_words); i++)
                        names[i] = long_words[i].name;
                const char *near = words_nearest(key, names, ELEMENTSOF(names));
                err_set_cause(e, ERR_USAGE, -EINVAL, "unknown option -o %s", key);
                if (near) {
                        char in_o[32];
                        size_t n = 0;
                        for (; near[n] && n + 1 < sizeof in_o; n++)
                                in_o[n] = near[n] == '-' ? '_' : near[n];
                        in_o[n] = '\0';
                        err_hint(e, "did you mean %s?", in_o);
                }
                return -EINVAL;
        }
        if (w->value && isempty(value))
                return err_set_cause(
                        e, ERR_USAGE, -EINVAL, "option -o %s needs a value: %s=...", key, key);
        if (!w->value && value)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "option -o %s takes no value", key);
        return options_set_word(o, w->id, value, e);
}

/* mount(8) strips some of these itself and passes others on; a line of fstab may hold any. What
 * they ask for is either always so here (ro, nosuid, nodev, noexec) or not for the helper. `rw` is
 * put in front by mount(8) for everybody who wrote nothing. */
static bool word_of_mount(const char *key)
{
        static const char *const words[] = {"rw", "ro", "auto", "noauto", "defaults", "_netdev",
                "nofail", "user", "nouser", "users", "owner", "group", "suid", "nosuid", "dev",
                "nodev", "exec", "noexec", "async", "sync", "dirsync", "atime", "noatime",
                "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
                "lazytime", "nolazytime", "silent", "loud", "comment", "fsname", "subtype"};

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(key, words[i]))
                        return true;
        return startswith(key, "x-") || startswith(key, "X-");
}

int options_parse(struct options *o, const char *text, bool from_mount, struct err *e)
{
        if (strlen(text) > OPTIONS_TEXT_MAX)
                return err_set_cause(e, ERR_USAGE, -E2BIG, "the text of -o is too long");

        _cleanup_free_ char *item = malloc(strlen(text) + 1);
        if (!item)
                return err_set(e, -ENOMEM, "out of memory");

        for (const char *p = text; *p;) {
                size_t n = 0;

                for (; *p && *p != ','; p++) {
                        if (*p == '\\' && (p[1] == ',' || p[1] == '\\'))
                                p++;
                        item[n++] = *p;
                }
                item[n] = '\0';
                if (*p == ',')
                        p++;
                if (n == 0)
                        continue;

                char *value = strchr(item, '=');
                if (value)
                        *value++ = '\0';
                if (from_mount && word_of_mount(item))
                        continue;
                int r = options_set(o, item, value, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int resolve(char **field, const char *key, struct err *e)
{
        if (!*field)
                return 0;

        _cleanup_close_ int fd = open(*field, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
                int r = -errno;
                return err_set_cause(e, ERR_LOCAL, r, "%s %s: %s", key, *field, strerror(-r));
        }
        if (*field[0] == '/')
                return 0;
        char *real = realpath(*field, NULL);
        if (!real) {
                int r = -errno;
                return err_set_cause(e, ERR_LOCAL, r, "%s %s: %s", key, *field, strerror(-r));
        }
        free(*field);
        *field = real;
        return 0;
}

static int absolute(char **field, const char *key, struct err *e)
{
        if (!*field)
                return 0;
        int r = access(*field, R_OK) < 0 ? -errno : path_make_absolute(field);
        return r < 0 ? err_set_cause(e, ERR_LOCAL, r, "%s %s: %s", key, *field, strerror(-r)) : 0;
}

int options_resolve_files(struct options *o, struct err *e)
{
        int r = resolve(&o->ca_file, "CA file", e);
        if (r == 0)
                r = resolve(&o->client_secret_file, "client secret file", e);
        if (r == 0)
                r = resolve(&o->certificate_password_file, "password file", e);
        if (r == 0)
                r = resolve(&o->env_file, "environment file", e);
        /* by the name they were given: what a symlink points to changes with each renewal */
        if (r == 0)
                r = absolute(&o->client_certificate, "client certificate", e);
        if (r == 0)
                r = absolute(&o->federated_token_file, "federated token file", e);
        if (r < 0)
                return r;

        if (o->log && log_target_is_file(o->log))
                r = path_make_absolute(&o->log);
        return r < 0 ? err_set(e, r, "log file %s: %s", o->log, strerror(-r)) : 0;
}
