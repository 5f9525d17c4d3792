#include "cli/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mountinfo.h"

int mountpoint_resolve(const char *dir, char **ret, struct err *e)
{
        char *path = realpath(dir, NULL);

        if (path) {
                *ret = path;
                return 0;
        }
        int r = -errno;
        size_t len = strlen(dir);
        while (len > 1 && dir[len - 1] == '/')
                len--;
        const char *slash = memrchr(dir, '/', len);
        const char *base = slash ? slash + 1 : dir;
        _cleanup_free_ char *name = strndup(base, len - (size_t)(base - dir));
        _cleanup_free_ char *parent = !slash         ? strdup(".")
                                      : slash == dir ? strdup("/")
                                                     : strndup(dir, (size_t)(slash - dir));
        if (!name || !parent)
                return err_set(e, -ENOMEM, "out of memory");

        /* ENOTCONN: the server of the FUSE mount there is gone. EACCES: another user's. */
        if ((r == -ENOTCONN || r == -EACCES) && *name && !streq(name, ".") && !streq(name, "..")) {
                _cleanup_free_ char *real = realpath(parent, NULL);
                if (real) {
                        if (xasprintf(ret, "%s/%s", streq(real, "/") ? "" : real, name) < 0)
                                return err_set(e, -ENOMEM, "out of memory");
                        return 0;
                }
        }
        err_set_cause(e, ERR_LOCAL, r, "mount point %s: %s", dir, strerror(-r));
        if (r == -ENOENT)
                err_hint(e, "make it first: mkdir -p %s", dir);
        return r;
}

struct wanted {
        const char *path;
        char *class; /* of the topmost so far, when it is ours */
        int error;
};

static int look(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct wanted *w = userdata;

        if (!streq(path, w->path))
                return 0;
        /* a mount on top of another comes later in the list */
        free(w->class);
        w->class = NULL;
        const char *class = startswith(fstype, "fuse") ? startswith(source, "akvfs:") : NULL;
        if (class && !(w->class = strdup(class)))
                w->error = -ENOMEM;
        return 0;
}

int mountpoint_class(const char *path, char **ret)
{
        struct wanted w = {.path = path};

        int r = mountinfo_walk(look, &w);
        if (r == 0)
                r = w.error;
        if (r < 0 || !w.class) {
                free(w.class);
                return r;
        }
        *ret = w.class;
        return 1;
}

static int check_not_mounted(const char *path, struct err *e)
{
        _cleanup_free_ char *class = NULL;

        int r = mountpoint_class(path, &class);
        if (r < 0)
                return err_set(e, r, "could not read /proc/self/mountinfo: %s", strerror(-r));
        if (r == 0)
                return 0;
        err_set_cause(
                e, ERR_LOCAL, -EBUSY, "%s is already mounted by akvfs, with class %s", path, class);
        err_hint(e, "akvfs unmount %s", path);
        return -EBUSY;
}

static int check_empty(const char *path, struct err *e)
{
        DIR *d = opendir(path);
        if (!d) {
                int r = -errno;
                return err_set_cause(e, ERR_LOCAL, r, "mount point %s: %s", path, strerror(-r));
        }
        const struct dirent *de;
        bool empty = true;
        while (empty && (de = readdir(d)))
                empty = streq(de->d_name, ".") || streq(de->d_name, "..");
        closedir(d);
        if (empty)
                return 0;
        err_set_cause(e, ERR_LOCAL, -ENOTEMPTY,
                "mount point %s is not empty; what is in it would be hidden", path);
        err_hint(e, "choose an empty folder");
        return -ENOTEMPTY;
}

/* fusermount3's own rules, said before anything is fetched. */
static int check_permitted(const char *path, const struct stat *st, struct err *e)
{
        if (geteuid() == 0)
                return 0;
        if ((st->st_mode & S_ISVTX) && st->st_uid != geteuid()) {
                err_set_cause(e, ERR_LOCAL, -EPERM,
                        "mount point %s belongs to somebody else (uid %u)", path,
                        (unsigned)st->st_uid);
        } else if (access(path, W_OK) < 0) {
                err_set_cause(e, ERR_LOCAL, -EACCES,
                        "mount point %s is not writable for uid %u: %s", path, (unsigned)geteuid(),
                        strerror(errno));
        } else
                return 0;
        err_hint(e, "choose a folder of your own, or mount as root");
        return e ? e->code : -EPERM;
}

