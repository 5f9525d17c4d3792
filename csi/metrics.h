/* A registry of counters, gauges and histograms, and their text for Prometheus
 * ("Exposition formats", prometheus.io, text format 0.0.4).
 *
 * What there is to count is a table of families; a series is a family with values for its labels.
 * Label values come from outside, so the series of a family are bounded by METRICS_SERIES_MAX: what
 * would be one more is counted in METRICS_DROPPED instead. A label value is bounded by
 * METRICS_VALUE_MAX and cut. Without memory a sample is dropped and counted there too: counting
 * never fails.
 *
 * No label ever holds a secret, nor what a service said: values are names and codes.
 *
 * Loop thread only.
 */
#pragma once

#include "base/util.h"

#define METRICS_LABELS_MAX 4
#define METRICS_SERIES_MAX 256
#define METRICS_VALUE_MAX 128
#define METRICS_DROPPED "akvfs_metrics_dropped_total"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
        const char *name; /* a counter's ends in "_total" */
        const char *help; /* one line */
        enum metric_kind kind;
        const char *labels[METRICS_LABELS_MAX]; /* NULL ends them */
        const double *buckets;                  /* a histogram's upper bounds, growing, but +Inf */
        size_t n_buckets;
};

struct metrics;

/* The table is borrowed for as long as the registry lives. A family without labels is there from
 * the start, with 0. */
int metrics_new(const struct metric_family *families, size_t n, struct metrics **ret);
void metrics_free(struct metrics *m);
DEFINE_CLEANUP(struct metrics *, metrics_free)

/* family: its place in the table; values: one for each of its labels, in their order, or NULL when
 * it has none. */

/* A counter, by 0 or more; a gauge, by anything. */
void metrics_add(struct metrics *m, size_t family, const char *const *values, double by);
/* A gauge; or a counter that somebody else counts, who never counts backwards. */
void metrics_set(struct metrics *m, size_t family, const char *const *values, double value);
/* A histogram. */
void metrics_observe(struct metrics *m, size_t family, const char *const *values, double value);

/* All of it; the caller frees. Families without a series are left out. -ENOMEM. */
int metrics_text(const struct metrics *m, char **ret, size_t *ret_len);
