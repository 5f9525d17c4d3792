/* PEM (RFC 7468, with RFC 1421's headers), read and written as Go does: 64 columns, LF, one LF
 * behind each END line. */
#pragma once

#include "base/sec.h"

/* --- writing --- */

/* Bytes that pem_put() writes for a block of len bytes. len is at most SEC_MAX. */
size_t pem_size(const char *label, size_t len);
/* Writes exactly pem_size() bytes and no NUL; returns the end. */
char *pem_put(char *out, const char *label, const void *der, size_t len);

/* --- reading --- */

#define PEM_BLOCKS_MAX ((size_t)256)
#define PEM_HEADERS_MAX ((size_t)16)

struct pem_word {
        const char *s; /* into the text that was read */
        size_t len;
};
struct pem_block {
        struct pem_word label;
        struct pem_word names[PEM_HEADERS_MAX], values[PEM_HEADERS_MAX]; /* sorted as written */
        size_t n_headers;
        struct sec *der;
};
struct pem_blocks {
        struct pem_block *list;
        size_t n;
};

/* All blocks of a text, which has to live as long as they do. What is between them, and what only
 * looks like one (no END line of its label, no base64), is passed over, as there. -E2BIG above
 * PEM_BLOCKS_MAX, -ENOMEM. */
int pem_read(const char *text, size_t len, struct pem_blocks *ret);
void pem_blocks_done(struct pem_blocks *b);
#define _cleanup_pem_blocks_ _cleanup_(pem_blocks_done)

bool pem_block_is(const struct pem_block *b, const char *label);
/* A block written anew, with its headers ("Proc-Type" first, the others by name). */
size_t pem_block_size(const struct pem_block *b);
char *pem_block_put(char *out, const struct pem_block *b);
