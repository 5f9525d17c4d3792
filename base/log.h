/* Logs on standard error (or a file of one's own), in klog's form by default:
 *
 *     E1121 17:37:42.461313    1234 vault.c:54] message
 *
 * so that `grep ^E` works as the troubleshooting guides say. JSON on request: one object a line
 * with "ts" (ms since the epoch), "level", "caller", "msg".
 *
 * One write(2) a line, never blocking the caller on anything but that; control characters in the
 * message are escaped, so that what a service sent cannot forge a line. Thread-safe. A secret, a
 * token, a request or answer body never goes in.
 */
#pragma once

#include "base/util.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct err;

void log_set_level(enum log_level most_verbose);
void log_set_json(bool on);
/* Where lines go; the descriptor is borrowed. 2 until set. */
void log_set_fd(int fd);
/* Lines go to fn instead of a descriptor, without their line end; NULL undoes it. fn is called from
 * any thread and must not log. */
typedef void (*log_writer_fn)(enum log_level level, const char *line);
void log_set_writer(log_writer_fn fn);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *file, int line, const char *fmt, ...)
        _printf_(4, 5);

#define log_at(level, ...)                                                   \
        do {                                                                 \
                if (log_enabled(level))                                      \
                        log_write((level), __FILE__, __LINE__, __VA_ARGS__); \
        } while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
