/* What the tests of spc/ share: a class around a few lines of it, and findings as text. */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>

#include "spc/spc.h"

/* All findings, one line each as "LINE:COLUMN: error: ..." (no place: "error: ..."), each hint on
 * a line of its own behind four blanks. "" when there are none. Aborts the test on -ENOMEM, and
 * when result and findings do not agree. The class, if any, goes to *ret (may be NULL). The caller
 * frees. */
char *findings_of(const char *text, const char *name, struct spc_class **ret);

/* The same without hints. */
char *findings_without_hints(const char *text, const char *name, struct spc_class **ret);

/* A class whose parameters are those lines ("key: value\n", each line without indentation); they
 * begin in line 7, column 5. The caller frees. */
char *class_with(const char *parameters);

/* A class with one object for each string, whose text begins in line 12, column 11; the next one
 * two lines below the last line of the one before. The caller frees. */
char *class_of(const char *first, const char *second, const char *third);

void expect_text(const char *file, int line, const char *of, const char *got, const char *want);
#define EXPECT_TEXT(of, got, want) expect_text(__FILE__, __LINE__, of, got, want)

/* The findings of that class text, hints left out, are these. */
void expect_findings(const char *file, int line, const char *text, const char *want);
#define EXPECT_FINDINGS(text, want) expect_findings(__FILE__, __LINE__, text, want)
