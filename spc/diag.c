/* Findings: kept within bounds, in the order of the file, one line each. */
#include <stdarg.h>
#include <stdio.h>

#include "spc/report.h"

#define TEXT_MAX 1000 /* bytes of one text or hint */

int report_begin(struct report *r, struct spc_diags *diags, const char *file, size_t len)
{
        size_t n = 1;

        *r = (struct report){.diags = diags, .file = file, .len = (uint32_t)len, .seen_column = 1};
        if (!file)
                return 0;
        for (size_t i = 0; i < len; i++)
                n += file[i] == '\n';
        r->lines = calloc(n, sizeof(*r->lines));
        if (!r->lines)
                return -ENOMEM;
        r->n_lines = 1;
        for (uint32_t i = 0; i < len; i++)
                if (file[i] == '\n')
                        r->lines[r->n_lines++] = i + 1;
        return 0;
}

void report_position(struct report *r, uint32_t at, unsigned *ret_line, unsigned *ret_column)
{
        *ret_line = *ret_column = 0;
        if (at == YML_NOWHERE || !r->lines)
                return;
        at = MIN(at, r->len);
        size_t low = 0, high = r->n_lines;
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (r->lines[middle] <= at)
                        low = middle;
                else
                        high = middle;
        }
        /* Places mostly come in order, and a file may be one long line: go on from the last. */
        unsigned column = 1;
        uint32_t i = r->lines[low];
        if (r->seen_at >= i && r->seen_at <= at) {
                i = r->seen_at;
                column = r->seen_column;
        }
        for (; i < at; i++)
                column += ((unsigned char)r->file[i] & 0xC0) != 0x80;
        r->seen_at = at;
        r->seen_column = column;
        *ret_line = (unsigned)low + 1;
        *ret_column = column;
}

/* Where to cut so that at most max bytes stay and no character is halved. */
static size_t cut_at(const char *s, size_t max)
{
        size_t n = max;

        while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
                n--;
        return n;
}

const char *report_cut(struct cut *buffer, const char *s)
{
        size_t n = strnlen(s, CUT_MAX + 1);
        bool whole = n <= CUT_MAX;

        if (!whole)
                n = cut_at(s, CUT_MAX);
        memcpy(buffer->s, s, n);
        memcpy(buffer->s + n, "...", whole ? 0 : 3);
        buffer->s[whole ? n : n + 3] = '\0';
        return buffer->s;
}

/* Messages quote with CUT(), so that this is for what is long all the same. */
static void shorten(char *s)
{
        if (strlen(s) > TEXT_MAX)
                memcpy(s + cut_at(s, TEXT_MAX - 3), "...", 4);
}

static bool copy_text(const char *s, char **ret)
{
        struct cut buffer;

        if (!s)
                return true;
        *ret = strdup(report_cut(&buffer, s));
        return *ret != NULL;
}

static void diag_done(struct spc_diag *d)
{
        free(d->object);
        free(d->field);
        free(d->text);
        free(d->hint);
}

_printf_(4, 0) static void add(struct report *r, enum spc_severity severity, const struct place *p,
        const char *fmt, va_list ap)
{
        struct spc_diags *d = r->diags;

        r->last = NULL;
        if (severity == SPC_ERROR)
                d->errors++;
        if (d->n >= SPC_DIAGS_MAX) {
                d->dropped++;
                return;
        }
        if (!d->list && !(d->list = calloc(SPC_DIAGS_MAX, sizeof(*d->list)))) {
                r->no_memory = true;
                return;
        }
        struct spc_diag new = {.severity = severity};
        report_position(r, p->at, &new.line, &new.column);
        if (vasprintf(&new.text, fmt, ap) < 0)
                new.text = NULL;
        if (!new.text || !copy_text(p->object, &new.object) || !copy_text(p->field, &new.field)) {
                r->no_memory = true;
                diag_done(&new);
                return;
        }
        shorten(new.text);
        d->list[d->n] = new;
        r->last = &d->list[d->n++];
}

void report_error(struct report *r, const struct place *p, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        add(r, SPC_ERROR, p, fmt, ap);
        va_end(ap);
}

void report_errorv(struct report *r, const struct place *p, const char *fmt, va_list ap)
{
        add(r, SPC_ERROR, p, fmt, ap);
}

void report_warning(struct report *r, const struct place *p, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        add(r, SPC_WARNING, p, fmt, ap);
        va_end(ap);
}

