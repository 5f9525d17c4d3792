/* Files that go from a mount: not there any more, or refused. */
#include "base/log.h"
#include "fs/mount_private.h"

static void take_away(struct fs_mount *m, const char *path, bool deny)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        uint64_t parent = 0, child;

        if (m->rotation)
                rotation_cancel(m->rotation, path);
        /* First: an absence that is asked for in between must not be remembered. */
        int r = tree_deny(m->tree, path, deny, &parent);
        bool was_there = tree_remove(m->tree, path, &parent, &child) == 0;
        if (r == -ENOMEM)
                log_error("%s: %s is not there instead of refused", m->mountpoint, path);
        if (m->session && was_there) {
                (void)notifier_delete(m->fs->notifier, m->session, parent, child, name);
                (void)notifier_inval_inode(m->fs->notifier, m->session, parent);
        } else if (m->session && deny && r == 0)
                (void)notifier_inval_entry(m->fs->notifier, m->session, parent, name);
}

static void take_all_away(struct fs_mount *m, const char *const *paths, size_t n, bool deny)
{
        for (size_t i = 0; i < n; i++)
                take_away(m, paths[i], deny);
        if (m->rotation)
                rotation_removed(m->rotation);
        else if (m->state == MOUNTING && fs_mount_show_generation(m) < 0)
                log_error("%s: out of memory, ..data lags behind", m->mountpoint);
}

void fs_mount_remove(struct fs_mount *m, const char *const *paths, size_t n)
{
        take_all_away(m, paths, n, false);
}

void fs_mount_deny(struct fs_mount *m, const char *const *paths, size_t n)
{
        take_all_away(m, paths, n, true);
}
