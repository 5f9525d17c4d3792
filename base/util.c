#include "base/util.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "base/wipe.h"

int safe_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;
                (void)close(fd); /* Linux closes even on EINTR: never try again */
                errno = saved;
        }
        return -EBADF;
}

bool streq_ptr(const char *a, const char *b)
{
        if (!a || !b)
                return a == b;
        return streq(a, b);
}

const char *startswith(const char *s, const char *prefix)
{
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

int xasprintf(char **ret, const char *fmt, ...)
{
        char *s = NULL;
        va_list ap;

        va_start(ap, fmt);
        int n = vasprintf(&s, fmt, ap);
        va_end(ap);
        if (n < 0)
                return -ENOMEM;
        *ret = s;
        return 0;
}

int replace_string(char **where, const char *value)
{
        char *copy = strdup(value ? value : "");

        if (!copy)
                return -ENOMEM;
        free(*where);
        *where = copy;
        return 0;
}

int parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return -EINVAL;
                unsigned digit = (unsigned)(*s - '0');
                if (v > (UINT64_MAX - digit) / 10)
                        return -ERANGE;
                v = v * 10 + digit;
        }
        if (v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int path_make_absolute(char **path)
{
        char *full;

        if (!*path || **path == '/')
                return 0;
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        if (!cwd)
                return -errno;
        if (xasprintf(&full, "%s/%s", cwd, *path) < 0)
                return -ENOMEM;
        free(*path);
        *path = full;
        return 0;
}

static int read_descriptor(int fd, const struct stat *st, size_t max, char **ret, size_t *ret_len)
{
        size_t cap = 4096, len = 0;
        if (st->st_size > 0)
                cap = MIN((size_t)st->st_size, max) + 1;
        char *buf = malloc(cap + 1);
        if (!buf)
                return -ENOMEM;

        for (;;) {
                ssize_t n = read(fd, buf + len, cap - len);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        int r = -errno;
                        erase_and_free(buf);
                        return r;
                }
                if (n == 0)
                        break;
                len += (size_t)n;
                if (len > max) {
                        erase_and_free(buf);
                        return -EFBIG;
                }
                if (len == cap) {
                        size_t bigger = MIN(cap * 2, max + 1);
                        char *p = wipe_realloc(buf, bigger + 1);
                        if (!p) {
                                erase_and_free(buf);
                                return -ENOMEM;
                        }
                        buf = p;
                        cap = bigger;
                }
        }
        buf[len] = '\0';
        *ret = buf;
        if (ret_len)
                *ret_len = len;
        return 0;
}

int read_whole_file(const char *path, size_t max, char **ret, size_t *ret_len)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? -EISDIR : read_descriptor(fd, &st, max, ret, ret_len);
}

int read_regular_file(const char *path, size_t max, char **ret, size_t *ret_len)
{
        /* that a pipe has no writer is no reason to wait for one */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? read_descriptor(fd, &st, max, ret, ret_len) : -EINVAL;
}

int write_all(int fd, const void *data, size_t len)
{
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

int random_bytes(void *p, size_t n)
{
        char *c = p;

        while (n > 0) {
                ssize_t got = getrandom(c, n, 0);
                if (got < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                c += got;
                n -= (size_t)got;
        }
        return 0;
}

int64_t monotonic_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int signals_fd(const int *signals, size_t n)
{
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < n; i++)
                sigaddset(&set, signals[i]);
        int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
        if (r != 0)
                return -r;
        int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void hex_encode(const void *p, size_t n, char *out)
{
        static const char digits[] = "0123456789abcdef";
        const unsigned char *c = p;

        for (size_t i = 0; i < n; i++) {
                out[2 * i] = digits[c[i] >> 4];
                out[2 * i + 1] = digits[c[i] & 15];
        }
        out[2 * n] = '\0';
}
