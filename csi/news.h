/* What is told of a volume after it was mounted, when no answer to kubelet can say it: metrics
 * (csi/driver_metrics.h), and events on its pod, which `kubectl describe pod` shows.
 *
 *     MountRotationFailed        Warning  an object of it is not as the vault has it now
 *     MountRotationComplete      Normal   and all of them are again
 *     MountReplaced              Warning  it was mounted anew in the place of one whose driver had
 *                                         ended, which containers that run do not see
 *     MountRepublishFailed       Warning  what kubelet brings for it cannot be taken
 *     SecretProviderClassChanged Normal   it was mounted from an older one than there is now
 *     SecretProviderClassGone    Warning  there is none of that name any more
 *
 * An event is for a transition: one when a state begins, or when its cause becomes another one, and
 * none while it lasts. A worker does not know what the one before it has said: of a state that goes
 * on, each says it once. What fails before a volume is mounted kubelet tells by itself
 * (FailedMount). The first two reasons are those of the Secrets Store CSI Driver up to 1.5.
 *
 * No secret is in any of it: errors hold none. Loop thread only.
 */
#pragma once

#include "cache/view.h"
#include "csi/classes.h"
#include "csi/driver_metrics.h"
#include "csi/pod_class.h"

struct news;

struct news_config {
        struct loop *loop;
        struct kube *kube;
        const char *driver_name, *node_id; /* of events; copied */
        struct driver_metrics *metrics;    /* borrowed */
};
int news_new(const struct news_config *cfg, struct news **ret);
void news_free(struct news *n); /* after its volumes; before the kube */
DEFINE_CLEANUP(struct news *, news_free)

size_t news_classes(const struct news *n, size_t *ret_failing); /* classes_watched() */

/* Of one volume. All zero: not begun, and nothing is told. It stays where it is. */
struct volume_news {
        struct news *all;
        const struct pod_volume *who;
        struct class_use *class;
        enum class_change change;
        bool failing, refused;
        enum err_cause cause, refused_cause; /* of them */
};

/* who is borrowed until the end. Without memory its class is not watched, and all else is told. */
void volume_news_begin(struct volume_news *v, struct news *n, const struct pod_volume *who);
void volume_news_end(struct volume_news *v);

void volume_news_replaced(struct volume_news *v);
void volume_news_polled(struct volume_news *v, const struct view_poll *poll);
/* error NULL: it was taken, or there was nothing to take. */
void volume_news_republished(struct volume_news *v, const struct err *error);
