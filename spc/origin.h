/* Where in the file each byte of a scalar's text was written.
 *
 * A class holds YAML inside YAML inside YAML: `objects` is text, and so is each of its elements. A
 * finding in the innermost text has to point into the file all the same. libyaml gives a scalar's
 * text but not where its bytes came from, so source and text are laid side by side: whatever the
 * style does to white space (indentation, folding, chomping) and with escapes, every other
 * character appears in both in the same order. So every token's place is exact, for all five
 * styles; white space is near enough. Should they ever not match, the rest of the text is said to
 * stand where the scalar begins. Proven by tests/unit/spc/origin.c.
 */
#pragma once

#include "spc/yaml.h"

/* n is a scalar read from source. *ret has n->len + 1 offsets into the file; the caller frees. */
int origin_of(const struct yml_text *source, const struct yml_node *n, uint32_t **ret);
