/* What identities are made of: tokens and certificates from files, answers of NMI and az, Azure
 * Arc's challenge, an Azure Stack's environment file. The first byte says which.
 *
 *     build/fuzz/tests/fuzz_identity tests/fuzz/corpus/identity
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "auth/cloud.h"
#include "auth/helper.h"
#include "auth/mode.h"
#include "base/http_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void claims(const char *text, size_t len)
{
        struct jwt_claims c = {0};

        jwt_trim(&text, &len);
        if (jwt_read_claims(text, len, &c) == 0 && !jwt_is_well_formed(text, len))
                abort();
        const char *const all[] = {c.iss, c.sub, c.aud};
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                for (const char *p = all[i]; *p; p++)
                        if (*p <= 0x20 || *p >= 0x7f || *p == '\'')
                                abort();
}

static void certificate(const char *bytes, size_t len)
{
        _cleanup_(jwt_signer_freep) struct jwt_signer *s = NULL;
        const char *why = NULL;

        int r = jwt_signer_new(bytes, len, "word", &s, &why);
        if ((r == 0) != (s != NULL) || (r == -EINVAL && !why))
                abort();
}

static void answer(const struct auth_mode *mode, const char *body, size_t len)
{
        _cleanup_err_ struct err e = {0};
        struct sec *token = NULL;
        int64_t lifetime = 0;

        if (mode->parse(body, len, 1700000000, &token, &lifetime, &e) == 0) {
                if (sec_len(token) == 0 || lifetime <= 0)
                        abort();
                sec_unref(token);
        } else if (!e.text)
                abort();
}

static void challenge(const char *text, size_t len)
{
        static char folder[] = "/keys";
        const struct auth_params p = {.mode = AUTH_ARC, .file = folder};
        static const char name[] = "WWW-Authenticate";
        _cleanup_free_ char *headers = malloc(sizeof name + len + 1), *file = NULL;
        _cleanup_err_ struct err e = {0};

        if (!headers)
                return;
        memcpy(headers, name, sizeof name);
        memcpy(headers + sizeof name, text, len);
        headers[sizeof name + len] = '\0';
        /* as http_transfer.c keeps them: a value ends at its first NUL */
        struct http_exchange x = {
                .headers = headers, .headers_len = sizeof name + strlen(text) + 1};
        const struct http_response resp = {.status = 401, .body = "", .peer = "", .private = &x};

        if (auth_arc.challenge(&p, &resp, &file, &e) == 0) {
                if (!helper_is_key_name(file) || strchr(file, '/'))
                        abort();
        } else if (!e.text)
                abort();
}

static void environment(const char *text, size_t len)
{
        static int fd = -EBADF;
        struct cloud cloud = {0};
        _cleanup_err_ struct err e = {0};
        char path[32];

        if (fd < 0)
                fd = memfd_create("cloud", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, text, len, 0) != (ssize_t)len)
                abort();
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (cloud_find("AzureStackCloud", path, &cloud, &e) == 0) {
                if (!startswith(cloud.authority, "https://") ||
                        !startswith(cloud.vault_resource, "https://") || !*cloud.vault_suffix)
                        abort();
        } else if (!e.text)
                abort();
        cloud_done(&cloud);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        /* terminated behind its length, as the helper and http.c hand it on */
        _cleanup_free_ char *text = malloc(size);
        if (!text)
                return 0;
        size_t len = size - 1;
        memcpy(text, data + 1, len);
        text[len] = '\0';

        switch (data[0] % 6) {
        case 0:
                claims(text, len);
                break;
        case 1:
                certificate(text, len);
                break;
        case 2:
                answer(&auth_nmi, text, len);
                break;
        case 3:
                answer(&auth_azure_cli, text, len);
                break;
        case 4:
                challenge(text, len);
                break;
        default:
                environment(text, len);
                break;
        }
        return 0;
}
