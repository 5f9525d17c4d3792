#include "fs/keeper_bind.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/keeper_worker.h"

#define PIPE_FD 3

struct keeper_bind {
        int mnt_id;
        uint64_t volume;
        uint64_t ino; /* 0 until it is known */
        bool asked, seen;
        bool lost; /* a child hung at it */
        char *path, *root;
};

struct learned {
        int mnt_id;   /* -1: that was all */
        uint64_t ino; /* 0: it is being looked at */
};

static uint64_t look(const char *path, int mnt_id)
{
        struct statx st;

        if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                    STATX_TYPE | STATX_INO | STATX_MNT_ID, &st) < 0)
                return 0;
        /* Something else may be mounted on top. */
        if (!(st.stx_mask & STATX_MNT_ID) || st.stx_mnt_id != (uint64_t)mnt_id ||
                !S_ISREG(st.stx_mode))
                return 0;
        return st.stx_ino;
}

void keeper_binds_init(struct keeper_binds *b, keeper_binds_volume_fn volume,
        keeper_binds_tell_fn tell, void *userdata)
{
        *b = (struct keeper_binds){.fd = -EBADF,
                .patience_ms = BINDS_PATIENCE_MS,
                .max = BINDS_MAX,
                .look = look,
                .volume = volume,
                .tell = tell,
                .userdata = userdata};
}

static _Noreturn void child_main(const struct keeper_binds *b, int out)
{
        sigset_t none;

        /* First of all: no connection is kept alive from here. */
        if (out != PIPE_FD && dup2(out, PIPE_FD) < 0)
                _exit(1);
        if (close_range(PIPE_FD + 1, ~0U, 0) < 0)
                _exit(1);
        (void)prctl(PR_SET_NAME, "akvfs-binds");
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        for (size_t i = 0; i < b->n; i++) {
                const struct keeper_bind *bind = &b->list[i];
                struct learned l = {.mnt_id = bind->mnt_id};
                if (bind->ino != 0 || bind->lost)
                        continue;
                if (write_all(PIPE_FD, &l, sizeof l) < 0)
                        break;
                l.ino = b->look(bind->path, bind->mnt_id);
                if (l.ino != 0 && write_all(PIPE_FD, &l, sizeof l) < 0)
                        break;
        }
        const struct learned all = {.mnt_id = -1};
        _exit(write_all(PIPE_FD, &all, sizeof all) < 0);
}

