#include "base/util.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

Test(util, taking_leaves_empty)
{
        char *a = strdup("x"), *b = TAKE_PTR(a);
        int fd = 7, other = TAKE_FD(fd);

        cr_assert_null(a);
        cr_assert_str_eq(b, "x");
        cr_assert_eq(fd, -EBADF);
        cr_assert_eq(other, 7);
        free(b);
}

Test(util, safe_close_keeps_errno_and_takes_none)
{
        int fd = dup(1);

        errno = 4711;
        cr_assert_eq(safe_close(fd), -EBADF);
        cr_assert_eq(fcntl(fd, F_GETFD), -1);
        errno = 4711;
        cr_assert_eq(safe_close(-EBADF), -EBADF);
        cr_assert_eq(errno, 4711);
}

Test(util, strings)
{
        cr_assert(streq_ptr(NULL, NULL));
        cr_assert_not(streq_ptr("a", NULL));
        cr_assert_not(streq_ptr(NULL, "a"));
        cr_assert(streq_ptr("a", "a"));
        cr_assert(isempty(NULL) && isempty("") && !isempty(" "));
        cr_assert_str_eq(startswith("https://x", "https://"), "x");
        cr_assert_str_eq(startswith("x", "x"), "");
        cr_assert_null(startswith("http", "https"));

        char *s = NULL;
        cr_assert_eq(xasprintf(&s, "%d-%s", 5, "y"), 0);
        cr_assert_str_eq(s, "5-y");
        free(s);
}

Test(util, a_string_is_replaced_by_a_copy)
{
        char word[] = "one", *s = NULL;

        cr_assert_eq(replace_string(&s, word), 0);
        word[0] = 'O';
        cr_assert_str_eq(s, "one");
        cr_assert_eq(replace_string(&s, s + 1), 0, "of itself");
        cr_assert_str_eq(s, "ne");
        cr_assert_eq(replace_string(&s, NULL), 0);
        cr_assert_str_eq(s, "");
        free(s);
}

Test(util, parse_u64)
{
        static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1.", "a", "1a"};
        uint64_t v = 99;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_assert_eq(parse_u64(bad[i], UINT64_MAX, &v), -EINVAL, "%s", bad[i]);
        cr_assert_eq(v, 99);
        cr_assert_eq(parse_u64("18446744073709551615", UINT64_MAX, &v), 0);
        cr_assert_eq(v, UINT64_MAX);
        cr_assert_eq(parse_u64("18446744073709551616", UINT64_MAX, &v), -ERANGE);
        cr_assert_eq(parse_u64("99999999999999999999", UINT64_MAX, &v), -ERANGE);
        cr_assert_eq(parse_u64("11", 10, &v), -ERANGE);
        cr_assert_eq(parse_u64("0010", 10, &v), 0);
        cr_assert_eq(v, 10);
}

static char *make_file(size_t size)
{
        char *path = strdup("/tmp/akvfs-test-util-XXXXXX");
        int fd = mkstemp(path);
        _cleanup_free_ char *data = malloc(size + 1);

        cr_assert(fd >= 0 && data);
        memset(data, 'x', size);
        cr_assert_eq(write_all(fd, data, size), 0);
        close(fd);
        return path;
}

Test(util, path_make_absolute)
{
        _cleanup_free_ char *none = NULL, *whole = strdup("/a"), *part = strdup("a/b");
        char gone[] = "/tmp/akvfs-util-XXXXXX";

        cr_assert_eq(chdir("/tmp"), 0);
        cr_assert_eq(path_make_absolute(&none), 0);
        cr_assert_null(none);
        cr_assert_eq(path_make_absolute(&whole), 0);
        cr_assert_str_eq(whole, "/a");
        cr_assert_eq(path_make_absolute(&part), 0);
        cr_assert_str_eq(part, "/tmp/a/b");

        _cleanup_free_ char *nowhere = strdup("x");
        cr_assert_not_null(mkdtemp(gone));
        cr_assert_eq(chdir(gone), 0);
        cr_assert_eq(rmdir(gone), 0);
        cr_assert_eq(path_make_absolute(&nowhere), -ENOENT);
        cr_assert_str_eq(nowhere, "x");
}

Test(util, read_whole_file_of_any_size)
{
        static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000};

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                char *path = make_file(sizes[i]), *text = NULL;
                size_t len = 99;
                cr_assert_eq(read_whole_file(path, sizes[i], &text, &len), 0);
                cr_assert_eq(len, sizes[i]);
                cr_assert_eq(strlen(text), sizes[i]);
                free(text);
                text = NULL;
                if (sizes[i] > 0)
                        cr_assert_eq(read_whole_file(path, sizes[i] - 1, &text, &len), -EFBIG);
                cr_assert_null(text);
                unlink(path);
                free(path);
        }
}