void report_hint(struct report *r, const char *fmt, ...)
{
        char *hint = NULL;
        va_list ap;

        if (!r->last)
                return;
        va_start(ap, fmt);
        if (vasprintf(&hint, fmt, ap) < 0)
                hint = NULL;
        va_end(ap);
        if (!hint) {
                r->no_memory = true;
                return;
        }
        shorten(hint);
        free(r->last->hint);
        r->last->hint = hint;
}

void report_nearest(struct report *r, const char *word, const char *const *known)
{
        const char *near = suggest(word, known);

        if (near)
                report_hint(r, "did you mean %s?", near);
}

bool report_template(struct report *r, uint32_t at)
{
        if (!r->last || !r->file || at > r->len)
                return false;
        uint32_t begin = at, end = at;
        while (begin > 0 && r->file[begin - 1] != '\n')
                begin--;
        while (end < r->len && r->file[end] != '\n')
                end++;
        if (!memmem(r->file + begin, end - begin, "{{", 2))
                return false;
        report_hint(r, "this is a template: render it first (helm template, envsubst)");
        return true;
}

void report_problem(struct report *r, const char *object, const char *field, const char *prefix,
        const struct yml_problem *problem)
{
        struct place p = {problem->at, object, field};
        unsigned line = 0, column = 0;

        report_position(r, problem->context_at, &line, &column);
        if (*problem->context && line > 0)
                report_error(r, &p, "%syaml: %s (%s, line %u)", prefix, problem->text,
                        problem->context, line);
        else
                report_error(r, &p, "%syaml: %s", prefix, problem->text);
        if (r->file && problem->at < r->len && r->file[problem->at] == '\t')
                report_hint(r, "YAML is indented with spaces, never with tabs");
        else if (!report_template(r, problem->at))
                (void)report_template(r, problem->context_at);
}

/* By place, and as found within one place; errors that the text as a whole has come first. */
static int compare_diags(const void *a, const void *b)
{
        const struct spc_diag *x = a, *y = b;

        if (x->line != y->line)
                return x->line < y->line ? -1 : 1;
        if (x->column != y->column)
                return x->column < y->column ? -1 : 1;
        return 0;
}

/* Stable, which qsort(3) is not bound to be; there are SPC_DIAGS_MAX at most. */
static void sort_diags(struct spc_diags *d)
{
        for (size_t i = 1; i < d->n; i++) {
                struct spc_diag moving = d->list[i];
                size_t j = i;
                for (; j > 0 && compare_diags(&d->list[j - 1], &moving) > 0; j--)
                        d->list[j] = d->list[j - 1];
                d->list[j] = moving;
        }
}

int report_end(struct report *r)
{
        free(r->lines);
        r->lines = NULL;
        r->last = NULL;
        if (r->no_memory)
                return -ENOMEM;
        sort_diags(r->diags);
        return r->diags->errors > 0 ? -EINVAL : 0;
}

void spc_diags_done(struct spc_diags *d)
{
        if (!d)
                return;
        for (size_t i = 0; i < d->n; i++)
                diag_done(&d->list[i]);
        free(d->list);
        *d = (struct spc_diags){0};
}

int spc_escape(const char *s, char **ret)
{
        static const char hex[] = "0123456789abcdef";
        char *out = malloc(4 * strlen(s) + 1), *o = out;

        if (!out)
                return -ENOMEM;
        for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
                /* U+0080 to U+009F control terminals too; in UTF-8 they are C2 and themselves. */
                bool c1 = *p == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F;
                if (*p == '\n' || *p == '\t') {
                        *o++ = '\\';
                        *o++ = *p == '\n' ? 'n' : 't';
                } else if (*p < 0x20 || *p == 0x7F || c1) {
                        unsigned c = c1 ? *++p : *p;
                        *o++ = '\\';
                        *o++ = 'x';
                        *o++ = hex[c >> 4];
                        *o++ = hex[c & 15];
                } else {
                        *o++ = (char)*p;
                }
        }
        *o = '\0';
        *ret = out;
        return 0;
}

int spc_diag_format(const struct spc_diag *d, const char *file, char **ret)
{
        _cleanup_free_ char *line = NULL, *place = NULL;
        const char *severity = d->severity == SPC_ERROR ? "error" : "warning";
        int r = 0;

        if (d->line > 0)
                r = xasprintf(&place, "%s:%u:%u", file, d->line, d->column);
        else
                r = xasprintf(&place, "%s", file);
        if (r < 0)
                return r;
        r = xasprintf(&line, "%s: %s: %s%s%s%s%s", place, severity, d->object ? d->object : "",
                d->object && d->field ? " " : "", d->field ? d->field : "",
                d->object || d->field ? ": " : "", d->text);
        if (r < 0)
                return r;
        return spc_escape(line, ret);
}
