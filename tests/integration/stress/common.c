#include "tests/integration/stress/common.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"

struct view_file *stress_file(const char *path, uint32_t version, size_t size)
{
        char text[16];
        struct sec *bytes;
        struct view_file *f;

        if (sec_alloc(size, &bytes) < 0)
                abort();
        uint32_t *p = sec_buf(bytes);
        for (size_t i = 0; i < size / sizeof *p; i++)
                p[i] = version;
        (void)snprintf(text, sizeof text, "%u", version);
        struct view_file proto = {.path = path,
                .mode = 0444,
                .bytes = bytes,
                .mtime = 1,
                .object_name = "stress",
                .object_id = "https://stress/secrets/stress",
                .version = text,
                .content_type = "",
                .enabled = true,
                .expires = VAULT_NO_TIME,
                .serial = version};
        if (view_file_make(&proto, &f) < 0)
                abort();
        sec_unref(bytes);
        return f;
}

/* --- the program --- */

int stress_next_keeper(const char *const *worker_argv, const char *const *keeper_argv)
{
        struct keeper_options k = {.worker_argv = worker_argv,
                .keeper_argv = keeper_argv,
                .take_fd = fcntl(KEEPER_TAKE_FD, F_DUPFD_CLOEXEC, 64),
                .guarded = true,
                .standby = true};

        close(KEEPER_TAKE_FD);
        return keeper_run(&k);
}

pid_t stress_keeper(const char *const *worker_argv, bool standby, const char *const *keeper_argv,
        int door, FILE **ret_report)
{
        int report[2];

        if (pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        FILE *f = fdopen(report[0], "re");
        pid_t pid = f ? fork() : -1;
        if (pid < 0) {
                int r = -errno;
                if (f)
                        (void)fclose(f);
                else
                        close(report[0]);
                close(report[1]);
                return r;
        }
        if (pid == 0) {
                close(report[0]);
                (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
                struct keeper_options k = {.worker_argv = worker_argv,
                        .pass_fds = &report[1],
                        .n_pass_fds = 1,
                        .keeper_argv = keeper_argv,
                        .door_fd = door,
                        .guarded = true,
                        .standby = standby};
                _exit(keeper_run(&k));
        }
        close(report[1]);
        *ret_report = f;
        return pid;
}

int stress_end(pid_t keeper, FILE *report, const char **ret_last)
{
        int status = 0;
        pid_t pid;

        kill(keeper, SIGTERM);
        if (ret_last)
                *ret_last = stress_told(report, "");
        /* Of a subreaper the heirs of killed keepers are children too. */
        do
                pid = waitpid(-1, &status, 0);
        while (pid != keeper && (pid >= 0 || errno == EINTR));
        (void)fclose(report); /* not before: writing to nobody kills a worker */
        return pid == keeper ? status : -1;
}

uint64_t stress_now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

double stress_ms_since(uint64_t began)
{
        return (double)(stress_now() - began) / 1e3;
}

const char *stress_told(FILE *report, const char *what)
{
        static char line[128];

        const char *rest = fgets(line, sizeof line, report) ? startswith(line, what) : NULL;
        if (!rest)
                (void)fprintf(stderr, "the worker did not say \"%s\"\n", what);
        return rest;
}

bool stress_silent(FILE *report, unsigned ms)
{
        struct pollfd p = {.fd = fileno(report), .events = POLLIN};

        return poll(&p, 1, (int)ms) == 0;
}

/* --- the worker --- */

static void on_timer(void *userdata)
{
        struct stress *s = userdata;

        s->tick(s);
}

static void on_signal(void *userdata, int fd, uint32_t revents)
{
        struct stress *s = userdata;
        struct signalfd_siginfo info;

        if (read(fd, &info, sizeof info) != sizeof info)
                return;
        if (info.ssi_signo == SIGHUP) {
                if (s->hangup)
                        s->hangup(s);
                return;
        }
        loop_timer_off(s->timer);
        if (s->ending)
                s->ending(s);
        for (unsigned i = 0; i < s->n; i++)
                fs_mount_end(s->mounts[i]);
}

int stress_begin(struct stress *s)
{
        static const int signals[] = {SIGTERM, SIGHUP};

        int fd = signals_fd(signals, ELEMENTSOF(signals));
        if (fd < 0)
                return fd;
        int r = loop_new(&s->loop);
        if (r >= 0)
                r = loop_io_new(s->loop, fd, EPOLLIN, on_signal, s, &s->signals);
        if (r >= 0)
                r = loop_timer_new(s->loop, on_timer, s, &s->timer);
        return r < 0 ? r : fs_start(s->loop, KEEPER_WORKER_FD, &s->fs, NULL);
}

static void on_mounted(void *userdata, const struct err *error)
{
        struct stress *s = userdata;

        if (error) {
                log_error("%s", err_text(error));
                loop_exit(s->loop, 1);
                return;
        }
        if (++s->n_mounted == s->n)
                s->mounted(s);
}

static void on_gone(void *userdata, const struct err *error)
{
        struct stress *s = userdata;

        if (error)
                log_error("%s", err_text(error));
        s->failed |= error != NULL;
        if (++s->n_gone < s->n)
                return;
        if (s->gone)
                s->gone(s);
        loop_exit(s->loop, s->failed ? 1 : 0);
}

static const struct fs_mount_events events = {.mounted = on_mounted, .gone = on_gone};

static struct fs_mount **room(struct stress *s)
{
        struct fs_mount **p = reallocarray(s->mounts, s->n + 1, sizeof *p);

        if (!p)
                abort();
        s->mounts = p;
        return &p[s->n];
}

int stress_mount(struct stress *s, const char *point, struct view_file *const *files, size_t n)
{
        _cleanup_err_ struct err e = {0};
        struct fs_mount_config cfg = {.mountpoint = point,
                .fsname = "akvfs:stress",
                .uid = getuid(),
                .gid = getgid(),
                .mode = 0644,
                .allow_other = getuid() == 0,
                .privileged = getuid() == 0,
                .warm = s->warm};

        int r = fs_mount_new(s->fs, &cfg, files, n, &events, s, room(s), &e);
        for (size_t i = 0; i < n; i++)
                view_file_unref(files[i]);
        if (r < 0)
                log_error("%s", err_text(&e));
        else
                s->n++;
        return r;
}

bool stress_adopt(struct stress *s)
{
        if (fs_adopted(s->fs, room(s), 1) != 1)
                return false;
        fs_mount_attach(s->mounts[s->n++], &events, s);
        return true;
}

int stress_run(struct stress *s)
{
        int r = loop_run(s->loop);

        loop_io_free(s->signals);
        loop_timer_free(s->timer);
        fs_stop(s->fs);
        loop_free(s->loop);
        free(s->mounts);
        return r;
}
