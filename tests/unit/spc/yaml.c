#include <criterion/criterion.h>
#include <stdio.h>

#include "spc/yaml.h"

/* The tree on one line: scalars in <>, sequences in [], mappings in {}. */
static void print_node(FILE *f, const struct yml_node *n)
{
        if (n->kind == YML_SCALAR) {
                fprintf(f, "<%s>", n->value);
                return;
        }
        fputc(n->kind == YML_SEQUENCE ? '[' : '{', f);
        for (size_t i = 0; i < n->n_items; i++)
                print_node(f, n->items[i]);
        fputc(n->kind == YML_SEQUENCE ? ']' : '}', f);
}

/* All documents, each on a line with "deep" where something was left out; a problem ends it as
 * "OFFSET: TEXT (CONTEXT at OFFSET)". */
static char *read_all(const char *s, size_t len)
{
        struct yml_text text = {.s = s, .len = (uint32_t)len};
        _cleanup_(yml_reader_freep) struct yml_reader *r = NULL;
        char *out = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&out, &n);
        int e;

        cr_assert(f);
        cr_assert_eq(yml_reader_new(&text, &r), 0);
        do {
                _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
                struct yml_problem p;
                e = yml_next(r, &doc, &p);
                if (e > 0) {
                        print_node(f, doc->root);
                        fprintf(f, "%s\n", doc->deep_at != YML_NOWHERE ? " deep" : "");
                } else if (e == -EINVAL) {
                        fprintf(f, "%u: %s", p.at, p.text);
                        if (*p.context)
                                fprintf(f, " (%s at %u)", p.context, p.context_at);
                        cr_expect_eq(yml_next(r, &doc, &p), 0, "nothing behind a problem");
                } else {
                        cr_assert_eq(e, 0);
                }
        } while (e > 0);
        fclose(f);
        return out;
}

static void expect(const char *s, const char *want)
{
        _cleanup_free_ char *got = read_all(s, strlen(s));

        cr_expect_str_eq(got, want, "%s\n--- got\n%s\n--- want\n%s", s, got, want);
}

Test(yaml, documents_become_trees)
{
        expect("", "");
        expect("# nothing\n", "");
        expect("a: 1\nb: [x, {y: z}]\n", "{<a><1><b>[<x>{<y><z>}]}\n");
        expect("a\n---\n- b\n---\n---\nc: |\n  d\n", "<a>\n[<b>]\n<>\n{<c><d\n>}\n");
        expect("{\"a\": [1, true, null, \"x\\ny\"]}", "{<a>[<1><true><null><x\ny>]}\n");
}

Test(yaml, aliases_are_the_node_they_name)
{
        expect("a: &x [1]\nb: *x\n", "{<a>[<1>]<b>[<1>]}\n");
        expect("- &x 1\n- &x 2\n- *x\n", "[<1><2><2>]\n");
        expect("- *x\n", "2: unknown anchor 'x' referenced");
        expect("a: &x 1\n---\nb: *x\n", "{<a><1>}\n15: unknown anchor 'x' referenced");
        expect("&x [*x]\n", "4: anchor 'x' value contains itself");
        expect("a: &x {b: [*x]}\n", "11: anchor 'x' value contains itself");
}

