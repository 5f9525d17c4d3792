#include "auth/jwt.h"

#include <criterion/criterion.h>

/* {"alg":"none"} . {"iss":"https://i/","sub":"system:serviceaccount:ns:sa","aud":["a","b"],
 * "exp":1700000000} */
#define HEAD "eyJhbGciOiJub25lIn0"
#define BODY                                                                                       \
        "eyJpc3MiOiJodHRwczovL2kvIiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Om5zOnNhIiwiYXVkIjpbImEi" \
        "LCJiIl0sImV4cCI6MTcwMDAwMDAwMH0"

Test(jwt, base64url_has_no_padding)
{
        static const struct {
                const char *in, *out;
        } cases[] = {
                {"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"\xfb\xff\xfe", "-__-"}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *out = jwt_base64url(cases[i].in, strlen(cases[i].in));
                cr_expect_str_eq(out, cases[i].out);
        }
}

Test(jwt, what_a_token_looks_like)
{
        static const struct {
                const char *text;
                bool good;
        } cases[] = {
                {"a.b.c", true},
                {HEAD "." BODY ".c2ln", true},
                {"", false},
                {"a.b", false},
                {"a..c", false},
                {".b.c", false},
                {"a.b.", false},
                {"a.b.c.d", false},
                {"a.b.c\n", false},
                {"a.b.c=", false},
                {"a.b.c&client_id=x", false},
                {"a b.c.d", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_expect_eq(jwt_is_well_formed(cases[i].text, strlen(cases[i].text)),
                        cases[i].good, "%s", cases[i].text);
        static char big[70000];
        memset(big, 'a', sizeof big);
        big[1] = big[3] = '.';
        cr_expect(jwt_is_well_formed(big, 65536));
        cr_expect_not(jwt_is_well_formed(big, 65537));
}

Test(jwt, white_space_around_it_goes)
{
        const char *text = " \n a.b.c\r\n";
        size_t len = strlen(text);

        jwt_trim(&text, &len);
        cr_assert_eq(len, 5);
        cr_assert_eq(memcmp(text, "a.b.c", 5), 0);
        text = " \n";
        len = 2;
        jwt_trim(&text, &len);
        cr_assert_eq(len, 0);
}

Test(jwt, claims_are_read)
{
        static const char token[] = HEAD "." BODY ".c2ln";
        struct jwt_claims c;

        cr_assert_eq(jwt_read_claims(token, sizeof token - 1, &c), 0);
        cr_assert_str_eq(c.iss, "https://i/");
        cr_assert_str_eq(c.sub, "system:serviceaccount:ns:sa");
        cr_assert_str_eq(c.aud, "a");
        cr_assert_eq(c.exp, 1700000000);
}

Test(jwt, claims_of_access_tokens)
{
        static const struct {
                const char *text, *aud, *app, *oid, *tid;
        } cases[] = {
                {"{\"aud\":\"https://vault.azure.net\",\"appid\":\"a\",\"oid\":\"o\",\"tid\":\"t\"}",
                        "https://vault.azure.net", "a", "o", "t"},
                {"{\"azp\":\"v2\",\"aud\":[\"x\",\"y\"]}", "x", "v2", "", ""},
                {"{\"aud\":[]}", "", "", "", ""},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *body = jwt_base64url(cases[i].text, strlen(cases[i].text));
                _cleanup_free_ char *token = NULL;
                struct jwt_claims c;

                cr_assert_eq(xasprintf(&token, "e30.%s.c2ln", body), 0);
                cr_assert_eq(jwt_read_claims(token, strlen(token), &c), 0);
                cr_expect_str_eq(c.aud, cases[i].aud);
                cr_expect_str_eq(c.app, cases[i].app);
                cr_expect_str_eq(c.oid, cases[i].oid);
                cr_expect_str_eq(c.tid, cases[i].tid);
        }
}

/* {"iss":"a'b\u001b[31m\nc","sub":7,"aud":"x"} and one with a text of 300 bytes */
Test(jwt, claims_cannot_paint_a_terminal_nor_leave_a_quote)
{
        static const char text[] = "{\"iss\":\"a'b\\u001b[31m\\nc\",\"sub\":7,\"aud\":\"x\"}";
        _cleanup_free_ char *body = jwt_base64url(text, sizeof text - 1), *token = NULL;
        struct jwt_claims c;

        cr_assert_eq(xasprintf(&token, "e30.%s.c2ln", body), 0);
        cr_assert_eq(jwt_read_claims(token, strlen(token), &c), 0);
        cr_assert_str_eq(c.iss, "a?b?[31m?c");
        cr_assert_str_eq(c.sub, "");
        cr_assert_str_eq(c.aud, "x");
        cr_assert_eq(c.exp, 0);

        char big[800] = "{\"iss\":\"";
        memset(big + 8, 'i', 700);
        strcpy(big + 708, "\"}");
        _cleanup_free_ char *big_body = jwt_base64url(big, strlen(big)), *big_token = NULL;
        cr_assert_eq(xasprintf(&big_token, "e30.%s.c2ln", big_body), 0);
        cr_assert_eq(jwt_read_claims(big_token, strlen(big_token), &c), 0);
        cr_assert_eq(strlen(c.iss), JWT_TEXT_MAX - 1);
}

Test(jwt, what_is_no_json_has_no_claims)
{
        static const char *const bad[] = {"", "a.b", "e30.a.c", "e30.YWJj.c2ln", "e30.W10.c2ln"};
        struct jwt_claims c = {.exp = 7};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_eq(jwt_read_claims(bad[i], strlen(bad[i]), &c), -EINVAL, "%s", bad[i]);
        cr_assert_eq(c.exp, 7, "written on success only");
}
