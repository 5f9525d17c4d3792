#include "cli/sandbox.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/log.h"

/* By name: what a machine or a C library does not know is passed over. */
static const char *const allowed[] = {
        /* bytes */
        "read",
        "write",
        "readv",
        "writev",
        "pread64",
        "pwrite64",
        "lseek",
        "close",
        "dup",
        "dup2",
        "dup3",
        "fcntl",
        "fcntl64",
        "pipe2",
        /* waiting */
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "epoll_create1",
        "epoll_ctl",
        "epoll_wait",
        "epoll_pwait",
        "eventfd2",
        "signalfd4",
        "timerfd_create",
        "timerfd_settime",
        "timerfd_gettime",
        "restart_syscall",
        "futex",
        "futex_waitv",
        "sched_yield",
        /* memory */
        "mmap",
        "mmap2",
        "munmap",
        "mremap",
        "mprotect",
        "madvise",
        "brk",
        "mlock",
        "mlock2",
        "munlock",
        "membarrier",
        "memfd_create",
        "memfd_secret",
        "ftruncate",
        /* files: the resolver's, TLS's trust, OpenSSL's modules, mountinfo */
        "open",
        "openat",
        "stat",
        "lstat",
        "fstat",
        "newfstatat",
        "fstatat64",
        "statx",
        "fstatfs",
        "statfs",
        "access",
        "faccessat",
        "faccessat2",
        "readlink",
        "readlinkat",
        "getdents64",
        "getcwd",
        "unlink",
        "unlinkat",
        /* sockets; socket itself is below */
        "connect",
        "bind",
        "getsockname",
        "getpeername",
        "getsockopt",
        "setsockopt",
        "sendto",
        "sendmsg",
        "sendmmsg",
        "recvfrom",
        "recvmsg",
        "recvmmsg",
        "shutdown",
        "accept4",
        "socketpair",
        /* signals and threads; clone is below */
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "rt_sigtimedwait",
        "sigaltstack",
        "tgkill",
        "exit",
        "exit_group",
        "set_robust_list",
        "rseq",
        "set_tid_address",
        "sched_getaffinity",
        "sched_getparam", /* glibc's, of a thread that libgrpc starts at its end */
        "sched_getscheduler",
        /* who, when, chance */
        "getpid",
        "gettid",
        "getppid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "clock_gettime",
        "clock_getres",
        "clock_nanosleep",
        "nanosleep",
        "gettimeofday",
        "time",
        "getrandom",
        "uname",
        "sysinfo",
        "getrusage",
        "getrlimit",
        "ugetrlimit",
};

static int allow(
        scmp_filter_ctx filter, const char *name, unsigned n, const struct scmp_arg_cmp *args)
{
        int number = seccomp_syscall_resolve_name(name);

        if (number == __NR_SCMP_ERROR)
                return 0;
        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, n, args);
}

/* Calls of which only some uses are allowed. */
static int allow_partly(scmp_filter_ctx filter)
{
        static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
        static const unsigned long ioctls[] = {FIONBIO, FIONREAD, TCGETS};
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(families); i++) {
                const struct scmp_arg_cmp family = SCMP_A0_32(SCMP_CMP_EQ, (unsigned)families[i]);
                r = allow(filter, "socket", 1, &family);
        }
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(ioctls); i++) {
                const struct scmp_arg_cmp request = SCMP_A1_32(SCMP_CMP_EQ, (unsigned)ioctls[i]);
                r = allow(filter, "ioctl", 1, &request);
        }
        /* Threads, and no process. The flags of clone3 are in memory, where a filter cannot look:
         * the C library takes clone instead. */
        const struct scmp_arg_cmp thread =
                SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
        if (r == 0)
                r = allow(filter, "clone", 1, &thread);
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        const struct scmp_arg_cmp name = SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME);
        if (r == 0)
                r = allow(filter, "prctl", 1, &name);
        /* Reading limits, not setting them. */
        const struct scmp_arg_cmp no_new = SCMP_A2_64(SCMP_CMP_EQ, 0);
        if (r == 0)
                r = allow(filter, "prlimit64", 1, &no_new);
        return r;
}

int sandbox_enter(bool listens, struct err *e)
{
        const char *mode = getenv("AKVFS_SECCOMP");
        bool log_only = mode && streq(mode, "log");

        scmp_filter_ctx filter = seccomp_init(log_only ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
        if (!filter)
                return err_set(e, -ENOMEM, "out of memory");
        int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(allowed); i++)
                r = allow(filter, allowed[i], 0, NULL);
        if (r == 0)
                r = allow_partly(filter);
        if (r == 0 && listens)
                r = allow(filter, "listen", 0, NULL);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        if (r < 0) {
                err_set_cause(e, ERR_LOCAL, r, "system calls cannot be filtered: %s", strerror(-r));
                err_hint(e, "the kernel needs CONFIG_SECCOMP_FILTER");
                return r;
        }
        if (log_only)
                log_warning("AKVFS_SECCOMP=log: system calls are logged, not refused");
        return 0;
}
