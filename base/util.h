/* What every file needs: clean-up attributes, ownership transfer, sizes.
 *
 * Conventions of the whole tree (docs/architecture.md has the long form):
 *   - functions return 0 or a positive result, and a negative errno on failure;
 *   - `ret_x` parameters are written on success only;
 *   - a descriptor that is not open is -EBADF;
 *   - `x_new`/`x_free` make and destroy, `x_ref`/`x_unref` share, `x_done` clears contents only;
 *     every destructor takes NULL.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _must_check_ __attribute__((warn_unused_result))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Hands the value over and leaves an empty variable behind. */
#define TAKE_PTR(p)                         \
        ({                                  \
                __typeof__(p) _taken = (p); \
                (p) = NULL;                 \
                _taken;                     \
        })
#define TAKE_FD(fd)                \
        ({                         \
                int _taken = (fd); \
                (fd) = -EBADF;     \
                _taken;            \
        })

/* DEFINE_CLEANUP(struct x *, x_free) gives x_freep for _cleanup_(x_freep). */
#define DEFINE_CLEANUP(type, func)          \
        static inline void func##p(type *p) \
        {                                   \
                if (*p)                     \
                        func(*p);           \
        }

static inline void freep(void *p)
{
        free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(freep)

/* Closes and keeps errno; returns -EBADF so that `fd = safe_close(fd)` leaves an empty variable. */
int safe_close(int fd);

static inline void closep(int *fd)
{
        safe_close(*fd);
}
#define _cleanup_close_ _cleanup_(closep)

static inline bool streq(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

static inline bool isempty(const char *s)
{
        return !s || !*s;
}

/* NULL-safe strcmp equality: two NULLs are equal. */
bool streq_ptr(const char *a, const char *b);

/* After the prefix, or NULL when s does not begin with it. */
const char *startswith(const char *s, const char *prefix);

/* asprintf that leaves *ret alone on failure. 0 or -ENOMEM. */
int xasprintf(char **ret, const char *fmt, ...) _printf_(2, 3);

/* A copy of the value, "" for NULL, in place of what was there (malloc(3)'s or NULL), which is
 * freed. 0, or -ENOMEM; then it is as it was. */
int replace_string(char **where, const char *value);

/* Strict decimal, no sign, no white space. -EINVAL or -ERANGE (above max). */
int parse_u64(const char *s, uint64_t max, uint64_t *ret);

/* A path of malloc(3), or NULL, which stays: put behind the working directory unless it begins with
 * a slash. On failure it is as it was. */
int path_make_absolute(char **path);

/* The whole of a file, at most max bytes (more is -EFBIG), NUL-terminated behind *ret_len bytes.
 * The caller frees; the buffer may hold a secret, so use erase_and_free where it does. */
int read_whole_file(const char *path, size_t max, char **ret, size_t *ret_len);
/* The same of a path that somebody else chose: -EINVAL for all but regular files. A pipe would be
 * waited for, and a device may do anything when it is read. */
int read_regular_file(const char *path, size_t max, char **ret, size_t *ret_len);

/* Writes all of it, over EINTR and short writes. 0 or negative errno. */
int write_all(int fd, const void *data, size_t len);

/* n cryptographically random bytes (getrandom). 0 or negative errno. */
int random_bytes(void *p, size_t n);

/* Since some moment in the past; goes on whatever happens to the wall clock. For waits without a
 * loop (base/loop.h has its own clock). */
int64_t monotonic_ms(void);

/* Blocks these signals in this thread, and those that it starts later, and returns a descriptor
 * that they are read from (signalfd(2); non-blocking). Negative errno. */
int signals_fd(const int *signals, size_t n);

/* What a hexadecimal digit of either case stands for, or -1. */
int hex_digit(char c);

/* Lower-case hex of n bytes into out[2*n+1]. */
void hex_encode(const void *p, size_t n, char *out);
