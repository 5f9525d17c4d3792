/* The words of a command line, one at a time: options in any place, as people write them.
 *
 * Known are --name, --name=VALUE, --name VALUE, -x, -xVALUE, -x VALUE, -xy, and -- after which
 * nothing is an option. A word that is not known is an error with the nearest known one as hint.
 */
#pragma once

#include "base/err.h"

struct word {
        const char *name; /* without "--"; NULL for a short option alone */
        char letter;      /* 0 for none */
        unsigned value;   /* takes one: true, false, or WORD_AFTER_EQUALS */
        int id;           /* > 0 */
};

#define WORD_AFTER_EQUALS 2 /* none, or one behind '=', as Go's switches do */

struct words {
        int argc;
        char **argv;
        int next;            /* index of the word to look at */
        const char *cluster; /* rest of "-xyz", or NULL */
        bool plain;          /* "--" was seen */
};

#define WORD_PLAIN (-1) /* not an option */

/* argv[0] is skipped. */
void words_init(struct words *w, int argc, char **argv);

/* 1 with the option's id (or WORD_PLAIN) and its value (the word itself for WORD_PLAIN, NULL where
 * the option takes none); 0 at the end; -EINVAL with cause ERR_USAGE. */
int words_next(struct words *w, const struct word *table, size_t n, int *ret_id,
        const char **ret_value, struct err *e);

/* The known word that a typing error leads from, or NULL when none is near. */
const char *words_nearest(const char *word, const char *const *known, size_t n);
