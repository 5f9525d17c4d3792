/* The sanitizers' settings for the unit tests, compiled into every test program.
 *
 * The test framework runs each test in a process of its own and looks at how it died, not at its
 * exit code: a finding at the end of the process (a leak) is seen by it only when it aborts. */

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);

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
