#include "fs/fs_private.h"

#include "base/log.h"

static void on_answer(void *userdata, const struct keeper_msg *m, int fd)
{
        struct fs *fs = userdata;
        struct fs_mount *mount, *next;

        if (!m) {
                log_error(
                        "the keeper is gone: the mounts end, since nobody is left to rotate them");
                fs->keeper_gone = true;
                for (mount = fs->mounts; mount; mount = next) {
                        next = fs_mount_next(mount);
                        fs_mount_on_keeper_gone(mount);
                }
                return;
        }
        for (mount = fs->mounts; mount; mount = fs_mount_next(mount))
                if (fs_mount_id(mount) == m->mount) {
                        fs_mount_on_answer(mount, m, fd);
                        return;
                }
        safe_close(fd);
}

static int hand_over(void *userdata, int fd)
{
        const struct fs *fs = userdata;
        struct keeper_msg m;

        keeper_msg_init(&m, KEEPER_AREA, 0);
        int r = keeper_client_send(fs->keeper, &m, fd);
        /* What happens next is written into the new area alone: the keeper must have it. */
        return r < 0 ? r : keeper_client_drain(fs->keeper);
}

size_t fs_adopted(struct fs *fs, struct fs_mount **ret, size_t n)
{
        size_t count = 0;

        for (struct fs_mount *m = fs->mounts; m; m = fs_mount_next(m))
                if (fs_mount_is_adopted(m)) {
                        if (count < n)
                                ret[count] = m;
                        count++;
                }
        return count;
}

int fs_start(struct loop *l, int keeper_fd, struct fs **ret, struct err *e)
{
        struct fs *fs = calloc(1, sizeof *fs);
        if (!fs) {
                safe_close(keeper_fd);
                return err_set(e, -ENOMEM, "out of memory");
        }
        fs->loop = l;
        struct adoption *adoption = NULL;
        int r = fs_adopt(fs, keeper_fd, &adoption, e);
        if (r < 0) {
                safe_close(keeper_fd);
                fs_stop(fs);
                return r;
        }
        struct snapshot_config snapshot = {.hand_over = hand_over, .userdata = fs};
        r = keeper_client_new(l, keeper_fd, on_answer, fs, &fs->keeper);
        if (r == 0)
                r = snapshot_new(&snapshot, &fs->snapshot);
        if (r == 0)
                r = server_new(SERVER_THREADS, &fs->server);
        if (r == 0)
                r = notifier_new(l, &fs->notifier);
        if (r < 0) {
                fs_adoption_free(adoption);
                fs_stop(fs);
                return err_set_cause(
                        e, ERR_LOCAL, r, "the file system cannot start: %s", strerror(-r));
        }
        fs_adopt_serve(fs, adoption);
        *ret = fs;
        return 0;
}

void fs_stop(struct fs *fs)
{
        if (!fs)
                return;
        notifier_free(fs->notifier);
        server_free(fs->server);
        keeper_client_free(fs->keeper);
        snapshot_free(fs->snapshot);
        free(fs);
}
