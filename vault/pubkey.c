#include "vault/pubkey.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#define MODULUS_MAX ((size_t)16384 / 8) /* OpenSSL's own limit */
#define EXPONENT_MAX ((size_t)64)
#define COORDINATE_MAX ((size_t)66) /* P-521 */

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(OSSL_PARAM *, OSSL_PARAM_free)
DEFINE_CLEANUP(OSSL_PARAM_BLD *, OSSL_PARAM_BLD_free)
DEFINE_CLEANUP(BIGNUM *, BN_free)

static const struct {
        const char *crv, *group;
        size_t length; /* of a coordinate */
} curves[] = {
        {"P-256", "prime256v1", 32},
        {"P-384", "secp384r1", 48},
        {"P-521", "secp521r1", 66},
        {"P-256K", "secp256k1", 32},
        {"SECP256K1", "secp256k1", 32},
};

/* A queue left behind would be taken for the next caller's own failure, libcurl's for one. */
static int failed(struct err *e, const char *what)
{
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        int r = err_set_cause(
                e, ERR_SERVICE, -EBADMSG, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");

        ERR_clear_error();
        return r;
}

static int encode(EVP_PKEY *key, struct sec **ret, struct err *e)
{
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(key, &der);

        if (n < 0)
                return failed(e, "the key cannot be encoded");
        int r = sec_new(der, (size_t)n, ret);
        OPENSSL_free(der);
        return r < 0 ? err_set(e, r, "out of memory") : 0;
}

static int make(const char *type, OSSL_PARAM *params, struct sec **ret, struct err *e)
{
        _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx =
                EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;

        if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
                EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
                return failed(e, "the numbers of the key make no public key");
        return encode(key, ret, e);
}

static int encode_rsa(
        const struct sec *n, const struct sec *exponent, struct sec **ret, struct err *e)
{
        if (!n || !exponent || sec_len(n) == 0 || sec_len(exponent) == 0 ||
                sec_len(n) > MODULUS_MAX || sec_len(exponent) > EXPONENT_MAX)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG, "the RSA key has no usable n and e");

        _cleanup_(BN_freep) BIGNUM *bn_n = BN_bin2bn(sec_bytes(n), (int)sec_len(n), NULL);
        _cleanup_(BN_freep) BIGNUM *bn_e =
                BN_bin2bn(sec_bytes(exponent), (int)sec_len(exponent), NULL);
        _cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        _cleanup_(OSSL_PARAM_freep) OSSL_PARAM *params = NULL;
        if (!bn_n || !bn_e || !build ||
                !OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) ||
                !OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e) ||
                !(params = OSSL_PARAM_BLD_to_param(build))) {
                ERR_clear_error();
                return err_set(e, -ENOMEM, "out of memory");
        }
        return make("RSA", params, ret, e);
}

static int encode_ec(
        const char *crv, const struct sec *x, const struct sec *y, struct sec **ret, struct err *e)
{
        unsigned char point[1 + 2 * COORDINATE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
        size_t length = 0;
        char group[16];

        for (size_t i = 0; i < ELEMENTSOF(curves); i++)
                if (streq(curves[i].crv, crv)) {
                        length = curves[i].length;
                        strcpy(group, curves[i].group);
                }
        if (length == 0)
                return err_set_cause(
                        e, ERR_UNSUPPORTED, -EOPNOTSUPP, "curve %s is not supported", crv);
        if (!x || !y || sec_len(x) > length || sec_len(y) > length)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "the EC key has no usable x and y for curve %s", crv);
        memcpy(point + 1 + length - sec_len(x), sec_bytes(x), sec_len(x));
        memcpy(point + 1 + 2 * length - sec_len(y), sec_bytes(y), sec_len(y));

        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * length),
                OSSL_PARAM_construct_end(),
        };
        return make("EC", params, ret, e);
}

int pubkey_encode(const char *kty, const char *crv, const struct sec *n, const struct sec *e,
        const struct sec *x, const struct sec *y, struct sec **ret, struct err *reason)
{
        if (streq(kty, "RSA") || streq(kty, "RSA-HSM"))
                return encode_rsa(n, e, ret, reason);
        if (streq(kty, "EC") || streq(kty, "EC-HSM"))
                return encode_ec(crv, x, y, ret, reason);
        return err_set_cause(reason, ERR_UNSUPPORTED, -EOPNOTSUPP,
                "failed to get key. key type '%s' currently not supported", kty);
}
