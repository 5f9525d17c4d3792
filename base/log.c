#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>

/* Process-wide because what logs has no handle to carry; set once at start. */
static _Atomic int most_verbose = LOG_INFO;
static _Atomic bool as_json;
static _Atomic int log_fd = 2;
static _Atomic(log_writer_fn) log_writer;

void log_set_level(enum log_level level)
{
        most_verbose = (int)level;
}

void log_set_json(bool on)
{
        as_json = on;
}

void log_set_fd(int fd)
{
        log_fd = fd;
}

void log_set_writer(log_writer_fn fn)
{
        log_writer = fn;
}

bool log_enabled(enum log_level level)
{
        return (int)level <= most_verbose;
}

/* Length of the UTF-8 character at s (RFC 3629), 0 when there is none: then a byte stands for
 * itself. C1 controls count as none, terminals obey them. */
static size_t utf8_length(const unsigned char *s)
{
        size_t n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
                (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
                (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

/* JSON string rules serve for both forms: one line stays one line, and valid UTF-8. */
static size_t escape(const char *s, char *out, size_t size, bool json)
{
        size_t n = 0;

        while (*s && n + 7 < size) {
                unsigned char c = (unsigned char)*s;
                size_t len = c < 0x80 ? 1 : utf8_length((const unsigned char *)s);

                if (c == '\n' || c == '\r' || c == '\t') {
                        out[n++] = '\\';
                        out[n++] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
                } else if (c < 0x20 || c == 0x7f || len == 0) {
                        n += (size_t)snprintf(out + n, size - n, json ? "\\u%04x" : "\\x%02x", c);
                        len = 1;
                } else if (json && (c == '"' || c == '\\')) {
                        out[n++] = '\\';
                        out[n++] = (char)c;
                } else {
                        memcpy(out + n, s, len);
                        n += len;
                }
                s += len;
        }
        out[n] = '\0';
        return n;
}

void log_write(enum log_level level, const char *file, int line, const char *fmt, ...)
{
        static const char letters[] = "EWID";
        static const char *const words[] = {"error", "warning", "info", "debug"};
        char text[4096], escaped[8192], prefix[192];
        va_list ap;

        va_start(ap, fmt);
        int r = vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        if (r < 0)
                return;

        bool json = as_json;
        size_t n = escape(text, escaped, sizeof escaped, json);
        const char *base = strrchr(file, '/');
        base = base ? base + 1 : file;

        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        int p;
        if (json) {
                p = snprintf(prefix, sizeof prefix,
                        "{\"ts\":%lld.%03ld,\"level\":\"%s\",\"caller\":\"%s:%d\",\"pid\":%d,\"msg\":\"",
                        (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000,
                        ts.tv_nsec / 1000 % 1000, words[level], base, line, (int)getpid());
        } else {
                struct tm tm;
                localtime_r(&ts.tv_sec, &tm);
                p = snprintf(prefix, sizeof prefix, "%c%02d%02d %02d:%02d:%02d.%06ld %7d %s:%d] ",
                        letters[level], tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                        ts.tv_nsec / 1000, (int)getpid(), base, line);
        }
        if (p < 0)
                return;

        log_writer_fn writer = log_writer;
        if (writer) {
                char whole[sizeof prefix + sizeof escaped + sizeof "\"}"];
                snprintf(whole, sizeof whole, "%s%s%s", prefix, escaped, json ? "\"}" : "");
                writer(level, whole);
                return;
        }

        char end[] = "\"}\n";
        char *rest = json ? end : strchr(end, '\n');
        struct iovec iov[] = {
                {prefix, (size_t)MIN(p, (int)sizeof prefix - 1)},
                {escaped, n},
                {rest, strlen(rest)},
        };
        /* A log that cannot be written is no reason to stop, and there is nowhere to say so. */
        ssize_t written = writev(log_fd, iov, ELEMENTSOF(iov));
        (void)written;
}
