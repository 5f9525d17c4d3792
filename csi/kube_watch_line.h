/* What the API server sends on a watch: one JSON document a line
 * ("Efficient detection of changes", kubernetes.io/docs/reference/using-api/api-concepts).
 *
 *     {"type":"MODIFIED","object":{"metadata":{"name":"web","resourceVersion":"7"}, ...}}
 *
 * A line is bounded by KUBE_ANSWER_MAX, and so is all that is kept of a stream: lines are to be
 * taken as they come. Fuzzed by tests/fuzz/fuzz_kube.c.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#define KUBE_VERSION_MAX 64 /* of a resourceVersion: opaque, in fact a number */

/* Bytes that came and are in no line yet. All zero is empty. The buffer is wiped. */
struct kube_lines {
        char *buffer;
        size_t begin, end, size;
};

/* -EFBIG beyond KUBE_ANSWER_MAX, -ENOMEM. */
int kube_lines_add(struct kube_lines *l, const char *data, size_t len);
/* The next whole line, without its end; valid until the next kube_lines_add(). Empty ones are left
 * out. */
bool kube_lines_next(struct kube_lines *l, const char **ret, size_t *ret_len);
void kube_lines_done(struct kube_lines *l);

enum kube_watch_type {
        KUBE_WATCH_CHANGED,  /* ADDED, MODIFIED */
        KUBE_WATCH_DELETED,  /* the object as it was last */
        KUBE_WATCH_BOOKMARK, /* nothing but a version to go on from */
        KUBE_WATCH_EXPIRED,  /* the version is too old: all has to be read again */
        KUBE_WATCH_ERROR,    /* anything else that went wrong */
};

struct kube_watch_line {
        enum kube_watch_type type;
        cJSON *line;
        const cJSON *object; /* points into line */
        /* metadata's; NULL only with EXPIRED and ERROR. A bookmark's name is "". */
        const char *name, *version;
};

/* -EINVAL for what is no such line. */
int kube_watch_line_parse(const char *line, size_t len, struct kube_watch_line *ret);
void kube_watch_line_done(struct kube_watch_line *l);
#define _cleanup_kube_watch_line_ _cleanup_(kube_watch_line_done)

/* metadata.resourceVersion where it is one that can be asked for again, else NULL. */
const char *kube_version(const cJSON *object);