int mountpoint_check(const char *path, struct err *e)
{
        struct stat st;

        int r = check_not_mounted(path, e);
        if (r < 0)
                return r;
        if (stat(path, &st) < 0) {
                r = -errno;
                err_set_cause(e, ERR_LOCAL, r, "mount point %s: %s", path, strerror(-r));
                if (r == -ENOTCONN)
                        err_hint(e, "a FUSE server died there; umount -l %s", path);
                return r;
        }
        if (!S_ISDIR(st.st_mode)) {
                err_set_cause(e, ERR_LOCAL, -ENOTDIR, "mount point %s is not a directory", path);
                err_hint(e, "choose an empty folder");
                return -ENOTDIR;
        }
        r = check_permitted(path, &st, e);
        if (r < 0)
                return r;
        return check_empty(path, e);
}

/* --- the machine --- */

int mountpoint_fusermount(char **ret)
{
        const char *path = getenv("PATH");
        _cleanup_free_ char *all = NULL;
        char *rest, *dir;

        if (xasprintf(&all, "%s:/usr/local/bin:/usr/bin:/bin", path ? path : "/usr/bin") < 0)
                return -ENOMEM;
        for (rest = all; (dir = strsep(&rest, ":"));) {
                _cleanup_free_ char *name = NULL;

                if (dir[0] != '/')
                        continue;
                if (xasprintf(&name, "%s/fusermount3", dir) < 0)
                        return -ENOMEM;
                if (access(name, X_OK) == 0) {
                        *ret = TAKE_PTR(name);
                        return 0;
                }
        }
        return -ENOENT;
}

bool mountpoint_fuse_conf_allows(const char *text)
{
        static const char word[] = "user_allow_other";

        for (const char *p = text; *p;) {
                size_t len = strcspn(p, "\n");
                const char *q = p + strspn(p, " \t");

                if (startswith(q, word) &&
                        strspn(q + strlen(word), " \t\r") == strcspn(q + strlen(word), "\n"))
                        return true;
                p += len;
                if (*p)
                        p++;
        }
        return false;
}

static bool may_mount(void)
{
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

        /* No library for one bit; if the kernel does not tell, mount(2) will. */
        if (syscall(SYS_capget, &head, data) < 0)
                return true;
        return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

static int check_user(bool allow_other, struct err *e)
{
        _cleanup_free_ char *fusermount = NULL, *conf = NULL;

        int r = mountpoint_fusermount(&fusermount);
        if (r < 0) {
                err_set_cause(e, ERR_LOCAL, r,
                        "fusermount3 is not installed, and ordinary users cannot mount without it");
                err_hint(e, "apt-get install fuse3, or mount as root");
                return r;
        }
        if (!allow_other)
                return 0;
        r = read_whole_file("/etc/fuse.conf", (size_t)1 << 20, &conf, NULL);
        if (r == 0 && mountpoint_fuse_conf_allows(conf))
                return 0;
        err_set_cause(e, ERR_LOCAL, -EPERM,
                "allow_other is not permitted to ordinary users on this machine");
        err_hint(e,
                "write user_allow_other into /etc/fuse.conf, leave allow_other out, or mount as "
                "root");
        return -EPERM;
}

int mountpoint_check_machine(bool allow_other, struct err *e)
{
        _cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        int r = fd < 0 ? -errno : 0;

        if (r == -ENOENT || r == -ENODEV || r == -ENXIO) {
                err_set_cause(e, ERR_LOCAL, r, "there is no /dev/fuse: %s", strerror(-r));
                err_hint(e, "modprobe fuse; in a container run it with --device /dev/fuse");
                return r;
        }
        if (r < 0) {
                err_set_cause(e, ERR_LOCAL, r, "could not open /dev/fuse: %s", strerror(-r));
                err_hint(e, "in a container run it with --device /dev/fuse --cap-add SYS_ADMIN");
                return r;
        }
        if (geteuid() != 0)
                return check_user(allow_other, e);
        if (!may_mount()) {
                err_set_cause(e, ERR_LOCAL, -EPERM,
                        "mounting is not permitted: this root has no CAP_SYS_ADMIN");
                err_hint(e, "in a container run it with --cap-add SYS_ADMIN --device /dev/fuse");
                return -EPERM;
        }
        return 0;
}
