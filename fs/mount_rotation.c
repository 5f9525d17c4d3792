/* What a mount shows, and how changes of it reach the keeper. */
#include "base/log.h"
#include "fs/mount_private.h"

static int ask_rename(void *userdata, uint64_t seq, const struct tree_plan *plan)
{
        struct fs_mount *m = userdata;
        struct keeper_msg msg;

        keeper_msg_init(&msg, KEEPER_RENAME, m->id);
        msg.seq = seq;
        msg.flags = plan->away       ? (uint32_t)KEEPER_AWAY
                    : plan->unlink   ? (uint32_t)KEEPER_UNLINK
                    : plan->exchange ? (uint32_t)KEEPER_EXCHANGE
                                     : 0;
        if (m->cfg.warm && !plan->away && !plan->unlink)
                msg.flags |= (uint32_t)KEEPER_KEEP_WARM;
        int r = keeper_msg_set(msg.path, sizeof msg.path, plan->folder);
        if (r == 0)
                r = keeper_msg_set(msg.name, sizeof msg.name, plan->name);
        if (r == 0)
                r = keeper_msg_set(msg.staged, sizeof msg.staged, plan->staged);
        return r < 0 ? r : keeper_client_send(m->fs->keeper, &msg, -EBADF);
}

static int ask_forget(void *userdata, uint64_t seq, uint64_t parent, const char *name)
{
        struct fs_mount *m = userdata;
        struct keeper_msg msg;

        keeper_msg_init(&msg, KEEPER_FORGET, m->id);
        msg.seq = seq;
        msg.node = parent;
        int r = keeper_msg_set(msg.name, sizeof msg.name, name);
        return r < 0 ? r : keeper_client_send(m->fs->keeper, &msg, -EBADF);
}

static void on_idle(void *userdata)
{
        fs_mount_warm(userdata);
}

int fs_mount_new_rotation(struct fs_mount *m)
{
        struct rotation_config rotation = {.loop = m->fs->loop,
                .tree = m->tree,
                .session = m->session,
                .notifier = m->fs->notifier,
                .label = m->mountpoint,
                .rename = ask_rename,
                .forget = ask_forget,
                .idle = on_idle,
                .userdata = m,
                .grace = m->cfg.grace,
                .first_seq = (uint64_t)m->fs->epoch << 32};
        return rotation_new(&rotation, &m->rotation);
}

/* Nobody is on the way to anything, and there is nothing that the kernel has to forget. */
int fs_mount_show_generation(struct fs_mount *m)
{
        int r = tree_make_generation(m->tree, NULL, 0);
        if (r == 0)
                r = tree_put_data(m->tree);
        while (r == 0 && tree_drop_generation(m->tree, 0) == 0)
                ;
        while (tree_has_removals(m->tree))
                tree_removed(m->tree);
        return r;
}

void fs_mount_update(struct fs_mount *m, struct view_file *const *files, size_t n_files)
{
        if (m->rotation)
                rotation_add(m->rotation, files, n_files);
        else if (m->state == MOUNTING) {
                for (size_t i = 0; i < n_files; i++)
                        (void)tree_put(m->tree, files[i]);
                if (fs_mount_show_generation(m) < 0)
                        log_error("%s: out of memory, ..data lags behind", m->mountpoint);
        }
}

bool fs_mount_busy(const struct fs_mount *m)
{
        return (m->rotation && rotation_busy(m->rotation)) || m->warm.running || m->warm.wanted;
}
