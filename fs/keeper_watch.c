/* What the keeper learns from mountinfo: mounts that somebody else took away, and binds of them. */
#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/keeper_private.h"

/* Between two readings of mountinfo, for each mount and unmount asks for one; and so many times
 * what the last one took, so that thousands of mounts do not keep the keeper from its work. */
#define PAUSE_MS 50
#define PAUSE_TIMES 4

static int by_device(const void *a, const void *b)
{
        const struct volume *const *x = a, *const *y = b;
        unsigned d = (*x)->mount.dev_minor, e = (*y)->mount.dev_minor;

        return (d > e) - (d < e);
}

/* The first volume of that device in the index, and how many there are: one that is gone may have
 * had the number of one that came. */
static size_t find_device(const struct keeper *k, unsigned dev_minor, struct volume ***ret)
{
        size_t low = 0, high = k->n_indexed, n = 0;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (k->index[middle]->mount.dev_minor < dev_minor)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret = k->index + low;
        while (low + n < k->n_indexed && (*ret)[n]->mount.dev_minor == dev_minor)
                n++;
        return n;
}

static int make_index(struct keeper *k)
{
        k->index = calloc(k->n_volumes + 1, sizeof *k->index);
        if (!k->index)
                return -ENOMEM;
        k->n_indexed = k->n_volumes;
        for (size_t i = 0; i < k->n_volumes; i++)
                k->index[i] = &k->volumes[i];
        qsort(k->index, k->n_indexed, sizeof *k->index, by_device);
        return 0;
}

static void drop_index(struct keeper *k)
{
        free(TAKE_PTR(k->index));
        k->n_indexed = 0;
}

uint64_t keeper_volume_of(void *userdata, int mnt_id, unsigned dev_minor, const char *fstype)
{
        const struct keeper *k = userdata;
        struct volume **list;
        size_t n = find_device(k, dev_minor, &list);

        for (size_t i = 0; i < n; i++)
                if (list[i]->mount.mnt_id != mnt_id && startswith(fstype, "fuse"))
                        return list[i]->id;
        return 0;
}

void keeper_tell_bound(void *userdata, uint64_t volume, uint64_t ino, bool bound)
{
        struct keeper *k = userdata;
        struct keeper_msg m;

        /* Else it is told of all of them, this one included, when it serves: a bind counts once. */
        if (!k->worker.serving_at)
                return;
        keeper_msg_init(&m, KEEPER_BOUND, volume);
        m.seq = ino;
        m.result = bound;
        keeper_worker_tell(&k->worker, &m, -EBADF);
}

static int mark_seen(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        const struct keeper *k = userdata;
        struct volume **list;
        size_t n = find_device(k, dev_minor, &list);

        for (size_t i = 0; i < n; i++)
                if (keeper_mount_is(&list[i]->mount, mnt_id, dev_minor, fstype))
                        list[i]->seen = true;
        return 0;
}

/* Once for all of them: with a thousand mounts each reading takes milliseconds. The index stays. */
static int look(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++)
                k->volumes[i].seen = false;
        int r = make_index(k);
        return r < 0 ? r : mountinfo_walk(mark_seen, k);
}

void keeper_look(struct keeper *k)
{
        (void)look(k);
        drop_index(k);
}

void keeper_mountinfo_changed(struct keeper *k)
{
        if (!k->mountinfo_at)
                k->mountinfo_at = MAX(k->mountinfo_next, monotonic_ms());
}

void keeper_on_mountinfo(struct keeper *k)
{
        int64_t began = monotonic_ms();

        k->mountinfo_at = 0;
        int r = look(k);
        if (r >= 0)
                keeper_binds_read(&k->binds);
        drop_index(k);
        int64_t now = monotonic_ms();
        k->mountinfo_next = now + MAX((int64_t)PAUSE_MS, PAUSE_TIMES * (now - began));
        if (r < 0) {
                log_error("mountinfo cannot be read: %s", strerror(-r));
                return;
        }
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];

                if (v->gone || v->seen)
                        continue;
                v->gone = true;
                struct keeper_msg m;
                keeper_msg_init(&m, KEEPER_GONE, v->id);
                keeper_worker_tell(&k->worker, &m, -EBADF);
        }
}
