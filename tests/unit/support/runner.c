/* Runs Criterion's tests without Criterion's runner, for the thread sanitizer.
 *
 * Criterion starts its test processes from an arena at a fixed address, which the thread sanitizer
 * needs for itself ("Could not initialize inheritable arena"). So the test programs of that build
 * get this main() and the few functions that a test calls back: each test in a child of its own,
 * with the fixtures of its suite, judged by asserts, signal and exit status. Options: --timeout
 * SECONDS of each test, --filter GLOB of SUITE/TEST. Ends with the same line as Criterion.
 */
#include <criterion/criterion.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The linker's names for the ends of the sections that Test() and TestSuite() fill. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

static const struct criterion_test *current; /* in a child: its test */
static bool failed;
static jmp_buf abandon;

static const struct criterion_suite *suite_of(const struct criterion_test *test)
{
        for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++)
                if (strcmp((*s)->name, test->category) == 0)
                        return *s;
        return NULL;
}

/* --- what a test calls --- */

void criterion_send_assert(struct criterion_assert_stats *stats)
{
        failed = true;
        fprintf(stderr, "%s:%u: %s/%s: %s\n", stats->file, stats->line, current->category,
                current->name, stats->message ? stats->message : "assertion failed");
}

void cri_asserts_passed_incr(void)
{
}

void criterion_continue_test(void)
{
}

void criterion_abort_test(void)
{
        longjmp(abandon, 1);
}

void criterion_internal_test_setup(void)
{
        const struct criterion_suite *suite = suite_of(current);

        if (suite && suite->data && suite->data->init)
                suite->data->init();
        if (current->data->init)
                current->data->init();
}

void criterion_internal_test_main(void (*fn)(void))
{
        if (setjmp(abandon) == 0)
                fn();
}

void criterion_internal_test_teardown(void)
{
        const struct criterion_suite *suite = suite_of(current);

        if (current->data->fini)
                current->data->fini();
        if (suite && suite->data && suite->data->fini)
                suite->data->fini();
}

/* --- the runner --- */

/* 1 when it passed, 0 when an assertion failed, -1 when it died. */
static int run(const struct criterion_test *test, unsigned timeout)
{
        int status;

        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
                current = test;
                alarm(timeout);
                test->test();
                exit(failed ? 1 : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid) {
                perror("runner");
                return -1;
        }
        if (test->data->signal)
                return WIFSIGNALED(status) && WTERMSIG(status) == test->data->signal;
        if (WIFEXITED(status) && WEXITSTATUS(status) == test->data->exit_code)
                return 1;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
                return 0;
        if (WIFSIGNALED(status))
                fprintf(stderr, "%s/%s: died of signal %d\n", test->category, test->name,
                        WTERMSIG(status));
        else
                fprintf(stderr, "%s/%s: ended with status %d\n", test->category, test->name,
                        WEXITSTATUS(status));
        return -1;
}

int main(int argc, char **argv)
{
        unsigned timeout = 300, tested = 0, passing = 0, failing = 0, crashing = 0;
        const char *filter = "*";

        for (int i = 1; i + 1 < argc; i += 2) {
                if (strcmp(argv[i], "--timeout") == 0)
                        timeout = (unsigned)strtoul(argv[i + 1], NULL, 10);
                else if (strcmp(argv[i], "--filter") == 0)
                        filter = argv[i + 1];
        }
        for (struct criterion_test **t = __start_cr_tst; t < __stop_cr_tst; t++) {
                char name[256];

                snprintf(name, sizeof name, "%s/%s", (*t)->category, (*t)->name);
                if ((*t)->data->disabled || fnmatch(filter, name, 0) != 0)
                        continue;
                if ((*t)->data->kind_ != CR_TEST_NORMAL) {
                        fprintf(stderr, "%s: this runner knows plain tests only\n", name);
                        return 1;
                }
                tested++;
                int r = run(*t, timeout);
                passing += r > 0;
                failing += r == 0;
                crashing += r < 0;
                if (r <= 0)
                        fprintf(stderr, "[FAIL] %s\n", name);
        }
        fprintf(stderr, "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: %u\n",
                tested, passing, failing, crashing);
        return failing + crashing > 0 || tested == 0;
}
