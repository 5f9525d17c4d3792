/* Inside csi/volumes: csi/volumes.c has their life, csi/volumes_look.c tells of them. */
#pragma once

#include "csi/callers.h"
#include "csi/volumes.h"

enum state { ASKING, MOUNTING, MOUNTED, ENDING, CLEARING };

struct volume {
        struct volume *next;
        struct volumes *all;
        enum state state;
        char *path;
        struct pod_volume who;          /* empty while it is only cleared */
        struct publish_request request; /* while it is asked for; wiped then */
        struct kube_call *asking;
        struct class_mount *mount;
        struct volume_news news; /* once it is mounted */
        struct callers publishers, unpublishers;
        size_t have, of;
        usec_t began, asked; /* of the publish, and when the class had come */
        /* What publishers are told in the end. */
        enum rpc_code code;
        char *text;
        bool was_mounted;        /* if but for a moment */
        struct loop_timer *step; /* what must not happen within a callback */
};

struct volumes {
        struct volumes_config config;
        struct volume *list;
        size_t n;
        bool draining;
        struct loop_timer *idle;
};

/* NULL: none is there, or on its way there or away. */
struct volume *volumes_at(const struct volumes *v, const char *path);
