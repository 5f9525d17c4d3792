#include "csi/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

struct series {
        struct series *next;
        char *labels;        /* {name="value",...} without the braces; "" for none */
        double value;        /* a histogram's sum */
        uint64_t count;      /* a histogram's */
        uint64_t *in_bucket; /* a histogram's, each but for those below it */
};

struct metrics {
        const struct metric_family *families;
        size_t n;
        struct {
                struct series *first, **end;
                size_t n;
        } * all;
        uint64_t dropped;
};

/* --- series --- */

static void series_free(struct series *s)
{
        free(s->labels);
        free(s->in_bucket);
        free(s);
}

static size_t escape(char *to, const char *value)
{
        size_t n = 0, taken = strnlen(value, METRICS_VALUE_MAX + 1);

        if (taken > METRICS_VALUE_MAX) /* no half of a character */
                for (taken = METRICS_VALUE_MAX;
                        taken > 0 && ((unsigned char)value[taken] & 0xc0) == 0x80; taken--)
                        ;
        for (size_t i = 0; i < taken; i++) {
                if (value[i] == '\\' || value[i] == '"' || value[i] == '\n')
                        to[n++] = '\\';
                to[n++] = value[i] == '\n' ? 'n' : value[i];
        }
        return n;
}

static int labels_of(const struct metric_family *f, const char *const *values, char **ret)
{
        size_t size = 1, n = 0;

        for (size_t i = 0; i < METRICS_LABELS_MAX && f->labels[i]; i++)
                size += strlen(f->labels[i]) + 2 * METRICS_VALUE_MAX + 4;
        char *text = malloc(size);
        if (!text)
                return -ENOMEM;
        for (size_t i = 0; i < METRICS_LABELS_MAX && f->labels[i]; i++) {
                n += (size_t)sprintf(text + n, "%s%s=\"", i > 0 ? "," : "", f->labels[i]);
                n += escape(text + n, values[i]);
                text[n++] = '"';
        }
        text[n] = '\0';
        *ret = text;
        return 0;
}

static struct series *series_new(struct metrics *m, size_t family, char *labels)
{
        struct series *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        if (m->families[family].kind == METRIC_HISTOGRAM) {
                s->in_bucket = calloc(m->families[family].n_buckets + 1, sizeof *s->in_bucket);
                if (!s->in_bucket) {
                        free(s);
                        return NULL;
                }
        }
        s->labels = labels;
        *m->all[family].end = s;
        m->all[family].end = &s->next;
        m->all[family].n++;
        return s;
}

static struct series *find(struct metrics *m, size_t family, const char *const *values)
{
        _cleanup_free_ char *labels = NULL;
        struct series *s = NULL;

        assert(family < m->n);
        if (labels_of(&m->families[family], values, &labels) == 0) {
                for (s = m->all[family].first; s; s = s->next)
                        if (streq(s->labels, labels))
                                return s;
                if (m->all[family].n < METRICS_SERIES_MAX)
                        s = series_new(m, family, labels);
        }
        if (s)
                labels = NULL;
        else
                m->dropped++;
        return s;
}

/* --- counting --- */

void metrics_add(struct metrics *m, size_t family, const char *const *values, double by)
{
        struct series *s = find(m, family, values);

        assert(m->families[family].kind == METRIC_GAUGE ||
                (m->families[family].kind == METRIC_COUNTER && by >= 0));
        if (s)
                s->value += by;
}

void metrics_set(struct metrics *m, size_t family, const char *const *values, double value)
{
        struct series *s = find(m, family, values);

        assert(m->families[family].kind != METRIC_HISTOGRAM);
        if (s)
                s->value = value;
}

void metrics_observe(struct metrics *m, size_t family, const char *const *values, double value)
{
        const struct metric_family *f = &m->families[family];
        struct series *s = find(m, family, values);
        size_t i = 0;

        assert(f->kind == METRIC_HISTOGRAM);
        if (!s)
                return;
        while (i < f->n_buckets && value > f->buckets[i])
                i++;
        s->in_bucket[i]++;
        s->count++;
        s->value += value;
}

