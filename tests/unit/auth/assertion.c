#include <criterion/criterion.h>
#include <openssl/rsa.h>
#include <stdio.h>

#include "auth/jwt.h"
#include "base/json.h"
#include "base/wipe.h"
#include "support/memory.h"
#include "support/server.h"
#include "support/signer.h"

static EVP_PKEY *key;
static X509 *certificate;
static struct jwt_signer *signer;

static void set_up(void)
{
        test_init();
        key = test_key_rsa(2048);
        certificate = test_certificate(key, "app");
}

static void tear_down(void)
{
        jwt_signer_free(signer);
        signer = NULL;
        X509_free(certificate);
        EVP_PKEY_free(key);
}

TestSuite(assertion, .init = set_up, .fini = tear_down, .timeout = 60);

static int load(const char *text, const char *password)
{
        const char *why = "";

        return jwt_signer_new(text, strlen(text), password, &signer, &why);
}

static const char *why_not(const void *data, size_t len, const char *password)
{
        static const char *why;
        struct jwt_signer *none = NULL;

        why = "";
        cr_expect_eq(jwt_signer_new(data, len, password, &none, &why), -EINVAL);
        cr_expect_null(none);
        return why;
}

Test(assertion, encrypted_keys_and_pfx_files)
{
        _cleanup_free_ char *k = test_pem_key(key, "word"), *c = test_pem_certificate(certificate);
        _cleanup_free_ char *pem = NULL;
        const char *why = "";
        size_t len = 0;

        cr_assert_eq(xasprintf(&pem, "%s%s", k, c), 0);
        cr_assert_not_null(strstr(why_not(pem, strlen(pem), NULL), "no private key"));
        cr_assert_not_null(strstr(why_not(pem, strlen(pem), "wrong"), "no private key"));
        cr_assert_eq(load(pem, "word"), 0);
        jwt_signer_free(signer);
        signer = NULL;

        _cleanup_free_ unsigned char *pfx = test_pfx(key, certificate, NULL, "word", &len);
        cr_assert_not_null(strstr(why_not(pfx, len, "wrong"), "wrong password"));
        cr_assert_not_null(strstr(why_not(pfx, len, NULL), "wrong password"));
        cr_assert_not_null(strstr(why_not(pfx, len / 2, "word"), "neither PEM nor PKCS#12"));
        cr_assert_eq(jwt_signer_new(pfx, len, "word", &signer, &why), 0, "%s", why);
        jwt_signer_free(signer);
        _cleanup_free_ unsigned char *open = test_pfx(key, certificate, NULL, NULL, &len);
        cr_assert_eq(jwt_signer_new(open, len, NULL, &signer, &why), 0, "%s", why);
}

Test(assertion, what_entra_would_not_take_is_refused_here)
{
        EVP_PKEY *ec = test_key_ec(), *small = test_key_rsa(1024), *other = test_key_rsa(2048);
        X509 *of_ec = test_certificate(ec, "ec");
        _cleanup_free_ char *ec_key = test_pem_key(ec, NULL), *ec_c = test_pem_certificate(of_ec);
        _cleanup_free_ char *small_key = test_pem_key(small, NULL);
        _cleanup_free_ char *other_key = test_pem_key(other, NULL);
        _cleanup_free_ char *k = test_pem_key(key, NULL), *c = test_pem_certificate(certificate);
        _cleanup_free_ char *a = NULL, *b = NULL, *d = NULL;

        cr_assert_eq(xasprintf(&a, "%s%s", ec_key, ec_c), 0);
        cr_assert_eq(xasprintf(&b, "%s%s", small_key, c), 0);
        cr_assert_eq(xasprintf(&d, "%s%s", other_key, c), 0);
        cr_expect_not_null(strstr(why_not(a, strlen(a), NULL), "not RSA"));
        cr_expect_not_null(strstr(why_not(b, strlen(b), NULL), "2048"));
        cr_expect_not_null(strstr(why_not(d, strlen(d), NULL), "none of its certificates"));
        cr_expect_not_null(strstr(why_not(k, strlen(k), NULL), "no certificate"));
        cr_expect_not_null(strstr(why_not(c, strlen(c), NULL), "no private key"));
        cr_expect_not_null(strstr(why_not("x", 1, NULL), "neither"));
        X509_free(of_ec);
        EVP_PKEY_free(ec);
        EVP_PKEY_free(small);
        EVP_PKEY_free(other);
}

/* --- what is signed --- */

static size_t decode(const char *text, size_t len, unsigned char *out)
{
        char padded[8192];
        size_t full = (len + 3) / 4 * 4;

        cr_assert_lt(full, sizeof padded);
        memset(padded, '=', full);
        for (size_t i = 0; i < len; i++)
                padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        int n = EVP_DecodeBlock(out, (const unsigned char *)padded, (int)full);
        cr_assert_geq(n, 0);
        return (size_t)n - (full - len);
}

static cJSON *part(const char *jwt, unsigned n)
{
        unsigned char json[8192];
        cJSON *j = NULL;

        while (n--)
                jwt = strchr(jwt, '.') + 1;
        size_t len = decode(jwt, strcspn(jwt, "."), json);
        cr_assert_eq(json_parse((const char *)json, len, &j), 0);
        return j;
}

static bool signature_is_good(const char *jwt, bool pss)
{
        const char *dot = strrchr(jwt, '.');
        unsigned char raw[1024];
        EVP_PKEY_CTX *ctx = NULL;
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        size_t len = decode(dot + 1, strlen(dot + 1), raw);

        cr_assert_eq(EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key), 1);
        if (pss) {
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
                EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
        }
        int n = EVP_DigestVerify(md, raw, len, (const unsigned char *)jwt, (size_t)(dot - jwt));
        EVP_MD_CTX_free(md);
        return n == 1;
}

