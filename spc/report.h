/* Findings while they are collected: offsets become lines and columns here, and nowhere else.
 *
 * Nothing that adds a finding can fail in a way its caller has to handle: when memory is short the
 * report remembers, and report_end() says so.
 */
#pragma once

#include <stdarg.h>

#include "spc/spc.h"
#include "spc/yaml.h"

struct report {
        struct spc_diags *diags;
        const char *file; /* the text that offsets count in; NULL: findings have no place */
        uint32_t len;
        uint32_t *lines; /* offset of each line's first byte */
        size_t n_lines;
        uint32_t seen_at; /* the last place turned into a column, and that column */
        unsigned seen_column;
        struct spc_diag *last; /* the finding a hint goes to, or NULL */
        bool no_memory;
};

/* file is borrowed until report_end(). */
int report_begin(struct report *r, struct spc_diags *diags, const char *file, size_t len);
/* Sorts the findings by place. -ENOMEM, -EINVAL when there are errors, 0. */
int report_end(struct report *r);

/* What a finding is about; both strings may be NULL. */
struct place {
        uint32_t at; /* offset in the file, or YML_NOWHERE */
        const char *object, *field;
};

void report_error(struct report *r, const struct place *p, const char *fmt, ...) _printf_(3, 4);
void report_warning(struct report *r, const struct place *p, const char *fmt, ...) _printf_(3, 4);
void report_errorv(struct report *r, const struct place *p, const char *fmt, va_list ap)
        _printf_(3, 0);
/* What to write instead; belongs to the finding just made. */
void report_hint(struct report *r, const char *fmt, ...) _printf_(2, 3);

/* A text that is not YAML: prefix, "yaml: ", what libyaml says of it, and where that began. */
void report_problem(struct report *r, const char *object, const char *field, const char *prefix,
        const struct yml_problem *problem);

/* The hint that a place is in a template, where its line looks like one. */
bool report_template(struct report *r, uint32_t at);

/* "did you mean X", or nothing, for a word that is none of the known ones. */
void report_nearest(struct report *r, const char *word, const char *const *known);

/* 1-based; column counts characters. 0 and 0 for YML_NOWHERE. */
void report_position(struct report *r, uint32_t at, unsigned *ret_line, unsigned *ret_column);

/* What a file says, cut (between characters) to what a message can carry. CUT() lasts as long as
 * the block it stands in. */
#define CUT_MAX 160
struct cut {
        char s[CUT_MAX + 4];
};
const char *report_cut(struct cut *buffer, const char *s);
#define CUT(s) report_cut(&(struct cut){0}, (s))

/* --- spc/suggest.c --- */

/* The word of a NULL-terminated list that was most likely meant, or NULL: the same but for case, a
 * part of it ("alias" for objectAlias), or few letters away. */
const char *suggest(const char *word, const char *const *known);
