/* What a worker does for the commands that reach it over the control socket. */
#pragma once

#include "cli/control_server.h"
#include "csi/volumes.h"
#include "mount/class_mount.h"

struct commands;

struct commands_config {
        struct class_mount_parts parts;
        struct control_hello hello; /* strings are borrowed */
        bool own;                   /* `mount -f`: one mount, then no more */
        /* The CSI driver's, or NULL: they are shown and polled too, and no mount is taken. */
        struct volumes *volumes;
        /* There may be nothing left to do: look with commands_are_idle(), in a later turn of the
         * loop. */
        void (*idle)(void *userdata);
        void *userdata;
};

/* listen_fd is taken over. */
int commands_new(int listen_fd, const struct commands_config *config, struct commands **ret);
/* After the last mount is gone. */
void commands_free(struct commands *c);
DEFINE_CLEANUP(struct commands *, commands_free)

/* Unmounts everything and takes no more; `idle` follows. */
void commands_end(struct commands *c);
/* Another worker takes over: nobody new is listened to, who waits in the backlog is that one's.
 * `idle` follows when everybody has been answered. */
void commands_make_way(struct commands *c);
/* Everybody has. */
bool commands_are_quiet(const struct commands *c);
/* SIGHUP. */
void commands_refresh_all(struct commands *c);
/* Nothing is mounted, and nobody is connected. */
bool commands_are_idle(const struct commands *c);
