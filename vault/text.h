/* Words of others, made fit for one line of a message. */
#pragma once

#include "base/util.h"

#define ONELINE_MAX ((size_t)2048)

/* A copy in which line ends, other control characters, runs of white space and bytes that are not
 * ASCII have become single spaces or '?', cut at ONELINE_MAX with "..." behind. What looks like a
 * JSON Web Token becomes "[token]": an answer that echoes the request must not put one into a log.
 * NULL when memory is short. Caller frees. */
char *oneline(const char *s, size_t len);
