#include "auth/jwt.h"

#include <limits.h>
#include <openssl/evp.h>

#include "base/json.h"
#include "base/wipe.h"

#define JWT_MAX ((size_t)64 << 10)

char *jwt_base64url(const void *data, size_t len)
{
        if (len > INT_MAX / 2)
                return NULL;
        char *out = malloc(4 * ((len + 2) / 3) + 1);
        if (!out)
                return NULL;
        int n = EVP_EncodeBlock((unsigned char *)out, data, (int)len);
        while (n > 0 && out[n - 1] == '=')
                n--;
        out[n] = '\0';
        for (char *p = out; *p; p++)
                *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
        return out;
}

/* NUL-terminated behind *ret_len bytes; wiped by the caller. */
static int decode(const char *text, size_t len, char **ret, size_t *ret_len)
{
        size_t padded = (len + 3) / 4 * 4;

        if (len % 4 == 1)
                return -EINVAL;
        _cleanup_secret_ char *in = malloc(padded + 1);
        _cleanup_secret_ char *out = malloc(padded / 4 * 3 + 1);
        if (!in || !out)
                return -ENOMEM;
        memset(in, '=', padded);
        for (size_t i = 0; i < len; i++)
                in[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)in, (int)padded);
        if (n < 0)
                return -EINVAL;
        *ret_len = (size_t)n - (padded - len);
        out[*ret_len] = '\0';
        *ret = TAKE_PTR(out);
        return 0;
}

void jwt_trim(const char **token, size_t *len)
{
        static const char blank[] = " \t\r\n";

        while (*len > 0 && strchr(blank, (*token)[*len - 1]))
                --*len;
        while (*len > 0 && strchr(blank, **token))
                ++*token, --*len;
}

bool jwt_is_well_formed(const char *token, size_t len)
{
        unsigned dots = 0;
        size_t part = 0;

        if (len == 0 || len > JWT_MAX)
                return false;
        for (size_t i = 0; i < len; i++) {
                char c = token[i];

                if (c == '.') {
                        if (part == 0 || ++dots > 2)
                                return false;
                        part = 0;
                        continue;
                }
                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            c == '-' || c == '_'))
                        return false;
                part++;
        }
        return dots == 2 && part > 0;
}

static void copy_claim(char out[JWT_TEXT_MAX], const char *s)
{
        size_t n = 0;

        for (; s && *s && n + 1 < JWT_TEXT_MAX; s++) {
                unsigned char c = (unsigned char)*s;
                /* what is shown in a terminal and within quotes of a shell */
                out[n++] = c <= 0x20 || c >= 0x7f || c == '\'' ? '?' : (char)c;
        }
        out[n] = '\0';
}

int jwt_read_claims(const char *token, size_t len, struct jwt_claims *ret)
{
        _cleanup_json_ cJSON *j = NULL;
        _cleanup_secret_ char *payload = NULL;
        size_t payload_len = 0;

        if (!jwt_is_well_formed(token, len))
                return -EINVAL;
        const char *first = (const char *)memchr(token, '.', len) + 1;
        const char *second = memchr(first, '.', len - (size_t)(first - token));
        int r = decode(first, (size_t)(second - first), &payload, &payload_len);
        if (r < 0)
                return r;
        r = json_parse(payload, payload_len, &j);
        if (r < 0 || !cJSON_IsObject(j))
                return r == -ENOMEM ? r : -EINVAL;

        struct jwt_claims c = {0};
        const cJSON *aud = json_get(j, "aud");
        copy_claim(c.iss, json_string(j, "iss"));
        copy_claim(c.sub, json_string(j, "sub"));
        copy_claim(
                c.aud, cJSON_GetStringValue(cJSON_IsArray(aud) ? cJSON_GetArrayItem(aud, 0) : aud));
        copy_claim(c.app, json_string(j, json_get(j, "appid") ? "appid" : "azp"));
        copy_claim(c.oid, json_string(j, "oid"));
        copy_claim(c.tid, json_string(j, "tid"));
        (void)json_int64(j, "exp", &c.exp);
        *ret = c;
        return 0;
}
