#include "cli/doctor_report.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

const char *doctor_check_name(enum doctor_check c)
{
        static const char *const names[] = {
                [DOCTOR_CLASS] = "class",
                [DOCTOR_IDENTITY] = "identity",
                [DOCTOR_DNS] = "dns",
                [DOCTOR_PROXY] = "proxy",
                [DOCTOR_TCP] = "tcp",
                [DOCTOR_TLS] = "tls",
                [DOCTOR_CLOCK] = "clock",
                [DOCTOR_VAULT] = "vault",
                [DOCTOR_TOKEN] = "token",
                [DOCTOR_OBJECT] = "object",
        };

        return names[c];
}

int doctor_report_begin(struct doctor_report *r, bool json)
{
        const char *no_color = getenv("NO_COLOR");

        *r = (struct doctor_report){.colours = isatty(STDOUT_FILENO) && isempty(no_color)};
        if (json && !(r->checks = cJSON_CreateArray()))
                return -ENOMEM;
        return 0;
}

static void print_line(const struct doctor_report *r, enum doctor_check c, enum doctor_state state,
        const char *subject, const char *hint, const char *text)
{
        static const char *const words[] = {"ok", "note", "FAIL", "-"};
        static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m", ""};
        const char *end = r->colours && *colours[state] ? "\033[0m" : "";

        printf("%s%-4s%s  %-8s  ", r->colours ? colours[state] : "", words[state], end,
                doctor_check_name(c));
        if (subject) {
                cli_put_text(stdout, subject, 0);
                printf(": ");
        }
        cli_put_text(stdout, text, 0);
        putchar('\n');
        for (const char *p = hint; p && *p;) {
                size_t n = strcspn(p, "\n");
                _cleanup_free_ char *line = strndup(p, n);

                printf("      ");
                cli_put_text(stdout, line ? line : "", 0);
                putchar('\n');
                p += n;
                p += *p == '\n';
        }
        (void)fflush(stdout);
}

static bool add_json(const struct doctor_report *r, enum doctor_check c, enum doctor_state state,
        const char *subject, const char *hint, const char *text)
{
        static const char *const words[] = {"ok", "note", "fail", "skipped"};
        cJSON *j = cJSON_CreateObject();

        return cJSON_AddItemToArray(r->checks, j) &&
               cJSON_AddStringToObject(j, "check", doctor_check_name(c)) &&
               cJSON_AddStringToObject(j, "state", words[state]) &&
               (subject ? cJSON_AddStringToObject(j, "subject", subject)
                        : cJSON_AddNullToObject(j, "subject")) &&
               cJSON_AddStringToObject(j, "text", text) &&
               (hint ? cJSON_AddStringToObject(j, "hint", hint) : cJSON_AddNullToObject(j, "hint"));
}

void doctor_say(struct doctor_report *r, enum doctor_check c, enum doctor_state state,
        const char *subject, const char *hint, const char *fmt, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        int n = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (n < 0)
                text = NULL;
        if (state == DOCTOR_FAIL && r->status == 0)
                r->status = DOCTOR_STATUS_FIRST + (int)c;
        const char *said = text ? text : "out of memory";
        if (!r->checks)
                print_line(r, c, state, subject, hint, said);
        else if (!add_json(r, c, state, subject, hint, said) && r->status == 0)
                r->status = CLI_FAILED;
}

void doctor_fail(
        struct doctor_report *r, enum doctor_check c, const char *subject, const struct err *e)
{
        doctor_say(r, c, DOCTOR_FAIL, subject, e->hint, "%s", err_text(e));
}

int doctor_report_end(struct doctor_report *r, const char *class)
{
        int status = r->status;

        if (r->checks) {
                _cleanup_json_ cJSON *j = cJSON_CreateObject();
                char *text = NULL;

                if (cJSON_AddStringToObject(j, "class", class) &&
                        cJSON_AddBoolToObject(j, "ok", status == 0) &&
                        cJSON_AddNumberToObject(j, "status", status) &&
                        cJSON_AddItemToObject(j, "checks", r->checks)) {
                        r->checks = NULL;
                        text = cJSON_Print(j);
                }
                puts(text ? text : "null");
                cJSON_free(text);
                json_free(r->checks);
                r->checks = NULL;
        }
        int written = cli_finish_output("doctor");
        return status ? status : written;
}
