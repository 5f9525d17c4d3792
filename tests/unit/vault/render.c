#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "vault/vault.h"

static struct vault_object *secret_of(const char *value, const char *kid, const char *type)
{
        struct vault_object *o = NULL;
        _cleanup_free_ char *body = NULL;

        cr_assert(xasprintf(&body,
                          "{\"value\":\"%s\",\"id\":\"https://v/secrets/s/1\",\"kid\":\"%s\","
                          "\"contentType\":\"%s\"}",
                          value, kid, type) == 0);
        cr_assert(vault_object_parse(VAULT_SECRET, body, strlen(body), &o, NULL) == 0);
        return o;
}

static void expect(struct vault_object *o, struct vault_render how, const char *want, size_t len)
{
        _cleanup_sec_ struct sec *out = NULL;
        _cleanup_err_ struct err e = {0};

        int r = vault_render(o, &how, &out, &e);
        cr_assert(r == 0, "%s", err_text(&e));
        cr_expect(sec_len(out) == len && memcmp(sec_bytes(out), want, len) == 0, "%zu bytes of %zu",
                sec_len(out), len);
        vault_object_unref(o);
}

static void expect_error(struct vault_object *o, struct vault_render how, int want,
        enum err_cause cause, const char *text)
{
        _cleanup_err_ struct err e = {0};
        struct sec *out = NULL;

        int r = vault_render(o, &how, &out, &e);
        cr_expect(r == want, "%d, not %d: %s", r, want, err_text(&e));
        cr_expect(e.cause == cause, "%s: %s", text, err_cause_name(e.cause));
        cr_expect(strstr(err_text(&e), text), "\"%s\" lacks \"%s\"", err_text(&e), text);
        cr_expect_null(out);
        vault_object_unref(o);
}

static const struct vault_render plain = {0};
static const struct vault_render pfx = {.format = VAULT_FORMAT_PFX};
static const struct vault_render pem = {.format = VAULT_FORMAT_PEM};
static const struct vault_render base64 = {.encoding = VAULT_ENCODING_BASE64};
static const struct vault_render hex = {.encoding = VAULT_ENCODING_HEX};

Test(render, plain_secrets_byte_for_byte)
{
        expect(secret_of("a\\r\\n", "", ""), plain, "a\r\n", 3);
        expect(secret_of("", "", ""), plain, "", 0);
        expect(secret_of("\\u0000\\u00ff", "", "application/octet-stream"), plain, "\0\xc3\xbf", 3);
        expect(secret_of("same", "", ""), pfx, "same", 4);
        expect(secret_of("same", "", ""), pem, "same", 4);
}

Test(render, content_type_means_nothing_without_a_key)
{
        expect(secret_of("AAAA", "", "application/x-pkcs12"), plain, "AAAA", 4);
        expect(secret_of("AAAA", "", "image/png"), plain, "AAAA", 4);
}

Test(render, decodes_as_asked)
{
        expect(secret_of("AP8=\\r\\n", "", ""), base64, "\x00\xff", 2);
        expect(secret_of("00fF", "", ""), hex, "\x00\xff", 2);
        expect_error(secret_of("A===", "", ""), base64, -EINVAL, ERR_USAGE,
                "illegal base64 data at input byte 1");
        expect_error(secret_of("zz", "", ""), hex, -EINVAL, ERR_USAGE,
                "encoding/hex: invalid byte at input byte 0");
        expect_error(secret_of("000", "", ""), hex, -EINVAL, ERR_USAGE,
                "encoding/hex: odd length hex string");
}

Test(render, errors_do_not_hold_the_value)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o = secret_of("Q%uniquely", "", "");
        const struct vault_render *const hows[] = {&base64, &hex};

        for (size_t i = 0; i < ELEMENTSOF(hows); i++) {
                _cleanup_err_ struct err e = {0};
                struct sec *out = NULL;
                cr_expect(vault_render(o, hows[i], &out, &e) == -EINVAL);
                cr_expect(!strchr(e.text, 'Q') && !strchr(e.text, '%') && !strstr(e.text, "uniq"));
        }
}

Test(render, secrets_of_certificates)
{
        const char *kid = "https://v/keys/s/1";

        expect(secret_of("-----BEGIN X-----", kid, "application/x-pem-file"), plain,
                "-----BEGIN X-----", 17);
        expect(secret_of("-----BEGIN X-----", kid, "application/x-pem-file"), pfx,
                "-----BEGIN X-----", 17);
        expect(secret_of("MAA=", kid, "application/x-pkcs12"), pfx, "MAA=", 4);
        expect(secret_of("MAA=", kid, "application/x-pkcs12"),
                (struct vault_render){
                        .format = VAULT_FORMAT_PFX, .encoding = VAULT_ENCODING_BASE64},
                "\x30\x00", 2);
        expect_error(secret_of("MAA=", kid, "application/x-pkcs12"), plain, -EBADMSG, ERR_SERVICE,
                "pkcs12: ");
        expect_error(secret_of("MAA", kid, "application/x-pkcs12"), plain, -EINVAL, ERR_USAGE,
                "illegal base64 data at input byte");
        expect_error(secret_of("x", kid, "text/plain\\n"), plain, -EOPNOTSUPP, ERR_UNSUPPORTED,
                "failed to get certificate. unknown content type 'text/plain'");
        expect_error(secret_of("x", kid, ""), plain, -EBADMSG, ERR_SERVICE, "no content type");
}

