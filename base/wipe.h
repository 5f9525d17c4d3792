/* Memory that is wiped before it is given back.
 *
 * Answers of the services pass through libcurl, cJSON and OpenSSL, which free their buffers without
 * clearing them. wipe_install() gives all three allocators that clear on free and on realloc, so
 * that a rotated-out secret or an expired token is found nowhere in the process afterwards.
 * Proven by tests/unit/base/wipe.c.
 */
#pragma once

#include "base/util.h"

void *wipe_malloc(size_t n);
void *wipe_calloc(size_t n, size_t size);
/* Always moves when it grows; the old block is wiped. */
void *wipe_realloc(void *p, size_t n);
char *wipe_strdup(const char *s);
/* len bytes behind a prefix, as one string, in a block of the right size from the start: asprintf()
 * would grow one and leave pieces of a secret in what it gives back. NULL when memory is short. */
char *wipe_join(const char *prefix, const void *bytes, size_t len);

/* Clears the whole usable block (malloc_usable_size) and frees it. NULL is fine. Works on anything
 * that came from malloc, strdup, asprintf. */
void erase_and_free(void *p);

static inline void erase_and_freep(void *p)
{
        erase_and_free(*(void **)p);
}
#define _cleanup_secret_ _cleanup_(erase_and_freep)

/* Call first thing in main(), before any of the three libraries allocates. Initialises libcurl
 * (curl_global_init_mem). 0, or -EIO when OpenSSL or libcurl had already started. */
int wipe_install(void);
