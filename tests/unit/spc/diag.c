#include <criterion/criterion.h>
#include <stdio.h>

#include "spc/report.h"

static const struct place NOWHERE = {YML_NOWHERE, NULL, NULL};

Test(diag, positions_are_one_based_lines_and_characters)
{
        const char *file = "ab\n\n\xC3\xA4\xE2\x82\xACx\r\nlast";
        static const struct {
                uint32_t at;
                unsigned line, column;
        } cases[] = {{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 2, 1}, {4, 3, 1}, {6, 3, 2}, {9, 3, 3},
                {12, 4, 1}, {15, 4, 4}, {16, 4, 5}, {999, 4, 5}, {YML_NOWHERE, 0, 0}, {1, 1, 2}};
        struct spc_diags d = {0};
        struct report r;

        cr_assert_eq(report_begin(&r, &d, file, strlen(file)), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                unsigned line, column;
                report_position(&r, cases[i].at, &line, &column);
                cr_expect(line == cases[i].line && column == cases[i].column, "%u: %u:%u",
                        cases[i].at, line, column);
        }
        cr_expect_eq(report_end(&r), 0);
}

Test(diag, without_a_text_there_are_no_places)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct report r;

        cr_assert_eq(report_begin(&r, &d, NULL, 0), 0);
        report_error(&r, &(struct place){5, NULL, NULL}, "x");
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_expect_eq(d.list[0].line, 0);
        cr_expect_eq(d.list[0].column, 0);
}

Test(diag, findings_come_in_the_order_of_the_file)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct report r;

        cr_assert_eq(report_begin(&r, &d, "abc\ndef\n", 8), 0);
        report_warning(&r, &(struct place){5, NULL, NULL}, "third");
        report_hint(&r, "of the third");
        report_error(&r, &(struct place){0, NULL, NULL}, "second");
        report_warning(&r, &(struct place){5, NULL, NULL}, "fourth, found later");
        report_error(&r, &NOWHERE, "first");
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_assert_eq(d.n, 4);
        cr_expect_eq(d.errors, 2);
        cr_expect_str_eq(d.list[0].text, "first");
        cr_expect_str_eq(d.list[1].text, "second");
        cr_expect_str_eq(d.list[2].text, "third");
        cr_expect_str_eq(d.list[2].hint, "of the third");
        cr_expect_str_eq(d.list[3].text, "fourth, found later");
}

Test(diag, warnings_alone_are_no_failure)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct report r;

        cr_assert_eq(report_begin(&r, &d, "", 0), 0);
        report_warning(&r, &NOWHERE, "x");
        cr_expect_eq(report_end(&r), 0);
        cr_expect_eq(d.n, 1);
        cr_expect_eq(d.errors, 0);
}

Test(diag, no_more_than_the_limit_are_kept_but_all_errors_count)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct report r;

        cr_assert_eq(report_begin(&r, &d, "", 0), 0);
        for (int i = 0; i < SPC_DIAGS_MAX; i++)
                report_warning(&r, &NOWHERE, "%d", i);
        report_error(&r, &NOWHERE, "too much");
        report_hint(&r, "and it goes to nobody");
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_expect_eq(d.n, SPC_DIAGS_MAX);
        cr_expect_eq(d.dropped, 1);
        cr_expect_eq(d.errors, 1);
        cr_expect_null(d.list[SPC_DIAGS_MAX - 1].hint);
}

Test(diag, long_texts_are_cut_between_characters)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct cut buffer;
        struct report r;
        char s[4001];

        for (size_t i = 0; i < 4000; i += 2)
                memcpy(s + i, "\xC3\xA4", 2);
        s[4000] = '\0';
        cr_assert_eq(report_begin(&r, &d, "", 0), 0);
        report_error(&r, &(struct place){0, s, s}, "%s", s);
        report_hint(&r, "x%s", s);
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_expect_eq(strlen(d.list[0].text), 999);
        cr_expect_str_eq(d.list[0].text + 994, "\xC3\xA4...");
        cr_expect_eq(strlen(d.list[0].hint), 1000);
        cr_expect_eq(strlen(d.list[0].object), CUT_MAX + 3);
        cr_expect_eq(strlen(d.list[0].field), CUT_MAX + 3);

        s[CUT_MAX] = '\0';
        cr_expect_str_eq(report_cut(&buffer, s), s, "what fits is left alone");
        s[CUT_MAX] = 'x';
        s[CUT_MAX + 1] = '\0';
        cr_expect_eq(strlen(report_cut(&buffer, s)), CUT_MAX + 3);
        memmove(s + 1, s, CUT_MAX);
        s[0] = 'x';
        cr_expect_eq(strlen(report_cut(&buffer, s)), CUT_MAX - 1 + 3);
}

