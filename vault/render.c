#include "base/log.h"
#include "vault/base64.h"
#include "vault/folder.h"
#include "vault/jsonpick.h"
#include "vault/pem.h"
#include "vault/pkcs12.h"
#include "vault/pubkey.h"
#include "vault/text.h"
#include "vault/vault.h"

#define TYPE_PKCS12 "application/x-pkcs12"
#define TYPE_PEM "application/x-pem-file"

static int oom(struct err *e)
{
        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory");
}

static int render_block(const char *label, const struct sec *der, struct sec **ret, struct err *e)
{
        int r = sec_alloc(pem_size(label, sec_len(der)), ret);

        if (r < 0)
                return oom(e);
        pem_put(sec_buf(*ret), label, sec_bytes(der), sec_len(der));
        return 0;
}

static int render_key(const struct vault_object *o, struct sec **ret, struct err *e)
{
        _cleanup_sec_ struct sec *der = NULL;

        int r = pubkey_encode(o->kty, o->crv, o->n, o->e, o->x, o->y, &der, e);
        return r < 0 ? r : render_block("PUBLIC KEY", der, ret, e);
}

static int base64_error(int r, size_t at, struct err *e)
{
        if (r == -EINVAL)
                return err_set_cause(e, ERR_USAGE, r, "illegal base64 data at input byte %zu", at);
        return oom(e);
}

/* ret_pfx (optional): the PFX itself. */
static int render_pkcs12(const struct vault_object *o, bool keep_order, struct sec **ret,
        struct sec **ret_pfx, struct err *e)
{
        _cleanup_sec_ struct sec *der = NULL;
        bool incomplete;
        size_t at = 0;

        int r = base64_decode(sec_bytes(o->value), sec_len(o->value), &der, &at);
        if (r < 0)
                return base64_error(r, at, e);
        r = pkcs12_to_pem(sec_bytes(der), sec_len(der), NULL, keep_order, ret, &incomplete, e);
        if (r == 0 && incomplete)
                log_warning("certificate chain is not complete due to missing intermediate/root "
                            "certificates: %s keeps the order of its PFX",
                        o->id);
        if (r == 0 && ret_pfx)
                *ret_pfx = TAKE_PTR(der);
        if (r < 0 && e && e->cause == ERR_OTHER)
                e->cause = r == -EOPNOTSUPP ? ERR_UNSUPPORTED : ERR_SERVICE;
        return r;
}

/* A secret that stands behind a certificate has its key's id; the content type alone says nothing,
 * because anybody may set it on any secret. */
static int render_content(const struct vault_object *o, const struct vault_render *how,
        struct sec **ret, struct err *e)
{
        int r;

        if (*o->kid && streq(o->content_type, TYPE_PKCS12) && how->format != VAULT_FORMAT_PFX)
                return render_pkcs12(o, how->keep_order, ret, NULL, e);
        if (*o->kid && !*o->content_type)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "failed to get certificate. the secret of a certificate has no content "
                        "type");
        if (*o->kid && !streq(o->content_type, TYPE_PKCS12) && !streq(o->content_type, TYPE_PEM)) {
                char *type = oneline(o->content_type, strlen(o->content_type));
                r = err_set_cause(e, ERR_UNSUPPORTED, -EOPNOTSUPP,
                        "failed to get certificate. unknown content type '%s'", type ? type : "?");
                free(type);
                return r;
        }
        *ret = sec_ref(o->value);
        return 0;
}

static int pick(
        const struct vault_render *how, struct sec *content, struct sec **ret, struct err *e)
{
        _cleanup_jsonpath_ struct jsonpath path = {0};
        const char *why;
        size_t at;

        if (isempty(how->json_path)) {
                *ret = sec_ref(content);
                return 0;
        }
        int r = jsonpath_parse(how->json_path, &path, &why, &at);
        if (r == -EINVAL)
                return err_set_cause(e, ERR_USAGE, r, "jsonPath %s, character %zu: %s",
                        how->json_path, at + 1, why);
        return r < 0 ? oom(e)
                     : jsonpick(
                               sec_bytes(content), sec_len(content), &path, how->json_path, ret, e);
}

static int decode(
        struct sec *content, enum vault_encoding encoding, struct sec **ret, struct err *e)
{
        size_t at = 0;
        int r;

