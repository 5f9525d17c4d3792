/* Which identity a class and its surroundings mean (reference sections 1.4 and 3), and what proves
 * it. Nothing is probed: the class and what was set decide. */
#pragma once

#include "cli/identity_find.h"

/* Fills everything of i but the endpoints, which are there already. */
int identity_choose(const struct spc_class *class, const struct options *o,
        const struct credentials *found, credentials_warn_fn warn, struct identity *i,
        struct err *e);