Test(yaml, aliases_that_explode_are_refused)
{
        char bomb[600];
        int n = snprintf(bomb, sizeof(bomb), "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");

        for (int i = 1; i < 9; i++)
                n += snprintf(bomb + n, sizeof(bomb) - (size_t)n,
                        "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
                        i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        _cleanup_free_ char *got = read_all(bomb, strlen(bomb));
        cr_expect(strstr(got, "document contains excessive aliasing: more than 65536 nodes"), "%s",
                got);
}

static char *repeated(const char *head, const char *piece, size_t times, const char *tail)
{
        size_t n = strlen(piece);
        char *s = calloc(1, strlen(head) + n * times + strlen(tail) + 1);

        cr_assert(s);
        strcpy(s, head);
        char *p = s + strlen(head);
        for (size_t i = 0; i < times; i++, p += n)
                memcpy(p, piece, n);
        strcpy(p, tail);
        return s;
}

Test(yaml, nodes_anchors_and_aliases_are_counted)
{
        struct {
                const char *head, *piece;
                size_t times;
                const char *tail, *problem;
        } cases[] = {
                {"[", "x,", 65535, "]", NULL},
                {"[", "x,", 65536, "]", "more than 65536 nodes"},
                {"[", "&a x,", 1000, "]", NULL},
                {"[", "&a x,", 1001, "]", "more than 1000 anchors in one document"},
                {"[&a x,", "*a,", 1000, "]", NULL},
                {"[&a x,", "*a,", 1001, "]", "more than 1000 aliases in one document"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *s =
                        repeated(cases[i].head, cases[i].piece, cases[i].times, cases[i].tail);
                _cleanup_free_ char *got = read_all(s, strlen(s));
                if (cases[i].problem)
                        cr_expect(strstr(got, cases[i].problem), "case %zu: %.200s", i, got);
                else
                        cr_expect_eq(got[0], '[', "case %zu: %.200s", i, got);
        }
}

Test(yaml, what_is_too_deep_is_left_out_and_said)
{
        expect("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[<1>]]]]]]]]]]]]]]]]\n");
        expect("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[<>]]]]]]]]]]]]]]]] deep\n");
        /* An anchor in what was left out can still be named. */
        expect("- [[[[[[[[[[[[[[[[{&a x: [1, &b y]}]]]]]]]]]]]]]]]]\n- *a\n- *b\n",
                "[[[[[[[[[[[[[[[[<>]]]]]]]]]]]]]]]<><>] deep\n");
        /* And an alias adds the depth of what it names. */
        expect("- &a [[[[[[[[1]]]]]]]]\n- [[[[[[[*a]]]]]]]\n",
                "[[[[[[[[[<1>]]]]]]]][[[[[[[[[[[[[[[<1>]]]]]]]]]]]]]]]]\n");
        expect("- &a [[[[[[[[1]]]]]]]]\n- [[[[[[[[*a]]]]]]]]\n",
                "[[[[[[[[[<1>]]]]]]]][[[[[[[[<>]]]]]]]]] deep\n");
        /* Up to a point: libyaml would be busy for minutes with the second. */
        _cleanup_free_ char *deep = repeated("", "[", 128, "");
        _cleanup_free_ char *open_end = read_all(deep, strlen(deep));
        cr_expect(strstr(open_end, "did not find expected node content"), "%s", open_end);
        _cleanup_free_ char *deeper = repeated("", "[", SPC_TEXT_MAX, "");
        _cleanup_free_ char *refused = read_all(deeper, strlen(deeper));
        cr_expect_str_eq(refused, "128: nested deeper than 128 levels");
}

Test(yaml, problems_say_where)
{
        expect("a: b: c\n", "4: mapping values are not allowed in this context");
        expect("a: [1, 2\nb: 3\n", "10: did not find expected ',' or ']' (while parsing a flow "
                                   "sequence at 3)");
        expect("a: \"x\n", "6: found unexpected end of stream (while scanning a quoted scalar at "
                           "3)");
        expect("\xC3\xA4: \xE2\x82\xAC: c\n", "7: mapping values are not allowed in this context");
        expect("a: \xFF\n", "3: invalid leading UTF-8 octet");
        _cleanup_free_ char *nul = read_all("a: \0b", 6);
        cr_expect_str_eq(nul, "3: control characters are not allowed");
}

static const struct yml_node *first_value(const char *s, struct yml_doc **ret_doc)
{
        struct yml_text text = {.s = s, .len = (uint32_t)strlen(s), .base = 1000};
        _cleanup_(yml_reader_freep) struct yml_reader *r = NULL;
        struct yml_problem p;

        cr_assert_eq(yml_reader_new(&text, &r), 0);
        cr_assert_eq(yml_next(r, ret_doc, &p), 1);
        return (*ret_doc)->root->items[1];
}

Test(yaml, scalars_keep_style_tag_and_place)
{
        static const struct {
                const char *text, *value, *tag;
                enum yml_style style;
                uint32_t start;
        } cases[] = {
                {"a: x y", "x y", NULL, YML_PLAIN, 3},
                {"a: 'x'", "x", NULL, YML_SINGLE, 3},
                {"a: \"x\"", "x", NULL, YML_DOUBLE, 3},
                {"a: |\n  x\n", "x\n", NULL, YML_LITERAL, 3},
                {"a: >-\n  x\n", "x", NULL, YML_FOLDED, 3},
                {"\xC3\xA4\xE2\x82\xAC: x", "x", NULL, YML_PLAIN, 7},
                {"\r\na: x", "x", NULL, YML_PLAIN, 5},
                {"a: !!int '5'", "5", "tag:yaml.org,2002:int", YML_SINGLE, 3},
                {"a: !mine x", "x", "!mine", YML_PLAIN, 3},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;
                const struct yml_node *n = first_value(cases[i].text, &doc);
                cr_expect_eq(n->style, cases[i].style, "%s", cases[i].text);
                cr_expect_str_eq(n->value, cases[i].value);
                cr_expect(streq_ptr(n->tag, cases[i].tag), "%s: %s", cases[i].text, n->tag);
                cr_expect_eq(n->start, cases[i].start, "%s: %u", cases[i].text, n->start);
                cr_expect_eq(n->at, cases[i].start + 1000);
        }
}

Test(yaml, find_takes_the_first_of_that_key)
{
        _cleanup_(yml_doc_freep) struct yml_doc *doc = NULL;

        first_value("x: 0\na: 1\n[b]: 2\na: 3\n", &doc);
        cr_expect_str_eq(yml_find(doc->root, "a")->value, "1");
        cr_expect_null(yml_find(doc->root, "b"));
        cr_expect_null(yml_find(doc->root->items[1], "a"), "a scalar has no keys");
}

Test(yaml, offsets_are_looked_up_in_the_text_or_its_origin)
{
        static const uint32_t origin[] = {10, 20, 30};
        struct yml_text inner = {.s = "ab", .len = 2, .origin = origin};
        struct yml_text file = {.s = "ab", .len = 2, .base = 7};

        cr_expect_eq(yml_where(&inner, 1), 20);
        cr_expect_eq(yml_where(&inner, 99), 30);
        cr_expect_eq(yml_where(&file, 1), 8);
        cr_expect_eq(yml_where(&file, 99), 9);
}
