#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "cli/cli.h"

TestSuite(print, .init = cr_redirect_stderr);

static void expect(const char *text)
{
        fflush(stderr);
        cr_assert_stderr_eq_str(text);
}

Test(print, an_error_and_its_hint)
{
        _cleanup_err_ struct err e = {0};

        err_set(&e, -EIO, "it broke");
        err_hint(&e, "mend it\nor leave");
        cli_print_error("get", &e);
        expect("akvfs get: it broke\n  mend it\n  or leave\n");
}

Test(print, what_a_service_sent_moves_no_cursor)
{
        _cleanup_err_ struct err e = {0};

        err_set(&e, -EIO, "a\033[2Jb\rc");
        cli_print_error("get", &e);
        expect("akvfs get: a?[2Jb?c\n");
}

Test(print, wrong_words_end_with_2_and_point_to_help)
{
        _cleanup_err_ struct err e = {0};

        err_set_cause(&e, ERR_USAGE, -EINVAL, "no");
        cr_assert_eq(cli_fail("get", &e), CLI_USAGE);
        err_set_cause(&e, ERR_LOCAL, -EINVAL, "no");
        cr_assert_eq(cli_fail("get", &e), CLI_FAILED);
        expect("akvfs get: no\n  see akvfs get --help\nakvfs get: no\n");
}

Test(print, one_reason_for_many_objects_is_said_once)
{
        struct err list[15] = {0};

        for (size_t i = 0; i < ELEMENTSOF(list); i++) {
                bool own = i == 1;
                err_set_cause(&list[i], own ? ERR_NOT_FOUND : ERR_AUTH, -EIO,
                        own ? "object o%zu: not there" : "object o%zu: wrong secret", i);
                err_hint(&list[i], "mend");
        }
        cli_print_errors("get", list, ELEMENTSOF(list));
        expect("akvfs get: object o0: wrong secret\n"
               "  mend\n"
               "  the same for o2, o3, o4, o5, o6, o7, o8, o9, o10, o11 and 3 more\n"
               "akvfs get: object o1: not there\n"
               "  mend\n");
        for (size_t i = 0; i < ELEMENTSOF(list); i++)
                err_done(&list[i]);
}

Test(print, reasons_of_objects_are_each_said)
{
        struct err list[2] = {0};

        err_set_cause(&list[0], ERR_NOT_FOUND, -ENOENT, "object a: not there");
        err_set_cause(&list[1], ERR_NOT_FOUND, -ENOENT, "object b: not there");
        cli_print_errors("get", list, 2);
        expect("akvfs get: object a: not there\nakvfs get: object b: not there\n");
        err_done(&list[0]);
        err_done(&list[1]);
}

Test(print, columns_count_characters)
{
        cli_put_text(stderr, "n\xc3\xa4me", 6);
        cli_put_text(stderr, "\n|", 0);
        expect("n\xc3\xa4me  ?|");
}
