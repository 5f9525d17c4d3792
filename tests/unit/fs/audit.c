#include "fs/audit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/fs/support.h"

TestSuite(audit, .timeout = 60);

static struct audit_caller caller;
static char line[AUDIT_LINE];

Test(audit, the_pod_is_in_the_cgroup)
{
        static const char uid[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        static const char *const with[] = {
                "/kubepods/burstable/pod6ba7b810-9dad-11d1-80b4-00c04fd430c8/0123",
                "/kubepods.slice/kubepods-burstable.slice/"
                "kubepods-burstable-pod6ba7b810_9dad_11d1_80b4_00c04fd430c8.slice/"
                "cri-containerd-0123.scope",
                "/podman/pod6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                "pod6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        };
        static const char *const without[] = {
                "/",
                "",
                "/system.slice/nginx.service",
                "/kubepods/pod",
                "/kubepods/pod6ba7b810-9dad-11d1-80b4-00c04fd430c",
                "/kubepods/pod6ba7b810x9dad-11d1-80b4-00c04fd430c8",
                "/kubepods/pod6ba7b810-9dad-11d1-80b4-00c04fd430cg",
                "/tripod6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        };
        char pod[37];

        for (size_t i = 0; i < ELEMENTSOF(with); i++) {
                cr_assert(audit_pod(with[i], pod), "%s", with[i]);
                cr_assert_str_eq(pod, uid);
        }
        for (size_t i = 0; i < ELEMENTSOF(without); i++) {
                cr_assert_not(audit_pod(without[i], pod), "%s", without[i]);
                cr_assert_str_empty(pod);
        }
}

/* A /proc of the test's own. */
static char proc[] = "/tmp/akvfs-proc-XXXXXX";

static void write_file(const char *name, const char *text)
{
        char path[96];

        (void)snprintf(path, sizeof path, "%s/4711/%s", proc, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        cr_assert_geq(fd, 0);
        cr_assert_eq(write_all(fd, text, strlen(text)), 0);
        close(fd);
}

static void make_proc(void)
{
        char path[96];

        cr_assert_not_null(mkdtemp(proc));
        (void)snprintf(path, sizeof path, "%s/4711", proc);
        cr_assert_eq(mkdir(path, 0700), 0);
}

static void remove_proc(void)
{
        static const char *const names[] = {"/4711/exe", "/4711/comm", "/4711/cgroup"};
        char path[96];

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                (void)snprintf(path, sizeof path, "%s%s", proc, names[i]);
                (void)unlink(path);
        }
        (void)snprintf(path, sizeof path, "%s/4711", proc);
        (void)rmdir(path);
        (void)rmdir(proc);
}

Test(audit, who_it_is, .init = make_proc, .fini = remove_proc)
{
        char path[96];

        write_file("comm", "nginx: worker\n");
        write_file("cgroup", "3:cpu:/a\n1:name=systemd:/system.slice/x\n0::/\n");
        caller.pid = 4711;
        audit_look(proc, &caller);
        cr_assert_str_empty(caller.exe);
        cr_assert_str_eq(caller.comm, "nginx: worker", "what may be seen of anybody");
        cr_assert_str_eq(caller.cgroup, "/system.slice/x");
        cr_assert_str_empty(caller.pod);

        (void)snprintf(path, sizeof path, "%s/4711/exe", proc);
        cr_assert_eq(symlink("/usr/sbin/nginx", path), 0);
        write_file("cgroup", "0::/kubepods/pod6ba7b810-9dad-11d1-80b4-00c04fd430c8/c\n");
        caller = (struct audit_caller){.pid = 4711};
        audit_look(proc, &caller);
        cr_assert_str_eq(caller.exe, "/usr/sbin/nginx");
        cr_assert_str_empty(caller.comm);
        cr_assert_str_eq(caller.pod, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
}

Test(audit, a_caller_that_cannot_be_seen_is_no_error)
{
        caller.pid = 0;
        audit_look("/proc", &caller);
        cr_assert_str_empty(caller.exe);
        caller.pid = 4711;
        audit_look("/nowhere", &caller);
        cr_assert_str_empty(caller.exe);
        cr_assert_str_empty(caller.cgroup);

        struct view_file *f = make_file("f", "x");
        audit_format(line, "/mnt", f, &caller);
        cr_assert_str_eq(line, "audit: open pid=4711 uid=0 gid=0 file=\"f\" object=\"secret/f\" "
                               "version=\"0123456789abcdef0123456789abcdef\" "
                               "mount=\"/mnt\"");
        view_file_unref(f);
}

Test(audit, this_very_process)
{
        char exe[sizeof caller.exe] = "";

        cr_assert_gt(readlink("/proc/self/exe", exe, sizeof exe - 1), 0);
        caller.pid = getpid();
        audit_look("/proc", &caller);
        cr_assert_str_eq(caller.exe, exe);
        cr_assert_eq(caller.cgroup[0], '/');
}

Test(audit, names_forge_nothing_and_push_nothing_out)
{
        struct view_file *f = make_file("a\" uid=0 \\", "x");

        memset(caller.exe, '"', sizeof caller.exe - 1);
        memset(caller.cgroup, '\\', sizeof caller.cgroup - 1);
        memset(caller.comm, 'c', sizeof caller.comm - 1);
        memset(caller.pod, 'p', sizeof caller.pod - 1);
        audit_format(line, "/mnt", f, &caller);
        cr_assert_not_null(strstr(line, " file=\"a\\\" uid=0 \\\\\" object="), "%s", line);
        cr_assert_not_null(strstr(line, "\\\"...\" comm="), "%s", line);
        cr_assert_not_null(strstr(line, "ppp\" mount=\"/mnt\""), "%s", line);
        view_file_unref(f);

        static char path[4096];
        memset(path, '"', sizeof path - 1);
        f = make_file(path, "x");
        audit_format(line, path, f, &caller);
        cr_assert_lt(strlen(line), sizeof line);
        cr_assert_not_null(strstr(line, "ppp\" mount=\""), "the longest of each");
        cr_assert_str_eq(line + strlen(line) - 4, "...\"");
        view_file_unref(f);
}
