#include "vault/pkcs12.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>

#include "vault/chain.h"
#include "vault/pem.h"

#define SAFES_MAX 32
#define BAGS_MAX 256 /* in all */
#define BAG_DEPTH_MAX 4

const struct pkcs12_limits pkcs12_limits_default = {
        .iterations = PKCS12_ITERATIONS_MAX,
        .total_iterations = PKCS12_ITERATIONS_MAX * 4,
};

static void pop_safes(STACK_OF(PKCS7) * s)
{
        sk_PKCS7_pop_free(s, PKCS7_free);
}

static void pop_bags(STACK_OF(PKCS12_SAFEBAG) * s)
{
        sk_PKCS12_SAFEBAG_pop_free(s, PKCS12_SAFEBAG_free);
}

DEFINE_CLEANUP(PKCS12 *, PKCS12_free)
DEFINE_CLEANUP(BIO *, BIO_free)
DEFINE_CLEANUP(STACK_OF(PKCS7) *, pop_safes)
DEFINE_CLEANUP(STACK_OF(PKCS12_SAFEBAG) *, pop_bags)
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

/* The two ways to write no password: PKCS#12's key derivation takes two zero bytes for "" and
 * nothing at all for NULL. Until one is known to be right both are tried. */
static const char *const empty_passwords[] = {"", NULL};

struct reader {
        OSSL_LIB_CTX *ctx;
        OSSL_PROVIDER *base, *legacy;
        const struct pkcs12_limits *limits;
        uint64_t iterations; /* asked for so far */
        const char *passwords[ELEMENTSOF(empty_passwords)];
        size_t n_passwords;
        unsigned bags;

        struct sec *keys[PKCS12_KEYS_MAX]; /* PKCS#8 */
        size_t n_keys;
        X509 *certs[CHAIN_MAX];
        size_t n_certs;
};

static void reader_done(struct reader *r)
{
        for (size_t i = 0; i < r->n_keys; i++)
                sec_unref(r->keys[i]);
        for (size_t i = 0; i < r->n_certs; i++)
                X509_free(r->certs[i]);
        if (r->legacy)
                OSSL_PROVIDER_unload(r->legacy);
        if (r->base)
                OSSL_PROVIDER_unload(r->base);
        OSSL_LIB_CTX_free(r->ctx);
        /* A queue left behind would be taken for the next caller's failure, libcurl's for one. */
        ERR_clear_error();
}

static int failed(struct err *e, int r, const char *what)
{
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        return err_set(e, r, "pkcs12: %s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

static int oom(struct err *e)
{
        return err_set_cause(e, ERR_LOCAL, -ENOMEM, "out of memory");
}

static int too_much(struct err *e, const char *what)
{
        return err_set(e, -E2BIG, "pkcs12: too many %s", what);
}

/* --- how much work the file may ask for ----------------------------------------------------- */

static int count_iterations(struct reader *r, const ASN1_INTEGER *iterations, struct err *e)
{
        int64_t n = 1; /* RFC 7292 section 4: the default */

        if (iterations && !ASN1_INTEGER_get_int64(&n, iterations))
                return too_much(e, "iterations");
        if (n < 1)
                return failed(e, -EBADMSG, "iteration count below 1");
        r->iterations += (uint64_t)n;
        if ((uint64_t)n > r->limits->iterations || r->iterations > r->limits->total_iterations)
                return too_much(e, "iterations");
        return 0;
}

static int load_legacy(struct reader *r, struct err *e)
{
        if (!r->legacy)
                r->legacy = OSSL_PROVIDER_load(r->ctx, "legacy");
        if (!r->legacy) {
                failed(e, -EOPNOTSUPP,
                        "an old cipher is used, and OpenSSL's legacy provider cannot be loaded");
                err_hint(e, "install OpenSSL's legacy.so (Debian has it in libssl3), or import "
                            "the certificate again so that the vault encodes it anew");
                return -EOPNOTSUPP;
        }
        return 0;
}

static int check_pbes2(struct reader *r, const ASN1_TYPE *parameter, struct err *e)
{
        PBE2PARAM *pbe2 = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), parameter);
        PBKDF2PARAM *kdf = NULL;
        int result;

        if (!pbe2)
                return failed(e, -EBADMSG, "PBES2 has no parameters");
        /* scrypt's cost is not an iteration count; nobody puts it into a PFX. */
        if (OBJ_obj2nid(pbe2->keyfunc->algorithm) != NID_id_pbkdf2)
                result = failed(e, -EOPNOTSUPP, "PBES2 with another key derivation than PBKDF2");
        else if (!(kdf = ASN1_TYPE_unpack_sequence(
                           ASN1_ITEM_rptr(PBKDF2PARAM), pbe2->keyfunc->parameter)))
                result = failed(e, -EBADMSG, "PBKDF2 has no parameters");
        else
                result = count_iterations(r, kdf->iter, e);
        PBKDF2PARAM_free(kdf);
        PBE2PARAM_free(pbe2);
        return result;
}

