/* The flat map of parameters, turned into a class: the one way there is, for a file and for a CSI
 * request.
 */
#pragma once

#include "spc/report.h"

/* The parameters, and nothing but them (NULL-terminated). */
extern const char *const parameter_names[];

struct parameter {
        const char *key;
        uint32_t key_at;
        const char *value; /* literal text, NUL-terminated; NULL for objects written as YAML */
        uint32_t at;
        const struct yml_node *node; /* the value in the file, or NULL: then value stands at `at` */
        const struct yml_text *text; /* that node was read from */
};

/* Fills c, which has its name and namespace already. What is missing is reported at `at`. All is
 * reported; -ENOMEM is the only failure. Without errors in the report every string of c is set. */
int parameters_read(
        struct report *r, const struct parameter *list, size_t n, uint32_t at, struct spc_class *c);
