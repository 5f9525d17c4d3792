#include "base/err.h"

#include <criterion/criterion.h>

Test(err, what_is_the_same_for_every_object_of_a_vault)
{
        cr_assert(err_cause_is_common(ERR_DNS) && err_cause_is_common(ERR_CONNECT));
        cr_assert(err_cause_is_common(ERR_TIMEOUT) && err_cause_is_common(ERR_TLS));
        cr_assert(err_cause_is_common(ERR_AUTH));
        cr_assert_not(err_cause_is_common(ERR_NOT_FOUND));
        cr_assert_not(err_cause_is_common(ERR_FORBIDDEN));
        cr_assert_not(err_cause_is_common(ERR_SERVICE));
}

Test(err, set_and_wrap)
{
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(err_set(&e, -ENOENT, "no %s", "file"), -ENOENT);
        cr_assert_eq(e.code, -ENOENT);
        cr_assert_eq(e.cause, ERR_OTHER);
        cr_assert_str_eq(err_text(&e), "no file");
        cr_assert_eq(err_wrap(&e, -ENOENT, "object %d", 5), -ENOENT);
        cr_assert_str_eq(err_text(&e), "object 5: no file");
        err_hint(&e, "try %s", "this");
        err_hint(&e, "try %s", "that");
        cr_assert_str_eq(e.hint, "try that");
        /* a new error has nothing of the old one, and may be made of its text */
        cr_assert_eq(err_set_cause(&e, ERR_DNS, -EIO, "[%s]", err_text(&e)), -EIO);
        cr_assert_str_eq(err_text(&e), "[object 5: no file]");
        cr_assert_eq(e.cause, ERR_DNS);
        cr_assert_null(e.hint);
        err_set(&e, -EIO, "x");
        cr_assert_eq(e.cause, ERR_OTHER);
}

Test(err, wrap_keeps_cause_and_hint_and_fills_what_is_empty)
{
        _cleanup_err_ struct err e = {0};

        cr_assert_eq(err_wrap(&e, -ENOMEM, "here"), -ENOMEM);
        cr_assert_eq(e.code, -ENOMEM);
        cr_assert_str_eq(err_text(&e), "here: Cannot allocate memory");
        err_set_cause(&e, ERR_TLS, -EPROTO, "t");
        err_hint(&e, "h");
        err_wrap(&e, -EIO, "w");
        cr_assert_eq(e.code, -EPROTO);
        cr_assert_eq(e.cause, ERR_TLS);
        cr_assert_str_eq(e.hint, "h");
}

Test(err, nobody_wants_to_know)
{
        cr_assert_eq(err_set(NULL, -EIO, "%s", "x"), -EIO);
        cr_assert_eq(err_set_cause(NULL, ERR_TLS, -EIO, "x"), -EIO);
        cr_assert_eq(err_wrap(NULL, -EIO, "x"), -EIO);
        err_hint(NULL, "x");
        err_done(NULL);
        err_move(NULL, NULL);
        cr_assert_eq(err_copy(NULL, NULL), 0);
        cr_assert_not_null(err_text(NULL));
}

Test(err, move_and_copy)
{
        _cleanup_err_ struct err a = {0}, b = {0};

        err_set_cause(&a, ERR_AUTH, -EACCES, "a");
        err_hint(&a, "h");
        err_set(&b, -EIO, "b");
        cr_assert_eq(err_copy(&b, &a), 0);
        cr_assert_str_eq(b.text, "a");
        cr_assert_str_eq(b.hint, "h");
        cr_assert_eq(b.cause, ERR_AUTH);
        cr_assert_neq(b.text, a.text);
        cr_assert_eq(err_copy(NULL, &a), 0);
        cr_assert_eq(err_copy(&b, &b), 0);
        cr_assert_str_eq(b.text, "a");

        err_set(&a, -EIO, "moved");
        err_move(&b, &a);
        cr_assert_eq(a.code, 0);
        cr_assert_null(a.text);
        cr_assert_str_eq(b.text, "moved");
        cr_assert_null(b.hint);
        err_move(&b, &b);
        cr_assert_str_eq(b.text, "moved");
        err_move(NULL, &b);
        cr_assert_eq(b.code, 0);
        cr_assert_eq(err_copy(&a, &b), 0); /* of nothing */
        cr_assert_null(a.text);
}

Test(err, text_without_memory_is_that_of_the_code)
{
        struct err e = {.code = -EACCES};

        cr_assert_str_eq(err_text(&e), "Permission denied");
}

Test(err, every_cause_has_a_name_of_its_own)
{
        for (int i = ERR_OTHER; i <= ERR_LOCAL; i++)
                for (int k = ERR_OTHER; k < i; k++)
                        cr_assert_str_neq(err_cause_name((enum err_cause)i),
                                err_cause_name((enum err_cause)k));
        cr_assert_str_eq(err_cause_name(ERR_NOT_FOUND), "not-found");
        cr_assert_str_eq(err_cause_name((enum err_cause)4711), "other");
}
