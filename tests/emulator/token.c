#include "tests/emulator/token.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "base/json.h"
#include "base/wipe.h"
#include "tests/emulator/crypto.h"
#include "tests/emulator/out.h"
#include "tests/emulator/store.h"

#define SIGNATURE_LEN 256 /* as RS256 with a key of 2048 bits */

int token_signer_init(struct token_signer *s)
{
        return random_bytes(s->key, sizeof s->key);
}

static bool sign(const struct token_signer *s, const char *text, size_t len,
        unsigned char signature[static SIGNATURE_LEN])
{
        /* Eight chained HMACs: as long as a real signature, and only the first one carries weight.
         */
        unsigned char block[32];
        unsigned int n = 0;

        if (!HMAC(EVP_sha256(), s->key, sizeof s->key, (const unsigned char *)text, len, block, &n))
                return false;
        for (size_t at = 0;; at += sizeof block) {
                memcpy(signature + at, block, sizeof block);
                if (at + sizeof block == SIGNATURE_LEN)
                        return true;
                if (!HMAC(EVP_sha256(), s->key, sizeof s->key, signature + at, sizeof block, block,
                            &n))
                        return false;
        }
}

static char *encode_out(struct out *o)
{
        size_t len = 0;
        _cleanup_secret_ char *text = out_finish(o, &len);

        return text ? base64url_encode(text, len) : NULL;
}

int token_issue(const struct token_signer *s, const struct identity *i, const char *audience,
        int64_t lifetime, char **ret)
{
        _cleanup_free_ char *header = NULL, *payload = NULL, *signature = NULL;
        _cleanup_secret_ char *text = NULL;
        unsigned char bytes[SIGNATURE_LEN];
        struct out o = {0};
        int64_t now = now_seconds();
        char unique[33];

        out_open(&o, '{');
        out_member(&o, "typ", "JWT");
        out_member(&o, "alg", "RS256");
        out_member(&o, "x5t", "ZW11bGF0b3Igc2lnbmluZyBrZXk");
        out_member(&o, "kid", "ZW11bGF0b3Igc2lnbmluZyBrZXk");
        out_close(&o, '}');
        header = encode_out(&o);

        version_make(unique);
        out_open(&o, '{');
        out_member(&o, "aud", audience);
        out_memberf(&o, "iss", "https://sts.windows.net/%s/", i->tenant);
        out_member_int(&o, "iat", now);
        out_member_int(&o, "nbf", now);
        out_member_int(&o, "exp", now + lifetime);
        out_memberf(&o, "aio", "%llu", (unsigned long long)i->generation);
        out_member(&o, "appid", i->client_id);
        out_member(&o, "appidacr", i->system_assigned || i->user_assigned ? "2" : "1");
        out_memberf(&o, "idp", "https://sts.windows.net/%s/", i->tenant);
        out_member(&o, "idtyp", "app");
        out_member(&o, "oid", i->object_id);
        out_member(&o, "sub", i->object_id);
        out_member(&o, "tid", i->tenant);
        out_member(&o, "uti", unique);
        out_member(&o, "ver", "1.0");
        if (i->resource_id)
                out_member(&o, "xms_mirid", i->resource_id);
        out_close(&o, '}');
        payload = encode_out(&o);
        if (!header || !payload)
                return -ENOMEM;
        int r = xasprintf(&text, "%s.%s", header, payload);
        if (r < 0)
                return r;
        if (!sign(s, text, strlen(text), bytes))
                return -EIO;
        signature = base64url_encode(bytes, sizeof bytes);
        if (!signature)
                return -ENOMEM;
        return xasprintf(ret, "%s.%s.%s", header, payload, signature);
}

static bool verify(const struct token_signer *s, const char *text, size_t signed_len)
{
        unsigned char expected[SIGNATURE_LEN];
        _cleanup_free_ unsigned char *given = NULL;
        size_t len = 0;

        return base64_decode(text + signed_len + 1, &given, &len) == 0 && len == SIGNATURE_LEN &&
               sign(s, text, signed_len, expected) &&
               CRYPTO_memcmp(given, expected, sizeof expected) == 0;
}

int token_read(const struct token_signer *s, const char *text, struct token *ret)
{
        _cleanup_(token_done) struct token t = {0};
        _cleanup_free_ char *payload = NULL;
        _cleanup_free_ unsigned char *json = NULL;
        _cleanup_json_ cJSON *claims = NULL;
        size_t len = 0;
        int64_t generation = 0;

        const char *first = strchr(text, '.');
        const char *second = first ? strchr(first + 1, '.') : NULL;
        if (!second || strchr(second + 1, '.') || !verify(s, text, (size_t)(second - text)))
                return -EBADMSG;
        payload = strndup(first + 1, (size_t)(second - first - 1));
        if (!payload)
                return -ENOMEM;
        if (base64_decode(payload, &json, &len) < 0 ||
                json_parse((const char *)json, len, &claims) < 0)
                return -EBADMSG;
        if (set_string(&t.audience, json_string(claims, "aud")) < 0 ||
                set_string(&t.issuer, json_string(claims, "iss")) < 0 ||
                set_string(&t.client_id, json_string(claims, "appid")) < 0 ||
                set_string(&t.object_id, json_string(claims, "oid")) < 0)
                return -ENOMEM;
        if (!t.audience || !t.issuer || !t.client_id || !t.object_id ||
                json_int64(claims, "exp", &t.expires) < 0 ||
                json_int64(claims, "aio", &generation) < 0)
                return -EBADMSG;
        t.generation = (uint64_t)generation;
        *ret = t;
        t = (struct token){0};
        return 0;
}

void token_done(struct token *t)
{
        free(t->audience);
        free(t->issuer);
        free(t->client_id);
        free(t->object_id);
        *t = (struct token){0};
}
