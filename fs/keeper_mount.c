#include "fs/keeper_mount.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/keeper_folder.h"

#define FUSERMOUNT "fusermount3"
#define FUSERMOUNT_TIMEOUT_MS 10000

static int failed(char *detail, const char *what)
{
        int r = errno ? -errno : -EIO;

        snprintf(detail, KEEPER_NAME_SIZE, "%.120s: %s", what, strerror(-r));
        return r;
}

/* --- telling mounts apart --- */

bool keeper_mount_is(
        const struct keeper_mount *m, int mnt_id, unsigned dev_minor, const char *fstype)
{
        /* Ids are given to the next mount as soon as they are free. As root the private mount pins
         * the superblock and with it the minor number; for others the type is all there is. */
        return mnt_id == m->mnt_id && dev_minor == m->dev_minor && startswith(fstype, "fuse");
}

static int is_this(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        return keeper_mount_is(userdata, mnt_id, dev_minor, fstype);
}

/* The mount that a descriptor stands on. Asked for nothing, statx(2) tells the device alone, and
 * the file system is not asked for it; mountinfo would have to be read as a whole for each mount.
 */
static int mount_of(int fd, int *ret_id, unsigned *ret_minor)
{
        struct statx stx;
        int id = mountinfo_id_of_fd(fd);

        if (id < 0)
                return id;
        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx) < 0)
                return -errno;
        *ret_id = id;
        *ret_minor = stx.stx_dev_minor;
        return 0;
}

int keeper_mount_folder(int root, const char *path)
{
        struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

        int fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        return fd < 0 ? -errno : fd;
}

/* --- as root --- */

