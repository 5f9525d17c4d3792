#include "helper.h"

#include "spc/mapping.h"

/* The pairs of the first document's root as "k=v k=v", and its findings behind a bar. */
static void expect(const char *s, const char *want)
{
        struct yml_text text = {.s = s, .len = (uint32_t)strlen(s)};
        _cleanup_(yml_reader_freep) struct yml_reader *reader = NULL;
        _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct mapping m = {0};
        struct yml_problem p;
        struct report r;
        char *got = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&got, &n);

        cr_assert_eq(yml_reader_new(&text, &reader), 0);
        cr_assert_eq(yml_next(reader, &doc, &p), 1, "%s", p.text);
        cr_assert_eq(report_begin(&r, &d, s, strlen(s)), 0);
        cr_assert_eq(mapping_read(&r, doc->root, NULL, NULL, &m), 0);
        cr_expect_eq(report_end(&r), d.errors > 0 ? -EINVAL : 0);
        for (size_t i = 0; i < m.n; i++) {
                fprintf(f, "%s%s=%s", i ? " " : "", m.pairs[i].key, m.pairs[i].value->value);
                cr_expect_eq(mapping_get(&m, m.pairs[i].key), m.pairs[i].value);
        }
        for (size_t i = 0; i < d.n; i++)
                fprintf(f, "|%u:%u %s", d.list[i].line, d.list[i].column, d.list[i].text);
        fclose(f);
        expect_text(__FILE__, __LINE__, s, got, want);
        cr_expect_null(mapping_get(&m, "nobody"));
        mapping_done(&m);
        free(got);
}

Test(mapping, pairs_come_as_written)
{
        expect("{}", "");
        expect("b: 1\na: 2\n5: 3\n~: 4\n", "b=1 a=2 5=3 ~=4");
}

Test(mapping, duplicates_are_errors)
{
        expect("a: 1\nb: 2\na: 3\n", "a=1 b=2|3:1 mapping key \"a\" already defined at line 1");
        expect("a: 1\n'a': 2\n", "a=1|2:1 mapping key \"a\" already defined at line 1");
}

Test(mapping, keys_are_text)
{
        expect("[x]: 1\n{y: z}: 2\na: 3\n",
                "a=3|1:1 a key has to be text, not a list|2:1 a key has to be text, not a "
                "mapping");
        expect("\"a\\0b\": 1\n", "|1:1 the text holds a NUL character");
        expect("!mine a: 1\n", "|1:1 cannot decode !!str `a` as a !mine");
}

Test(mapping, merge_keys_are_followed)
{
        expect("<<: {a: 1, b: 2}\nb: 3\n", "b=3 a=1");
        expect("<<: [{a: 1}, {a: 2, b: 3}]\n", "a=1 b=3");
        expect("<<: {<<: {c: 1}, a: 2}\n", "a=2 c=1");
        expect("<<: {a: 1}\n<<: {b: 2}\n", "a=1 b=2");
        expect("'<<': 1\n", "<<=1");
        expect("<<: 1\n", "|1:5 map merge requires map or sequence of maps as the value");
        expect("<<: [[{a: 1}]]\n", "|1:6 map merge requires map or sequence of maps as the value");
}

Test(mapping, keys_are_counted)
{
        char s[8 * 300 + 1];
        size_t n = 0;
        _cleanup_(yml_reader_freep) struct yml_reader *reader = NULL;
        _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
        _cleanup_(spc_diags_done) struct spc_diags d = {0};
        struct mapping m;
        struct yml_problem p;
        struct report r;

        for (int i = 0; i < 300; i++)
                n += (size_t)snprintf(s + n, sizeof(s) - n, "k%d: 0\n", i);
        struct yml_text text = {.s = s, .len = (uint32_t)n};
        cr_assert_eq(yml_reader_new(&text, &reader), 0);
        cr_assert_eq(yml_next(reader, &doc, &p), 1);
        cr_assert_eq(report_begin(&r, &d, s, n), 0);
        cr_assert_eq(mapping_read(&r, doc->root, NULL, "all", &m), 0);
        cr_expect_eq(report_end(&r), -EINVAL);
        cr_expect_eq(m.n, MAPPING_KEYS_MAX);
        cr_assert_eq(d.n, 1, "said once");
        cr_expect_str_eq(d.list[0].text, "more than 256 keys in one mapping");
        cr_expect_eq(d.list[0].line, 257);
        mapping_done(&m);
}
