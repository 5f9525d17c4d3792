#include "vault/pkcs12_write.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/sha.h>

#define ITERATIONS 2000
#define SALT 8
#define PBE NID_pbe_WithSHA1And3_Key_TripleDES_CBC

static void pop_safes(STACK_OF(PKCS7) * s)
{
        sk_PKCS7_pop_free(s, PKCS7_free);
}

static void pop_bags(STACK_OF(PKCS12_SAFEBAG) * s)
{
        sk_PKCS12_SAFEBAG_pop_free(s, PKCS12_SAFEBAG_free);
}

DEFINE_CLEANUP(PKCS12 *, PKCS12_free)
DEFINE_CLEANUP(STACK_OF(PKCS7) *, pop_safes)
DEFINE_CLEANUP(STACK_OF(PKCS12_SAFEBAG) *, pop_bags)
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

struct salts {
        union {
                unsigned char digest[SHA256_DIGEST_LENGTH];
                struct {
                        unsigned char key[SALT], certs[SALT], mac[SALT];
                };
        };
};

/* OpenSSL's functions take the bytes as int and not const. */
static bool make_salts(
        const PKCS8_PRIV_KEY_INFO *key, X509 *const *certs, size_t n, struct salts *ret)
{
        _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

        if (key) {
                unsigned char *der = NULL;
                int len = i2d_PKCS8_PRIV_KEY_INFO(key, &der);
                good = good && len > 0 && EVP_DigestUpdate(ctx, der, (size_t)len);
                OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
        }
        for (size_t i = 0; i < n && good; i++) {
                unsigned char *der = NULL;
                int len = i2d_X509(certs[i], &der);
                good = len > 0 && EVP_DigestUpdate(ctx, der, (size_t)len);
                OPENSSL_free(der);
        }
        return good && EVP_DigestFinal_ex(ctx, ret->digest, NULL);
}

static bool push_safe(STACK_OF(PKCS7) * safes, PKCS7 *safe)
{
        if (safe && sk_PKCS7_push(safes, safe) > 0)
                return true;
        PKCS7_free(safe);
        return false;
}

static bool add_certs(
        STACK_OF(PKCS7) * safes, X509 *const *certs, size_t n, bool with_key, struct salts *salts)
{
        _cleanup_(pop_bagsp) STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
        unsigned char id[SHA_DIGEST_LENGTH];
        unsigned id_len;

        /* How readers tell which certificate belongs to the key. */
        if (with_key && n > 0 &&
                (!X509_digest(certs[0], EVP_sha1(), id, &id_len) ||
                        !X509_keyid_set1(certs[0], id, (int)id_len)))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!PKCS12_add_cert(&bags, certs[i]))
                        return false;
        return !bags || push_safe(safes, PKCS12_pack_p7encdata(
                                                 PBE, "", 0, salts->certs, SALT, ITERATIONS, bags));
}

static bool add_key(STACK_OF(PKCS7) * safes, PKCS8_PRIV_KEY_INFO *key, X509 *const *certs, size_t n,
        struct salts *salts)
{
        _cleanup_(pop_bagsp) STACK_OF(PKCS12_SAFEBAG) *bags = sk_PKCS12_SAFEBAG_new_null();
        PKCS12_SAFEBAG *bag =
                PKCS12_SAFEBAG_create_pkcs8_encrypt(PBE, "", 0, salts->key, SALT, ITERATIONS, key);
        int id_len = 0;
        unsigned char *id = n > 0 ? X509_keyid_get0(certs[0], &id_len) : NULL;

        if (!bags || !bag || (id && !PKCS12_add_localkeyid(bag, id, id_len)) ||
                sk_PKCS12_SAFEBAG_push(bags, bag) <= 0) {
                PKCS12_SAFEBAG_free(bag);
                return false;
        }
        return push_safe(safes, PKCS12_pack_p7data(bags));
}

static bool build(EVP_PKEY *key, X509 *const *certs, size_t n, PKCS12 **ret)
{
        _cleanup_(pop_safesp) STACK_OF(PKCS7) *safes = sk_PKCS7_new_null();
        _cleanup_(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *plain =
                key ? EVP_PKEY2PKCS8(key) : NULL;
        struct salts salts;

        if (!safes || (key && !plain) || !make_salts(plain, certs, n, &salts) ||
                !add_certs(safes, certs, n, key, &salts) ||
                (plain && !add_key(safes, plain, certs, n, &salts)))
                return false;
        _cleanup_(PKCS12_freep) PKCS12 *p12 = PKCS12_add_safes(safes, 0);
        if (!p12 || !PKCS12_set_mac(p12, "", 0, salts.mac, SALT, ITERATIONS, EVP_sha1()))
                return false;
        *ret = TAKE_PTR(p12);
        return true;
}

int pkcs12_write(EVP_PKEY *key, X509 *const *certs, size_t n, struct sec **ret, struct err *e)
{
        _cleanup_(PKCS12_freep) PKCS12 *p12 = NULL;
        unsigned char *der = NULL;
        int r;

        ERR_clear_error();
        int len = build(key, certs, n, &p12) ? i2d_PKCS12(p12, &der) : -1;
        if (len < 0) {
                const char *why = ERR_reason_error_string(ERR_peek_last_error());
                r = err_set(e, -EBADMSG, "no PFX can be made of the certificate%s%s",
                        why ? ": " : "", why ? why : "");
        } else {
                r = sec_new(der, (size_t)len, ret);
                if (r < 0)
                        err_set_cause(e, ERR_LOCAL, r, "out of memory");
                OPENSSL_clear_free(der, (size_t)len);
        }
        /* A queue left behind would be taken for the next caller's failure. */
        ERR_clear_error();
        return r;
}