Test(render, certificates_are_one_block)
{
        const char *body = "{\"cer\":\"MAA=\",\"id\":\"https://v/certificates/c/1\"}";
        struct vault_object *o = NULL;

        cr_assert(vault_object_parse(VAULT_CERT, body, strlen(body), &o, NULL) == 0);
        vault_object_ref(o);
        vault_object_ref(o);
        const char *want = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        expect(o, plain, want, strlen(want));
        expect_error(
                o, pfx, -EINVAL, ERR_USAGE, "PFX format only supported for objectType: secret");
        expect_error(
                o, hex, -EINVAL, ERR_USAGE, "objectEncoding only supported for objectType: secret");
}

static char *url64(EVP_PKEY *key, const char *name)
{
        unsigned char bytes[512], coded[1024];
        BIGNUM *bn = NULL;

        cr_assert(EVP_PKEY_get_bn_param(key, name, &bn));
        int n = EVP_EncodeBlock(coded, bytes, BN_bn2bin(bn, bytes));
        BN_free(bn);
        while (n > 0 && coded[n - 1] == '=')
                coded[--n] = '\0';
        for (int i = 0; i < n; i++)
                coded[i] = coded[i] == '+' ? '-' : coded[i] == '/' ? '_' : coded[i];
        return strdup((char *)coded);
}

static void expect_key(EVP_PKEY *key, const char *kty, const char *crv)
{
        bool rsa = *kty == 'R';
        _cleanup_free_ char *a = url64(key, rsa ? "n" : OSSL_PKEY_PARAM_EC_PUB_X);
        _cleanup_free_ char *b = url64(key, rsa ? "e" : OSSL_PKEY_PARAM_EC_PUB_Y);
        _cleanup_free_ char *body = NULL;
        struct vault_object *o = NULL;
        char *want;

        cr_assert(xasprintf(&body,
                          "{\"key\":{\"kid\":\"https://v/keys/k/1\",\"kty\":\"%s\",\"crv\":\"%s\","
                          "\"%s\":\"%s\",\"%s\":\"%s\"}}",
                          kty, crv, rsa ? "n" : "x", a, rsa ? "e" : "y", b) == 0);
        cr_assert(vault_object_parse(VAULT_KEY, body, strlen(body), &o, NULL) == 0);
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio_PUBKEY(bio, key);
        long n = BIO_get_mem_data(bio, &want);
        expect(o, plain, want, (size_t)n);
        BIO_free(bio);
        EVP_PKEY_free(key);
}

Test(render, keys_are_what_openssl_writes)
{
        expect_key(EVP_RSA_gen(2048), "RSA", "");
        expect_key(EVP_RSA_gen(1024), "RSA-HSM", "");
        expect_key(EVP_EC_gen("P-256"), "EC", "P-256");
        expect_key(EVP_EC_gen("P-384"), "EC-HSM", "P-384");
        expect_key(EVP_EC_gen("P-521"), "EC", "P-521");
        expect_key(EVP_EC_gen("secp256k1"), "EC", "P-256K");
        expect_key(EVP_EC_gen("secp256k1"), "EC", "SECP256K1");
}

Test(render, keys_without_a_public_half_are_an_error)
{
        const char *body = "{\"key\":{\"kid\":\"https://v/keys/k/1\",\"kty\":\"oct-HSM\"}}";
        struct vault_object *o = NULL;

        cr_assert(vault_object_parse(VAULT_KEY, body, strlen(body), &o, NULL) == 0);
        expect_error(o, plain, -EOPNOTSUPP, ERR_UNSUPPORTED,
                "failed to get key. key type 'oct-HSM' currently not supported");
}

Test(render, one_value_of_json_is_decoded_like_a_whole_one)
{
        const char *json = "{\\\"key\\\":\\\"AP8=\\\",\\\"n\\\":1.50}";

        expect(secret_of(json, "", ""), (struct vault_render){.json_path = "$.n"}, "1.50", 4);
        expect(secret_of(json, "", ""),
                (struct vault_render){.json_path = "$.key", .encoding = VAULT_ENCODING_BASE64},
                "\x00\xff", 2);
        expect(secret_of("x", "", ""), (struct vault_render){.json_path = ""}, "x", 1);
        expect_error(secret_of(json, "", ""), (struct vault_render){.json_path = "$.password"},
                -ENOENT, ERR_NOT_FOUND, "jsonPath $.password: there is no such member");
        expect_error(secret_of("hunter2", "", ""), (struct vault_render){.json_path = "$.a"},
                -EBADMSG, ERR_USAGE, "jsonPath $.a: the value of the secret is not JSON");
        expect_error(secret_of(json, "", ""), (struct vault_render){.json_path = "$..a"}, -EINVAL,
                ERR_USAGE, "jsonPath $..a, character 3: wildcards");
}

