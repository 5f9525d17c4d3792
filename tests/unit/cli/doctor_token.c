#include "cli/doctor_token.h"

#include <criterion/criterion.h>

static int claims(const char *text, struct doctor_claims *ret)
{
        _cleanup_sec_ struct sec *token = NULL;

        cr_assert_eq(sec_new(text, strlen(text), &token), 0);
        return doctor_claims_read(token, ret);
}

/* {"aud":"https://vault.azure.net","appid":"app","oid":"o","tid":"t","exp":1700000000} */
#define PAYLOAD                                                                                        \
        "eyJhdWQiOiJodHRwczovL3ZhdWx0LmF6dXJlLm5ldCIsImFwcGlkIjoiYXBwIiwib2lkIjoibyIsInRpZCI6InQiLCJl" \
        "eHAiOjE3MDAwMDAwMDB9"

Test(doctor_token, the_claims_that_matter)
{
        struct doctor_claims c;

        cr_assert_eq(claims("e30." PAYLOAD ".sig", &c), 0);
        cr_expect_str_eq(c.audience, "https://vault.azure.net");
        cr_expect_str_eq(c.application, "app");
        cr_expect_str_eq(c.object, "o");
        cr_expect_str_eq(c.tenant, "t");
        cr_expect_str_eq(c.issuer, "");
        cr_expect_eq(c.expires, 1700000000);
}

Test(doctor_token, v2_tokens_call_the_application_azp)
{
        struct doctor_claims c;

        cr_assert_eq(claims("e30.eyJhenAiOiJhcHAyIn0.", &c), 0); /* {"azp":"app2"} */
        cr_expect_str_eq(c.application, "app2");
        cr_expect_eq(c.expires, 0);
}

Test(doctor_token, what_is_no_token_says_nothing)
{
        static const char *const texts[] = {
                "opaque", "a.b", "a.!!.c", "a..c", "e30.bm90IGpzb24.c", "e30.W10.c", "..", "."};
        struct doctor_claims c;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                cr_expect_eq(claims(texts[i], &c), -EBADMSG, "%s", texts[i]);
}
