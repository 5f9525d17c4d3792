#include "spc/origin.h"

#include <criterion/criterion.h>

static struct yml_doc *read_doc(const struct yml_text *text)
{
        _cleanup_(yml_reader_freep) struct yml_reader *r = NULL;
        struct yml_doc *doc = NULL;
        struct yml_problem p;

        cr_assert_eq(yml_reader_new(text, &r), 0);
        cr_assert_eq(yml_next(r, &doc, &p), 1);
        return doc;
}

/* Each @ in the value of the first pair must be said to stand where the same @ stands in the
 * source: the first one at the first, and so on. */
static void expect_marks(const char *source, const char *value)
{
        struct yml_text text = {.s = source, .len = (uint32_t)strlen(source)};
        _cleanup_(yml_doc_freep) struct yml_doc *doc = read_doc(&text);
        const struct yml_node *n = doc->root->items[1];
        _cleanup_free_ uint32_t *map = NULL;
        const char *in_source = source;

        cr_assert_str_eq(n->value, value, "%s: %s", source, n->value);
        cr_assert_eq(origin_of(&text, n, &map), 0);
        for (size_t i = 0; i < n->len; i++) {
                cr_assert_leq(map[i], text.len);
                if (i > 0)
                        cr_expect_geq(map[i], map[i - 1], "%s: goes back at %zu", source, i);
                if (n->value[i] != '@')
                        continue;
                in_source = strchr(in_source, '@');
                cr_assert(in_source);
                cr_expect_eq(map[i], in_source - source, "%s: the mark at %zu is said to be at %u",
                        source, i, map[i]);
                in_source++;
        }
}

Test(origin, literal_text_is_exact)
{
        expect_marks("a: |\n  @x\n    @y\n\n  @\n", "@x\n  @y\n\n@\n");
        expect_marks("a: |2- # why\n    @x\n   @\n", "  @x\n @");
        expect_marks("a: |\r\n  @x\r\n  y@\r\n", "@x\ny@\n");
        expect_marks("a: |\n\n\n  \n  @\n", "\n\n\n@\n");
        expect_marks("a: |+\n  @\n\n\n", "@\n\n\n");
        expect_marks("a:\n  |\n  @\n", "@\n");
        expect_marks("a: |\n  \xC3\xA4@\xE2\x82\xAC @\n", "\xC3\xA4@\xE2\x82\xAC @\n");
}

Test(origin, folded_text_is_exact)
{
        expect_marks("a: >\n  @x\n  @y\n\n  @z\n     @more\n  @\n", "@x @y\n@z\n   @more\n@\n");
        expect_marks("a: >-\n  @x\n  @\n", "@x @");
}

Test(origin, plain_text_is_exact)
{
        expect_marks("a: x@ @", "x@ @");
        expect_marks("a: x@\n   y @\n\n   z@\n", "x@ y @\nz@");
}

Test(origin, quoted_text_is_exact)
{
        expect_marks("a: '@x ''@'' y@\n   @\n\n   @'", "@x '@' y@ @\n@");
        expect_marks("a: \"@x @y\n  @\"", "@x @y @");
        expect_marks("a: \"@\\n  @\\t\\\"@\\\\@\\/@\"", "@\n  @\t\"@\\@/@");
        expect_marks("a: \"\\u20AC@\\x41@\\U0001F600@\\e@\\_@\\N@\\L@\\P@\"",
                "\xE2\x82\xAC@A@\xF0\x9F\x98\x80@\x1B@\xC2\xA0@\xC2\x85@\xE2\x80\xA8@\xE2\x80\xA9@");
        expect_marks("a: \"@ \\\n   @ \\\n   \\ @\"", "@ @  @");
}

Test(origin, properties_are_stepped_over)
{
        expect_marks("a: &anchor !!str |\n  @\n  @\n", "@\n@\n");
        expect_marks("a: !!str &anchor\n  '@'\n", "@");
        expect_marks("a: &x y@\n", "y@");
}

/* NEL ends a line in YAML 1.1 and becomes \n. */
Test(origin, next_line_characters_are_line_ends)
{
        expect_marks("a: |\n  @\xC2\x85  @\n", "@\n@\n");
        expect_marks("a: 'x@\xC2\x85  @'\n", "x@ @");
}

Test(origin, texts_in_texts_lead_back_to_the_file)
{
        const char *file = "top:\n  objects: |\n    array:\n      - |\n        key: x@\n";
        struct yml_text outer = {.s = file, .len = (uint32_t)strlen(file)};
        _cleanup_(yml_doc_freep) struct yml_doc *a = read_doc(&outer), *b = NULL, *c = NULL;
        _cleanup_free_ uint32_t *map1 = NULL, *map2 = NULL;

        const struct yml_node *objects = a->root->items[1]->items[1];
        cr_assert_eq(origin_of(&outer, objects, &map1), 0);
        struct yml_text middle = {objects->value, (uint32_t)objects->len, map1, 0};
        b = read_doc(&middle);
        const struct yml_node *element = b->root->items[1]->items[0];
        cr_expect_eq(element->at, strstr(file, "|\n        key") - file);
        cr_assert_eq(origin_of(&middle, element, &map2), 0);
        struct yml_text inner = {element->value, (uint32_t)element->len, map2, 0};
        c = read_doc(&inner);
        cr_expect_eq(c->root->items[1]->at, strchr(file, '@') - 1 - file);
        cr_expect_eq(c->root->at, strstr(file, "key") - file);
}

/* The rest of a text that cannot be found in its source stands where the scalar begins. */
Test(origin, what_does_not_match_stands_at_the_beginning)
{
        const char *source = "a: xyz";
        struct yml_text text = {.s = source, .len = 6, .base = 100};
        struct yml_node n = {
                .kind = YML_SCALAR, .value = (char *)"x?z", .len = 3, .start = 3, .at = 103};
        _cleanup_free_ uint32_t *map = NULL;

        cr_assert_eq(origin_of(&text, &n, &map), 0);
        cr_expect_eq(map[0], 103);
        cr_expect_eq(map[1], 103);
        cr_expect_eq(map[3], 103);
}
