#include "vault/pkcs12_write.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>

#include "pki.h"
#include "vault/pkcs12.h"

static EVP_PKEY *key, *root_key;
static X509 *leaf, *root;

static void make(void)
{
        root_key = pki_key("P-256");
        root = pki_cert(root_key, "root", NULL, NULL, 0);
}

static void make_leaf(const char *type)
{
        key = pki_key(type);
        leaf = pki_cert(key, "leaf", root_key, root, 0);
}

static void destroy(void)
{
        EVP_PKEY_free(key);
        EVP_PKEY_free(root_key);
        X509_free(leaf);
        X509_free(root);
}

TestSuite(pkcs12_write, .init = make, .fini = destroy, .timeout = 60);

static struct sec *write_pfx(EVP_PKEY *k, size_t n)
{
        X509 *const chain[] = {leaf, root};
        _cleanup_err_ struct err e = {0};
        struct sec *out = NULL;

        cr_assert(pkcs12_write(k, chain, n, &out, &e) == 0, "%s", err_text(&e));
        cr_expect_eq(ERR_peek_error(), 0);
        return out;
}

/* Read by OpenSSL's own reader, and by ours. */
static void expect_back(const char *type)
{
        make_leaf(type);
        _cleanup_sec_ struct sec *pfx = write_pfx(key, 2), *pem = NULL;
        _cleanup_free_ char *want = pki_pem(&key, 1, (X509 *const[]){leaf, root}, NULL, 2);
        const unsigned char *p = sec_bytes(pfx);
        PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)sec_len(pfx));
        STACK_OF(X509) *others = NULL;
        EVP_PKEY *got = NULL;
        X509 *first = NULL;
        bool incomplete = true;

        cr_assert(p12 && PKCS12_parse(p12, "", &got, &first, &others), "%s", type);
        cr_expect(EVP_PKEY_eq(got, key) == 1, "%s", type);
        cr_expect(X509_cmp(first, leaf) == 0, "%s: the leaf belongs to the key", type);
        cr_expect(sk_X509_num(others) == 1 && X509_cmp(sk_X509_value(others, 0), root) == 0);
        EVP_PKEY_free(got);
        X509_free(first);
        sk_X509_pop_free(others, X509_free);
        PKCS12_free(p12);

        cr_assert(pkcs12_to_pem(
                          sec_bytes(pfx), sec_len(pfx), NULL, false, &pem, &incomplete, NULL) == 0);
        cr_expect_not(incomplete);
        cr_expect(sec_len(pem) == strlen(want) && memcmp(sec_bytes(pem), want, sec_len(pem)) == 0,
                "%s", type);
}

Test(pkcs12_write, rsa_is_read_back)
{
        expect_back("RSA");
}

Test(pkcs12_write, ec_is_read_back)
{
        expect_back("P-384");
}

Test(pkcs12_write, ed25519_is_read_back)
{
        expect_back("ED25519");
}

Test(pkcs12_write, the_same_again_is_the_same_bytes)
{
        make_leaf("P-256");
        _cleanup_sec_ struct sec *a = write_pfx(key, 2), *b = write_pfx(key, 2),
                                 *other = write_pfx(key, 1), *none = write_pfx(NULL, 2);

        cr_expect(sec_equal(a, b));
        cr_expect_not(sec_equal(a, other));
        cr_expect_not(sec_equal(a, none));
}

Test(pkcs12_write, without_a_key_there_are_certificates)
{
        make_leaf("P-256");
        _cleanup_sec_ struct sec *pfx = write_pfx(NULL, 2), *pem = NULL;
        _cleanup_free_ char *want = pki_pem(NULL, 0, (X509 *const[]){leaf, root}, NULL, 2);
        bool incomplete;

        cr_assert(pkcs12_to_pem(
                          sec_bytes(pfx), sec_len(pfx), NULL, false, &pem, &incomplete, NULL) == 0);
        cr_expect(sec_len(pem) == strlen(want) && memcmp(sec_bytes(pem), want, sec_len(pem)) == 0);
}
