#include "base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/json.h"

static int fd = -1;
static char text[1 << 20];

static void set_up(void)
{
        fd = memfd_create("log", MFD_CLOEXEC);
        cr_assert_geq(fd, 0);
        log_set_fd(fd);
}

static void tear_down(void)
{
        log_set_fd(2);
        close(fd);
}

TestSuite(log, .init = set_up, .fini = tear_down);

/* Everything that was logged so far. */
static const char *logged(void)
{
        ssize_t n = pread(fd, text, sizeof text - 1, 0);

        cr_assert_geq(n, 0);
        text[n] = '\0';
        return text;
}

static void assert_matches(const char *s, const char *pattern)
{
        regex_t re;

        cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
        cr_assert_eq(regexec(&re, s, 0, NULL, 0), 0, "%s does not match %s", s, pattern);
        regfree(&re);
}

Test(log, klog_form)
{
        log_error("it is %d", 5);
        assert_matches(logged(),
                "^E[01][0-9][0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6} "
                "+[0-9]+ log\\.c:[0-9]+\\] it is 5\n$");
}

Test(log, levels)
{
        log_debug("hidden");
        cr_assert_str_empty(logged());
        cr_assert_not(log_enabled(LOG_DEBUG));
        log_set_level(LOG_DEBUG);
        log_debug("d");
        log_info("i");
        log_warning("w");
        assert_matches(logged(), "^D.*\\] d\nI.*\\] i\nW.*\\] w\n$");
        log_set_level(LOG_ERROR);
        cr_assert(log_enabled(LOG_ERROR));
        cr_assert_not(log_enabled(LOG_WARNING));
}

/* What a service sent can neither begin a line nor steer a terminal. */
Test(log, control_characters_are_escaped)
{
        log_info("a\nE1121 forged\r\t\x1b[2J\x7f\x01"
                 "b\\\"");
        const char *s = logged();
        cr_assert_eq(strchr(s, '\n') - s, (ptrdiff_t)strlen(s) - 1);
        cr_assert_not_null(strstr(s, "] a\\nE1121 forged\\r\\t\\x1b[2J\\x7f\\x01b\\\"\n"), "%s", s);
}

Test(log, bytes_that_are_no_text_are_escaped)
{
        static const char *const bad[] = {"\x80", "\xc3", "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80",
                "\xf5\x80\x80\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xc2\x9b", "\xff"};

        log_info("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91");
        cr_assert_not_null(strstr(logged(), "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91\n"));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_eq(ftruncate(fd, 0), 0);
                lseek(fd, 0, SEEK_SET);
                log_info("<%s>", bad[i]);
                for (const char *p = logged(); *p; p++)
                        cr_assert_lt((unsigned char)*p, 0x80, "%zu", i);
        }
}

Test(log, json_form)
{
        _cleanup_json_ cJSON *j = NULL;
        int64_t pid;

        log_set_json(true);
        log_warning("say \"%s\"\n\x01\xff\\", "it");
        const char *s = logged();
        cr_assert_eq(s[strlen(s) - 1], '\n');
        cr_assert_eq(json_parse(s, strlen(s), &j), 0, "%s", s);
        cr_assert_str_eq(json_string(j, "level"), "warning");
        cr_assert_str_eq(json_string(j, "msg"), "say \"it\"\n\x01\xc3\xbf\\");
        assert_matches(json_string(j, "caller"), "^log\\.c:[0-9]+$");
        cr_assert_eq(json_int64(j, "pid", &pid), 0);
        cr_assert_eq(pid, getpid());
        cr_assert(json_get(j, "ts")->valuedouble > 1.5e12);
}

Test(log, long_messages_are_cut)
{
        static char big[100000];

        memset(big, 'x', sizeof big - 1);
        log_info("%s", big);
        size_t n = strlen(logged());
        cr_assert(n > 4000 && n < 10000);
        memset(big, '\x01', sizeof big - 1);
        log_set_json(true);
        log_info("%s", big);
        const char *second = logged() + n;
        _cleanup_json_ cJSON *j = NULL;
        cr_assert_eq(json_parse(second, strlen(second), &j), 0);
}

Test(log, nowhere_to_write)
{
        log_set_fd(-1);
        log_error("lost");
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        log_set_fd(full);
        log_error("lost");
        close(full);
        cr_assert_str_empty(logged());
}

static void *write_lines(void *userdata)
{
        for (int i = 0; i < 500; i++)
                log_info("thread %s line", (const char *)userdata);
        return NULL;
}

Test(log, lines_of_threads_do_not_mix)
{
        pthread_t t[4];
        static char names[4][2] = {"a", "b", "c", "d"};
        unsigned lines = 0;
        char path[64];

        /* each write goes to the end, as on a terminal or a pipe */
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int append = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        log_set_fd(append);
        for (int i = 0; i < 4; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, write_lines, names[i]), 0);
        for (int i = 0; i < 4; i++)
                pthread_join(t[i], NULL);
        close(append);
        (void)logged();
        for (char *line = text, *end; *line; line = end + 1, lines++) {
                end = strchr(line, '\n');
                cr_assert_not_null(end);
                *end = '\0';
                assert_matches(line, "^I[^\n]*\\] thread [a-d] line$");
        }
        cr_assert_eq(lines, 2000);
}
