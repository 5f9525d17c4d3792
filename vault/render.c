#include "base/log.h"
#include "vault/base64.h"
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

static int render_pkcs12(const struct vault_object *o, struct sec **ret, struct err *e)
{
        _cleanup_sec_ struct sec *der = NULL;
        bool incomplete;
        size_t at = 0;

        int r = base64_decode(sec_bytes(o->value), sec_len(o->value), &der, &at);
        if (r < 0)
                return base64_error(r, at, e);
        r = pkcs12_to_pem(sec_bytes(der), sec_len(der), NULL, ret, &incomplete, e);
        if (r == 0 && incomplete)
                log_warning("certificate chain is not complete due to missing intermediate/root "
                            "certificates: %s keeps the order of its PFX",
                        o->id);
        if (r < 0 && e && e->cause == ERR_OTHER)
                e->cause = r == -EOPNOTSUPP ? ERR_UNSUPPORTED : ERR_SERVICE;
        return r;
}

/* A secret that stands behind a certificate has its key's id; the content type alone says nothing,
 * because anybody may set it on any secret. */
static int render_content(
        const struct vault_object *o, enum vault_format format, struct sec **ret, struct err *e)
{
        int r;

        if (*o->kid && streq(o->content_type, TYPE_PKCS12) && format != VAULT_FORMAT_PFX)
                return render_pkcs12(o, ret, e);
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

static int render_secret(const struct vault_object *o, const struct vault_render *how,
        struct sec **ret, struct err *e)
{
        _cleanup_sec_ struct sec *content = NULL;
        size_t at = 0;

        int r = render_content(o, how->format, &content, e);
        if (r < 0)
                return r;
        switch (how->encoding) {
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
        *ret = TAKE_PTR(content);
        return 0;
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
