/* The classes that volumes of this node were mounted from: each is watched while one is in use, to
 * notice that it is another one by now.
 *
 * One watch a class (csi/kube_watch.h), by its namespace and its name, however many volumes it has;
 * it stays CLASSES_LINGER longer than the last of them, so that pods which come and go do not make
 * the API server list it each time. Beyond HTTP_STREAMS_PER_HOST classes a watch waits its turn.
 *
 * Which class a volume was mounted from is its uid and its generation, which the API server counts
 * with each change of more than its metadata ("metadata.generation", Kubernetes API Conventions).
 *
 * A watch that fails is tried again by itself; that some do is logged when the first fails, and
 * when the last is mended. Loop thread only.
 */
#pragma once

#include "csi/kube.h"

#define CLASSES_LINGER (60 * USEC_PER_SEC)

struct classes;
struct class_use;

/* Strings are borrowed. */
struct class_version {
        const char *uid; /* "": not known */
        uint64_t generation;
};
/* Of a class as the API server has it; borrows from it. */
struct class_version class_version_of(const cJSON *object);

enum class_change {
        CLASS_SAME,
        CLASS_CHANGED,
        CLASS_GONE, /* there is none of that name */
};

int classes_new(struct kube *k, struct loop *l, struct classes **ret);
void classes_free(struct classes *c); /* after its uses; before the kube */
DEFINE_CLEANUP(struct classes *, classes_free)

/* How many are watched, and how many of them cannot be just now. */
size_t classes_watched(const struct classes *c, size_t *ret_failing);

/* fn is told when what has become of the class is something else than was told last; the first time
 * that it is not CLASS_SAME. Never from within. It must not begin or end a use. */
typedef void (*class_change_fn)(void *userdata, enum class_change change);
int class_use_new(struct classes *c, const char *namespace, const char *name,
        const struct class_version *mounted, class_change_fn fn, void *userdata,
        struct class_use **ret);
struct class_use *class_use_free(struct class_use *u); /* returns NULL */
