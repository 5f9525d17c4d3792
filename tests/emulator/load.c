#include "tests/emulator/load.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/wipe.h"
#include "tests/emulator/bundle.h"
#include "tests/emulator/certissue.h"
#include "tests/emulator/change.h"

#define FILE_MAX ((size_t)3 << 20)
#define NAME_MAX_LEN 128

static int read_json(const char *path, cJSON **ret, struct err *e)
{
        _cleanup_secret_ char *text = NULL;
        size_t len = 0;

        int r = read_whole_file(path, FILE_MAX, &text, &len);
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return err_set(e, r, "cannot read %s: %s", path, strerror(-r));
        r = json_parse(text, len, ret);
        return r < 0 ? err_set(e, r, "%s is not JSON", path) : 0;
}

/* dir/NAME.json when it is there. */
static int read_properties(const char *dir, const char *name, cJSON **ret, struct err *e)
{
        _cleanup_free_ char *path = NULL;

        if (xasprintf(&path, "%s/%s.json", dir, name) < 0)
                return -ENOMEM;
        int r = read_json(path, ret, e);
        return r == -ENOENT ? 0 : r;
}

static bool ends_with(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);

        return n > m && streq(s + n - m, suffix);
}

/* --- one file --- */

static int load_secret(struct vault *v, const char *dir, const char *file, const char *path,
        const char *text, size_t len, struct err *e)
{
        _cleanup_json_ cJSON *properties = NULL;

        if (ends_with(file, ".json"))
                return 0;
        if (strlen(text) != len)
                return err_set(e, -EINVAL,
                        "%s holds a NUL byte, which no secret can: store it as base64", path);
        int r = read_properties(dir, file, &properties, e);
        if (r == 0)
                r = change_secret(v, file, text, properties, NULL, e);
        return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

static int load_key(struct vault *v, const char *dir, const char *file, const char *path,
        const char *text, size_t len, struct err *e)
{
        _cleanup_json_ cJSON *spec = NULL;
        char name[NAME_MAX_LEN + 1];

        if (!ends_with(file, ".pem"))
                return 0;
        snprintf(name, sizeof name, "%.*s", (int)MIN(strlen(file) - 4, (size_t)NAME_MAX_LEN), file);
        int r = read_properties(dir, name, &spec, e);
        if (r == 0 && !spec)
                spec = cJSON_CreateObject();
        if (r == 0 && !cJSON_AddStringToObject(spec, "pem", text))
                r = -ENOMEM;
        if (r == 0)
                r = change_key(v, name, spec, NULL, e);
        return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

static int load_certificate(struct vault *v, const char *dir, const char *file, const char *path,
        const char *text, size_t len, struct err *e)
{
        _cleanup_(bundle_done) struct bundle b = {0};
        _cleanup_json_ cJSON *spec = NULL;
        char name[NAME_MAX_LEN + 1];
        bool pem = ends_with(file, ".pem");
        struct object *obj;

        if (!pem && !ends_with(file, ".pfx"))
                return 0;
        snprintf(name, sizeof name, "%.*s", (int)MIN(strlen(file) - 4, (size_t)NAME_MAX_LEN), file);
        if (!object_name_valid(name))
                return err_set(e, -EINVAL, "%s: no certificate can have that name", path);
        int r = read_properties(dir, name, &spec, e);
        if (r == 0)
                r = bundle_parse_bytes(text, len, json_string(spec, "pwd"), &b, e);
        const struct cert_options options = {
                .disabled = !json_bool(spec, "enabled", true),
                .tags = json_get(spec, "tags"),
        };
        if (r == 0)
                r = certificate_import(
                        v, name, &b, NULL, pem ? CONTENT_PEM : CONTENT_PKCS12, &options, &obj, e);
        return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

/* --- folders --- */

typedef int (*load_fn)(struct vault *v, const char *dir, const char *file, const char *path,
        const char *text, size_t len, struct err *e);

static int load_folder(
        struct vault *v, const char *parent, const char *folder, load_fn load, struct err *e)
{
        _cleanup_free_ char *dir = NULL;
        struct dirent **files = NULL;
        int r = 0;

        if (xasprintf(&dir, "%s/%s", parent, folder) < 0)
                return -ENOMEM;
        int n = scandir(dir, &files, NULL, alphasort);
        if (n < 0)
                return errno == ENOENT
                               ? 0
                               : err_set(e, -errno, "cannot read %s: %s", dir, strerror(errno));
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;
                _cleanup_secret_ char *text = NULL;
                const char *file = files[i]->d_name;
                struct stat st;
                size_t len = 0;

                if (r == 0 && file[0] != '.') {
                        r = xasprintf(&path, "%s/%s", dir, file);
                        if (r == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
                                r = read_whole_file(path, FILE_MAX, &text, &len);
                                if (r < 0)
                                        (void)err_set(
                                                e, r, "cannot read %s: %s", path, strerror(-r));
                                else
                                        r = load(v, dir, file, path, text, len, e);
                        }
                }
                free(files[i]);
        }
        free(files);
        return r;
}

static int load_vault(struct store *s, const char *dir, const char *name, struct err *e)
{
        struct vault *v;

        int r = store_add_vault(s, name, &v);
        if (r < 0)
                return err_set(e, r, "%s: no vault can have the name %s", dir, name);
        r = load_folder(v, dir, "secrets", load_secret, e);
        if (r == 0)
                r = load_folder(v, dir, "keys", load_key, e);
        if (r == 0)
                r = load_folder(v, dir, "certificates", load_certificate, e);
        return r;
}

static int load_vaults(struct store *s, const char *dir, struct err *e)
{
        _cleanup_free_ char *vaults = NULL;
        struct dirent **names = NULL;
        int r = 0;

        if (xasprintf(&vaults, "%s/vaults", dir) < 0)
                return -ENOMEM;
        int n = scandir(vaults, &names, NULL, alphasort);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL, *settings = NULL;
                _cleanup_json_ cJSON *spec = NULL;
                const char *name = names[i]->d_name;

                if (r == 0 && name[0] != '.') {
                        r = xasprintf(&path, "%s/%s", vaults, name);
                        if (r == 0)
                                r = xasprintf(&settings, "%s/vault.json", path);
                        if (r == 0)
                                r = read_json(settings, &spec, e);
                        r = r == -ENOENT ? 0 : r;
                        if (r == 0)
                                r = change_vault(s, name, spec, e);
                        if (r == 0)
                                r = load_vault(s, path, name, e);
                }
                free(names[i]);
        }
        free(names);
        return r;
}

/* {"tenants": [{"id", "domain"}], "identities": [{"client_id", ...}]} */
static int load_identities(struct store *s, const char *dir, struct err *e)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_json_ cJSON *all = NULL;
        const cJSON *j;

        if (xasprintf(&path, "%s/identities.json", dir) < 0)
                return -ENOMEM;
        int r = read_json(path, &all, e);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        cJSON_ArrayForEach (j, json_get(all, "tenants")) {
                const char *id = json_string(j, "id");
                r = id ? change_tenant(s, id, j, e) : err_set(e, -EINVAL, "a tenant has an id");
                if (r < 0)
                        return err_wrap(e, r, "%s", path);
        }
        cJSON_ArrayForEach (j, json_get(all, "identities")) {
                const char *id = json_string(j, "client_id");
                r = id ? change_identity(s, id, j, e)
                       : err_set(e, -EINVAL, "an identity has a client_id");
                if (r < 0)
                        return err_wrap(e, r, "%s", path);
        }
        return 0;
}

int load_directory(struct store *s, const char *dir, struct err *e)
{
        struct stat st;

        if (stat(dir, &st) < 0)
                return err_set(e, -errno, "cannot read %s: %s", dir, strerror(errno));
        if (!S_ISDIR(st.st_mode))
                return err_set(e, -ENOTDIR, "%s is not a directory", dir);
        int r = load_identities(s, dir, e);
        if (r == 0)
                r = load_vault(s, dir, DEFAULT_VAULT, e);
        if (r == 0)
                r = load_vaults(s, dir, e);
        return r;
}