/* --- several files --- */

static const char kid[] = "https://v/keys/s/1";
#define CRT "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nAwQF\n-----END PRIVATE KEY-----\n"
#define CRT_JSON "-----BEGIN CERTIFICATE-----\\nAAEC\\n-----END CERTIFICATE-----\\n"
#define KEY_JSON "-----BEGIN PRIVATE KEY-----\\nAwQF\\n-----END PRIVATE KEY-----\\n"

static void expect_files(struct vault_object *o, struct vault_render how,
        const struct vault_file *want, const char *const *bytes, size_t n)
{
        struct vault_file got[VAULT_FILES_MAX];
        _cleanup_err_ struct err e = {0};
        size_t n_got = 0;

        cr_assert(vault_render_files(o, &how, got, &n_got, &e) == 0, "%s", err_text(&e));
        cr_assert_eq(n_got, n, "%zu", n_got);
        for (size_t i = 0; i < n; i++) {
                cr_expect_str_eq(got[i].suffix, want[i].suffix);
                cr_expect(sec_len(got[i].bytes) == strlen(bytes[i]) &&
                                  !memcmp(sec_bytes(got[i].bytes), bytes[i], strlen(bytes[i])),
                        "%s: %.*s", got[i].suffix, (int)sec_len(got[i].bytes),
                        (const char *)sec_bytes(got[i].bytes));
                sec_unref(got[i].bytes);
        }
        vault_object_unref(o);
}

static const struct vault_file separate_files[] = {{".crt", NULL}, {".key", NULL}, {"", NULL}};
static const struct vault_render separate = {.files = VAULT_FILES_SEPARATE};

Test(render, separate_files_come_in_the_order_of_the_provider)
{
        const char *const bytes[] = {CRT CRT, KEY, CRT KEY CRT};

        expect_files(secret_of(CRT_JSON KEY_JSON CRT_JSON, kid, "application/x-pem-file"), separate,
                separate_files, bytes, 3);
}

Test(render, separate_files_of_what_is_no_certificate_are_one)
{
        const char *const bytes[] = {CRT KEY};

        expect_files(secret_of(CRT_JSON KEY_JSON, "", "application/x-pem-file"), separate,
                &separate_files[2], bytes, 1);
}

/* As there: base64 text has no blocks. */
Test(render, separate_files_of_a_pfx_are_empty)
{
        const char *const bytes[] = {"", "", "MAA="};

        expect_files(secret_of("MAA=", kid, "application/x-pkcs12"),
                (struct vault_render){.files = VAULT_FILES_SEPARATE, .format = VAULT_FORMAT_PFX},
                separate_files, bytes, 3);
}

Test(render, each_of_separate_files_is_decoded)
{
        _cleanup_(vault_object_unrefp) struct vault_object *o =
                secret_of(CRT_JSON, kid, "application/x-pem-file");
        struct vault_file got[VAULT_FILES_MAX];
        _cleanup_err_ struct err e = {0};
        size_t n = 0;
        const struct vault_render how = {
                .files = VAULT_FILES_SEPARATE, .encoding = VAULT_ENCODING_BASE64};

        cr_expect_eq(vault_render_files(o, &how, got, &n, &e), -EINVAL);
        cr_expect_str_eq(err_text(&e), "illegal base64 data at input byte 0");
        cr_expect_eq(n, 0);
}

Test(render, a_folder_is_for_certificates)
{
        static const struct {
                const char *value, *kid, *type, *error;
                int want;
        } cases[] = {
                {"hunter2", "", "", "certificateFiles: folder is for the secret of a certificate",
                        -EINVAL},
                {"x", kid, "application/x-pem-file", "there is no certificate in it", -EBADMSG},
                {"MAA=", kid, "application/x-pkcs12", "pkcs12: ", -EBADMSG},
                {"x", kid, "text/plain", "unknown content type 'text/plain'", -EOPNOTSUPP},
        };
        const struct vault_render how = {.files = VAULT_FILES_FOLDER};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vault_object_unrefp) struct vault_object *o =
                        secret_of(cases[i].value, cases[i].kid, cases[i].type);
                struct vault_file got[VAULT_FILES_MAX];
                _cleanup_err_ struct err e = {0};
                size_t n = 0;

                cr_expect_eq(vault_render_files(o, &how, got, &n, &e), cases[i].want);
                cr_expect(strstr(err_text(&e), cases[i].error), "%s", err_text(&e));
                cr_expect_eq(n, 0);
        }
}
