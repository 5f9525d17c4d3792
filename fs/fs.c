#include "fs/fs_private.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/log.h"

_Static_assert(FS_MOUNTS_MAX == KEEPER_MOUNTS_MAX, "a keeper has room for them");

/* --- what others left --- */

struct fs_clearing {
        struct fs_clearing *next;
        uint64_t seq;
        fs_cleared_fn done;
        void *userdata;
        char *path;
};

static void free_clearing(struct fs_clearing *c)
{
        free(c->path);
        free(c);
}

int fs_clear(struct fs *fs, const char *path, fs_cleared_fn done, void *userdata)
{
        struct fs_clearing *c = calloc(1, sizeof *c);
        struct keeper_msg m;

        if (!c)
                return -ENOMEM;
        *c = (struct fs_clearing){.seq = ++fs->last_clearing,
                .done = done,
                .userdata = userdata,
                .path = strdup(path)};
        keeper_msg_init(&m, KEEPER_CLEAR, 0);
        m.seq = c->seq;
        int r = c->path ? keeper_msg_set(m.path, sizeof m.path, path) : -ENOMEM;
        if (r == 0)
                r = keeper_client_send(fs->keeper, &m, -EBADF);
        if (r < 0) {
                free_clearing(c);
                return r;
        }
        c->next = fs->clearings;
        fs->clearings = c;
        return 0;
}

static void on_cleared(struct fs *fs, const struct keeper_msg *m)
{
        _cleanup_err_ struct err e = {0};

        for (struct fs_clearing **p = &fs->clearings; *p; p = &(*p)->next) {
                struct fs_clearing *c = *p;

                if (c->seq != m->seq)
                        continue;
                *p = c->next;
                if (m->result < 0)
                        err_set_cause(&e, ERR_LOCAL, m->result, "%s cannot be taken away: %s",
                                c->path, m->detail);
                c->done(c->userdata, e.code ? &e : NULL);
                free_clearing(c);
                return;
        }
}

/* Nobody answers what was asked of a keeper that died; whoever wants it asks again. */
static void lose_clearings(struct fs *fs)
{
        _cleanup_err_ struct err e = {0};
        struct fs_clearing *list = TAKE_PTR(fs->clearings);

        err_set_cause(&e, ERR_LOCAL, -EPIPE, "the keeper was killed meanwhile");
        while (list) {
                struct fs_clearing *c = list;

                list = c->next;
                c->done(c->userdata, &e);
                free_clearing(c);
        }
}

static void on_answer(void *userdata, const struct keeper_msg *m, int fd)
{
        struct fs *fs = userdata;
        struct fs_mount *mount, *next;

        if (!m) {
                log_error(
                        "the keeper is gone: the mounts end, since nobody is left to rotate them");
                fs->keeper_gone = true;
                lose_clearings(fs);
                notifier_lost(fs->notifier);
                for (mount = fs->mounts; mount; mount = next) {
                        next = fs_mount_next(mount);
                        fs_mount_on_keeper_gone(mount);
                }
                return;
        }
        if (m->op == KEEPER_ATTACHED) {
                log_warning("the keeper was killed: its heir, %d, has taken over", (int)m->seq);
                notifier_lost(fs->notifier);
                for (mount = fs->mounts; mount; mount = next) {
                        next = fs_mount_next(mount);
                        fs_mount_on_heir(mount);
                }
                lose_clearings(fs);
                safe_close(fd);
                return;
        }
        if (m->op == KEEPER_CLEARED) {
                safe_close(fd);
                on_cleared(fs, m);
                return;
        }
        if (m->op == KEEPER_INVALIDATED) {
                notifier_answered(fs->notifier, m->seq, m->result);
                safe_close(fd);
                return;
        }
        if (m->op == KEEPER_LEAVE) {
                safe_close(fd);
                if (fs->leave)
                        fs->leave(fs->leave_userdata);
                return;
        }
        for (mount = fs->mounts; mount; mount = fs_mount_next(mount))
                if (fs_mount_id(mount) == m->mount) {
                        fs_mount_on_answer(mount, m, fd);
                        return;
                }
        safe_close(fd);
}

static int ask_invalidate(
        void *userdata, struct session *s, uint64_t seq, uint64_t id, bool attributes)
{
        const struct fs *fs = userdata;
        struct keeper_msg m;

        if (session_is_over(s))
                return -ENODEV;
        keeper_msg_init(&m, KEEPER_INVALIDATE, 0);
        m.seq = seq;
        m.node = id;
        m.flags = attributes ? (uint32_t)KEEPER_ATTRIBUTES : 0;
        return keeper_client_send(fs->keeper, &m, session_fd(s));
}

static int hand_over(void *userdata, int fd)
{
        const struct fs *fs = userdata;
        struct keeper_msg m;
        int r;

        keeper_msg_init(&m, KEEPER_AREA, 0);
        m.seq = JOURNAL_VERSION;
        do {
                r = keeper_client_send(fs->keeper, &m, fd);
                /* What happens next is written into the new area alone: the keeper must have it. An
                 * heir was given the old one when it was turned to. */
                if (r == 0)
                        r = keeper_client_drain(fs->keeper);
        } while (r == -ESTALE);
        return r;
}

