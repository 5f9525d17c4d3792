#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "auth/helper.h"
#include "base/json.h"

static int print(cJSON *j, char **ret)
{
        char *text = cJSON_PrintUnformatted(j);

        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

static int source_path(const char *kind, const char *path, char **ret)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddStringToObject(j, "kind", kind) || !cJSON_AddStringToObject(j, "path", path))
                return -ENOMEM;
        return print(j, ret);
}

int helper_source_file(const char *path, char **ret)
{
        return source_path("file", path, ret);
}

int helper_source_folder(const char *path, char **ret)
{
        return source_path("folder", path, ret);
}

int helper_source_az(const char *program, const char *home, const char *config, const char *tenant,
        const char *resource, char **ret)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();

        if (!cJSON_AddStringToObject(j, "kind", "az") ||
                !cJSON_AddStringToObject(j, "program", program) ||
                !cJSON_AddStringToObject(j, "home", home) ||
                !cJSON_AddStringToObject(j, "config", config) ||
                !cJSON_AddStringToObject(j, "tenant", tenant) ||
                !cJSON_AddStringToObject(j, "resource", resource))
                return -ENOMEM;
        return print(j, ret);
}

void helper_source_id(const char *source, char ret[static HELPER_ID_SIZE])
{
        unsigned char digest[EVP_MAX_MD_SIZE] = {0};
        unsigned len = 0;

        (void)EVP_Digest(source, strlen(source), digest, &len, EVP_sha256(), NULL);
        hex_encode(digest, 32, ret);
}

bool helper_is_key_name(const char *name)
{
        static const char chars[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        size_t stem = strspn(name, chars);

        return stem > 0 && stem <= HELPER_NAME_MAX - 4 && streq(name + stem, ".key");
}

static void file_name(const char *source, char ret[static 96])
{
        char id[HELPER_ID_SIZE];

        helper_source_id(source, id);
        (void)snprintf(ret, 96, "credential-%s", id);
}

int helper_register(int dir_fd, const char *source, struct err *e)
{
        char name[96], partial[104];

        /* Under another name until it is whole: the helper may look at any time. */
        file_name(source, name);
        (void)snprintf(partial, sizeof partial, "%s.new", name);
        (void)unlinkat(dir_fd, partial, 0);
        _cleanup_close_ int fd =
                openat(dir_fd, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : write_all(fd, source, strlen(source));
        int made = 1;
        if (r == 0 && linkat(dir_fd, partial, dir_fd, name, 0) < 0) {
                r = errno == EEXIST ? 0 : -errno;
                made = 0;
        }
        (void)unlinkat(dir_fd, partial, 0);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r,
                        "could not register a credential in the control directory: %s",
                        strerror(-r));
        return made;
}

void helper_unregister(int dir_fd, const char *source)
{
        char name[96];

        file_name(source, name);
        (void)unlinkat(dir_fd, name, 0);
}
