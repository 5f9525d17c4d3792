/* What is taken away at the end: of a keeper before this one at a volume's path, and of this one.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/keeper_folder.h"
#include "fs/keeper_private.h"

bool keeper_is_taken(const struct keeper *k, const char *path)
{
        for (size_t i = 0; i < k->n_volumes; i++)
                if (streq(k->volumes[i].mount.mountpoint, path))
                        return true;
        return false;
}

void keeper_on_clear(struct keeper *k, const struct keeper_msg *request)
{
        char detail[KEEPER_NAME_SIZE] = "";
        int r;

        if (!k->options.below) {
                r = -EPERM;
                snprintf(detail, sizeof detail, "no folders of volumes are known here");
        } else if (keeper_is_taken(k, request->path)) {
                r = -EBUSY;
                snprintf(detail, sizeof detail, "it is mounted and served");
        } else
                r = keeper_folder_clear(k->options.below, request->path, detail);
        keeper_answer(k, request, KEEPER_CLEARED, r, detail, -EBADF);
}

/* The worker is gone: what it left mounted would hang its readers. The connection ends first, so
 * that no unmount can wait for an answer that nobody gives: aborted where the kernel lets us, else
 * by letting go of it, which is as good when no worker holds it any more. */
void keeper_unmount_all(struct keeper *k)
{
        for (size_t i = 0; i < k->n_volumes; i++) {
                struct volume *v = &k->volumes[i];
                char detail[KEEPER_NAME_SIZE] = "";

                (void)keeper_mount_abort(&v->mount);
                v->mount.fuse_fd = safe_close(v->mount.fuse_fd);
                v->seen = false;
                int r = keeper_mount_unmount(&v->mount, k->options.below, true, detail);
                if (r < 0)
                        log_error("%s is still mounted: %s", v->mount.mountpoint, detail);
                else if (!v->gone)
                        log_warning("%s unmounted: its worker is gone", v->mount.mountpoint);
        }
        /* What umount2(2) said is one thing, what is there another. */
        if (k->n_volumes > 0)
                (void)mountinfo_walk(keeper_mark_seen, k);
        for (size_t i = 0; i < k->n_volumes; i++) {
                if (k->volumes[i].seen)
                        log_error("%s is still in the mount table; run: umount -l %s",
                                k->volumes[i].mount.mountpoint, k->volumes[i].mount.mountpoint);
                keeper_store_forget(&k->store, k->volumes[i].id);
                keeper_mount_done(&k->volumes[i].mount);
        }
        k->n_volumes = 0;
}
