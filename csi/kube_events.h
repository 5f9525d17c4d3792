/* Events on pods, as `kubectl describe pod` shows them.
 *
 * For what happens to a volume after it was published, when no answer to kubelet can say it. An
 * event is for a transition: whoever says one says it when a state begins, not for as long as it
 * lasts. The same again (pod, reason and text) is no new object: `count` and `lastTimestamp` of the
 * one that is there are patched, at most once in KUBE_EVENT_PAUSE, whatever the number; client-go's
 * recorder does the same (k8s.io/client-go/tools/record).
 *
 * Saying one never fails and never blocks. What the API server refuses is logged once until it
 * takes one again. At most KUBE_EVENTS_MAX are remembered; of more, the one said longest ago is
 * forgotten, and when all of those are under way the new one is dropped, and logged.
 *
 * Loop thread only.
 */
#pragma once

#include "csi/kube.h"

#define KUBE_EVENTS_MAX 4096 /* a trouble of every volume that a node can have */
#define KUBE_EVENT_PAUSE (10 * USEC_PER_SEC)
#define KUBE_EVENT_REASON_MAX 128   /* of events.k8s.io/v1; longer ones are cut */
#define KUBE_EVENT_MESSAGE_MAX 1024 /* of its `note` */

struct kube_events;

struct kube_event {
        const char *namespace, *pod, *uid; /* as kubelet named them */
        bool warning;                      /* else Normal */
        const char *reason;                /* "SecretRotationFailed": one word */
        const char *message;               /* no secret in it */
};

/* component: the driver's name; node: the node's. Both copied. */
int kube_events_new(struct kube *k, struct loop *l, const char *component, const char *node,
        struct kube_events **ret);
void kube_events_free(struct kube_events *ev); /* what is under way is cancelled; before the kube */
DEFINE_CLEANUP(struct kube_events *, kube_events_free)

void kube_events_say(struct kube_events *ev, const struct kube_event *event);
