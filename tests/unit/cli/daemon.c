#include <criterion/criterion.h>

#include "cli/daemon.h"

static const char *argv_of(const struct daemon_words *w, char ***ret)
{
        static const char *argv[DAEMON_ARGC_MAX];
        static char level[2];

        daemon_words_format(w, "worker", level, argv);
        *ret = (char **)(uintptr_t)argv;
        return argv[1];
}

Test(daemon, words_are_read_as_they_are_written)
{
        const struct daemon_words in = {
                .socket = "/run/akvfs/w-1.sock",
                .log = "--odd name",
                .log_level = LOG_DEBUG,
                .log_json = true,
                .foreground = true,
                .run_as = "65533:65533",
                .privileged = true,
        };
        struct daemon_words out = {0};
        char **argv = NULL;
        int argc = 0;

        cr_assert_str_eq(argv_of(&in, &argv), "worker");
        while (argv[argc])
                argc++;
        cr_assert_lt(argc, DAEMON_ARGC_MAX);
        cr_assert_eq(daemon_words_parse(argc - 1, argv + 1, &out, NULL), 0);
        cr_assert_str_eq(out.socket, in.socket);
        cr_assert_str_eq(out.log, in.log);
        cr_assert_eq(out.log_level, LOG_DEBUG);
        cr_assert(out.log_json);
        cr_assert(out.foreground);
        cr_assert_str_eq(out.run_as, in.run_as);
        cr_assert(out.privileged);
}

Test(daemon, nobody_starts_it_by_hand)
{
        static const char *const bad[][4] = {
                {"worker", NULL},
                {"worker", "--socket", "/x", "word"},
                {"worker", "--log-level", "9", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_err_ struct err e = {0};
                struct daemon_words out;
                int argc = 0;

                while (argc < 4 && bad[i][argc])
                        argc++;
                cr_assert_eq(
                        daemon_words_parse(argc, (char **)(uintptr_t)bad[i], &out, &e), -EINVAL);
                cr_assert_eq(e.cause, ERR_USAGE);
        }
}
