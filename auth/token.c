/* A token endpoint's answer. */
#include <strings.h>

#include "auth/mode.h"
#include "base/json.h"

/* Nobody issues longer ones; bounds the arithmetic. */
#define LIFETIME_MAX ((int64_t)30 * 24 * 3600)

/* RFC 6750 section 2.1: what may stand behind "Bearer". Anything else could smuggle a header. */
static bool is_token(const char *s)
{
        for (; *s; s++)
                if (*s <= 0x20 || *s >= 0x7f)
                        return false;
        return true;
}

/* expires_in counts from now and so does not care whether the clocks agree; expires_on is the
 * fallback. Both are numbers in v2 answers and strings of digits in v1's and IMDS's. */
static int parse_lifetime(const cJSON *j, int64_t now, int64_t *ret)
{
        int64_t v;

        int r = json_int64(j, "expires_in", &v);
        if (r == -ENOENT) {
                r = json_int64(j, "expires_on", &v);
                if (r == 0)
                        v = v < now ? 0 : v - now;
        }
        if (r < 0)
                return r;
        *ret = v;
        return 0;
}

int auth_token_take(const char *token, int64_t lifetime, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e)
{
        size_t len = strlen(token);

        if (len > AUTH_TOKEN_MAX)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "the access_token is longer than %zu bytes", AUTH_TOKEN_MAX);
        if (!is_token(token))
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "the access_token has characters that no token has");
        if (lifetime <= 0)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "the token has expired already; is this machine's clock right?");

        struct sec *s = NULL;
        int r = sec_new(token, len, &s);
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "not enough memory for a token");
        *ret_token = s;
        *ret_lifetime = MIN(lifetime, LIFETIME_MAX);
        return 0;
}

int auth_token_parse(const char *body, size_t len, int64_t now, struct sec **ret_token,
        int64_t *ret_lifetime, struct err *e)
{
        _cleanup_json_ cJSON *j = NULL;
        int64_t lifetime;

        if (json_parse(body, len, &j) < 0 || !cJSON_IsObject(j))
                return err_set_cause(e, ERR_SERVICE, -EBADMSG, "the answer is not a JSON object");
        const char *token = json_string(j, "access_token");
        if (isempty(token))
                return err_set_cause(e, ERR_SERVICE, -EBADMSG, "the answer has no access_token");
        const char *type = json_string(j, "token_type");
        if (type && strcasecmp(type, "Bearer") != 0)
                return err_set_cause(
                        e, ERR_UNSUPPORTED, -EBADMSG, "the token's type is not Bearer");
        if (parse_lifetime(j, now, &lifetime) < 0)
                return err_set_cause(e, ERR_SERVICE, -EBADMSG,
                        "the answer has neither a valid expires_in nor expires_on");
        return auth_token_take(token, lifetime, ret_token, ret_lifetime, e);
}