static int check_pbe(struct reader *r, const ASN1_TYPE *parameter, struct err *e)
{
        PBEPARAM *pbe = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), parameter);

        if (!pbe)
                return failed(e, -EBADMSG, "the encryption has no parameters");
        int result = count_iterations(r, pbe->iter, e);
        PBEPARAM_free(pbe);
        return result;
}

/* What is about to be decrypted: is it known, and is it affordable? */
static int check_algorithm(struct reader *r, const X509_ALGOR *algorithm, struct err *e)
{
        const ASN1_OBJECT *object;
        const void *value;
        int type, result;

        X509_ALGOR_get0(&object, &type, &value, algorithm);
        if (type != V_ASN1_SEQUENCE)
                return failed(e, -EBADMSG, "the encryption has no parameters");
        switch (OBJ_obj2nid(object)) {
        case NID_pbes2:
                return check_pbes2(r, algorithm->parameter, e);
        case NID_pbe_WithSHA1And3_Key_TripleDES_CBC:
        case NID_pbe_WithSHA1And2_Key_TripleDES_CBC:
                return check_pbe(r, algorithm->parameter, e);
        case NID_pbe_WithSHA1And40BitRC2_CBC:
        case NID_pbe_WithSHA1And128BitRC2_CBC:
        case NID_pbe_WithSHA1And40BitRC4:
        case NID_pbe_WithSHA1And128BitRC4:
                result = load_legacy(r, e);
                return result < 0 ? result : check_pbe(r, algorithm->parameter, e);
        default:
                return failed(e, -EOPNOTSUPP, "unknown encryption");
        }
}

/* --- keys and certificates ------------------------------------------------------------------ */

/* Written anew rather than copied: that drops attributes, gives EC its named curve and its public
 * key, and so comes to the same bytes as Go's encoder. */
static int add_key(struct reader *r, const PKCS8_PRIV_KEY_INFO *info, struct err *e)
{
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_PKCS82PKEY_ex(info, r->ctx, NULL);
        _cleanup_(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *plain = NULL;
        unsigned char *der = NULL;

        if (r->n_keys == PKCS12_KEYS_MAX)
                return too_much(e, "private keys");
        if (!key)
                return failed(e, -EBADMSG, "a private key cannot be read");
        if (EVP_PKEY_is_a(key, "EC")) {
                char named[] = OSSL_PKEY_EC_ENCODING_GROUP;
                int with_public = 1;
                OSSL_PARAM params[] = {
                        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, named, 0),
                        OSSL_PARAM_construct_int(OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, &with_public),
                        OSSL_PARAM_construct_end(),
                };
                char group[64];
                if (!EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
                        return failed(e, -EOPNOTSUPP, "an EC private key has no named curve");
                if (!EVP_PKEY_set_params(key, params))
                        return failed(e, -EBADMSG, "a private key cannot be encoded");
        } else if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "ED25519"))
                return failed(e, -EOPNOTSUPP, "a private key is neither RSA, EC nor Ed25519");

        plain = EVP_PKEY2PKCS8(key);
        int n = plain ? i2d_PKCS8_PRIV_KEY_INFO(plain, &der) : -1;
        if (n < 0)
                return failed(e, -EBADMSG, "a private key cannot be encoded");
        int result = sec_new(der, (size_t)n, &r->keys[r->n_keys]);
        OPENSSL_clear_free(der, (size_t)n);
        if (result < 0)
                return oom(e);
        r->n_keys++;
        return 0;
}

static int add_certificate(struct reader *r, const PKCS12_SAFEBAG *bag, struct err *e)
{
        if (r->n_certs == CHAIN_MAX)
                return too_much(e, "certificates");
        X509 *cert = PKCS12_SAFEBAG_get1_cert(bag);
        if (!cert)
                return failed(e, -EBADMSG, "a certificate cannot be read");
        r->certs[r->n_certs++] = cert;
        return 0;
}

