#include "cli/log_target.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"

/* syslog.h has macros of the same names with other values. */
enum { ERROR = LOG_ERROR, WARNING = LOG_WARNING, INFO = LOG_INFO, DEBUG = LOG_DEBUG };

#include <syslog.h>

int log_target_default(const char *rundir, char **ret)
{
        struct stat st;

        if (stat("/dev/log", &st) == 0 && S_ISSOCK(st.st_mode))
                return xasprintf(ret, "syslog");
        return xasprintf(ret, "%s/akvfs.log", rundir);
}

static void to_syslog(enum log_level level, const char *line)
{
        static const int priorities[] = {
                [ERROR] = LOG_ERR,
                [WARNING] = LOG_WARNING,
                [INFO] = LOG_INFO,
                [DEBUG] = LOG_DEBUG,
        };

        syslog(priorities[level], "%s", line);
}

bool log_target_is_file(const char *target)
{
        return !streq(target, "syslog") && !streq(target, "stderr");
}

int log_target_append(const char *file, int *ret_fd, struct err *e)
{
        int fd =
                open(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);

        if (fd < 0) {
                int r = -errno;
                return err_set_cause(
                        e, ERR_LOCAL, r, "could not open the log file %s: %s", file, strerror(-r));
        }
        *ret_fd = fd;
        return 0;
}

int log_target_open(const char *target, int *ret_fd, struct err *e)
{
        int fd = -EBADF;

        if (streq(target, "syslog")) {
                openlog("akvfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
                log_set_writer(to_syslog);
        } else if (log_target_is_file(target)) {
                int r = log_target_append(target, &fd, e);
                if (r < 0)
                        return r;
                log_set_fd(fd);
        }
        if (ret_fd)
                *ret_fd = fd;
        return 0;
}
