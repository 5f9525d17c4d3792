#include "tests/integration/stress/common.h"

#include <fcntl.h>
#include <stdio.h>

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

pid_t stress_keeper(const char *const *worker_argv, bool standby, int *ret_report)
{
        int report[2];

        if (pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0) {
                close(report[0]);
                struct keeper_options k = {.worker_argv = worker_argv,
                        .pass_fds = &report[1],
                        .n_pass_fds = 1,
                        .guarded = true,
                        .standby = standby};
                _exit(keeper_run(&k));
        }
        close(report[1]);
        *ret_report = report[0];
        return pid;
}
