#include "cli/landlock.h"

#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Rights of later versions than the header's: landlock(7), "Filesystem flags". */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static const char *const readable[] = {
        "/etc", /* resolv.conf, hosts, nsswitch.conf, certificates, openssl.cnf, localtime */
        "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib", "/lib", "/lib64", /* modules */
        "/usr/share", "/usr/local/share", /* certificates and time zones behind symlinks */
        "/proc", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom",
        /* where resolv.conf may be a symlink to */
        "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman",
        "/var/lib/ca-certificates", "/var/db/nscd", "/var/cache/nscd"};

static uint64_t handled(int abi)
{
        /* version 1: everything up to making a symlink */
        uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

        if (abi >= 2)
                rights |= LANDLOCK_ACCESS_FS_REFER;
        if (abi >= 3)
                rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
        if (abi >= 5)
                rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
        return rights;
}

/* What is not there needs no rule. */
static int allow_beneath(int ruleset, const char *path, uint64_t rights)
{
        struct stat st;

        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                rights &= LANDLOCK_ACCESS_FS_READ_FILE;
        const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
        return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
                       ? -errno
                       : 0;
}

int landlock_enter(const char *control_socket, const char *const *more, struct err *e)
{
        int abi =
                (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < 1)
                return 0;

        const struct landlock_ruleset_attr attr = {.handled_access_fs = handled(abi)};
        _cleanup_close_ int ruleset =
                (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
        int r = ruleset < 0 ? -errno : 0;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(readable); i++)
                r = allow_beneath(ruleset, readable[i], READ);
        for (size_t i = 0; r == 0 && more && more[i]; i++)
                r = allow_beneath(ruleset, more[i], READ);
        _cleanup_free_ char *copy = strdup(control_socket);
        if (r == 0)
                r = copy ? allow_beneath(ruleset, dirname(copy), LANDLOCK_ACCESS_FS_REMOVE_FILE)
                         : -ENOMEM;
        if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
                r = -errno;
        if (r < 0)
                return err_set_cause(
                        e, ERR_LOCAL, r, "files cannot be closed off: %s", strerror(-r));
        return 1;
}