/* --- text --- */

struct number {
        char text[40];
};

/* The shortest that is read back as the same. */
static struct number number(double v)
{
        struct number n;

        if (isnan(v) || isinf(v)) {
                snprintf(n.text, sizeof n.text, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
                return n;
        }
        for (int digits = 15; digits <= 17; digits++) {
                snprintf(n.text, sizeof n.text, "%.*g", digits, v);
                if (strtod(n.text, NULL) == v)
                        break;
        }
        return n;
}

static void write_histogram(FILE *out, const struct metric_family *f, const struct series *s)
{
        const char *comma = *s->labels ? "," : "";
        uint64_t below = 0;

        for (size_t i = 0; i <= f->n_buckets; i++) {
                struct number bound = number(i < f->n_buckets ? f->buckets[i] : (double)INFINITY);
                below += s->in_bucket[i];
                fprintf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", f->name, s->labels, comma,
                        bound.text, (unsigned long long)below);
        }
        const char *open = *s->labels ? "{" : "", *close = *s->labels ? "}" : "";
        fprintf(out, "%s_sum%s%s%s %s\n", f->name, open, s->labels, close, number(s->value).text);
        fprintf(out, "%s_count%s%s%s %llu\n", f->name, open, s->labels, close,
                (unsigned long long)s->count);
}

static void write_family(FILE *out, const struct metric_family *f, const struct series *first)
{
        static const char *const kinds[] = {
                [METRIC_COUNTER] = "counter",
                [METRIC_GAUGE] = "gauge",
                [METRIC_HISTOGRAM] = "histogram",
        };

        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, kinds[f->kind]);
        for (const struct series *s = first; s; s = s->next) {
                if (f->kind == METRIC_HISTOGRAM)
                        write_histogram(out, f, s);
                else if (*s->labels)
                        fprintf(out, "%s{%s} %s\n", f->name, s->labels, number(s->value).text);
                else
                        fprintf(out, "%s %s\n", f->name, number(s->value).text);
        }
}

int metrics_text(const struct metrics *m, char **ret, size_t *ret_len)
{
        static const struct metric_family dropped = {
                .name = METRICS_DROPPED,
                .help = "Samples that were not counted: too many series, or no memory.",
                .kind = METRIC_COUNTER,
        };
        const struct series total = {.labels = (char[]){""}, .value = (double)m->dropped};
        char *text = NULL;
        size_t len = 0;

        FILE *out = open_memstream(&text, &len);
        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < m->n; i++)
                if (m->all[i].first)
                        write_family(out, &m->families[i], m->all[i].first);
        write_family(out, &dropped, &total);
        bool failed = ferror(out);
        if (fclose(out) != 0 || failed) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        *ret_len = len;
        return 0;
}

/* --- the registry --- */

int metrics_new(const struct metric_family *families, size_t n, struct metrics **ret)
{
        _cleanup_(metrics_freep) struct metrics *m = calloc(1, sizeof *m);

        if (!m)
                return -ENOMEM;
        m->all = calloc(n, sizeof *m->all);
        if (!m->all)
                return -ENOMEM;
        m->families = families;
        m->n = n;
        for (size_t i = 0; i < n; i++)
                m->all[i].end = &m->all[i].first;
        for (size_t i = 0; i < n; i++)
                if (!families[i].labels[0] && !find(m, i, NULL))
                        return -ENOMEM;
        *ret = TAKE_PTR(m);
        return 0;
}

void metrics_free(struct metrics *m)
{
        if (!m)
                return;
        for (size_t i = 0; i < m->n; i++)
                for (struct series *s = m->all[i].first, *next; s; s = next) {
                        next = s->next;
                        series_free(s);
                }
        free(m->all);
        free(m);
}
