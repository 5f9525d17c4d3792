#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

/* Of a thousand objects that fail for one reason, so many are named. */
#define NAMES_SHOWN 10

/* Line feeds stay: hints may have several lines. Everything else that could move the cursor or
 * forge a line goes, whoever wrote it. */
static void put_safe(FILE *f, const char *s, const char *indent)
{
        fputs(indent, f);
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;

                if (c == '\n') {
                        fputc('\n', f);
                        fputs(indent, f);
                } else
                        fputc(c < 0x20 || c == 0x7f ? '?' : c, f);
        }
        fputc('\n', f);
}

void cli_print_error(const char *command, const struct err *e)
{
        fprintf(stderr, "akvfs %s: ", command);
        put_safe(stderr, err_text(e), "");
        if (e->hint)
                put_safe(stderr, e->hint, "  ");
}

/* What a view's error begins with: "object FILE: " (cache/view.h). */
static const char *object_of(const struct err *e, int *ret_len)
{
        const char *name = startswith(err_text(e), "object ");
        const char *end = name ? strstr(name, ": ") : NULL;

        if (!end)
                return NULL;
        *ret_len = (int)(end - name);
        return name;
}

static bool same_reason(const struct err *a, const struct err *b)
{
        int ignored;

        return err_cause_is_common(a->cause) && a->cause == b->cause &&
               streq_ptr(a->hint, b->hint) && object_of(a, &ignored) && object_of(b, &ignored);
}

static void print_others(const char *command, const struct err *errors, size_t first, size_t n)
{
        char *names = NULL;
        size_t size = 0, others = 0;
        FILE *f = open_memstream(&names, &size);

        for (size_t i = first + 1; f && i < n; i++) {
                int len = 0;

                if (!same_reason(&errors[first], &errors[i]))
                        continue;
                const char *name = object_of(&errors[i], &len);
                if (++others <= NAMES_SHOWN)
                        fprintf(f, "%s%.*s", others > 1 ? ", " : "", len, name);
        }
        if (f && fclose(f) == 0 && others > 0) {
                fputs("  the same for ", stderr);
                cli_put_text(stderr, names, 0);
                if (others > NAMES_SHOWN)
                        fprintf(stderr, " and %zu more", others - NAMES_SHOWN);
                fputc('\n', stderr);
        }
        free(names);
}

void cli_print_errors(const char *command, const struct err *errors, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                bool said = false;

                for (size_t k = 0; k < i && !said; k++)
                        said = same_reason(&errors[k], &errors[i]);
                if (said)
                        continue;
                cli_print_error(command, &errors[i]);
                print_others(command, errors, i, n);
        }
}

void cli_warn(const char *command, const char *fmt, ...)
{
        char text[1024];
        va_list ap;

        va_start(ap, fmt);
        int n = vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        if (n < 0)
                return;
        fprintf(stderr, "akvfs %s: warning: ", command);
        put_safe(stderr, text, "");
}

int cli_usage(const char *command, const struct err *e)
{
        cli_print_error(command, e);
        fprintf(stderr, "  see akvfs %s --help\n", command);
        return CLI_USAGE;
}

int cli_fail(const char *command, const struct err *e)
{
        if (e->cause == ERR_USAGE)
                return cli_usage(command, e);
        cli_print_error(command, e);
        return CLI_FAILED;
}

int cli_finish_output(const char *command)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return CLI_DONE;
        fprintf(stderr, "akvfs %s: could not write to standard output: %s\n", command,
                strerror(errno));
        return CLI_FAILED;
}

void cli_put_text(FILE *f, const char *s, int width)
{
        int columns = 0;

        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;

                fputc(c < 0x20 || c == 0x7f ? '?' : c, f);
                if ((c & 0xc0) != 0x80) /* UTF-8: continuation bytes take no column */
                        columns++;
        }
        for (; columns < width; columns++)
                fputc(' ', f);
}
