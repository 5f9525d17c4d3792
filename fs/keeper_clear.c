/* What a keeper before this one left at a volume's path. */
#include <stdio.h>

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
