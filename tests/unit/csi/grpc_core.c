#include "csi/grpc_core.h"

#include <criterion/criterion.h>

static struct grpc_core core;
static struct err e;

static void tear_down(void)
{
        err_done(&e);
}

TestSuite(grpc_core, .fini = tear_down);

/* This program is linked with the library: what is found is what the linker found. */
Test(grpc_core, each_name_is_the_function_of_that_name)
{
        cr_assert_eq(grpc_core_load(GRPC_CORE_LIBRARY, &core, &e), 0, "%s", err_text(&e));
#define X(name) cr_expect_eq(core.name, name, #name);
        GRPC_CORE_FUNCTIONS(X)
#undef X
}

Test(grpc_core, a_library_that_is_not_there_is_named)
{
        cr_assert_eq(grpc_core_load("libnowhere.so.7", &core, &e), -ELIBACC);
        cr_assert_eq(e.cause, ERR_LOCAL);
        cr_assert_not_null(strstr(err_text(&e), "libnowhere.so.7"), "%s", err_text(&e));
        cr_assert_not_null(strstr(e.hint, "libnowhere.so.7"), "%s", e.hint);
        cr_assert_null(core.grpc_init);
}

Test(grpc_core, a_library_that_lacks_a_function_is_of_no_use)
{
        cr_assert_eq(grpc_core_load("libc.so.6", &core, &e), -ELIBBAD);
        cr_assert_not_null(strstr(err_text(&e), "libc.so.6 has no gpr_"), "%s", err_text(&e));
        cr_assert_null(core.grpc_init);
}
