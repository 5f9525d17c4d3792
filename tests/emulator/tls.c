#include "tests/emulator/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/wipe.h"
#include "tests/emulator/x509.h"

#define DAY INT64_C(86400) /* seconds */

/* What clients of a vault or of Entra call them; tests point these names at the emulator. */
static const char *const usual_names[] = {
        "localhost",
        "*.vault.localhost",
        "*.localhost",
        "vault.azure.net",
        "*.vault.azure.net",
        "*.vaultcore.azure.net",
        "*.vault.azure.cn",
        "*.vault.usgovcloudapi.net",
        "login.microsoftonline.com",
        "login.windows.net",
        "login.chinacloudapi.cn",
        "login.microsoftonline.us",
};
#define NAMES_MAX 64

static int make_ca(const char *subject, int64_t now, EVP_PKEY **ret_key, X509 **ret, struct err *e)
{
        _cleanup_pkey_ EVP_PKEY *key = NULL;

        int r = key_generate("EC", 0, "P-256", &key);
        if (r < 0)
                return err_set(e, r, "OpenSSL could not make a key");
        const struct x509_spec spec = {
                .subject = subject,
                .key = key,
                .not_before = now - 2 * DAY,
                .not_after = now + 365 * DAY,
                .ca = true,
                .key_usage = "keyCertSign,cRLSign",
        };
        r = x509_make(&spec, ret, e);
        if (r < 0)
                return r;
        *ret_key = TAKE_PTR(key);
        return 0;
}

int tls_identity_make(const struct tls_config *cfg, struct tls_identity *ret, struct err *e)
{
        _cleanup_pkey_ EVP_PKEY *ca_key = NULL, *other_key = NULL, *key = NULL;
        _cleanup_x509_ X509 *ca = NULL, *other = NULL, *cert = NULL;
        _cleanup_(tls_identity_done) struct tls_identity t = {0};
        const char *names[NAMES_MAX + 1] = {NULL};
        static const char *const addresses[] = {"127.0.0.1", "::1", NULL};
        int64_t now = (int64_t)time(NULL);
        size_t n = 0;

        int r = make_ca("CN=akv-emulator throw-away CA", now, &ca_key, &ca, e);
        if (r == 0 && cfg->flaw == TLS_UNKNOWN_CA)
                r = make_ca("CN=akv-emulator unknown CA", now, &other_key, &other, e);
        if (r < 0)
                return r;
        r = key_generate("EC", 0, "P-256", &key);
        if (r < 0)
                return err_set(e, r, "OpenSSL could not make a key");

        const char *only = cfg->only_name;
        if (!only && cfg->flaw == TLS_WRONG_HOST)
                only = "some-other-host.invalid";
        if (only)
                names[n++] = only;
        for (size_t i = 0; !only && i < ELEMENTSOF(usual_names); i++)
                names[n++] = usual_names[i];
        for (const char *const *p = cfg->more_names; !only && p && *p && n < NAMES_MAX; p++)
                names[n++] = *p;

        struct x509_spec spec = {
                .subject = "CN=akv-emulator",
                .key = key,
                .issuer = other ? other : ca,
                .issuer_key = other ? other_key : ca_key,
                .not_before = now - DAY,
                .not_after = now + 90 * DAY,
                .key_usage = "digitalSignature",
                .ekus = "1.3.6.1.5.5.7.3.1",
                .dns = names,
                .ips = only ? NULL : addresses,
        };
        if (cfg->flaw == TLS_EXPIRED) {
                spec.not_before = now - 2 * DAY;
                spec.not_after = now - DAY;
        } else if (cfg->flaw == TLS_NOT_YET_VALID)
                spec.not_before = now + DAY;
        r = x509_make(&spec, &cert, e);
        if (r == 0)
                r = x509_to_pem(ca, &t.ca);
        if (r == 0)
                r = x509_to_pem(cert, &t.cert);
        if (r == 0)
                r = key_to_pem(key, &t.key);
        if (r < 0)
                return r;
        *ret = t;
        t = (struct tls_identity){0};
        return 0;
}

void tls_identity_done(struct tls_identity *t)
{
        free(t->ca);
        free(t->cert);
        erase_and_free(t->key);
        *t = (struct tls_identity){0};
}

int write_file_atomic(const char *path, const char *text, struct err *e)
{
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;

        int r = xasprintf(&temporary, "%s.XXXXXX", path);
        if (r < 0)
                return r;
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return err_set(e, -errno, "cannot create %s: %s", path, strerror(errno));
        r = write_all(fd, text, strlen(text));
        if (r == 0 && fchmod(fd, 0644) < 0)
                r = -errno;
        if (r == 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(temporary);
                return err_set(e, r, "cannot write %s: %s", path, strerror(-r));
        }
        return 0;
}
