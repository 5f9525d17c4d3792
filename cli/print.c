#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

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
