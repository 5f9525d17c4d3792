/* What libfuse takes on trust of a request's shape, looked at before libfuse sees it.
 *
 * libfuse 3.14 believes lengths, counts and string ends inside a message, because the kernel wrote
 * it. A connection that was handed from process to process deserves a second look, which costs
 * nanoseconds. Sizes: <linux/fuse.h>, protocol 7.9 and later. Pure.
 */
#pragma once

#include <linux/fuse.h>

#include "base/util.h"

enum request_verdict {
        REQUEST_SERVE,     /* whole: every struct, string and list it names lies inside it */
        REQUEST_MALFORMED, /* EINVAL */
        REQUEST_UNKNOWN,   /* ENOSYS: not asked again */
        REQUEST_DROP,      /* nobody waits for an answer */
};

/* n bytes were received, at least a header's worth. */
enum request_verdict request_check(const struct fuse_in_header *in, size_t n);
