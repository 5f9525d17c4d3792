#include "vault/jsontext.h"

#include <criterion/criterion.h>

#include "base/json.h"
#include "base/wipe.h"

/* A JSON string (without quotes) to the bytes it stands for. */
static void expect(const char *json, const char *bytes, size_t len)
{
        _cleanup_free_ char *doc = NULL;
        _cleanup_secret_ char *text = NULL;
        _cleanup_json_ cJSON *j = NULL;
        _cleanup_sec_ struct sec *value = NULL;
        size_t n;

        cr_assert(xasprintf(&doc, "{\"value\":\"%s\"}", json) == 0);
        cr_assert(jsontext_prepare(doc, strlen(doc), &text, &n) == 0);
        cr_assert_eq(strlen(text), n);
        cr_assert(json_parse(text, n, &j) == 0, "%s", json);
        cr_assert(jsontext_value(json_string(j, "value"), &value) == 0);
        cr_expect(sec_len(value) == len && memcmp(sec_bytes(value), bytes, len) == 0, "%s: %zu",
                json, sec_len(value));
}
#define EXPECT(json, bytes) expect(json, bytes, sizeof(bytes) - 1)

Test(jsontext, keeps_plain_text_and_escapes)
{
        EXPECT("", "");
        EXPECT("plain", "plain");
        EXPECT("a\\n\\r\\t\\\"\\\\\\/b", "a\n\r\t\"\\/b");
        EXPECT("\\u00e9\\u20AC", "\xc3\xa9\xe2\x82\xac");
        EXPECT("\xc3\xa9\xf0\x9f\x94\x91", "\xc3\xa9\xf0\x9f\x94\x91");
        EXPECT("\\ud83d\\udd11", "\xf0\x9f\x94\x91");
}

Test(jsontext, keeps_nul)
{
        EXPECT("\\u0000", "\0");
        EXPECT("a\\u0000b\\u0000", "a\0b\0");
        EXPECT("\\\\u0000", "\\u0000");
        EXPECT("\\\\\\u0000", "\\\0");
}

Test(jsontext, reads_broken_text_as_go_does)
{
        EXPECT("\\ud83d", "\xef\xbf\xbd");
        EXPECT("\\udd11x", "\xef\xbf\xbdx");
        EXPECT("\\ud83d\\ud83d\\udd11", "\xef\xbf\xbd\xf0\x9f\x94\x91");
        EXPECT("\\ud83d\\u0000", "\xef\xbf\xbd\0");
        EXPECT("\xff", "\xef\xbf\xbd");
        EXPECT("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd");
        EXPECT("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
        EXPECT("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        EXPECT("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        EXPECT("\xf0\x8f\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
}

Test(jsontext, tells_of_a_nul)
{
        _cleanup_secret_ char *text = NULL;
        size_t n;

        cr_assert(jsontext_prepare("a\\u0000", 7, &text, &n) == 0);
        cr_expect(jsontext_has_nul(text));
        cr_expect(!jsontext_has_nul("\xc3\x80"));
}

Test(jsontext, refuses_what_would_lose_bytes)
{
        static const struct {
                const char *text;
                size_t len;
        } cases[] = {{"{\"a\":\"\0\"}", 9}, {"\\u", 2}, {"\\u000", 5}, {"\\u00zz", 6},
                {"\\ud83d\\u", 8}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *text = NULL;
                size_t n;
                cr_expect(jsontext_prepare(cases[i].text, cases[i].len, &text, &n) == -EINVAL);
                cr_expect_null(text);
        }
}

Test(jsontext, takes_cut_text)
{
        const char *const cut[] = {"", "\\", "\\ud83d\\", "\\ud83d", "\xe2"};

        for (size_t i = 0; i < ELEMENTSOF(cut); i++) {
                _cleanup_secret_ char *text = NULL;
                size_t n;
                cr_expect(jsontext_prepare(cut[i], strlen(cut[i]), &text, &n) == 0);
        }
}