Test(diag, format_is_one_line_of_file_place_severity_object_and_field)
{
        static const struct {
                struct spc_diag d;
                const char *line;
        } cases[] = {
                {{SPC_ERROR, 3, 7, (char *)"objects[0] (a)", (char *)"objectType", (char *)"t",
                         NULL},
                        "f.yaml:3:7: error: objects[0] (a) objectType: t"},
                {{SPC_WARNING, 3, 7, NULL, (char *)"spec", (char *)"t", NULL},
                        "f.yaml:3:7: warning: spec: t"},
                {{SPC_ERROR, 3, 7, (char *)"objects[1]", NULL, (char *)"t", NULL},
                        "f.yaml:3:7: error: objects[1]: t"},
                {{SPC_ERROR, 0, 0, NULL, NULL, (char *)"t", NULL}, "f.yaml: error: t"},
                {{SPC_ERROR, 1, 1, NULL, NULL, (char *)"a\nb\x1B[2J\xC2\x9B\xC2\xA0", NULL},
                        "f.yaml:1:1: error: a\\nb\\x1b[2J\\x9b\xC2\xA0"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *line = NULL;
                cr_assert_eq(spc_diag_format(&cases[i].d, "f.yaml", &line), 0);
                cr_expect_str_eq(line, cases[i].line, "%s", line);
        }
}

Test(diag, escape_leaves_nothing_that_moves_a_cursor)
{
        _cleanup_free_ char *s = NULL;

        cr_assert_eq(spc_escape("a\tb\r\x01\x7F\xC2\x80\xC3\xA4\xC2", &s), 0);
        cr_expect_str_eq(s, "a\\tb\\x0d\\x01\\x7f\\x80\xC3\xA4\xC2");
}

Test(diag, problems_of_yaml_name_what_began_where)
{
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        const char *file = "a: [\nb\n\tc\n{{ d }}\n";
        struct report r;

        cr_assert_eq(report_begin(&r, &d, file, strlen(file)), 0);
        report_problem(&r, NULL, NULL, "in: ",
                &(struct yml_problem){.text = "odd", .at = 5, .context = "while", .context_at = 3});
        report_problem(&r, "o", "f", "", &(struct yml_problem){.text = "tab", .at = 7});
        report_problem(&r, NULL, NULL, "",
                &(struct yml_problem){.text = "template", .at = 13, .context_at = YML_NOWHERE});
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_expect_str_eq(d.list[0].text, "in: yaml: odd (while, line 1)");
        cr_expect_eq(d.list[0].line, 2);
        cr_expect_null(d.list[0].hint);
        cr_expect_str_eq(d.list[1].text, "yaml: tab");
        cr_expect_str_eq(d.list[1].object, "o");
        cr_expect_str_eq(d.list[1].hint, "YAML is indented with spaces, never with tabs");
        cr_expect_str_eq(
                d.list[2].hint, "this is a template: render it first (helm template, envsubst)");
}

Test(diag, done_leaves_an_empty_list)
{
        struct spc_diags d = {0};
        struct report r;

        cr_assert_eq(report_begin(&r, &d, "", 0), 0);
        report_error(&r, &NOWHERE, "x");
        cr_expect_eq(report_end(&r), -EINVAL);
        spc_diags_done(&d);
        cr_expect_eq(d.n, 0);
        cr_expect_eq(d.errors, 0);
        spc_diags_done(&d);
        spc_diags_done(NULL);
}
