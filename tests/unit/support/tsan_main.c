/* Runs the tests of a program in place of the framework's own runner, under the thread sanitizer.
 *
 * The framework passes data to its test processes through memory at an address of its choosing,
 * and there the thread sanitizer has its shadow: "Could not initialize inheritable arena". So here
 * is what of it the tests need: find them, run each in a process of its own, report.
 *
 *     unit-base [WORD]        only tests whose SUITE/NAME contains the word
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

#define exported __attribute__((visibility("default")))
#define SKIPPED 77

static struct criterion_test *current;

static struct criterion_test_extra_data *suite_of(const struct criterion_test *t)
{
        for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++)
                if (*s && strcmp((*s)->name, t->category) == 0)
                        return (*s)->data;
        return NULL;
}

exported void criterion_send_assert(struct criterion_assert_stats *stats)
{
        if (!stats->passed)
                fprintf(stderr, "%s:%d: %s\n", stats->file, (int)stats->line, stats->message);
}

exported void criterion_abort_test(void)
{
        abort();
}

exported void criterion_skip_test(const char *format, ...)
{
        _exit(SKIPPED);
}

exported void cri_asserts_passed_incr(void)
{
}

exported void criterion_internal_test_setup(void)
{
        struct criterion_test_extra_data *suite = suite_of(current);

        if (suite && suite->init)
                suite->init();
        if (current->data->init)
                current->data->init();
}

exported void criterion_internal_test_main(void (*fn)(void))
{
        fn();
}

exported void criterion_internal_test_teardown(void)
{
        struct criterion_test_extra_data *suite = suite_of(current);

        if (current->data->fini)
                current->data->fini();
        if (suite && suite->fini)
                suite->fini();
}

/* 0 passed, 1 failed, SKIPPED */
static int run(struct criterion_test *t)
{
        int status;

        fflush(NULL);
        pid_t pid = fork();
        if (pid < 0)
                return 1;
        if (pid == 0) {
                alarm(300);
                current = t;
                t->test();
                exit(0);
        }
        if (waitpid(pid, &status, 0) != pid)
                return 1;
        if (WIFSIGNALED(status))
                return t->data->signal == WTERMSIG(status) ? 0 : 1;
        if (WEXITSTATUS(status) == SKIPPED)
                return SKIPPED;
        return WEXITSTATUS(status) == t->data->exit_code && !t->data->signal ? 0 : 1;
}

int main(int argc, char **argv)
{
        unsigned passed = 0, failed = 0, skipped = 0;

        for (struct criterion_test **p = __start_cr_tst; p < __stop_cr_tst; p++) {
                struct criterion_test *t = *p;
                if (!t || (argc > 1 && !strstr(t->data->identifier_, argv[1])))
                        continue;
                int r = t->data->disabled ? SKIPPED : run(t);
                if (r == 0)
                        passed++;
                else if (r == SKIPPED) {
                        skipped++;
                        fprintf(stderr, "[SKIP] %s\n", t->data->identifier_);
                } else {
                        failed++;
                        fprintf(stderr, "[FAIL] %s\n", t->data->identifier_);
                }
        }
        fprintf(stderr, "[====] Passing: %u | Failing: %u | Skipped: %u\n", passed, failed,
                skipped);
        return failed > 0 || passed + skipped == 0;
}
