#include "cli/credentials.h"

#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/wipe.h"

/* Where every SDK looks for it. */
#define ARC_AGENT "/opt/azcmagent/bin/himds"

void credentials_done(struct credentials *c)
{
        free(c->tenant);
        free(c->client_id);
        sec_unref(c->secret);
        free(c->certificate);
        sec_unref(c->password);
        free(c->token_file);
        free(c->identity_endpoint);
        free(c->imds_endpoint);
        sec_unref(c->identity_header);
        free(c->pod);
        free(c->pod_namespace);
        *c = (struct credentials){0};
}

static void warn_if_open(const char *path, credentials_warn_fn warn)
{
        struct stat st;
        char *text;

        if (!warn || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0004))
                return;
        if (xasprintf(&text, "everybody can read %s, which holds a secret: chmod 0600 %s", path,
                    path) == 0) {
                warn(text);
                free(text);
        }
}

/* Editors and echo(1) end a file with a line feed that is not part of the secret. */
static size_t without_line_end(const char *text, size_t len)
{
        if (len > 0 && text[len - 1] == '\n')
                len--;
        if (len > 0 && text[len - 1] == '\r')
                len--;
        return len;
}

static int read_file(const char *path, const char *what, char **ret, size_t *ret_len, struct err *e)
{
        int r = read_whole_file(path, CREDENTIALS_FILE_MAX, ret, ret_len);

        if (r == -EFBIG)
                return err_set_cause(e, ERR_LOCAL, r, "%s %s is larger than %zu bytes", what, path,
                        CREDENTIALS_FILE_MAX);
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not read %s %s: %s", what, path, strerror(-r));
        return 0;
}

/* One that holds nothing else. */
static int read_secret_file(const char *path, const char *what, credentials_warn_fn warn,
        char **ret, size_t *ret_len, struct err *e)
{
        int r = read_file(path, what, ret, ret_len, e);

        if (r < 0)
                return r;
        warn_if_open(path, warn);
        *ret_len = without_line_end(*ret, *ret_len);
        return 0;
}

static int set_secret(
        struct credentials *c, const char *text, size_t len, const char *from, struct err *e)
{
        if (c->secret)
                return 0;
        if (len == 0) {
                err_set_cause(e, ERR_USAGE, -EINVAL, "the client secret from %s is empty", from);
                return -EINVAL;
        }
        c->secret_from = from;
        int r = sec_new(text, len, &c->secret);
        return r < 0 ? err_set(e, r, "could not hold the client secret: %s", strerror(-r)) : 0;
}

static int set_name(char **field, const char *text, size_t len, struct err *e)
{
        if (*field || len == 0)
                return 0;
        *field = strndup(text, len);
        return *field ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* Variables that are no secrets, and where they go. */
static const struct variable {
        const char *key;
        size_t field;
        bool in_file; /* of --env-file too */
} variables[] = {
        {"AZURE_TENANT_ID", offsetof(struct credentials, tenant), true},
        {"AZURE_CLIENT_ID", offsetof(struct credentials, client_id), true},
        {"AZURE_CLIENT_CERTIFICATE_PATH", offsetof(struct credentials, certificate), true},
        {"AZURE_FEDERATED_TOKEN_FILE", offsetof(struct credentials, token_file), true},
        {"IDENTITY_ENDPOINT", offsetof(struct credentials, identity_endpoint), false},
        {"IMDS_ENDPOINT", offsetof(struct credentials, imds_endpoint), false},
        {"POD_NAME", offsetof(struct credentials, pod), false},
        {"POD_NAMESPACE", offsetof(struct credentials, pod_namespace), false},
};

static int set_variable(struct credentials *c, const struct variable *v, const char *text,
        size_t len, struct err *e)
{
        return set_name((char **)((char *)c + v->field), text, len, e);
}

static int set_other_secret(
        struct sec **field, const char *what, const char *text, size_t len, struct err *e)
{
        if (*field || len == 0)
                return 0;
        int r = sec_new(text, len, field);
        return r < 0 ? err_set(e, r, "could not hold %s: %s", what, strerror(-r)) : 0;
}

/* --- one source each --- */

static int from_secret_file(
        struct credentials *c, const char *path, credentials_warn_fn warn, struct err *e)
{
        _cleanup_secret_ char *text = NULL;
        size_t len = 0;

        int r = read_secret_file(path, "client secret file", warn, &text, &len, e);
        return r < 0 ? r : set_secret(c, text, len, "--client-secret-file", e);
}

int credentials_env_file_get(
        const char *text, size_t len, const char *key, const char **ret, size_t *ret_len)
{
        const char *p = text, *end = text + len;
        size_t key_len = strlen(key);
        int r = -ENOENT;

        /* the last one counts, as in a shell */
        while (p < end) {
                const char *line_end = memchr(p, '\n', (size_t)(end - p));
                const char *next = line_end ? line_end + 1 : end;
                const char *q = line_end ? line_end : end;

                while (p < q && (*p == ' ' || *p == '\t'))
                        p++;
                while (q > p && (q[-1] == ' ' || q[-1] == '\t' || q[-1] == '\r'))
                        q--;
                if (q - p > 7 && memcmp(p, "export ", 7) == 0)
                        p += 7;
                if ((size_t)(q - p) > key_len && memcmp(p, key, key_len) == 0 &&
                        p[key_len] == '=') {
                        p += key_len + 1;
                        if (q - p >= 2 && (*p == '"' || *p == '\'') && q[-1] == *p) {
                                p++;
                                q--;
                        }
                        *ret = p;
                        *ret_len = (size_t)(q - p);
                        r = 0;
                }
                p = next;
        }
        return r;
}

static int from_env_file(
        struct credentials *c, const char *path, credentials_warn_fn warn, struct err *e)
{
        _cleanup_secret_ char *text = NULL;
        const char *value = NULL;
        size_t len = 0, n = 0;

        int r = read_file(path, "environment file", &text, &len, e);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(variables); i++)
                if (variables[i].in_file &&
                        credentials_env_file_get(text, len, variables[i].key, &value, &n) == 0)
                        r = set_variable(c, &variables[i], value, n, e);
        if (r == 0 && credentials_env_file_get(
                              text, len, "AZURE_CLIENT_CERTIFICATE_PASSWORD", &value, &n) == 0) {
                warn_if_open(path, warn);
                r = set_other_secret(&c->password, "the certificate's password", value, n, e);
        }
        if (r == 0 && credentials_env_file_get(text, len, "AZURE_CLIENT_SECRET", &value, &n) == 0) {
                warn_if_open(path, warn);
                r = set_secret(c, value, n, "--env-file", e);
        }
        return r;
}