static int config_string(int fs, const char *key, const char *value)
{
        return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int config_number(int fs, const char *key, unsigned value, bool octal)
{
        char text[16];

        snprintf(text, sizeof text, octal ? "%o" : "%u", value);
        return config_string(fs, key, text);
}

/* The mount(2) log of the new API tells more than errno does: "e fuse: Bad value for 'fd'". */
static int config_failed(int fs, char *detail, const char *what)
{
        int saved = errno;
        char text[128];
        ssize_t n = read(fs, text, sizeof text - 1);

        errno = saved;
        if (n <= 0)
                return failed(detail, what);
        text[n] = '\0';
        snprintf(detail, KEEPER_NAME_SIZE, "%s: %s (%.100s)", what, strerror(saved), text);
        return -saved;
}

/* Without SELinux the kernel knows no such option; with it, a label that the policy does not know
 * is refused when it is said (selinux_add_opt, Linux 5.17 and later) or when the superblock is
 * made. */
static int label_refused(int fs, char *detail)
{
        (void)config_failed(fs, detail, "the SELinux label");
        return -EOPNOTSUPP;
}

static int make_superblock(
        const struct keeper_msg *request, int fuse_fd, int *ret_mount, char *detail)
{
        _cleanup_close_ int fs = fsopen("fuse", FSOPEN_CLOEXEC);
        if (fs < 0)
                return failed(detail, "fsopen(fuse)");

        if (config_string(fs, "source", request->name) < 0 ||
                config_string(fs, "subtype", "akvfs") < 0 ||
                config_number(fs, "fd", (unsigned)fuse_fd, false) < 0 ||
                config_number(fs, "rootmode", 040000, true) < 0 ||
                config_number(fs, "user_id", getuid(), false) < 0 ||
                config_number(fs, "group_id", getgid(), false) < 0 ||
                fsconfig(fs, FSCONFIG_SET_FLAG, "default_permissions", NULL, 0) < 0 ||
                ((request->flags & KEEPER_ALLOW_OTHER) &&
                        fsconfig(fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) < 0))
                return config_failed(fs, detail, "mounting fuse");
        bool label = request->context[0];
        if (label && config_string(fs, "context", request->context) < 0)
                return label_refused(fs, detail);
        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return label && errno == EINVAL ? label_refused(fs, detail)
                                                : config_failed(fs, detail, "mounting fuse");

        int mount = fsmount(fs, FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        if (mount < 0)
                return failed(detail, "fsmount");
        *ret_mount = mount;
        return 0;
}

/* The mount is made, and attached nowhere yet. */
static int attach(const struct keeper_msg *request, const char *below, int visible,
        bool *ret_replaced, char *detail)
{
        enum keeper_folder_was was = KEEPER_FOLDER_PLAIN;
        _cleanup_close_ int folder = -EBADF;

        if (!below) {
                if (move_mount(visible, "", AT_FDCWD, request->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                        return failed(detail, request->path);
                return 0;
        }
        int r = keeper_folder_make(below, request->path, &was, &folder, detail);
        if (r < 0)
                return r;
        if (move_mount(visible, "", folder, "",
                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) {
                *ret_replaced = was == KEEPER_FOLDER_MOUNTED;
                return 0;
        }
        r = failed(detail, request->path);
        if (was == KEEPER_FOLDER_NONE) {
                char ignored[KEEPER_NAME_SIZE];
                (void)keeper_folder_clear(below, request->path, ignored);
        }
        return r;
}

static void detach_again(const struct keeper_msg *request, const char *below)
{
        char ignored[KEEPER_NAME_SIZE];

        if (below)
                (void)keeper_folder_clear(below, request->path, ignored);
        else
                (void)umount2(request->path, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static int mount_privileged(
        const struct keeper_msg *request, const char *below, struct keeper_mount *m, char *detail)
{
        _cleanup_close_ int visible = -EBADF, private = -EBADF;

        m->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (m->fuse_fd < 0)
                return failed(detail, "/dev/fuse");
        int r = make_superblock(request, m->fuse_fd, &visible, detail);
        if (r < 0)
                return r;
        r = attach(request, below, visible, &m->replaced, detail);
        if (r < 0)
                return r;

        r = mount_of(visible, &m->mnt_id, &m->dev_minor);
        if (r < 0) {
                errno = -r;
                r = failed(detail, request->path);
                detach_again(request, below);
                return r;
        }
        private = open_tree(visible, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        /* Below a shared parent both would be peers: what somebody mounts inside the one must not
         * appear in the other and be in the way of a rename. */
        struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
        if (private < 0 ||
                mount_setattr(private, "", AT_EMPTY_PATH, &writable, sizeof writable) < 0) {
                r = failed(detail, "private mount");
                detach_again(request, below);
                return r;
        }
        m->private_fd = TAKE_FD(private);
        return 0;
}

/* --- taking over from a keeper that died --- */

struct search {
        const struct keeper_mount *mount;
        int mnt_id;
        unsigned dev_minor;
};

/* The last line of that place is the one on top. */
static int find_visible(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct search *s = userdata;
        const struct keeper_mount *m = s->mount;

        if (!startswith(fstype, "fuse") || !streq(path, m->mountpoint))
                return 0;
        if (m->privileged && dev_minor != m->dev_minor)
                return 0;
        s->mnt_id = mnt_id;
        s->dev_minor = dev_minor;
        return 0;
}

/* A mount from the descriptor of a connection that is mounted already is one more mount of the same
 * superblock (Linux 5.15, fs/fuse/inode.c: fuse_get_tree); one that is over answers ENOTCONN. */
static int remake_private(struct keeper_mount *m, char *detail)
{
        _cleanup_close_ int fs = fsopen("fuse", FSOPEN_CLOEXEC);
        if (fs < 0)
                return failed(detail, "fsopen(fuse)");
        if (config_number(fs, "fd", (unsigned)m->fuse_fd, false) < 0 ||
                config_number(fs, "rootmode", 040000, true) < 0 ||
                config_number(fs, "user_id", getuid(), false) < 0 ||
                config_number(fs, "group_id", getgid(), false) < 0 ||
                fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return config_failed(fs, detail, "mounting fuse once more");
        m->private_fd = fsmount(
                fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        return m->private_fd < 0 ? failed(detail, "fsmount") : 0;
}

/* The superblock's own number, and no GETATTR for it: what somebody says of a mount cannot make us
 * touch another one. */
static int learn_minor(struct keeper_mount *m, char *detail)
{
        struct statx stx;

        if (statx(m->private_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) < 0)
                return failed(detail, "statx");
        m->dev_minor = stx.stx_dev_minor;
        return 0;
}

/* mountinfo has to be read as a whole, which for a thousand mounts takes too long. */
static int find_mount(struct keeper_mount *m, char *detail)
{
        struct search s = {.mount = m, .mnt_id = -1, .dev_minor = m->dev_minor};
        unsigned minor;
        int id;

        _cleanup_close_ int top =
                m->privileged ? open(m->mountpoint, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                              : -EBADF;
        if (top >= 0 && mount_of(top, &id, &minor) == 0 && minor == m->dev_minor) {
                m->mnt_id = id;
                return 0;
        }
        int r = mountinfo_walk(find_visible, &s);
        if (r < 0) {
                errno = -r;
                return failed(detail, "mountinfo");
        }
        m->mnt_id = s.mnt_id;
        m->dev_minor = s.dev_minor;
        return 0;
}

static bool is_fuse_device(int fd)
{
        struct stat st;

        /* Documentation/admin-guide/devices.txt: 10, 229 */
        return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 229);
}

int keeper_mount_recover(const struct keeper_msg *returned, int fuse_fd, int private_fd,
        struct keeper_mount *ret, char *detail)
{
        struct keeper_mount m = {.fuse_fd = -EBADF, .private_fd = -EBADF};
        int r = 0;

        if (!is_fuse_device(fuse_fd)) {
                errno = ENOTTY;
                return failed(detail, "no /dev/fuse");
        }
        m.privileged = returned->flags & KEEPER_PRIVILEGED;
        m.mountpoint = strdup(returned->path);
        if (!m.mountpoint) {
                errno = ENOMEM;
                return failed(detail, returned->path);
        }
        m.fuse_fd = fuse_fd;
        m.private_fd = private_fd;
        if (m.privileged && private_fd < 0)
                r = remake_private(&m, detail);
        if (r == 0 && m.privileged)
                r = learn_minor(&m, detail);
        if (r == 0)
                r = find_mount(&m, detail);
        if (r < 0) {
                m.fuse_fd = -EBADF; /* still the caller's */
                if (private_fd >= 0)
                        m.private_fd = -EBADF;
                keeper_mount_done(&m);
                return r;
        }
        *ret = m;
        return 0;
}

/* --- as an ordinary user, through the set-uid helper --- */

static pid_t run_fusermount(const char *const argv[], int comm_fd, int err_fd)
{
        sigset_t none;
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        /* What the keeper blocks, to read it from a descriptor, is not for the helper. */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        if (comm_fd >= 0) {
                char text[16];
                (void)fcntl(comm_fd, F_SETFD, 0);
                snprintf(text, sizeof text, "%d", comm_fd);
                setenv("_FUSE_COMMFD", text, 1);
        }
        if (err_fd >= 0)
                dup2(err_fd, STDERR_FILENO);
        execvp(FUSERMOUNT, (char *const *)(uintptr_t)argv);
        _exit(127);
}

static int wait_for(pid_t pid)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* What the helper wrote, as detail: "fusermount3: user has no write access to mountpoint ...". */
static int helper_failed(int err_fd, int status, char *detail)
{
        char text[KEEPER_NAME_SIZE];
        ssize_t n = read(err_fd, text, sizeof text - 1);

        if (status == 127) {
                errno = ENOENT;
                return failed(detail, FUSERMOUNT " (is the package fuse3 installed?)");
        }
        text[n > 0 ? n : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        snprintf(detail, KEEPER_NAME_SIZE, "%s", n > 0 ? text : FUSERMOUNT " failed");
        return strstr(text, "busy") ? -EBUSY : -EPERM;
}

/* The helper sends one byte with the descriptor. */
static int receive_fuse_fd(int comm)
{
        union {
                char buf[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        char byte;
        struct iovec iov = {&byte, 1};
        struct msghdr msg = {.msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buf,
                .msg_controllen = sizeof control.buf};
        struct pollfd p = {.fd = comm, .events = POLLIN};
        int fd;

        int n = poll(&p, 1, FUSERMOUNT_TIMEOUT_MS);
        if (n <= 0)
                return n == 0 ? -ETIMEDOUT : -errno;
        if (recvmsg(comm, &msg, MSG_CMSG_CLOEXEC) <= 0)
                return -EIO;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof fd))
                return -EIO;
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        return fd;
}

static int helper_unmount(const char *mountpoint, bool detach, char *detail)
{
        const char *lazy[] = {FUSERMOUNT, "-u", "-z", "--", mountpoint, NULL};
        const char *plain[] = {FUSERMOUNT, "-u", "--", mountpoint, NULL};
        int err[2];

        if (pipe2(err, O_CLOEXEC) < 0)
                return failed(detail, "pipe");
        _cleanup_close_ int err_read = err[0], err_write = err[1];
        pid_t pid = run_fusermount(detach ? lazy : plain, -EBADF, err_write);
        if (pid < 0)
                return failed(detail, "fork");
        err_write = safe_close(err_write);
        int status = wait_for(pid);
        return status == 0 ? 0 : helper_failed(err_read, status, detail);
}

static int mount_helper(const struct keeper_msg *request, struct keeper_mount *m, char *detail)
{
        char options[KEEPER_NAME_SIZE + 128];
        int comm[2], err[2];

        snprintf(options, sizeof options,
                "rw,nosuid,nodev,noexec,noatime,default_permissions,fsname=%s,subtype=akvfs%s",
                request->name, request->flags & KEEPER_ALLOW_OTHER ? ",allow_other" : "");
        const char *argv[] = {FUSERMOUNT, "-o", options, "--", request->path, NULL};

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, comm) < 0)
                return failed(detail, "socketpair");
        _cleanup_close_ int ours = comm[0], theirs = comm[1];
        if (pipe2(err, O_CLOEXEC) < 0)
                return failed(detail, "pipe");
        _cleanup_close_ int err_read = err[0], err_write = err[1];

        pid_t pid = run_fusermount(argv, theirs, err_write);
        if (pid < 0)
                return failed(detail, "fork");
        theirs = safe_close(theirs);
        err_write = safe_close(err_write);
        m->fuse_fd = receive_fuse_fd(ours);
        if (m->fuse_fd == -ETIMEDOUT)
                (void)kill(pid, SIGKILL); /* it would hold up all other mounts */
        int status = wait_for(pid);
        if (m->fuse_fd < 0 || status != 0) {
                m->fuse_fd = safe_close(m->fuse_fd);
                return helper_failed(err_read, status, detail);
        }
        (void)fcntl(m->fuse_fd, F_SETFL, O_RDWR | O_NONBLOCK);

        /* O_PATH on the root of a mount asks its file system nothing. */
        _cleanup_close_ int root = open(request->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = root < 0 ? -errno : mount_of(root, &m->mnt_id, &m->dev_minor);
        if (r == 0)
                return 0;
        char ignored[KEEPER_NAME_SIZE];
        errno = -r;
        r = failed(detail, request->path);
        root = safe_close(root);
        (void)helper_unmount(request->path, true, ignored);
        return r;
}

int keeper_mount_make(
        const struct keeper_msg *request, const char *below, struct keeper_mount *ret, char *detail)
{
        struct keeper_mount m = {.fuse_fd = -EBADF, .private_fd = -EBADF};

        m.privileged = request->flags & KEEPER_PRIVILEGED;
        m.mountpoint = strdup(request->path);
        int r = !m.mountpoint  ? -ENOMEM
                : m.privileged ? mount_privileged(request, below, &m, detail)
                : below        ? (errno = EPERM, failed(detail, request->path))
                               : mount_helper(request, &m, detail);
        if (r < 0) {
                keeper_mount_done(&m);
                return r;
        }
        *ret = m;
        return 0;
}

/* What is on top at the volume's folder must be the mount. */
static int unmount_folder(
        const struct keeper_mount *m, const char *below, bool detach, char *detail)
{
        _cleanup_close_ int parent = -EBADF;
        const char *name = NULL;
        int id = -1;
        unsigned minor = 0;

        int r = keeper_folder_parent(below, m->mountpoint, &name, &parent, detail);
        if (r == -ENOENT)
                return 0; /* with all that was below */
        if (r < 0)
                return r;
        _cleanup_close_ int top = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        bool is_top = top >= 0 && mount_of(top, &id, &minor) == 0 && id == m->mnt_id &&
                      minor == m->dev_minor;
        top = safe_close(top);
        if (is_top) {
                r = keeper_folder_unmount(parent, name, detach);
        } else {
                r = mountinfo_walk(is_this, (void *)(uintptr_t)m);
                r = r > 0 ? -EBUSY : r;
        }
        if (r < 0) {
                errno = -r;
                return failed(detail, m->mountpoint);
        }
        /* Not ours any more, and what somebody put there is theirs. */
        if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                log_warning("%s is unmounted, and the folder stays: %s", m->mountpoint,
                        strerror(errno));
        return 0;
}

int keeper_mount_unmount(const struct keeper_mount *m, const char *below, bool detach, char *detail)
{
        if (below)
                return unmount_folder(m, below, detach, detail);
        /* Somebody may have mounted over it: what is on top must be ours. Without O_DIRECTORY,
         * which has an automount below it begin a new mount, and us wait for it. */
        _cleanup_close_ int top = open(m->mountpoint, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        int error = errno, id;
        unsigned minor;
        if (top < 0 || mount_of(top, &id, &minor) < 0 || id != m->mnt_id || minor != m->dev_minor) {
                int attached = mountinfo_walk(is_this, (void *)(uintptr_t)m);
                if (attached == 0)
                        return 0;
                if (attached < 0) {
                        errno = -attached;
                        return failed(detail, "mountinfo");
                }
                errno = top < 0 ? error : EBUSY;
                return failed(detail, top < 0 ? m->mountpoint : "something else is mounted on top");
        }
        top = safe_close(top);

        if (m->privileged) {
                if (umount2(m->mountpoint, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) < 0)
                        return failed(detail, m->mountpoint);
                return 0;
        }
        return helper_unmount(m->mountpoint, detach, detail);
}

int keeper_mount_abort(const struct keeper_mount *m)
{
        char path[64];

        /* The private mount pins the superblock, and with it the number. */
        if (m->private_fd < 0 && mountinfo_walk(is_this, (void *)(uintptr_t)m) != 1)
                return -ESTALE;
        (void)snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", m->dev_minor);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -errno : write_all(fd, "1", 1);
}

void keeper_mount_done(struct keeper_mount *m)
{
        free(m->mountpoint);
        m->mountpoint = NULL;
        m->fuse_fd = safe_close(m->fuse_fd);
        m->private_fd = safe_close(m->private_fd);
}