static char *sign(bool adfs, bool chain)
{
        _cleanup_free_ char *k = test_pem_key(key, NULL), *c = test_pem_certificate(certificate);
        _cleanup_free_ char *pem = NULL;
        char *jwt = NULL;
        const struct jwt_request q = {.client_id = "app",
                .audience = "https://login/t/oauth2/v2.0/token",
                .now = 1700000000,
                .adfs = adfs,
                .chain = chain};

        cr_assert_eq(xasprintf(&pem, "%s%s%s", k, c, c), 0);
        cr_assert_eq(load(pem, NULL), 0);
        cr_assert_eq(jwt_sign(signer, &q, &jwt), 0);
        cr_assert(jwt_is_well_formed(jwt, strlen(jwt)));
        return jwt;
}

/* Of the certificate that assertions name. */
static char *thumbprint(const char *pem)
{
        const struct jwt_request q = {.client_id = "app", .audience = "https://login/"};
        _cleanup_free_ char *jwt = NULL;

        cr_assert_eq(load(pem, NULL), 0);
        cr_assert_eq(jwt_sign(signer, &q, &jwt), 0);
        jwt_signer_free(signer);
        signer = NULL;
        _cleanup_json_ cJSON *header = part(jwt, 0);
        return strdup(json_string(header, "x5t#S256"));
}

Test(assertion, pem_in_any_order)
{
        _cleanup_free_ char *k = test_pem_key(key, NULL), *c = test_pem_certificate(certificate);
        EVP_PKEY *other_key = test_key_rsa(2048);
        X509 *other = test_certificate(other_key, "issuer");
        _cleanup_free_ char *o = test_pem_certificate(other), *alone = NULL, *first = NULL,
                            *last = NULL;

        cr_assert_eq(xasprintf(&alone, "%s%s", k, c), 0);
        cr_assert_eq(xasprintf(&first, "%s%s%s", k, c, o), 0);
        cr_assert_eq(xasprintf(&last, "Bag Attributes\n%s%s%s", o, c, k), 0);
        _cleanup_free_ char *expected = thumbprint(alone), *a = thumbprint(first),
                            *b = thumbprint(last);
        cr_assert_str_eq(a, expected);
        cr_assert_str_eq(b, expected, "the certificate is the key's, wherever it stands");
        X509_free(other);
        EVP_PKEY_free(other_key);
}

Test(assertion, for_entra)
{
        _cleanup_free_ char *jwt = sign(false, false);
        _cleanup_json_ cJSON *header = part(jwt, 0), *claims = part(jwt, 1);
        int64_t exp = 0, nbf = 0;

        cr_assert_str_eq(json_string(header, "alg"), "PS256");
        cr_assert_eq(strlen(json_string(header, "x5t#S256")), 43);
        cr_assert_null(json_get(header, "x5t"));
        cr_assert_null(json_get(header, "x5c"));
        cr_assert_str_eq(json_string(claims, "aud"), "https://login/t/oauth2/v2.0/token");
        cr_assert_str_eq(json_string(claims, "iss"), "app");
        cr_assert_str_eq(json_string(claims, "sub"), "app");
        cr_assert_eq(strlen(json_string(claims, "jti")), 36);
        cr_assert_eq(json_int64(claims, "exp", &exp), 0);
        cr_assert_eq(json_int64(claims, "nbf", &nbf), 0);
        cr_assert_eq(nbf, 1700000000);
        cr_assert_eq(exp - nbf, 600);
        cr_assert(signature_is_good(jwt, true));
        strchr(jwt, '.')[1] = 'f'; /* was the e of eyJ */
        cr_assert_not(signature_is_good(jwt, true));
}

/* For ten minutes it is as good as the key. */
Test(assertion, nothing_is_left_of_the_signature, .disabled = !TEST_MEMORY_SEARCH)
{
        char *jwt = sign(false, false);
        unsigned char masked[64];

        /* from within: the first bytes of a freed block are overwritten */
        const char *signature = strrchr(jwt, '.') + 100;
        for (size_t i = 0; i < sizeof masked; i++)
                masked[i] = (unsigned char)signature[i] ^ TEST_MASK;
        cr_assert_eq(test_memory_count(masked, sizeof masked), 1);
        erase_and_free(jwt);
        cr_assert_eq(test_memory_count(masked, sizeof masked), 0);
}

Test(assertion, for_ad_fs)
{
        _cleanup_free_ char *jwt = sign(true, false);
        _cleanup_json_ cJSON *header = part(jwt, 0);

        cr_assert_str_eq(json_string(header, "alg"), "RS256");
        cr_assert_eq(strlen(json_string(header, "x5t")), 27);
        cr_assert(signature_is_good(jwt, false));
}

Test(assertion, the_chain_where_it_is_asked_for)
{
        _cleanup_free_ char *jwt = sign(false, true);
        _cleanup_json_ cJSON *header = part(jwt, 0);

        cr_assert_eq(cJSON_GetArraySize(json_get(header, "x5c")), 2);
        cr_assert(signature_is_good(jwt, true));
}

Test(assertion, each_has_an_id_of_its_own)
{
        _cleanup_free_ char *one = sign(false, false);
        jwt_signer_free(signer);
        _cleanup_free_ char *two = sign(false, false);
        _cleanup_json_ cJSON *a = part(one, 1), *b = part(two, 1);

        cr_assert_str_neq(json_string(a, "jti"), json_string(b, "jti"));
}