/* Reads a secret and takes it out of the environment. */
static char *take_variable(const char *name, size_t *ret_len)
{
        char *value = getenv(name);
        char *copy = value ? strdup(value) : NULL;

        if (!value)
                return NULL;
        *ret_len = strlen(value);
        explicit_bzero(value, *ret_len);
        unsetenv(name);
        return copy;
}

static int from_environment(struct credentials *c, struct err *e)
{
        size_t secret_len = 0, password_len = 0, header_len = 0;
        _cleanup_secret_ char *secret = take_variable("AZURE_CLIENT_SECRET", &secret_len);
        _cleanup_secret_ char *password =
                take_variable("AZURE_CLIENT_CERTIFICATE_PASSWORD", &password_len);
        _cleanup_secret_ char *header = take_variable("IDENTITY_HEADER", &header_len);
        const char *chain = getenv("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(variables); i++) {
                const char *value = getenv(variables[i].key);
                if (!isempty(value))
                        r = set_variable(c, &variables[i], value, strlen(value), e);
        }
        if (r == 0 && !isempty(secret))
                r = set_secret(c, secret, secret_len, "AZURE_CLIENT_SECRET", e);
        if (r == 0 && password)
                r = set_other_secret(
                        &c->password, "the certificate's password", password, password_len, e);
        if (r == 0 && header)
                r = set_other_secret(&c->identity_header, "IDENTITY_HEADER", header, header_len, e);
        c->send_chain = chain && (streq(chain, "1") || strcasecmp(chain, "true") == 0);
        c->service_fabric = !isempty(getenv("IDENTITY_SERVER_THUMBPRINT"));
        c->arc_agent = access(ARC_AGENT, F_OK) == 0;
        return r;
}

static int from_password_file(
        struct credentials *c, const char *path, credentials_warn_fn warn, struct err *e)
{
        _cleanup_secret_ char *text = NULL;
        size_t len = 0;

        int r = read_secret_file(path, "password file", warn, &text, &len, e);
        return r < 0 ? r
                     : set_other_secret(&c->password, "the certificate's password", text, len, e);
}

static int from_directory(struct credentials *c, const char *dir, struct err *e)
{
        static const char *const names[] = {
                "azure-tenant-id", "azure-client-id", "azure-client-secret"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = NULL;
                _cleanup_secret_ char *text = NULL;
                size_t len = 0;

                if (xasprintf(&path, "%s/%s", dir, names[i]) < 0)
                        return err_set(e, -ENOMEM, "out of memory");
                if (access(path, F_OK) < 0 && errno == ENOENT)
                        continue;
                int r = read_file(path, "credential", &text, &len, e);
                if (r < 0)
                        return r;
                len = without_line_end(text, len);
                r = i == 0   ? set_name(&c->tenant, text, len, e)
                    : i == 1 ? set_name(&c->client_id, text, len, e)
                             : set_secret(
                                       c, text, len, "systemd's credential azure-client-secret", e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int credentials_find(
        const struct options *o, credentials_warn_fn warn, struct credentials *ret, struct err *e)
{
        _cleanup_credentials_ struct credentials c = {0};
        const char *dir = getenv("CREDENTIALS_DIRECTORY");
        int r = 0;

        /* each fills in only what those before left open */
        if (o->client_secret_file)
                r = from_secret_file(&c, o->client_secret_file, warn, e);
        if (r == 0 && o->client_certificate)
                r = set_name(
                        &c.certificate, o->client_certificate, strlen(o->client_certificate), e);
        if (r == 0 && o->certificate_password_file)
                r = from_password_file(&c, o->certificate_password_file, warn, e);
        if (r == 0 && o->federated_token_file)
                r = set_name(
                        &c.token_file, o->federated_token_file, strlen(o->federated_token_file), e);
        if (r == 0 && o->env_file)
                r = from_env_file(&c, o->env_file, warn, e);
        if (r == 0)
                r = from_environment(&c, e);
        if (r == 0 && !isempty(dir))
                r = from_directory(&c, dir, e);
        if (r < 0)
                return r;
        /* environment variables may name a file from where the command stands */
        r = path_make_absolute(&c.certificate);
        if (r == 0)
                r = path_make_absolute(&c.token_file);
        if (r < 0)
                return err_set(e, r, "the working directory is not known: %s", strerror(-r));
        *ret = c;
        c = (struct credentials){0};
        return 0;
}
