#include "pki.h"

#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>

EVP_PKEY *pki_key(const char *type)
{
        EVP_PKEY *key = streq(type, "RSA") ? EVP_RSA_gen(2048)
                        : streq(type, "ED25519") || streq(type, "ED448")
                                ? EVP_PKEY_Q_keygen(NULL, NULL, type)
                                : EVP_EC_gen(type);

        cr_assert_not_null(key, "%s", type);
        return key;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
        X509V3_CTX ctx;

        X509V3_set_ctx_nodb(&ctx);
        X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        cr_assert_not_null(extension, "%s", value);
        X509_add_ext(cert, extension, -1);
        X509_EXTENSION_free(extension);
}

X509 *pki_cert(EVP_PKEY *key, const char *name, EVP_PKEY *issuer_key, X509 *issuer, unsigned flags)
{
        static long serial = 1;
        X509 *cert = X509_new();
        X509_NAME *subject = X509_NAME_new();

        X509_NAME_add_entry_by_txt(
                subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
        X509_set_version(cert, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
        X509_gmtime_adj(X509_getm_notAfter(cert), 365 * 86400L);
        X509_set_subject_name(cert, subject);
        X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
        X509_set_pubkey(cert, key);
        if (!(flags & PKI_NO_SKI))
                add_extension(cert, issuer ? issuer : cert, NID_subject_key_identifier, "hash");
        if (!(flags & PKI_NO_AKI))
                add_extension(
                        cert, issuer ? issuer : cert, NID_authority_key_identifier, "keyid:always");
        if (flags & PKI_CA)
                add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
        EVP_PKEY *signer = issuer_key ? issuer_key : key;
        bool digest = !EVP_PKEY_is_a(signer, "ED25519") && !EVP_PKEY_is_a(signer, "ED448");
        cr_assert(X509_sign(cert, signer, digest ? EVP_sha256() : NULL) > 0);
        X509_NAME_free(subject);
        return cert;
}

void pki_family(const char *const *types, size_t n, EVP_PKEY **keys, X509 **certs)
{
        const size_t inter = n, root = n + 1, bare = n + 2;

        keys[inter] = pki_key("P-256");
        keys[root] = pki_key("P-256");
        certs[root] = pki_cert(keys[root], "root", NULL, NULL, PKI_CA);
        certs[bare] = pki_cert(keys[root], "root", NULL, NULL, PKI_CA | PKI_NO_AKI);
        certs[inter] = pki_cert(keys[inter], "inter", keys[root], certs[root], PKI_CA);
        for (size_t i = 0; i < n; i++) {
                keys[i] = pki_key(types[i]);
                certs[i] = pki_cert(keys[i], types[i], keys[inter], certs[inter], 0);
        }
}

void pki_free(EVP_PKEY **keys, size_t n_keys, X509 **certs, size_t n_certs)
{
        for (size_t i = 0; i < n_keys; i++)
                EVP_PKEY_free(keys[i]);
        for (size_t i = 0; i < n_certs; i++)
                X509_free(certs[i]);
}

static void nest(STACK_OF(PKCS12_SAFEBAG) * *bags)
{
        /* SafeContents as a bag of its own: SEQUENCE { OID safeContentsBag, [0] SafeContents } */
        unsigned char *inner = NULL;
        int n = ASN1_item_i2d((ASN1_VALUE *)*bags, &inner, ASN1_ITEM_rptr(PKCS12_SAFEBAGS));
        cr_assert(n > 0);
        static const unsigned char oid[] = {
                0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x06};
        int wrapped = ASN1_object_size(1, n, 0);
        int body = (int)sizeof(oid) + wrapped, total = ASN1_object_size(1, body, V_ASN1_SEQUENCE);
        unsigned char *der = malloc((size_t)total), *p = der;
        ASN1_put_object(&p, 1, body, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
        memcpy(p, oid, sizeof(oid));
        p += sizeof(oid);
        ASN1_put_object(&p, 1, n, 0, V_ASN1_CONTEXT_SPECIFIC);
        memcpy(p, inner, (size_t)n);
        const unsigned char *q = der;
        PKCS12_SAFEBAG *outer = d2i_PKCS12_SAFEBAG(NULL, &q, total);
        cr_assert_not_null(outer);
        free(der);
        OPENSSL_free(inner);
        sk_PKCS12_SAFEBAG_pop_free(*bags, PKCS12_SAFEBAG_free);
        *bags = sk_PKCS12_SAFEBAG_new_null();
        sk_PKCS12_SAFEBAG_push(*bags, outer);
}

static void add_keys(STACK_OF(PKCS7) * *safes, const struct pki_pfx *p, const char *password,
        int iterations, OSSL_LIB_CTX *ctx)
{
        STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
        int nid = p->flags & PKI_KEY_BAG ? -1
                  : p->key_nid           ? p->key_nid
                                         : NID_pbe_WithSHA1And3_Key_TripleDES_CBC;

        for (size_t i = 0; i < p->n_keys; i++) {
                int with_public = !(p->flags & PKI_PRIVATE_ONLY);
                OSSL_PARAM params[] = {
                        OSSL_PARAM_construct_int(OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, &with_public),
                        OSSL_PARAM_construct_end()};
                if (EVP_PKEY_is_a(p->keys[i], "EC"))
                        cr_assert(EVP_PKEY_set_params(p->keys[i], params));
                /* KEY_SIG adds an attribute, as Windows does. */
                cr_assert_not_null(PKCS12_add_key_ex(
                        &bags, p->keys[i], KEY_SIG, iterations, nid, password, ctx, NULL));
                with_public = 1;
                if (EVP_PKEY_is_a(p->keys[i], "EC"))
                        cr_assert(EVP_PKEY_set_params(p->keys[i], params));
        }
        if (bags)
                cr_assert(PKCS12_add_safe_ex(safes, bags, -1, 0, NULL, ctx, NULL));
        sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}

static void add_certs(STACK_OF(PKCS7) * *safes, const struct pki_pfx *p, const char *password,
        int iterations, OSSL_LIB_CTX *ctx)
{
        STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
        int nid = p->flags & PKI_PLAIN_CERTS ? -1
                  : p->cert_nid              ? p->cert_nid
                                             : NID_pbe_WithSHA1And3_Key_TripleDES_CBC;

        for (size_t i = 0; i < p->n_certs; i++)
                cr_assert_not_null(PKCS12_add_cert(&bags, p->certs[i]));
        if (bags && p->flags & PKI_NESTED)
                nest(&bags);
        if (bags)
                cr_assert(PKCS12_add_safe_ex(safes, bags, nid, iterations, password, ctx, NULL));
        sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}

unsigned char *pki_pfx(const struct pki_pfx *p, size_t *ret_len)
{
        OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
        OSSL_PROVIDER *base = OSSL_PROVIDER_load(ctx, "default");
        OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(ctx, "legacy");
        STACK_OF(PKCS7) *safes = NULL;
        int iterations = p->iterations ? p->iterations : 2000;
        const char *password = p->flags & PKI_NULL_PASSWORD ? NULL : p->password ? p->password : "";
        unsigned char *der = NULL;

        cr_assert(base && legacy, "OpenSSL's legacy provider is needed");
        add_certs(&safes, p, password, iterations, ctx);
        add_keys(&safes, p, password, iterations, ctx);
        if (!safes)
                safes = sk_PKCS7_new_null();
        PKCS12 *p12 = PKCS12_add_safes_ex(safes, 0, ctx, NULL);
        cr_assert_not_null(p12);
        if (!(p->flags & PKI_NO_MAC)) {
                EVP_MD *md = EVP_MD_fetch(ctx, p->mac ? p->mac : "SHA1", NULL);
                cr_assert(PKCS12_set_mac(p12, password, -1, NULL, 0,
                        p->mac_iterations ? p->mac_iterations : iterations, md));
                EVP_MD_free(md);
        }
        int n = i2d_PKCS12(p12, &der);
        cr_assert(n > 0);
        *ret_len = (size_t)n;
        PKCS12_free(p12);
        sk_PKCS7_pop_free(safes, PKCS7_free);
        OSSL_PROVIDER_unload(legacy);
        OSSL_PROVIDER_unload(base);
        OSSL_LIB_CTX_free(ctx);
        ERR_clear_error();
        unsigned char *copy = malloc((size_t)n);
        memcpy(copy, der, (size_t)n);
        OPENSSL_free(der);
        return copy;
}

char *pki_pem(EVP_PKEY *const *keys, size_t n_keys, X509 *const *certs, const size_t *order,
        size_t n_certs)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;

        for (size_t i = 0; i < n_keys; i++)
                cr_assert(PEM_write_bio_PKCS8PrivateKey(bio, keys[i], NULL, NULL, 0, NULL, NULL));
        for (size_t i = 0; i < n_certs; i++)
                cr_assert(PEM_write_bio_X509(bio, certs[order ? order[i] : i]));
        long n = BIO_get_mem_data(bio, &text);
        char *copy = calloc(1, (size_t)n + 1); /* the BIO's text has no end of its own */
        cr_assert_not_null(copy);
        if (n > 0)
                memcpy(copy, text, (size_t)n);
        BIO_free(bio);
        return copy;
}