        switch (encoding) {
        case VAULT_ENCODING_BASE64:
                r = base64_decode(sec_bytes(content), sec_len(content), ret, &at);
                return r < 0 ? base64_error(r, at, e) : 0;
        case VAULT_ENCODING_HEX:
                r = hex_decode(sec_bytes(content), sec_len(content), ret, &at);
                if (r == -EINVAL && at == sec_len(content))
                        return err_set_cause(
                                e, ERR_USAGE, r, "encoding/hex: odd length hex string");
                if (r == -EINVAL)
                        return err_set_cause(e, ERR_USAGE, r,
                                "encoding/hex: invalid byte at input byte %zu", at);
                return r < 0 ? oom(e) : 0;
        case VAULT_ENCODING_UTF8:
                break;
        }
        *ret = sec_ref(content);
        return 0;
}

static int render_secret(const struct vault_object *o, const struct vault_render *how,
        struct sec **ret, struct err *e)
{
        _cleanup_sec_ struct sec *content = NULL, *picked = NULL;

        int r = render_content(o, how, &content, e);
        if (r == 0)
                r = pick(how, content, &picked, e);
        return r < 0 ? r : decode(picked, how->encoding, ret, e);
}

int vault_render(const struct vault_object *o, const struct vault_render *how, struct sec **ret,
        struct err *e)
{
        if (o->kind != VAULT_SECRET) {
                if (how->format == VAULT_FORMAT_PFX)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "PFX format only supported for objectType: secret");
                if (how->encoding != VAULT_ENCODING_UTF8)
                        return err_set_cause(e, ERR_USAGE, -EINVAL,
                                "objectEncoding only supported for objectType: secret");
        }
        switch (o->kind) {
        case VAULT_SECRET:
                return render_secret(o, how, ret, e);
        case VAULT_KEY:
                return render_key(o, ret, e);
        case VAULT_CERT:
                return render_block("CERTIFICATE", o->value, ret, e);
        }
        return -EINVAL;
}

/* --- several files --------------------------------------------------------------------------- */

/* What the Azure provider writes besides, from the content and each decoded for itself. */
static int render_separate(const struct vault_object *o, const struct vault_render *how,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e)
{
        _cleanup_sec_ struct sec *content = NULL, *certs = NULL, *others = NULL, *crt = NULL,
                                 *key = NULL, *whole = NULL;

        int r = render_content(o, how, &content, e);
        if (r == 0)
                r = folder_split(content, &certs, &others, e);
        if (r == 0)
                r = decode(certs, how->encoding, &crt, e);
        if (r == 0)
                r = decode(others, how->encoding, &key, e);
        if (r == 0)
                r = decode(content, how->encoding, &whole, e);
        if (r < 0)
                return r;
        ret[0] = (struct vault_file){".crt", TAKE_PTR(crt)};
        ret[1] = (struct vault_file){".key", TAKE_PTR(key)};
        ret[2] = (struct vault_file){"", TAKE_PTR(whole)};
        *ret_n = 3;
        return 0;
}

static int render_folder(const struct vault_object *o, const struct vault_render *how,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e)
{
        _cleanup_sec_ struct sec *pem = NULL, *pfx = NULL;
        int r;

        if (!*o->kid) {
                err_set_cause(e, ERR_USAGE, -EINVAL,
                        "certificateFiles: folder is for the secret of a certificate, and this "
                        "secret is none");
                err_hint(e, "import it as a certificate: az keyvault certificate import");
                return -EINVAL;
        }
        /* tls.crt is no use to a server unless its leaf comes first, so keep_order is about the
         * other forms. */
        if (streq(o->content_type, TYPE_PKCS12))
                r = render_pkcs12(o, false, &pem, &pfx, e);
        else
                r = render_content(o, how, &pem, e);
        return r < 0 ? r : folder_render(o, pem, pfx, ret, ret_n, e);
}

int vault_render_files(const struct vault_object *o, const struct vault_render *how,
        struct vault_file ret[static VAULT_FILES_MAX], size_t *ret_n, struct err *e)
{
        if (o->kind == VAULT_SECRET && how->files == VAULT_FILES_FOLDER)
                return render_folder(o, how, ret, ret_n, e);
        if (o->kind == VAULT_SECRET && how->files == VAULT_FILES_SEPARATE && *o->kid)
                return render_separate(o, how, ret, ret_n, e);

        struct sec *bytes = NULL;
        int r = vault_render(o, how, &bytes, e);
        if (r < 0)
                return r;
        ret[0] = (struct vault_file){"", bytes};
        *ret_n = 1;
        return 0;
}
