#include "csi/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const double bounds[] = {0.1, 1, 10};
static const struct metric_family families[] = {
        {.name = "plain_total", .help = "Without labels"},
        {.name = "asked_total", .help = "By who and what", .labels = {"who", "what"}},
        {.name = "level", .help = "A level", .kind = METRIC_GAUGE},
        {.name = "took_seconds",
                .help = "A time",
                .kind = METRIC_HISTOGRAM,
                .labels = {"code"},
                .buckets = bounds,
                .n_buckets = ELEMENTSOF(bounds)},
};
enum { PLAIN, ASKED, LEVEL, TOOK };

static struct metrics *m;
static char *text;

static void set_up(void)
{
        cr_assert_eq(metrics_new(families, ELEMENTSOF(families), &m), 0);
}

static void tear_down(void)
{
        metrics_free(m);
        free(text);
}

TestSuite(metrics, .init = set_up, .fini = tear_down, .timeout = 60);

static const char *all(void)
{
        size_t len;

        free(text);
        cr_assert_eq(metrics_text(m, &text, &len), 0);
        cr_assert_eq(strlen(text), len);
        return text;
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

Test(metrics, the_text_is_what_prometheus_reads)
{
        metrics_add(m, PLAIN, NULL, 2);
        metrics_add(m, ASKED, VALUES("a", "b"), 1);
        metrics_add(m, ASKED, VALUES("a", "b"), 1);
        metrics_add(m, ASKED, VALUES("c", ""), 1);
        metrics_set(m, LEVEL, NULL, 7);
        metrics_add(m, LEVEL, NULL, -9.5);
        metrics_observe(m, TOOK, VALUES("OK"), 0.1);
        metrics_observe(m, TOOK, VALUES("OK"), 5);
        metrics_observe(m, TOOK, VALUES("OK"), 100);
        cr_expect_str_eq(all(), "# HELP plain_total Without labels\n"
                                "# TYPE plain_total counter\n"
                                "plain_total 2\n"
                                "# HELP asked_total By who and what\n"
                                "# TYPE asked_total counter\n"
                                "asked_total{who=\"a\",what=\"b\"} 2\n"
                                "asked_total{who=\"c\",what=\"\"} 1\n"
                                "# HELP level A level\n"
                                "# TYPE level gauge\n"
                                "level -2.5\n"
                                "# HELP took_seconds A time\n"
                                "# TYPE took_seconds histogram\n"
                                "took_seconds_bucket{code=\"OK\",le=\"0.1\"} 1\n"
                                "took_seconds_bucket{code=\"OK\",le=\"1\"} 1\n"
                                "took_seconds_bucket{code=\"OK\",le=\"10\"} 2\n"
                                "took_seconds_bucket{code=\"OK\",le=\"+Inf\"} 3\n"
                                "took_seconds_sum{code=\"OK\"} 105.1\n"
                                "took_seconds_count{code=\"OK\"} 3\n"
                                "# HELP akvfs_metrics_dropped_total Samples that were not counted: "
                                "too many series, or no memory.\n"
                                "# TYPE akvfs_metrics_dropped_total counter\n"
                                "akvfs_metrics_dropped_total 0\n");
}

Test(metrics, a_family_without_labels_is_there_from_the_start)
{
        cr_expect_not_null(strstr(all(), "\nplain_total 0\n"));
        cr_expect_null(strstr(text, "asked_total"));
        cr_expect_null(strstr(text, "took_seconds"));
}

Test(metrics, label_values_are_escaped_and_cut)
{
        char value[METRICS_VALUE_MAX + 10];

        metrics_add(m, ASKED, VALUES("a\"b\\c\nd", "x\",y=\"z"), 1);
        cr_expect_not_null(strstr(all(), "{who=\"a\\\"b\\\\c\\nd\",what=\"x\\\",y=\\\"z\"} 1\n"));
        /* Of escapes alone, the longest there can be; and no half of a character at the end. */
        memset(value, '"', sizeof value);
        memcpy(value + METRICS_VALUE_MAX - 1, "\xc3\xa4", 2);
        value[sizeof value - 1] = '\0';
        metrics_add(m, ASKED, VALUES(value, value), 1);
        const char *found = strstr(all(), "{who=\"\\\"");
        cr_assert_not_null(found);
        size_t each = 2 * (METRICS_VALUE_MAX - 1);
        cr_expect_eq(strcspn(found, "}"), strlen("{who=\"\",what=\"\"") + 2 * each);
}

Test(metrics, series_are_bounded_in_number)
{
        char value[16];

        for (unsigned i = 0; i < METRICS_SERIES_MAX + 10; i++) {
                snprintf(value, sizeof value, "%u", i);
                metrics_add(m, ASKED, VALUES(value, ""), 1);
        }
        metrics_add(m, ASKED, VALUES("0", ""), 1); /* one that is there goes on */
        cr_expect_not_null(strstr(all(), "{who=\"0\",what=\"\"} 2\n"));
        cr_expect_not_null(strstr(text, "{who=\"255\",what=\"\"} 1\n"));
        cr_expect_null(strstr(text, "{who=\"256\""));
        cr_expect_not_null(strstr(text, "\n" METRICS_DROPPED " 10\n"));
}

Test(metrics, numbers_are_read_back_as_the_same)
{
        static const struct {
                double value;
                const char *text;
        } cases[] = {
                {0.1, "0.1"},
                {1.0 / 3, "0.3333333333333333"},
                {9007199254740993.0, "9007199254740992"},
                {1e300, "1e+300"},
                {-0.5, "-0.5"},
                {__builtin_inf(), "+Inf"},
                {-__builtin_inf(), "-Inf"},
                {__builtin_nan(""), "NaN"},
        };
        char line[64];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                metrics_set(m, LEVEL, NULL, cases[i].value);
                snprintf(line, sizeof line, "\nlevel %s\n", cases[i].text);
                cr_expect_not_null(strstr(all(), line), "%s", line);
        }
}