static int decrypt_key(struct reader *r, const PKCS12_SAFEBAG *bag, struct err *e)
{
        const X509_SIG *encrypted = PKCS12_SAFEBAG_get0_pkcs8(bag);
        const X509_ALGOR *algorithm;

        if (!encrypted)
                return failed(e, -EBADMSG, "a private key cannot be read");
        X509_SIG_get0(encrypted, &algorithm, NULL);
        for (size_t i = 0; i < r->n_passwords; i++) {
                int result = check_algorithm(r, algorithm, e);
                if (result < 0)
                        return result;
                _cleanup_(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *info =
                        PKCS12_decrypt_skey_ex(bag, r->passwords[i], 0, r->ctx, NULL);
                if (info)
                        return add_key(r, info, e);
        }
        return failed(e, -EBADMSG, "decryption password incorrect (a private key)");
}

/* --- bags ----------------------------------------------------------------------------------- */

static int read_bags(
        struct reader *r, const STACK_OF(PKCS12_SAFEBAG) * bags, unsigned depth, struct err *e);

static int read_bag(struct reader *r, const PKCS12_SAFEBAG *bag, unsigned depth, struct err *e)
{
        const PKCS8_PRIV_KEY_INFO *info;

        switch (PKCS12_SAFEBAG_get_nid(bag)) {
        case NID_keyBag:
                info = PKCS12_SAFEBAG_get0_p8inf(bag);
                return info ? add_key(r, info, e)
                            : failed(e, -EBADMSG, "a private key cannot be read");
        case NID_pkcs8ShroudedKeyBag:
                return decrypt_key(r, bag, e);
        case NID_certBag:
                if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
                        return failed(e, -EOPNOTSUPP, "a certificate is not X.509");
                return add_certificate(r, bag, e);
        case NID_safeContentsBag:
                if (depth == BAG_DEPTH_MAX)
                        return too_much(e, "nested bags");
                return read_bags(r, PKCS12_SAFEBAG_get0_safes(bag), depth + 1, e);
        default:
                return 0; /* revocation lists and secrets: neither key nor certificate */
        }
}

static int read_bags(
        struct reader *r, const STACK_OF(PKCS12_SAFEBAG) * bags, unsigned depth, struct err *e)
{
        for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
                if (++r->bags > BAGS_MAX)
                        return too_much(e, "bags");
                int result = read_bag(r, sk_PKCS12_SAFEBAG_value(bags, i), depth, e);
                if (result < 0)
                        return result;
        }
        return 0;
}

static int read_encrypted_safe(struct reader *r, PKCS7 *safe, struct err *e)
{
        if (!safe->d.encrypted || !safe->d.encrypted->enc_data)
                return failed(e, -EBADMSG, "an encrypted part is empty");
        for (size_t i = 0; i < r->n_passwords; i++) {
                int result = check_algorithm(r, safe->d.encrypted->enc_data->algorithm, e);
                if (result < 0)
                        return result;
                _cleanup_(pop_bagsp) STACK_OF(PKCS12_SAFEBAG) *bags =
                        PKCS12_unpack_p7encdata(safe, r->passwords[i], 0);
                if (bags)
                        return read_bags(r, bags, 0, e);
        }
        return failed(e, -EBADMSG, "decryption password incorrect");
}

static int read_safe(struct reader *r, PKCS7 *safe, struct err *e)
{
        if (PKCS7_type_is_encrypted(safe))
                return read_encrypted_safe(r, safe, e);
        if (!PKCS7_type_is_data(safe))
                return failed(e, -EOPNOTSUPP, "a part is neither plain nor password-encrypted");

        _cleanup_(pop_bagsp) STACK_OF(PKCS12_SAFEBAG) *bags =
                safe->d.data ? PKCS12_unpack_p7data(safe) : NULL;
        if (!bags)
                return failed(e, -EBADMSG, "a part cannot be read");
        return read_bags(r, bags, 0, e);
}

/* --- the file ------------------------------------------------------------------------------- */

