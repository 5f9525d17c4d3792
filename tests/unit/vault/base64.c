#include "vault/base64.h"

#include <criterion/criterion.h>

#define OK ((size_t)-1)

static void expect(const char *in, size_t at, const char *out, size_t out_len)
{
        _cleanup_sec_ struct sec *s = NULL;
        size_t stopped = OK;

        int r = base64_decode(in, strlen(in), &s, &stopped);
        if (at != OK) {
                cr_expect(r == -EINVAL && stopped == at, "%s: %d at %zu, not %zu", in, r, stopped,
                        at);
                cr_expect(s == NULL);
                return;
        }
        cr_assert(r == 0, "%s: %d", in, r);
        cr_expect(sec_len(s) == out_len && memcmp(sec_bytes(s), out, out_len) == 0, "%s", in);
}

Test(base64, decodes_the_vectors_of_rfc_4648)
{
        expect("", OK, "", 0);
        expect("Zg==", OK, "f", 1);
        expect("Zm8=", OK, "fo", 2);
        expect("Zm9v", OK, "foo", 3);
        expect("Zm9vYg==", OK, "foob", 4);
        expect("Zm9vYmE=", OK, "fooba", 5);
        expect("Zm9vYmFy", OK, "foobar", 6);
        expect("+/+/", OK, "\xfb\xff\xbf", 3);
}

Test(base64, skips_line_ends_only)
{
        expect("Zm9v\r\nYmFy\n", OK, "foobar", 6);
        expect("\nZ\ng\n=\n=\n", OK, "f", 1);
        expect("Zm9v YmFy", 4, NULL, 0);
        expect("Zm9v\tYmFy", 4, NULL, 0);
}

Test(base64, says_where_it_stopped)
{
        expect("Zm9-", 3, NULL, 0);
        expect("Z===", 1, NULL, 0);
        expect("=", 0, NULL, 0);
        expect("Zg=", 3, NULL, 0);
        expect("Zg=x", 2, NULL, 0);
        expect("Zg==x", 4, NULL, 0);
        expect("Zm8=Zm8=", 4, NULL, 0);
        expect("Zm9vZg", 4, NULL, 0);
        expect("Zm9vZ", 4, NULL, 0);
}

Test(base64, any_takes_both_alphabets_and_padding_or_none)
{
        const char *const good[] = {"-_-_", "+/+/", "AAEAAQ", "AAEAAQ=="};
        const size_t length[] = {3, 3, 4, 4};

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_sec_ struct sec *s = NULL;
                cr_assert(base64_decode_any(good[i], strlen(good[i]), &s) == 0, "%s", good[i]);
                cr_expect(sec_len(s) == length[i], "%s", good[i]);
        }
        struct sec *s = NULL;
        cr_expect(base64_decode_any("A", 1, &s) == -EINVAL);
        cr_expect(base64_decode_any("AA\nAA", 5, &s) == -EINVAL);
        cr_expect(base64_decode_any("AA=A", 4, &s) == -EINVAL);
        cr_expect(base64_decode_any("AAAA===", 7, &s) == -EINVAL);
}

Test(base64, refuses_more_than_a_secret_may_be)
{
        struct sec *s = NULL;
        size_t n = SEC_MAX / 3 * 4 + 64;
        char *big = malloc(n);

        memset(big, 'A', n);
        cr_expect(base64_decode(big, n, &s, NULL) == -EFBIG);
        free(big);
}

Test(base64, hex_takes_both_cases_and_nothing_else)
{
        _cleanup_sec_ struct sec *s = NULL;
        size_t at = 99;

        cr_assert(hex_decode("00fFAb", 6, &s, &at) == 0);
        cr_expect(sec_len(s) == 3 && memcmp(sec_bytes(s), "\x00\xff\xab", 3) == 0);
        s = sec_unref(s);
        cr_assert(hex_decode("", 0, &s, &at) == 0);
        cr_expect(sec_len(s) == 0);
        s = sec_unref(s);
        cr_expect(hex_decode("0g", 2, &s, &at) == -EINVAL && at == 1);
        cr_expect(hex_decode("00\n", 3, &s, &at) == -EINVAL && at == 2);
        cr_expect(hex_decode("000", 3, &s, &at) == -EINVAL && at == 3);
        cr_expect(s == NULL);
}
