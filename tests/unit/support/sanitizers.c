/* The sanitizers' settings for the unit tests, compiled into every test program.
 *
 * The test framework runs each test in a process of its own and looks at how it died, not at its
 * exit code: a finding at the end of the process (a leak) is seen by it only when it aborts. */

#include <stdlib.h>

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);
int __lsan_is_turned_off(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
        return "abort_on_error=1:detect_stack_use_after_return=1";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
        return "abort_on_error=1:print_stacktrace=1";
}

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
        return "abort_on_error=1:halt_on_error=1:second_deadlock_stack=1";
}

/* libgrpc and Abseil are not instrumented: the atomics by which their threads agree are not seen.
 * No function of ours is called by theirs, so no race of ours has them in its stack. received() of
 * csi/rpc_queue.c copies bytes that they wrote. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
        return "race:libgrpc.so\nrace:libgpr.so\nrace:libabsl_\nrace:^received$\n";
}

/* The framework's own process, which runs no test, loses some bytes when there are many tests; its
 * children, which do run them, are known by this variable. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
        return getenv("BXFI_MAP") == NULL;
}
