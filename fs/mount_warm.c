/* Keeping a mount warm: after each change a child of the keeper looks at everything in it
 * (fs/keeper_warm.h), so that what is shown can be read with no process left to answer.
 *
 * A mount counts as ready when that has been done for the first time; should it fail or hang, it is
 * ready all the same, and the first readers are answered by the worker. One look at a time for a
 * mount, and few for the worker: the keeper's children are needed for renames as well.
 */
#include "base/log.h"
#include "fs/mount_private.h"

#define AT_ONCE 8
#define TIMEOUT (10 * USEC_PER_SEC)

static void ended(struct fs_mount *m, const char *why);

static void on_timer(void *userdata)
{
        ended(userdata, "no answer within 10 s");
}

static void ask(struct fs_mount *m)
{
        struct keeper_msg msg;

        keeper_msg_init(&msg, KEEPER_WARM, m->id);
        msg.seq = m->warm.seq = (uint64_t)m->fs->epoch << 32 | ++m->fs->last_warm;
        m->fs->n_warming++;
        int r = m->warm.timer ? 0 : loop_timer_new(m->fs->loop, on_timer, m, &m->warm.timer);
        if (r == 0)
                r = loop_timer_in(m->warm.timer, TIMEOUT);
        if (r == 0)
                r = keeper_client_send(m->fs->keeper, &msg, -EBADF);
        if (r < 0)
                ended(m, strerror(-r));
}

/* What has been invalidated before is so by now. */
static void on_flushed(void *userdata)
{
        struct fs_mount *m = userdata;

        if (m->state != READY)
                m->warm.running = false;
        else if (m->fs->n_warming < AT_ONCE)
                ask(m);
        else {
                m->warm.running = false;
                m->warm.wanted = true;
        }
}

void fs_mount_warm(struct fs_mount *m)
{
        if (!m->cfg.warm || m->state != READY)
                return;
        if (m->warm.running) {
                m->warm.wanted = true;
                return;
        }
        m->warm.running = true;
        m->warm.wanted = false;
        if (notifier_flush(m->fs->notifier, m->session, on_flushed, m) < 0)
                on_flushed(m);
}

/* Not running any more. */
static void release(struct fs_mount *m)
{
        if (!m->warm.seq) /* it may be about to be asked for: see on_flushed() */
                return;
        m->warm.seq = 0;
        m->warm.running = false;
        m->fs->n_warming--;
        loop_timer_off(m->warm.timer);
}

/* Others may have waited for their turn. */
static void go_on(struct fs *fs)
{
        for (struct fs_mount *m = fs->mounts; m && fs->n_warming < AT_ONCE; m = fs_mount_next(m))
                if (m->warm.wanted && !m->warm.running)
                        fs_mount_warm(m);
}

static void be_ready(void *userdata)
{
        struct fs_mount *m = userdata;

        if (m->state == READY)
                fs_mount_is_ready(m);
}

static void ended(struct fs_mount *m, const char *why)
{
        release(m);
        if (why)
                log_info("%s: not all of it is warm: %s", m->mountpoint, why);
        /* First this one again: its turn would not come if others changed all the time. */
        if (m->warm.wanted)
                fs_mount_warm(m);
        go_on(m->fs);
        /* Not below the keeper's own callback: who is told may stop the whole file system. */
        if (m->state == READY && !m->told_mounted && loop_post(m->fs->loop, be_ready, m) < 0)
                be_ready(m);
}

void fs_mount_warmed(struct fs_mount *m, uint64_t seq, int result)
{
        if (seq == m->warm.seq)
                ended(m, result < 0 ? strerror(-result) : NULL);
}

void fs_mount_warm_lost(struct fs_mount *m)
{
        if (!m->warm.seq)
                return;
        release(m);
        fs_mount_warm(m);
}

void fs_mount_warm_end(struct fs_mount *m)
{
        release(m);
        m->warm.timer = loop_timer_free(m->warm.timer);
        go_on(m->fs);
}