/* How long a version that nobody holds any more may lie in the snapshot: versions go in swarms, and
 * writing what is left costs as much for one as for all. */
#define TIDY_AFTER USEC_PER_SEC

static void tidy(void *userdata)
{
        const struct fs *fs = userdata;

        snapshot_renew(fs->snapshot);
}

static void arm_tidy(void *userdata, int fd, uint32_t revents)
{
        const struct fs *fs = userdata;
        uint64_t count;

        if (read(fd, &count, sizeof count) == sizeof count)
                (void)loop_timer_in(fs->tidy, TIDY_AFTER);
}

/* Under the locks of a table and of the snapshot, on any thread. */
static void on_outdated(void *userdata)
{
        const struct fs *fs = userdata;

        (void)write_all(fs->outdated_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void give_back(void *userdata)
{
        const struct fs *fs = userdata;
        struct keeper_msg m;
        int32_t count = 0;
        int area = snapshot_fd(fs->snapshot), r = 0;

        for (struct fs_mount *mount = fs->mounts; mount && r >= 0; mount = fs_mount_next(mount)) {
                r = fs_mount_give_back(mount);
                count += r > 0;
        }
        keeper_msg_init(&m, KEEPER_AREA, 0);
        m.seq = JOURNAL_VERSION;
        if (r >= 0 && area >= 0)
                r = keeper_client_send(fs->keeper, &m, area);
        keeper_msg_init(&m, KEEPER_RETURNED, 0);
        m.seq = fs->epoch;
        m.result = count;
        if (r >= 0)
                r = keeper_client_send(fs->keeper, &m, -EBADF);
        if (r < 0)
                log_error("the next keeper cannot be told of the mounts: %s", strerror(-r));
}

size_t fs_adopted(struct fs *fs, struct fs_mount **ret, size_t n)
{
        size_t count = 0;

        for (struct fs_mount *m = fs->mounts; m; m = fs_mount_next(m))
                if (fs_mount_is_adopted(m)) {
                        if (count < n)
                                ret[count] = m;
                        count++;
                }
        return count;
}

static int watch_outdated(struct fs *fs)
{
        fs->outdated_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fs->outdated_fd < 0)
                return -errno;
        int r = loop_timer_new(fs->loop, tidy, fs, &fs->tidy);
        return r < 0 ? r
                     : loop_io_new(fs->loop, fs->outdated_fd, EPOLLIN, arm_tidy, fs, &fs->outdated);
}

int fs_start(struct loop *l, int keeper_fd, struct fs **ret, struct err *e)
{
        struct fs *fs = calloc(1, sizeof *fs);
        if (!fs) {
                safe_close(keeper_fd);
                return err_set(e, -ENOMEM, "out of memory");
        }
        fs->loop = l;
        fs->outdated_fd = -EBADF;
        struct adoption *adoption = NULL;
        int r = fs_adopt(fs, keeper_fd, &adoption, e);
        if (r < 0) {
                safe_close(keeper_fd);
                fs_stop(fs);
                return r;
        }
        struct snapshot_config snapshot = {
                .hand_over = hand_over, .outdated = on_outdated, .userdata = fs};
        struct notifier_config notifier = {.loop = l,
                .ask = ask_invalidate,
                .userdata = fs,
                .first_seq = (uint64_t)fs->epoch << 32};
        r = keeper_client_new(l, keeper_fd, on_answer, fs, &fs->keeper);
        if (r == 0) {
                keeper_client_set_heir(fs->keeper, fs_adopt_heir(adoption));
                keeper_client_on_heir(fs->keeper, give_back);
        }
        if (r == 0)
                r = watch_outdated(fs);
        if (r == 0)
                r = snapshot_new(&snapshot, &fs->snapshot);
        if (r == 0)
                r = dialects_new(&fs->dialects);
        if (r == 0)
                r = server_new(SERVER_THREADS, &fs->server);
        if (r == 0)
                r = notifier_new(&notifier, &fs->notifier);
        if (r < 0) {
                fs_adoption_free(adoption);
                fs_stop(fs);
                return err_set_cause(
                        e, ERR_LOCAL, r, "the file system cannot start: %s", strerror(-r));
        }
        fs_adopt_serve(fs, adoption);
        *ret = fs;
        return 0;
}

pid_t fs_keeper_pid(const struct fs *fs)
{
        return keeper_client_pid(fs->keeper);
}

void fs_on_leave(struct fs *fs, void (*fn)(void *userdata), void *userdata)
{
        fs->leave = fn;
        fs->leave_userdata = userdata;
}

void fs_leave(struct fs *fs)
{
        for (struct fs_mount *m = fs->mounts; m; m = fs_mount_next(m))
                fs_mount_leave(m);
        server_free(TAKE_PTR(fs->server));
}

void fs_stop(struct fs *fs)
{
        if (!fs)
                return;
        notifier_free(fs->notifier);
        server_free(fs->server);
        dialects_leave(fs->dialects);
        keeper_client_free(fs->keeper);
        snapshot_free(fs->snapshot);
        loop_io_free(fs->outdated);
        loop_timer_free(fs->tidy);
        safe_close(fs->outdated_fd);
        free(fs);
}
