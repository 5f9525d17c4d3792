#include "fs/keeper_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mountinfo.h"
#include "fs/keeper_proto.h"

#define STACKED_MAX 16 /* dead mounts on top of each other */
#define FOLDER_MODE 0750

static int failed(char *detail, int r, const char *what, const char *path)
{
        snprintf(detail, KEEPER_NAME_SIZE, "%s%.160s: %s", what, path, strerror(-r));
        return r;
}

/* Follows no symlink and stays below dir. */
static int open_below(int dir, const char *path)
{
        struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

        int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
        return fd < 0 ? -errno : fd;
}

int keeper_folder_parent(
        const char *below, const char *path, const char **ret_name, int *ret_fd, char *detail)
{
        const char *rest = startswith(path, below), *name = strrchr(path, '/');
        char folder[KEEPER_PATH_SIZE];

        /* The worker has checked it; it is the worker that is not trusted. */
        if (!rest || rest[0] != '/' || !name || !name[1] || streq(name, "/.") ||
                streq(name, "/..") || strlen(path) >= sizeof folder)
                return failed(detail, -EINVAL, "not a volume's path: ", path);
        _cleanup_close_ int top = open(below, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (top < 0)
                return failed(detail, -errno, "", below);
        if (name == rest)
                snprintf(folder, sizeof folder, ".");
        else
                snprintf(folder, sizeof folder, "%.*s", (int)(name - rest - 1), rest + 1);
        int fd = open_below(top, folder);
        if (fd < 0)
                return failed(detail, fd, "", path);
        *ret_fd = fd;
        *ret_name = name + 1;
        return 0;
}

int keeper_folder_unmount(int parent, const char *name, bool detach)
{
        char path[KEEPER_NAME_SIZE + 64];

        /* The last step is not followed, and the way there is the descriptor that was looked at. */
        int n = snprintf(path, sizeof path, "/proc/self/fd/%d/%s", parent, name);
        if (n < 0 || (size_t)n >= sizeof path)
                return -ENAMETOOLONG;
        return umount2(path, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

/* Kubelet's path of a CSI volume: what the Secrets Store CSI Driver, whose place akvfs may have
 * taken, left there is a tmpfs. */
static bool is_csi_path(const char *path)
{
        const char *name = strrchr(path, '/');

        return strstr(path, "/volumes/kubernetes.io~csi/") && streq(name, "/mount");
}

struct search {
        int mnt_id;
        bool csi;
        bool ours;
};

static int is_ours(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct search *s = userdata;

        if (mnt_id != s->mnt_id)
                return 0;
        s->ours = streq(fstype, "fuse.akvfs") || (s->csi && streq(fstype, "tmpfs"));
        return 1;
}

/* Takes away what is left of volumes at that name. A keeper_folder_was; -EBUSY when anything else
 * is mounted. */
static int take_down(int parent, const char *name, const char *path)
{
        int here = mountinfo_id_of_fd(parent);

        if (here < 0)
                return here;
        for (unsigned i = 0; i < STACKED_MAX; i++) {
                _cleanup_close_ int fd = open_below(parent, name);
                if (fd < 0)
                        return fd == -ENOENT ? KEEPER_FOLDER_NONE : fd;
                struct search s = {.mnt_id = mountinfo_id_of_fd(fd), .csi = is_csi_path(path)};
                if (s.mnt_id == here)
                        return i > 0 ? KEEPER_FOLDER_MOUNTED : KEEPER_FOLDER_PLAIN;
                int r = s.mnt_id < 0 ? s.mnt_id : mountinfo_walk(is_ours, &s);
                if (r >= 0 && !s.ours)
                        r = -EBUSY;
                fd = safe_close(fd);
                if (r >= 0)
                        r = keeper_folder_unmount(parent, name, true);
                if (r < 0)
                        return r;
        }
        return -EBUSY;
}

int keeper_folder_make(const char *below, const char *path, enum keeper_folder_was *ret_was,
        int *ret_fd, char *detail)
{
        _cleanup_close_ int parent = -EBADF;
        const char *name = NULL;

        int r = keeper_folder_parent(below, path, &name, &parent, detail);
        if (r < 0)
                return r;
        int was = r = take_down(parent, name, path);
        if (was == KEEPER_FOLDER_NONE && mkdirat(parent, name, FOLDER_MODE) < 0 && errno != EEXIST)
                r = -errno;
        int fd = r < 0 ? r : open_below(parent, name);
        if (fd < 0)
                return failed(detail, fd, "", path);
        *ret_was = (enum keeper_folder_was)was;
        *ret_fd = fd;
        return 0;
}

int keeper_folder_clear(const char *below, const char *path, char *detail)
{
        _cleanup_close_ int parent = -EBADF;
        const char *name = NULL;

        int r = keeper_folder_parent(below, path, &name, &parent, detail);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        r = take_down(parent, name, path);
        if (r > KEEPER_FOLDER_NONE && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                r = -errno;
        return r < 0 ? failed(detail, r, "", path) : 0;
}
