/* Files that go from a mount: not there any more, or refused. */
#include "base/log.h"
#include "fs/mount_private.h"

static void take_away(struct fs_mount *m, const char *const *paths, size_t n, bool deny)
{
        uint64_t parent;

        if (m->rotation) {
                rotation_remove(m->rotation, paths, n, deny);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                if (tree_deny(m->tree, paths[i], deny) == -ENOMEM)
                        log_error(
                                "%s: %s is not there instead of refused", m->mountpoint, paths[i]);
                (void)tree_remove(m->tree, paths[i], &parent);
        }
        if (m->state == MOUNTING && fs_mount_show_generation(m) < 0)
                log_error("%s: out of memory, ..data lags behind", m->mountpoint);
}

void fs_mount_remove(struct fs_mount *m, const char *const *paths, size_t n)
{
        take_away(m, paths, n, false);
}

void fs_mount_deny(struct fs_mount *m, const char *const *paths, size_t n)
{
        take_away(m, paths, n, true);
}
