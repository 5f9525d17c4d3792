#include "tests/emulator/assertion.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/wipe.h"

cJSON *assertion_part(const char *jwt, unsigned part)
{
        _cleanup_secret_ unsigned char *json = NULL;
        cJSON *j = NULL;
        size_t len = 0;

        for (; jwt && part > 0; part--)
                if ((jwt = strchr(jwt, '.')))
                        jwt++;
        const char *end = jwt ? strchr(jwt, '.') : NULL;
        if (!end)
                return NULL;
        _cleanup_secret_ char *text = strndup(jwt, (size_t)(end - jwt));
        if (!text || base64_decode(text, &json, &len) < 0 ||
                json_parse((const char *)json, len, &j) < 0)
                return NULL;
        return j;
}

static X509 *find_certificate(const struct identity *i, const EVP_MD *md, const char *thumbprint)
{
        for (const struct certificate_credential *c = i->certificates; c; c = c->next) {
                unsigned char digest[EVP_MAX_MD_SIZE];
                unsigned len = 0;

                if (!X509_digest(c->certificate, md, digest, &len))
                        continue;
                _cleanup_free_ char *text = base64url_encode(digest, len);
                if (text && streq(text, thumbprint))
                        return c->certificate;
        }
        return NULL;
}

static bool verify(X509 *certificate, bool pss, const char *jwt)
{
        const char *dot = strrchr(jwt, '.');
        _cleanup_free_ unsigned char *raw = NULL;
        EVP_PKEY_CTX *key = NULL;
        size_t len = 0;

        if (base64_decode(dot + 1, &raw, &len) < 0)
                return false;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool good = ctx && EVP_DigestVerifyInit(ctx, &key, EVP_sha256(), NULL,
                                   X509_get0_pubkey(certificate)) == 1;
        if (good && pss)
                good = EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
                       EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) == 1;
        good = good && EVP_DigestVerify(
                               ctx, raw, len, (const unsigned char *)jwt, (size_t)(dot - jwt)) == 1;
        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        return good;
}

enum assertion_fault assertion_verify(const struct identity *i, const char *jwt)
{
        _cleanup_json_ cJSON *header = assertion_part(jwt, 0);
        const char *alg = json_string(header, "alg");
        const char *sha256 = json_string(header, "x5t#S256"), *sha1 = json_string(header, "x5t");
        bool pss = alg && streq(alg, "PS256");

        if (!alg || (!pss && !streq(alg, "RS256")) || (!sha256 && !sha1))
                return ASSERTION_BAD_FORM;
        X509 *certificate = sha256 ? find_certificate(i, EVP_sha256(), sha256)
                                   : find_certificate(i, EVP_sha1(), sha1);
        if (!certificate)
                return ASSERTION_UNKNOWN_KEY;
        return verify(certificate, pss, jwt) ? ASSERTION_GOOD : ASSERTION_BAD_SIGNATURE;
}
