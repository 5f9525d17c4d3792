/* The beginning of a worker: what the keeper hands over, and going on where the last worker ended.
 *
 *   READY                                 said, whether or not anybody waits for it
 *   HELLO, [AREA], VOLUME..., START       read before anything else; who is held ready
 *                                         (fs/keeper_standby.h) waits here
 *   the journal is read into inode tables, one a mount
 *   a new journal with all of them is handed to the keeper: no new node id before that
 *   sessions are shown the saved INIT and served
 *   the kernel is asked for requests that were not answered
 *   SERVING
 */
#include <fcntl.h>

#include "base/log.h"
#include "fs/fs_private.h"

struct volume {
        uint64_t id;
        int fd;
        struct fs_mount *mount;
        bool bad;
};

/* Lives from fs_adopt() to fs_adopt_serve(). */
struct adoption {
        struct volume *volumes;
        size_t n_volumes;
        int area_fd, heir_fd;
};

void fs_adoption_free(struct adoption *a)
{
        if (!a)
                return;
        for (size_t i = 0; i < a->n_volumes; i++) {
                safe_close(a->volumes[i].fd);
                if (a->volumes[i].mount)
                        fs_mount_drop(a->volumes[i].mount);
        }
        safe_close(a->area_fd);
        safe_close(a->heir_fd);
        free(a->volumes);
        free(a);
}

static int add_volume(struct adoption *a, uint64_t id, int fd)
{
        struct volume *bigger = realloc(a->volumes, (a->n_volumes + 1) * sizeof *bigger);
        if (!bigger)
                return -ENOMEM;
        a->volumes = bigger;
        a->volumes[a->n_volumes++] = (struct volume){.id = id, .fd = fd};
        return 0;
}

/* The socket still blocks: there is nothing else to do before this is over. */
static int receive(struct fs *fs, struct adoption *a, int socket)
{
        struct keeper_msg ready;

        /* A keeper that replaces a worker by plan ends the old one no sooner. */
        keeper_msg_init(&ready, KEEPER_READY, 0);
        ready.seq = JOURNAL_VERSION;
        int sent = keeper_msg_set(ready.name, sizeof ready.name, AKVFS_VERSION);
        if (sent == 0)
                sent = keeper_send(socket, &ready, -EBADF);
        if (sent < 0 && sent != -EPIPE)
                return sent;
        for (bool first = true;; first = false) {
                struct keeper_msg m;
                _cleanup_close_ int fd = -EBADF;

                int r = keeper_recv(socket, &m, &fd);
                /* Once, from a keeper that ended with our READY unread; what it had said is there.
                 */
                if (r == -ECONNRESET)
                        r = keeper_recv(socket, &m, &fd);
                if (r <= 0)
                        return r < 0 ? r : first ? -ECANCELED : -EPIPE;
                switch (m.op) {
                case KEEPER_HELLO:
                        fs->epoch = (uint32_t)(m.seq & 0xffffff);
                        fs->resend = m.flags & KEEPER_RESEND;
                        fs->worker_starts = m.seq;
                        break;
                case KEEPER_AREA:
                        safe_close(a->area_fd);
                        a->area_fd = TAKE_FD(fd);
                        break;
                case KEEPER_HEIR:
                        safe_close(a->heir_fd);
                        a->heir_fd = TAKE_FD(fd);
                        break;
                case KEEPER_VOLUME:
                        r = fd < 0 ? -EPROTO : add_volume(a, m.mount, fd);
                        if (r < 0)
                                return r;
                        TAKE_FD(fd);
                        break;
                case KEEPER_START:
                        return 0;
                default:
                        return -EPROTO;
                }
        }
}

static struct volume *find(struct adoption *a, uint64_t id)
{
        for (size_t i = 0; i < a->n_volumes; i++)
                if (a->volumes[i].id == id)
                        return &a->volumes[i];
        return NULL;
}

static void replay(struct fs *fs, struct adoption *a, const struct journal *j)
{
        struct journal_record record;
        size_t offset = 0;

        while (journal_next(j, &offset, &record)) {
                struct volume *v = find(a, record.mount);
                int r = 0;

                fs->last_id = MAX(fs->last_id, record.mount);
                if (!v || v->bad)
                        continue;
                if (record.type == RECORD_MOUNT && !v->mount)
                        r = fs_mount_restore(fs, v->id, &record, &v->mount);
                else if (record.type == RECORD_GONE)
                        r = -ENOENT;
                else
                        r = v->mount ? fs_mount_replay(v->mount, &record) : -EBADMSG;
                if (r < 0 && r != -ENOENT)
                        log_error("mount %llu: record %u of the journal cannot be used: %s",
                                (unsigned long long)record.mount, record.type, strerror(-r));
                v->bad = r < 0;
        }
}

int fs_adopt(struct fs *fs, int keeper_fd, struct adoption **ret, struct err *e)
{
        struct adoption *a = calloc(1, sizeof *a);
        if (!a)
                return err_set(e, -ENOMEM, "out of memory");
        a->area_fd = a->heir_fd = -EBADF;
        int r = receive(fs, a, keeper_fd);
        if (r < 0) {
                fs_adoption_free(a);
                return r == -ECANCELED
                               ? err_set_cause(e, ERR_LOCAL, r, "no worker is wanted")
                               : err_set_cause(e, ERR_LOCAL, r,
                                         "the keeper cannot be understood: %s", strerror(-r));
        }
        for (size_t i = 0; i < a->n_volumes; i++)
                fs->last_id = MAX(fs->last_id, a->volumes[i].id);
        *ret = a;
        return 0;
}

int fs_adopt_heir(struct adoption *a)
{
        return TAKE_FD(a->heir_fd);
}

static void unmount(struct fs *fs, uint64_t id)
{
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_UNMOUNT, id);
        m.flags = KEEPER_DETACH;
        (void)keeper_client_send(fs->keeper, &m, -EBADF);
}

void fs_adopt_serve(struct fs *fs, struct adoption *a)
{
        struct journal *j = NULL;
        size_t served = 0;

        if (a->area_fd >= 0) {
                int r = journal_open(TAKE_FD(a->area_fd), &j);
                if (r < 0)
                        log_error("the journal cannot be read: %s", strerror(-r));
        }
        if (j) {
                snapshot_expect(fs->snapshot, journal_size(j));
                replay(fs, a, j);
        }
        journal_free(j);

        /* On the list first: the new journal is written by whoever is there. */
        for (size_t i = 0; i < a->n_volumes; i++) {
                struct volume *v = &a->volumes[i];
                if (v->bad || !v->mount)
                        continue;
                int r = fs_mount_resume(v->mount, TAKE_FD(v->fd));
                if (r < 0) {
                        log_error("a mount cannot be taken over: %s", strerror(-r));
                        continue;
                }
                v->mount = NULL;
                v->bad = r > 0;
                served += r == 0;
        }
        for (struct fs_mount *m = fs->mounts; m; m = fs_mount_next(m))
                fs_mount_serve(m);
        /* What was not ready when the last worker died is nobody's. */
        for (size_t i = 0; i < a->n_volumes; i++)
                if (a->volumes[i].fd >= 0 || a->volumes[i].mount || a->volumes[i].bad)
                        unmount(fs, a->volumes[i].id);
        if (a->n_volumes > 0)
                log_info("%zu of %zu mounts were taken over from the last worker", served,
                        a->n_volumes);

        struct keeper_msg m;
        keeper_msg_init(&m, KEEPER_SERVING, 0);
        (void)keeper_client_send(fs->keeper, &m, -EBADF);
        fs_adoption_free(a);
}
