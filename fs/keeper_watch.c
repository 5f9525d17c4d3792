/* What the keeper learns from mountinfo: mounts that somebody else took away, and binds of them. */
#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/keeper_private.h"

/* The volume that a bind mount shows a part of, or 0. */
uint64_t keeper_volume_of(void *userdata, int mnt_id, unsigned dev_minor, const char *fstype)
{
        const struct keeper *k = userdata;

        for (size_t i = 0; i < k->n_volumes; i++) {
                const struct keeper_mount *m = &k->volumes[i].mount;
                if (m->dev_minor == dev_minor && m->mnt_id != mnt_id && startswith(fstype, "fuse"))
                        return k->volumes[i].id;
        }
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

int keeper_mark_seen(void *userdata, int mnt_id, unsigned dev_minor, const char *path,
        const char *fstype, const char *source)
{
        struct keeper *k = userdata;

        for (size_t i = 0; i < k->n_volumes; i++)
                if (keeper_mount_is(&k->volumes[i].mount, mnt_id, dev_minor, fstype))
                        k->volumes[i].seen = true;
        return 0;
}

void keeper_on_mountinfo(struct keeper *k)
{
        k->mountinfo_at = 0;
        k->mountinfo_last = monotonic_ms();
        for (size_t i = 0; i < k->n_volumes; i++)
                k->volumes[i].seen = false;
        /* Once for all of them: with a thousand mounts each reading takes milliseconds. */
        int r = mountinfo_walk(keeper_mark_seen, k);
        if (r < 0) {
                log_error("mountinfo cannot be read: %s", strerror(-r));
                return;
        }
        keeper_binds_read(&k->binds);
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];

                /* The next worker is told when it serves. */
                if (v->gone || v->seen || k->worker.pid <= 0)
                        continue;
                v->gone = true;
                struct keeper_msg m;
                keeper_msg_init(&m, KEEPER_GONE, v->id);
                keeper_worker_tell(&k->worker, &m, -EBADF);
        }
}
