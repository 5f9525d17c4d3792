/* The folders of volumes, for a keeper that mounts below one folder only and makes the rest of the
 * way itself: kubelet's, whose volumes come and go as .../volumes/kubernetes.io~csi/NAME/mount.
 *
 * What lies below that folder belongs to pods, and the path comes from the worker: it is walked
 * with openat2(2), never through a symlink and never out of the folder, and what is mounted or
 * removed is what was looked at. `below` itself is the administrator's and may be a symlink.
 * Nothing here asks a mounted file system for anything.
 *
 * Errors are negative errno, with what failed in detail (KEEPER_NAME_SIZE bytes).
 */
#pragma once

#include "base/util.h"

/* Opens (O_PATH) the folder that holds the volume's own, *ret_name the rest, within path. */
int keeper_folder_parent(
        const char *below, const char *path, const char **ret_name, int *ret_fd, char *detail);

/* What was at a volume's path. */
enum keeper_folder_was {
        KEEPER_FOLDER_NONE,
        KEEPER_FOLDER_PLAIN,
        KEEPER_FOLDER_MOUNTED, /* by a driver that has ended */
};

/* Makes the volume's folder where there is none (0750, as kubelet makes its own) and opens it. What
 * an akvfs whose keeper has died left mounted there is taken away first, and at the path of a CSI
 * volume the tmpfs of the Secrets Store CSI Driver; -EBUSY when it is anything else. */
int keeper_folder_make(const char *below, const char *path, enum keeper_folder_was *ret_was,
        int *ret_fd, char *detail);

/* Takes away what is left at a path: mounts as above, then the folder. 0 also when nothing is
 * there; -EBUSY when something else is mounted. Folders with something in them stay: -ENOTEMPTY. */
int keeper_folder_clear(const char *below, const char *path, char *detail);

/* umount2(2) of what is on top there: -EINVAL when that is no mount point. */
int keeper_folder_unmount(int parent, const char *name, bool detach);
