#include "vault/text.h"

#include <criterion/criterion.h>

static void expect(const char *in, const char *out)
{
        _cleanup_free_ char *s = oneline(in, strlen(in));

        cr_assert_not_null(s);
        cr_expect_str_eq(s, out);
}

Test(text, becomes_one_line)
{
        expect("", "");
        expect("plain text", "plain text");
        expect("Access denied.\r\nCaller: x\r\n", "Access denied. Caller: x");
        expect("\x1b[31mred\x07", "[31mred");
        expect(" \t a \x7f b ", "a b");
        expect("caf\xc3\xa9", "caf??");
}

Test(text, hides_tokens)
{
        expect("Bearer eyJ0eXAiOiJKV1QiLCJhbGciOi.eyJhdWQi-_x.c2ln was refused",
                "Bearer [token] was refused");
        expect("eyJ short", "eyJ short");
        expect("\"eyJ0eXAiOiJKV1QiLCJhbGci\"", "\"[token]\"");
}

Test(text, is_cut)
{
        char *big = malloc(ONELINE_MAX * 2 + 1);
        memset(big, 'a', ONELINE_MAX * 2);
        big[ONELINE_MAX * 2] = '\0';
        _cleanup_free_ char *s = oneline(big, strlen(big));

        cr_expect_eq(strlen(s), ONELINE_MAX + 3);
        cr_expect_str_eq(s + ONELINE_MAX, "...");
        free(big);
        expect("nul follows", "nul follows");
        _cleanup_free_ char *nul = oneline("a\0b", 3);
        cr_expect_str_eq(nul, "a b");
}
