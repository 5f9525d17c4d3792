/* Nothing of a value or a private key is left in the process once its holders are gone. Runs with
 * the wiping allocators, as akvfs itself does. */
#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <stdio.h>

#include "base/wipe.h"
#include "pki.h"
#include "support/memory.h"
#include "support/server.h"
#include "vault/pkcs12.h"
#include "vault/vault.h"

enum { N = 40 };

TestSuite(wiping, .init = test_init, .timeout = 120);

/* A masked copy of the middle of it, for the search. */
static void mask_middle(const struct sec *s, unsigned char masked[N])
{
        const unsigned char *p = sec_bytes(s);

        cr_assert_geq(sec_len(s), 3 * N);
        for (size_t i = 0; i < N; i++)
                masked[i] = p[sec_len(s) / 2 + i] ^ TEST_MASK;
}

static struct vault_object *object_of(const unsigned char *masked)
{
        _cleanup_secret_ char *body = malloc(512);
        char plain[N + 1];
        struct vault_object *o = NULL;

        test_unmask(masked, N, plain);
        int n = snprintf(body, 512, "{\"value\":\"%s\",\"id\":\"https://v/secrets/s/1\"}", plain);
        explicit_bzero(plain, sizeof(plain));
        cr_assert(vault_object_parse(VAULT_SECRET, body, (size_t)n, &o, NULL) == 0);
        return o;
}

Test(wiping, values, .disabled = !TEST_MEMORY_SEARCH)
{
        unsigned char masked[N];
        struct sec *out = NULL;
        const struct vault_render plain = {0}, hex = {.encoding = VAULT_ENCODING_HEX};

        test_masked_random(masked, N);
        struct vault_object *o = object_of(masked);
        cr_assert(vault_render(o, &plain, &out, NULL) == 0);
        /* In the value itself, or nowhere: memfd_secret is not seen from outside. */
        cr_expect_leq(test_memory_count(masked, N), 1);
        sec_unref(out);
        struct sec *none = NULL;
        cr_expect(vault_render(o, &hex, &none, NULL) == -EINVAL);
        vault_object_unref(o);
        cr_expect_eq(test_memory_count(masked, N), 0);
}

Test(wiping, private_keys, .disabled = !TEST_MEMORY_SEARCH)
{
        EVP_PKEY *key = pki_key("P-521");
        X509 *cert = pki_cert(key, "leaf", NULL, NULL, 0);
        unsigned char scalar[66], masked_pem[N], masked_scalar[N];
        struct sec *pem = NULL;
        BIGNUM *bn = NULL;
        bool incomplete;
        size_t len;

        unsigned char *der = pki_pfx(
                &(struct pki_pfx){
                        .keys = &key, .n_keys = 1, .certs = (X509 *[]){cert}, .n_certs = 1},
                &len);
        cr_assert(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &bn));
        cr_assert(BN_bn2binpad(bn, scalar, sizeof(scalar)) == sizeof(scalar));
        for (size_t i = 0; i < N; i++)
                masked_scalar[i] = scalar[10 + i] ^ TEST_MASK;
        explicit_bzero(scalar, sizeof(scalar));
        BN_clear_free(bn);
        EVP_PKEY_free(key);

        cr_assert(pkcs12_to_pem(der, len, NULL, false, &pem, &incomplete, NULL) == 0);
        cr_expect_eq(test_memory_count(masked_scalar, N), 0, "the DER of the key is gone already");
        /* The key comes first: the middle of its block. */
        sec_truncate(pem, 360);
        mask_middle(pem, masked_pem);
        cr_expect_leq(test_memory_count(masked_pem, N), 1);
        sec_unref(pem);
        cr_expect_eq(test_memory_count(masked_pem, N), 0);
        X509_free(cert);
        free(der);
}
