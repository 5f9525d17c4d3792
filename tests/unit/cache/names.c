#include <criterion/criterion.h>

#include "cache/view_priv.h"

Test(names, clash_when_one_is_the_other_or_its_folder)
{
        static const struct {
                const char *a, *b;
                bool clash;
        } cases[] = {
                {"a", "a", true},
                {"a", "a/b", true},
                {"a/b", "a/b/c/d", true},
                {"a", "ab", false},
                {"a", "a.crt", false},
                {"a/b", "a/c", false},
                {"a/b", "a/bc", false},
                {"a", "b/a", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cr_expect_eq(names_clash(cases[i].a, cases[i].b), cases[i].clash, "%s %s",
                        cases[i].a, cases[i].b);
                cr_expect_eq(names_clash(cases[i].b, cases[i].a), cases[i].clash, "%s %s",
                        cases[i].b, cases[i].a);
        }
}

Test(names, a_list_has_what_is_in_it)
{
        struct view_file a = {.path = "a"}, b = {.path = "b/c"};
        const struct shown list[] = {{.file = &a}, {.file = &b}};

        cr_expect(shown_has(list, 2, "b/c"));
        cr_expect_not(shown_has(list, 1, "b/c"));
        cr_expect_not(shown_has(list, 2, "b"));
        cr_expect_not(shown_has(list, 0, "a"));
}
