/* The volumes of this node: one mounted class each, at the path where kubelet wants it.
 *
 *     asking --the class came--> mounting --every object is readable--> mounted
 *        \                           \                                    |
 *         \--any failure, unpublish---\------------unpublish------------- ending --> gone
 *
 *     (a path that is not known here)  --unpublish--> clearing --> gone
 *
 * A publish is answered OK when every required object is readable, or with what is in the way once
 * nothing is left of the try: kubelet may never ask about an inline volume again. A second publish
 * of a volume waits with the first one. One of a volume that is mounted brings newer tokens and is
 * answered OK whatever it says. One that meets an unpublish is answered ABORTED, and kubelet comes
 * again. One beyond the most that there may be is RESOURCE_EXHAUSTED. Nobody is made to wait past
 * the deadline: shortly before it the caller is told how far the volume has come, and when nobody
 * waits any more it is given up.
 *
 * An unpublish is answered when nothing is left: neither mount nor folder nor bytes.
 *
 * Volumes are found again after a change of worker (fs_adopted()), with all that is said of them in
 * their mount's own note. Loop thread only.
 */
#pragma once

#include "csi/driver_metrics.h"
#include "csi/kube.h"
#include "csi/news.h"
#include "csi/pod_class.h"
#include "mount/class_mount.h"

struct volumes;

struct volumes_config {
        struct class_mount_parts parts;
        struct kube *kube;
        struct pod_class_config class; /* strings are borrowed */
        struct driver_metrics *metrics;
        struct news *news;
        size_t max; /* volumes at once, on their way in and out included: FS_MOUNTS_MAX or less */
        /* No volume is left, in a later turn of the loop. */
        void (*idle)(void *userdata);
        void *userdata;
};

/* Goes on with what an earlier worker left. */
int volumes_new(const struct volumes_config *cfg, struct volumes **ret, struct err *e);
void volumes_free(struct volumes *v); /* after `idle`, or with everything in ruins */
DEFINE_CLEANUP(struct volumes *, volumes_free)

/* Both end the call, now or later. What is in `r` is taken over. */
void volumes_publish(struct volumes *v, struct publish_request *r, struct rpc_call *call);
void volumes_unpublish(struct volumes *v, const char *path, struct rpc_call *call);

/* Whether a volume of that id is mounted at that path. Then it is told that what kubelet brings for
 * it cannot be taken. */
bool volumes_refuse_republish(
        struct volumes *v, const char *path, const char *volume_id, const struct err *error);
/* The mount at that path, NULL when there is none that can be used. */
struct class_mount *volumes_find(const struct volumes *v, const char *path);

/* Every mount, for status: *ret is a list that the caller frees. */
size_t volumes_mounts(const struct volumes *v, struct class_mount ***ret);
size_t volumes_count(const struct volumes *v);
/* Fills volumes, failing and outdated of *ret. */
void volumes_get_levels(const struct volumes *v, struct driver_levels *ret);

bool volumes_are_quiet(const struct volumes *v); /* each is mounted, and none on its way */

/* No volume that is not mounted yet is mounted from now on: UNAVAILABLE. */
void volumes_drain(struct volumes *v);
/* Takes everything away; `idle` follows. */
void volumes_end(struct volumes *v);
