/* The pairs of a YAML mapping as they count: merge keys followed, duplicates and keys that are no
 * text reported.
 */
#pragma once

#include "spc/report.h"

#define MAPPING_KEYS_MAX 256

struct pair {
        const char *key; /* borrowed from the document */
        const struct yml_node *key_node, *value;
};
struct mapping {
        struct pair *pairs;
        size_t n;
};

/* `what` names the mapping in findings ("spec.parameters"); object as in struct place. Findings
 * are reported and left out of ret; -ENOMEM is the only failure. */
int mapping_read(struct report *r, const struct yml_node *n, const char *object, const char *what,
        struct mapping *ret);
void mapping_done(struct mapping *m);

/* The value of key, or NULL. */
const struct yml_node *mapping_get(const struct mapping *m, const char *key);

/* A scalar whose text may be used: reports one with a NUL in it or with a tag that is not
 * understood, and answers false. */
bool mapping_text_is_usable(
        struct report *r, const struct yml_node *n, const char *object, const char *field);
