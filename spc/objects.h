/* The `objects` parameter: YAML text whose `array` holds YAML texts, one for each object; and
 * `objectSelector`, which is written the same way. */
#pragma once

#include "spc/report.h"

struct objects_source {
        const struct yml_text *text; /* trimmed; or */
        const struct yml_node *node; /* a mapping or list that was written where text belongs */
        uint32_t at;                 /* of the parameter's value */
        bool selectors;              /* it is objectSelector */
};

/* Fills c->objects and c->n_objects, or the selectors, with those that are good; all else is
 * reported. -ENOMEM is the only failure. */
int objects_read(struct report *r, const struct objects_source *source, struct spc_class *c);
