#include "fs/keeper_warm.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/util.h"

struct warming {
        unsigned names;
        int error; /* the first */
        int null_fd;
};

static void note(struct warming *w, int error)
{
        if (w->error == 0)
                w->error = -error;
}

static void read_file(struct warming *w, int dir, const char *name)
{
        struct stat st;

        /* Non-blocking: what was a file a moment ago may be anything. */
        _cleanup_close_ int fd =
                openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0) {
                note(w, errno);
                return;
        }
        if (!S_ISREG(st.st_mode))
                return;
        if (st.st_size > WARM_FILE_MAX) {
                note(w, E2BIG);
                return;
        }
        for (off_t left = st.st_size; left > 0;) {
                ssize_t n = sendfile(w->null_fd, fd, NULL, (size_t)left);
                if (n < 0)
                        note(w, errno);
                if (n <= 0)
                        break;
                left -= n;
        }
        /* Reading has made the kernel forget the time of the last access. */
        (void)fstat(fd, &st);
}

static void read_link(struct warming *w, int dir, const char *name)
{
        char target[256];
        struct stat st;

        if (readlinkat(dir, name, target, sizeof target) < 0 ||
                fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                note(w, errno);
}

static void read_folder(struct warming *w, int dir, const char *name, unsigned depth);

static void look_at(struct warming *w, int dir, const char *name, unsigned depth)
{
        struct stat st;

        if (depth > WARM_DEPTH_MAX || ++w->names > WARM_NAMES_MAX)
                note(w, E2BIG);
        else if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                note(w, errno);
        else if (S_ISREG(st.st_mode))
                read_file(w, dir, name);
        else if (S_ISLNK(st.st_mode))
                read_link(w, dir, name);
        else if (S_ISDIR(st.st_mode))
                read_folder(w, dir, name, depth);
}

/* As deep as WARM_DEPTH_MAX. */
static void read_folder(struct warming *w, int dir, const char *name, unsigned depth)
{
        const struct dirent *e;
        struct stat st;

        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        /* First: a listing is remembered together with the time of the last change. */
        DIR *d = fd < 0 || fstat(fd, &st) < 0 ? NULL : fdopendir(fd);
        if (!d) {
                note(w, errno);
                safe_close(fd);
                return;
        }
        /* Twice, and only then the names: a listing that somebody else had begun, or whose time is
         * not the folder's any more, is remembered and then found to be stale by who lists next:
         * let that be us (Linux fs/fuse/readdir.c, fuse_readdir_cached). One that is long under way
         * may lose its page before its end. */
        for (int i = 0; i < 2; i++) {
                unsigned n = 0;

                while (n <= WARM_NAMES_MAX && readdir(d))
                        n++;
                (void)fstat(dirfd(d), &st);
                rewinddir(d);
        }
        while (w->names <= WARM_NAMES_MAX && (errno = 0, e = readdir(d)))
                if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
                        look_at(w, dirfd(d), e->d_name, depth + 1);
        if (errno)
                note(w, errno);
        (void)fstat(dirfd(d), &st);
        (void)closedir(d);
}

int keeper_warm_name(int dir, const char *name)
{
        _cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        struct warming w = {.null_fd = null};

        if (null < 0)
                return -errno;
        look_at(&w, dir, name, 0);
        return w.error;
}

int keeper_warm_all(int root)
{
        return keeper_warm_name(root, ".");
}

void keeper_warm_stat(int dir, const char *name)
{
        struct stat st;

        /* What cannot be warmed is asked for by its first reader. */
        (void)fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
        (void)fstatat(dir, "", &st, AT_EMPTY_PATH);
}
