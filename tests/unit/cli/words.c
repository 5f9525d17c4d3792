#include <criterion/criterion.h>
#include <stdarg.h>

#include "cli/words.h"

static const struct word table[] = {
        {"foreground", 'f', false, 'f'},
        {"verbose", 'v', false, 'v'},
        {NULL, 'o', true, 'o'},
        {"ca-file", 0, true, 'c'},
};

/* "f o=a,b -=word" for what was understood, or "error|hint". */
static char *run(const char *first, ...)
{
        char *argv[16] = {(char *)(uintptr_t) "mount"}, *out = strdup("");
        int argc = 1;
        va_list ap;

        va_start(ap, first);
        for (const char *w = first; w; w = va_arg(ap, const char *))
                argv[argc++] = (char *)(uintptr_t)w;
        va_end(ap);

        _cleanup_err_ struct err e = {0};
        struct words w;
        const char *value = NULL;
        int id, r;
        words_init(&w, argc, argv);
        while ((r = words_next(&w, table, ELEMENTSOF(table), &id, &value, &e)) > 0) {
                char *longer = NULL;
                cr_assert_eq(
                        xasprintf(&longer, "%s%s%c%s%s", out, *out ? " " : "",
                                id == WORD_PLAIN ? '-' : id, value ? "=" : "", value ? value : ""),
                        0);
                free(out);
                out = longer;
        }
        if (r < 0) {
                cr_assert_eq(e.cause, ERR_USAGE);
                free(out);
                cr_assert_eq(xasprintf(&out, "%s|%s", err_text(&e), e.hint ? e.hint : ""), 0);
        }
        return out;
}

#define expect(wanted, ...)                    \
        do {                                   \
                char *got = run(__VA_ARGS__);  \
                cr_assert_str_eq(got, wanted); \
                free(got);                     \
        } while (0)

Test(words, options_stand_anywhere)
{
        expect("-=a f -=b", "a", "-f", "b", NULL);
        expect("f v o=x -=a", "-fvox", "a", NULL);
        expect("o=x -=a", "-o", "x", "a", NULL);
        expect("c=/x -=a c=/y", "--ca-file=/x", "a", "--ca-file", "/y", NULL);
        expect("", NULL);
}

Test(words, a_value_may_look_like_an_option)
{
        expect("c=--x", "--ca-file", "--x", NULL);
        expect("c=", "--ca-file=", NULL);
}

Test(words, nothing_is_an_option_after_two_dashes)
{
        expect("f -=-f -=--", "-f", "--", "-f", "--", NULL);
        expect("", "--", NULL);
}

Test(words, a_dash_alone_is_a_file)
{
        expect("-=-", "-", NULL);
}

Test(words, wrong_words_are_named_with_the_nearest)
{
        expect("unknown option --forground|did you mean --foreground?", "--forground", NULL);
        expect("unknown option --ca_file|did you mean --ca-file?", "--ca_file=x", NULL);
        expect("unknown option --zzz|", "--zzz", NULL);
        expect("unknown option -x|", "-fx", NULL);
        expect("option -o needs a value|", "-o", NULL);
        expect("option --ca-file needs a value|", "--ca-file", NULL);
        expect("option --foreground takes no value|", "--foreground=yes", NULL);
}

Test(words, nearest_takes_typing_errors_and_beginnings)
{
        static const char *const known[] = {
                "mount", "unmount", "check", "get", "refresh", "status"};
        char longest[200];

        cr_assert_str_eq(words_nearest("muont", known, 6), "mount");
        cr_assert_str_eq(words_nearest("chekc", known, 6), "check");
        cr_assert_str_eq(words_nearest("stat", known, 6), "status");
        cr_assert_str_eq(words_nearest("got", known, 6), "get");
        cr_assert_null(words_nearest("frobnicate", known, 6));
        cr_assert_null(words_nearest("zz", known, 6));
        memset(longest, 'a', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        cr_assert_null(words_nearest(longest, known, 6));
}
