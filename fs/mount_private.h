/* Inside a mount: fs/mount.c has its life, fs/mount_record.c its part of the journal. */
#pragma once

#include "fs/fs_private.h"

enum mount_state { MOUNTING, STARTING, READY, UNMOUNTING, WITHDRAWING, DETACHING, CLOSING };

struct fs_mount {
        struct fs *fs;
        struct fs_mount *next;
        uint64_t id;
        enum mount_state state;
        char *mountpoint;
        struct fs_mount_config cfg;
        struct fs_mount_events events;
        void *userdata;
        struct sec *state_blob; /* the owner's, for a later worker */

        struct tree *tree;
        struct session *session;
        struct rotation *rotation;
        unsigned char init[SESSION_INIT_MAX]; /* once it is ready */
        size_t init_len;
        struct {
                bool wanted, running; /* running: asked, or about to be */
                uint64_t seq;         /* of the one that was asked for, else 0 */
                struct loop_timer *timer;
        } warm;
        struct err error; /* what `gone` or `mounted` will say */
        bool end_asked;   /* while it was still starting */
        bool told_mounted;
        bool replaced;              /* fs_mount_stats */
        bool labelled;              /* the mount was asked for with a SELinux label */
        bool keeper_lost;           /* what was asked of the keeper has gone with it */
        bool adopted;               /* and not attached yet */
        uint64_t requests, refused; /* kept when the session is gone */
};

/* fs/mount.c */
int fs_mount_make(
        struct fs *fs, uint64_t id, const struct fs_mount_config *cfg, struct fs_mount **ret);
void fs_mount_free(struct fs_mount *m);
int fs_mount_open_session(struct fs_mount *m, int fd); /* and its rotation; takes fd over */

void fs_mount_is_ready(struct fs_mount *m); /* tells so, once */

/* fs/mount_rotation.c */
int fs_mount_new_rotation(struct fs_mount *m);    /* its session is there */
int fs_mount_show_generation(struct fs_mount *m); /* before the kernel knows anything of it */

/* fs/mount_warm.c */
void fs_mount_warm(struct fs_mount *m); /* something has changed */
void fs_mount_warmed(struct fs_mount *m, uint64_t seq, int result);
void fs_mount_warm_lost(struct fs_mount *m); /* the keeper died: asks the next one */
void fs_mount_warm_end(struct fs_mount *m);  /* before the last event: uses m->fs */

/* fs/mount_record.c */
size_t fs_mount_record_size(const struct fs_mount *m);
void fs_mount_write_mount(struct fs_mount *m);
void fs_mount_write_init(struct fs_mount *m);
void fs_mount_dump(void *userdata, struct snapshot_mount *s); /* under the table's lock */