/* One child at a time. Each bind is asked for once. */
static void ask(struct keeper_binds *b)
{
        bool wanted = false;
        int pair[2];

        for (size_t i = 0; i < b->n; i++)
                wanted |= !b->list[i].asked;
        if (!wanted || b->fd >= 0)
                return;
        if (pipe2(pair, O_CLOEXEC) < 0) {
                log_error("bind mounts cannot be followed: %s", strerror(errno));
                return;
        }
        pid_t pid = fork();
        if (pid == 0)
                child_main(b, pair[1]);
        safe_close(pair[1]);
        if (pid < 0) {
                log_error("bind mounts cannot be followed: %s", strerror(errno));
                safe_close(pair[0]);
                return;
        }
        for (size_t i = 0; i < b->n; i++)
                b->list[i].asked = true;
        (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
        b->fd = pair[0];
        b->looking = 0;
        b->child = pid;
        b->give_up_at = monotonic_ms() + b->patience_ms;
}

static void forget(struct keeper_bind *bind)
{
        free(bind->path);
        free(bind->root);
}

/* The kernel gives a number away again as soon as it is free, perhaps before anybody has looked.
 * What a bind mount shows may lose its name meanwhile, and gets none again. */
static bool is_same(const struct keeper_bind *bind, const char *root, const char *path)
{
        const char *rest = startswith(root, bind->root);

        return streq(path, bind->path) && rest && (!*rest || streq(rest, "//deleted"));
}

static int on_mount(void *userdata, int mnt_id, unsigned dev_minor, const char *root,
        const char *path, const char *fstype)
{
        struct keeper_binds *b = userdata;
        uint64_t volume = streq(root, "/") ? 0 : b->volume(b->userdata, mnt_id, dev_minor, fstype);

        if (volume == 0)
                return 0;
        for (size_t i = 0; i < b->n; i++)
                if (b->list[i].mnt_id == mnt_id && b->list[i].volume == volume &&
                        is_same(&b->list[i], root, path)) {
                        char *copy = strdup(root);
                        if (copy) {
                                free(b->list[i].root);
                                b->list[i].root = copy;
                        }
                        b->list[i].seen = true;
                        return 0;
                }
        if (b->n >= b->max) {
                if (!b->full)
                        log_warning("%s does not follow rotation, nor do others beyond %zu bind "
                                    "mounts of single files: mount the folder instead of files of "
                                    "it (no subPath) where there are so many",
                                path, b->max);
                b->full = true;
                return 0;
        }
        struct keeper_bind *bigger = realloc(b->list, (b->n + 1) * sizeof *bigger);
        if (!bigger)
                return 0;
        b->list = bigger;
        struct keeper_bind fresh = {.mnt_id = mnt_id,
                .volume = volume,
                .seen = true,
                .path = strdup(path),
                .root = strdup(root)};
        if (fresh.path && fresh.root)
                b->list[b->n++] = fresh;
        else
                forget(&fresh);
        return 0;
}

void keeper_binds_read(struct keeper_binds *b)
{
        for (size_t i = 0; i < b->n; i++)
                b->list[i].seen = false;
        int r = mountinfo_walk_roots(on_mount, b);
        if (r < 0) {
                log_error("mountinfo cannot be read: %s", strerror(-r));
                return;
        }
        for (size_t i = b->n; i-- > 0;) {
                struct keeper_bind *bind = &b->list[i];
                if (bind->seen)
                        continue;
                if (bind->ino != 0)
                        b->tell(b->userdata, bind->volume, bind->ino, false);
                forget(bind);
                *bind = b->list[--b->n];
        }
        b->full = b->full && b->n > b->max / 2;
        ask(b);
}

static void on_learned(struct keeper_binds *b, const struct learned *l)
{
        b->looking = l->mnt_id;
        for (size_t i = 0; l->ino != 0 && i < b->n; i++) {
                struct keeper_bind *bind = &b->list[i];
                if (bind->mnt_id != l->mnt_id || bind->ino != 0 || !bind->asked)
                        continue;
                bind->ino = l->ino;
                b->tell(b->userdata, bind->volume, l->ino, true);
        }
}

static void child_done(struct keeper_binds *b)
{
        b->fd = safe_close(b->fd);
        b->child = 0;
        ask(b);
}

void keeper_binds_receive(struct keeper_binds *b)
{
        struct learned l;
        ssize_t n;

        while ((n = read(b->fd, &l, sizeof l)) == (ssize_t)sizeof l)
                on_learned(b, &l);
        if (n < 0 && errno == EAGAIN)
                return;
        /* Somebody has killed it: another one looks at what is left. */
        if (b->looking >= 0 && b->deaths++ < DEATHS_MAX)
                for (size_t i = 0; i < b->n; i++)
                        b->list[i].asked = b->list[i].ino != 0 || b->list[i].lost;
        child_done(b);
}

int keeper_binds_timeout(const struct keeper_binds *b)
{
        return b->fd < 0 ? -1 : (int)MAX(b->give_up_at - monotonic_ms(), (int64_t)0);
}

void keeper_binds_give_up(struct keeper_binds *b)
{
        for (size_t i = 0; i < b->n; i++) {
                struct keeper_bind *bind = &b->list[i];
                if (bind->mnt_id == b->looking && bind->ino == 0) {
                        log_warning("%s: the way there does not answer: this bind mount will not "
                                    "follow rotation",
                                bind->path);
                        bind->lost = true;
                }
                bind->asked = bind->ino != 0 || bind->lost;
        }
        /* It may not even die, and is nobody's any more. */
        if (b->child > 0)
                (void)kill(b->child, SIGKILL);
        child_done(b);
}

void keeper_binds_tell(struct keeper_binds *b)
{
        for (size_t i = 0; i < b->n; i++)
                if (b->list[i].ino != 0)
                        b->tell(b->userdata, b->list[i].volume, b->list[i].ino, true);
}

void keeper_binds_stop(struct keeper_binds *b)
{
        if (b->fd >= 0 && b->child > 0)
                (void)kill(b->child, SIGKILL);
}

void keeper_binds_done(struct keeper_binds *b)
{
        safe_close(b->fd);
        for (size_t i = 0; i < b->n; i++)
                forget(&b->list[i]);
        free(b->list);
}
