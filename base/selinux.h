/* The label that a whole mount is to have (mount option context=, mount(8)): user:role:type, and a
 * level where the policy has levels, e.g. system_u:object_r:container_file_t:s0:c1,c2. Whether the
 * policy knows it is the kernel's to say. */
#pragma once

#include "base/util.h"

#define SELINUX_CONTEXT_SIZE 256 /* with its NUL */

/* Three parts or more, none empty, of letters, digits and "_.-"; in the level, which is all behind
 * the third colon, also ":" and ",". Nothing of it means anything to a parser of mount options but
 * the comma, and fsconfig(2), which it is given to, has no such parser. */
bool selinux_context_is_plain(const char *s);
