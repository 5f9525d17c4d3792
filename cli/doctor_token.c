#include "cli/doctor_token.h"

#include <stdio.h>

#include "base/json.h"
#include "vault/base64.h"

static void copy(const cJSON *j, const char *name, char out[static DOCTOR_CLAIM_MAX])
{
        const char *s = json_string(j, name);

        snprintf(out, DOCTOR_CLAIM_MAX, "%s", s ? s : "");
}

int doctor_claims_read(const struct sec *token, struct doctor_claims *ret)
{
        _cleanup_sec_ struct sec *payload = NULL;
        _cleanup_json_ cJSON *j = NULL;
        struct doctor_claims c = {0};
        const char *s = sec_bytes(token), *end = s + sec_len(token);
        const char *first = memchr(s, '.', sec_len(token));
        const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;

        if (!second)
                return -EBADMSG;
        int r = base64_decode_any(first + 1, (size_t)(second - first - 1), &payload);
        if (r == 0)
                r = json_parse(sec_bytes(payload), sec_len(payload), &j);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !cJSON_IsObject(j))
                return -EBADMSG;
        copy(j, "aud", c.audience);
        copy(j, "iss", c.issuer);
        copy(j, "appid", c.application);
        if (!*c.application)
                copy(j, "azp", c.application);
        copy(j, "oid", c.object);
        copy(j, "tid", c.tenant);
        if (json_int64(j, "exp", &c.expires) < 0)
                c.expires = 0;
        *ret = c;
        return 0;
}
