#include "csi/service_tokens.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/jwt.h"

static struct sec *token;
static struct err e;

static void tear_down(void)
{
        token = sec_unref(token);
        err_done(&e);
}

TestSuite(service_tokens, .fini = tear_down);

/* {"AUDIENCE":{"token":JWT of that subject,...}} */
static char *tokens_for(const char *audience, const char *subject)
{
        _cleanup_free_ char *claims = NULL;
        char *map = NULL;

        cr_assert_eq(xasprintf(&claims, "{\"sub\":\"%s\",\"aud\":[\"%s\"]}", subject, audience), 0);
        _cleanup_free_ char *body = jwt_base64url(claims, strlen(claims));
        cr_assert_eq(xasprintf(&map,
                             "{\"%s\":{\"token\":\"e30.%s.c2ln\","
                             "\"expirationTimestamp\":\"2026-01-02T03:04:05Z\"},\"other\":{}}",
                             audience, body),
                0);
        return map;
}

Test(service_tokens, the_pod_s_own)
{
        _cleanup_free_ char *map =
                tokens_for(SERVICE_TOKEN_EXCHANGE, "system:serviceaccount:shop:web");

        cr_assert_eq(service_token_find(map, SERVICE_TOKEN_EXCHANGE, "shop", "web", &token, &e), 0,
                "%s", err_text(&e));
        cr_assert(jwt_is_well_formed(sec_bytes(token), sec_len(token)));
}

Test(service_tokens, names_of_full_length_are_told_apart)
{
        char longest[254], other[254];
        _cleanup_free_ char *subject = NULL;

        memset(longest, 'a', 253);
        longest[253] = '\0';
        memcpy(other, longest, sizeof other);
        other[252] = 'b';
        cr_assert_eq(xasprintf(&subject, "system:serviceaccount:%.63s:%s", longest, longest), 0);
        _cleanup_free_ char *map = tokens_for(SERVICE_TOKEN_EXCHANGE, subject);
        char namespace[64];
        (void)snprintf(namespace, sizeof namespace, "%.63s", longest);

        cr_assert_eq(service_token_find(map, SERVICE_TOKEN_EXCHANGE, namespace, other, &token, &e),
                -EACCES);
        err_done(&e);
        cr_assert_eq(
                service_token_find(map, SERVICE_TOKEN_EXCHANGE, namespace, longest, &token, &e), 0,
                "%s", err_text(&e));
}

Test(service_tokens, another_account_s_is_refused)
{
        static const char *const others[] = {"system:serviceaccount:shop:admin",
                "system:serviceaccount:bank:web", "system:serviceaccount:shop:web2",
                "system:serviceaccount:shop:we", "web", "", "system:node:n1"};

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                _cleanup_free_ char *map = tokens_for(SERVICE_TOKEN_EXCHANGE, others[i]);

                cr_assert_eq(
                        service_token_find(map, SERVICE_TOKEN_EXCHANGE, "shop", "web", &token, &e),
                        -EACCES, "%s", others[i]);
                cr_assert_eq(e.cause, ERR_USAGE);
                cr_assert_null(token);
                err_done(&e);
        }
}

Test(service_tokens, an_audience_that_is_missing_is_named)
{
        _cleanup_free_ char *map =
                tokens_for(SERVICE_TOKEN_EXCHANGE, "system:serviceaccount:shop:web");

        cr_assert_eq(
                service_token_find(map, SERVICE_TOKEN_BINDING, "shop", "web", &token, &e), -ENOENT);
        cr_assert_not_null(strstr(err_text(&e), SERVICE_TOKEN_BINDING));
        cr_assert_not_null(strstr(e.hint, "tokenRequests"));
        err_done(&e);
        cr_assert_eq(service_token_find(map, "other", "shop", "web", &token, &e), -ENOENT);
}

Test(service_tokens, what_is_no_map_is_refused_and_not_shown)
{
        static const char *const bad[] = {"", "[]", "tell-no-one",
                "{\"api://AzureADTokenExchange\":"
                "{\"token\":\"tell-no-one\"}}",
                "{", "null"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_lt(service_token_find(
                                     bad[i], SERVICE_TOKEN_EXCHANGE, "shop", "web", &token, &e),
                        0, "%s", bad[i]);
                cr_assert_null(strstr(err_text(&e), "tell-no-one"), "%s", err_text(&e));
                err_done(&e);
        }
}
