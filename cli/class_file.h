/* A class file on the command line: read, parsed, and every finding shown.
 *
 * Used by each command that takes CLASS.yaml, so that a mistake looks the same everywhere.
 */
#pragma once

#include <stdio.h>

#include "spc/spc.h"

/* The class in the file at path ("-": standard input), the one called name where there are several
 * (NULL: the only one). Findings, warnings too, are printed on standard error as
 *
 *     FILE:LINE:COLUMN: error: OBJECT FIELD: TEXT
 *             HINT
 *
 * or "akvfs: ..." where the file cannot be read. Whoever calls it says nothing more. 0 and *ret,
 * owned by the caller (spc_class_free); -EINVAL when the class has errors; another negative errno
 * when the file cannot be read or memory is short. */
int cli_load_class(const char *path, const char *name, struct spc_class **ret);

/* The same with findings on another stream, and how many there were (either of the two may be
 * NULL). */
struct cli_findings {
        size_t errors, warnings;
};
int cli_load_class_to(FILE *out, const char *path, const char *name, struct spc_class **ret,
        struct cli_findings *ret_findings);
