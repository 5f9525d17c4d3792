/* Shared by fs/fs.c (the process's one file-system side) and fs/mount.c (one mount). */
#pragma once

#include "fs/fs.h"
#include "fs/keeper_client.h"
#include "fs/notifier.h"
#include "fs/rotation.h"
#include "fs/server.h"

struct fs {
        struct loop *loop;
        struct keeper_client *keeper;
        struct server *server;
        struct notifier *notifier;
        struct fs_mount *mounts;
        uint64_t last_id;
        uint32_t epoch;
        bool keeper_gone;
};

struct fs_mount *fs_mount_next(struct fs_mount *m);
uint64_t fs_mount_id(const struct fs_mount *m);
void fs_mount_on_answer(struct fs_mount *m, const struct keeper_msg *answer, int fd);
/* Nobody is left who could unmount on our behalf. */
void fs_mount_on_keeper_gone(struct fs_mount *m);
