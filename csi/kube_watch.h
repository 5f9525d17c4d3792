/* One object of the API server, and every change of it.
 *
 * The object is listed (a list with a field selector for its name, so that there is a version to go
 * on from even when it is not there), then watched from that version. A watch ends every few
 * minutes and goes on where it was; after a cut connection too, for a change meanwhile is sent
 * then. When the server no longer knows the version (410 Gone) the object is listed again. All of
 * that is after a pause, which grows with every failure in a row up to KUBE_WATCH_PAUSE_MAX, half
 * of it at random, so that a node's watches do not come back all at once; Retry-After is kept to.
 *
 * Each watch is a stream of base/http.h, over HTTP/2 one of many on a connection. Loop thread only.
 */
#pragma once

#include "csi/kube.h"

#define KUBE_WATCH_SECONDS 300
#define KUBE_WATCH_PAUSE_MAX (60 * USEC_PER_SEC)
#define KUBE_WATCH_BYTES_MAX ((size_t)64 << 20) /* of one stream; then a new one goes on */

struct kube_watch;

struct kube_watch_events {
        /* The object as it is now, borrowed during the call; NULL: there is none (any more). Called
         * once at first, then for each change: never twice for one version. */
        void (*changed)(void *userdata, const cJSON *object);
        /* It cannot be watched, and changes come late until the next call, with NULL: it can again
         * (which shows with the first line of a stream; bookmarks come each minute). Each is called
         * on the change alone. What was told of the object still holds. */
        void (*trouble)(void *userdata, const struct err *error);
};

/* The path of the collection, e.g. kube_class_path(ns, NULL)'s, without a query. The first callback
 * comes from the loop, never from within. A callback may free the watch. */
int kube_watch_new(struct kube *k, struct loop *l, const char *collection, const char *name,
        const struct kube_watch_events *events, void *userdata, struct kube_watch **ret);
void kube_watch_free(struct kube_watch *w); /* before the kube */
DEFINE_CLEANUP(struct kube_watch *, kube_watch_free)