static int verify_mac(struct reader *r, PKCS12 *p12, struct err *e)
{
        const ASN1_INTEGER *iterations;

        memcpy(r->passwords, empty_passwords, sizeof(empty_passwords));
        r->n_passwords = ELEMENTSOF(empty_passwords);
        if (!PKCS12_mac_present(p12))
                return 0;
        PKCS12_get0_mac(NULL, NULL, NULL, &iterations, p12);
        for (size_t i = 0; i < r->n_passwords; i++) {
                int result = count_iterations(r, iterations, e);
                if (result < 0)
                        return result;
                if (PKCS12_verify_mac(p12, r->passwords[i], 0)) {
                        r->passwords[0] = r->passwords[i];
                        r->n_passwords = 1;
                        return 0;
                }
        }
        return failed(e, -EBADMSG, "decryption password incorrect");
}

static int read_file(struct reader *r, const void *der, size_t len, struct err *e)
{
        _cleanup_(PKCS12_freep) PKCS12 *p12 = PKCS12_init_ex(NID_pkcs7_data, r->ctx, NULL);
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(der, (int)len);
        _cleanup_(pop_safesp) STACK_OF(PKCS7) *safes = NULL;

        if (!p12 || !bio)
                return oom(e);
        if (!d2i_PKCS12_bio(bio, &p12))
                return failed(e, -EBADMSG, "error reading P12 data");
        int result = verify_mac(r, p12, e);
        if (result < 0)
                return result;
        safes = PKCS12_unpack_authsafes(p12);
        if (!safes)
                return failed(e, -EBADMSG, "error reading the authenticated safe");
        if (sk_PKCS7_num(safes) > SAFES_MAX)
                return too_much(e, "parts");
        for (int i = 0; i < sk_PKCS7_num(safes); i++) {
                result = read_safe(r, sk_PKCS7_value(safes, i), e);
                if (result < 0)
                        return result;
        }
        return 0;
}

static int write_pem(const struct reader *r, const size_t *order, struct sec **ret, struct err *e)
{
        size_t size = 0, lengths[CHAIN_MAX];

        for (size_t i = 0; i < r->n_keys; i++)
                size += pem_size("PRIVATE KEY", sec_len(r->keys[i]));
        for (size_t i = 0; i < r->n_certs; i++) {
                int n = i2d_X509(r->certs[order[i]], NULL);
                if (n < 0)
                        return failed(e, -EBADMSG, "a certificate cannot be encoded");
                lengths[i] = (size_t)n;
                size += pem_size("CERTIFICATE", lengths[i]);
        }
        int result = sec_alloc(size, ret);
        if (result < 0)
                return oom(e);
        char *out = sec_buf(*ret);
        for (size_t i = 0; i < r->n_keys; i++)
                out = pem_put(out, "PRIVATE KEY", sec_bytes(r->keys[i]), sec_len(r->keys[i]));
        for (size_t i = 0; i < r->n_certs; i++) {
                unsigned char *der = NULL;
                int n = i2d_X509(r->certs[order[i]], &der);
                if (n < 0 || (size_t)n != lengths[i]) {
                        OPENSSL_free(der);
                        *ret = sec_unref(*ret);
                        return failed(e, -EBADMSG, "a certificate cannot be encoded");
                }
                out = pem_put(out, "CERTIFICATE", der, lengths[i]);
                OPENSSL_free(der);
        }
        return 0;
}

int pkcs12_to_pem(const void *der, size_t len, const struct pkcs12_limits *limits, bool keep_order,
        struct sec **ret, bool *ret_incomplete, struct err *e)
{
        _cleanup_(reader_done) struct reader r = {
                .limits = limits ? limits : &pkcs12_limits_default,
        };
        size_t order[CHAIN_MAX];
        struct sec *pem = NULL;
        bool incomplete = false;

        if (len > PKCS12_SIZE_MAX)
                return err_set(e, -E2BIG, "pkcs12: longer than %zu bytes", PKCS12_SIZE_MAX);
        ERR_clear_error();
        r.ctx = OSSL_LIB_CTX_new();
        if (!r.ctx)
                return oom(e);
        r.base = OSSL_PROVIDER_load(r.ctx, "default");
        if (!r.base)
                return failed(e, -EOPNOTSUPP, "OpenSSL's default provider cannot be loaded");
        int result = read_file(&r, der, len, e);
        if (result < 0)
                return result;
        for (size_t i = 0; i < r.n_certs; i++)
                order[i] = i;
        if (!keep_order)
                result = chain_order(r.certs, r.n_certs, order, &incomplete, e);
        if (result < 0)
                return result;
        result = write_pem(&r, order, &pem, e);
        if (result < 0)
                return result;
        *ret = pem;
        *ret_incomplete = incomplete;
        return 0;
}