static void *feed(void *userdata)
{
        int fd = *(int *)userdata;

        for (int i = 0; i < 1000; i++)
                cr_assert_eq(write_all(fd, "0123456789", 10), 0);
        close(fd);
        return NULL;
}

/* A pipe has no size, and gives what there is: <(command) of the shell. */
Test(util, read_whole_file_from_a_pipe)
{
        int p[2];
        pthread_t t;
        char path[64], *text = NULL;
        size_t len;

        cr_assert_eq(pipe(p), 0);
        snprintf(path, sizeof path, "/dev/fd/%d", p[0]);
        cr_assert_eq(pthread_create(&t, NULL, feed, &p[1]), 0);
        cr_assert_eq(read_whole_file(path, 10000, &text, &len), 0);
        pthread_join(t, NULL);
        cr_assert_eq(len, 10000);
        free(text);
        close(p[0]);
}

Test(util, read_regular_file_waits_for_nobody)
{
        char fifo[] = "/tmp/akvfs-test-fifo-XXXXXX", *text = NULL;
        _cleanup_free_ char *path = make_file(3);
        size_t len = 0;

        cr_assert_eq(read_regular_file(path, 3, &text, &len), 0);
        cr_assert_str_eq(text, "xxx");
        cr_assert_eq(len, 3);
        free(text);
        text = NULL;
        cr_assert_eq(read_regular_file(path, 2, &text, &len), -EFBIG);
        unlink(path);
        cr_assert_eq(read_regular_file(path, 3, &text, &len), -ENOENT);

        cr_assert_not_null(mkdtemp(fifo));
        cr_assert_eq(read_regular_file(fifo, 3, &text, &len), -EINVAL, "a folder");
        cr_assert_eq(rmdir(fifo), 0);
        cr_assert_eq(mkfifo(fifo, 0600), 0);
        cr_assert_eq(read_regular_file(fifo, 3, &text, &len), -EINVAL, "a pipe without a writer");
        unlink(fifo);
        cr_assert_eq(read_regular_file("/dev/zero", 3, &text, &len), -EINVAL);
        cr_assert_null(text);
}

Test(util, read_whole_file_failures)
{
        char *text = NULL;

        cr_assert_eq(read_whole_file("/nonexistent", 10, &text, NULL), -ENOENT);
        cr_assert_eq(read_whole_file("/", 10, &text, NULL), -EISDIR);
        cr_assert_eq(read_whole_file("/dev/zero", 100000, &text, NULL), -EFBIG);
        cr_assert_null(text);
}

Test(util, write_all_failures)
{
        cr_assert_eq(write_all(-1, "x", 1), -EBADF);
        cr_assert_eq(write_all(-1, "", 0), 0);
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        cr_assert_eq(write_all(fd, "x", 1), -ENOSPC);
        close(fd);
}

Test(util, random_and_hex)
{
        unsigned char a[32] = {0}, b[32] = {0};
        char hex[7];

        cr_assert_eq(random_bytes(a, sizeof a), 0);
        cr_assert_eq(random_bytes(b, sizeof b), 0);
        cr_assert_arr_neq(a, b, sizeof a);
        cr_assert_eq(random_bytes(NULL, 0), 0);
        hex_encode("\x00\xaf\x10", 3, hex);
        cr_assert_str_eq(hex, "00af10");
        hex_encode(NULL, 0, hex);
        cr_assert_str_eq(hex, "");
}

static int64_t clock_ms(void)
{
        struct timespec now;

        cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

Test(util, monotonic_time_is_in_milliseconds)
{
        int64_t before = clock_ms(), now = monotonic_ms();

        cr_assert_leq(before, now);
        cr_assert_leq(now, clock_ms());
}

Test(util, hex_digits)
{
        static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

        for (int i = 0; i < 16; i++) {
                cr_assert_eq(hex_digit(digits[i]), i);
                cr_assert_eq(hex_digit(upper[i]), i);
        }
        for (const char *c = "/:@G`g \n"; *c; c++)
                cr_assert_eq(hex_digit(*c), -1, "%c", *c);
        cr_assert_eq(hex_digit('\0'), -1);
}

Test(util, signals_come_by_a_descriptor)
{
        static const int signals[] = {SIGUSR1, SIGUSR2};
        struct signalfd_siginfo info;
        int fd = signals_fd(signals, ELEMENTSOF(signals));

        cr_assert_geq(fd, 0);
        cr_assert_eq(read(fd, &info, sizeof info), -1);
        cr_assert_eq(errno, EAGAIN);
        cr_assert_eq(raise(SIGUSR2), 0, "and it kills nobody");
        cr_assert_eq(read(fd, &info, sizeof info), (ssize_t)sizeof info);
        cr_assert_eq(info.ssi_signo, SIGUSR2);
        cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
        safe_close(fd);
}
