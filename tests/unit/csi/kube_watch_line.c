#include "csi/kube_watch_line.h"

#include <criterion/criterion.h>

#include "csi/kube.h"

TestSuite(kube_watch_line, .timeout = 60);

static void add(struct kube_lines *l, const char *s)
{
        cr_assert_eq(kube_lines_add(l, s, strlen(s)), 0);
}

static void expect(struct kube_lines *l, const char *wanted)
{
        const char *line;
        size_t len;

        if (!wanted) {
                cr_expect_not(kube_lines_next(l, &line, &len));
                return;
        }
        cr_assert(kube_lines_next(l, &line, &len));
        cr_expect_eq(len, strlen(wanted));
        cr_expect_eq(memcmp(line, wanted, len), 0, "%.*s", (int)len, line);
}

Test(kube_watch_line, lines_come_in_pieces_of_any_size)
{
        struct kube_lines l = {0};

        expect(&l, NULL);
        add(&l, "on");
        expect(&l, NULL);
        add(&l, "e\n\n\ntwo\nthr");
        expect(&l, "one");
        expect(&l, "two");
        expect(&l, NULL);
        add(&l, "");
        add(&l, "ee\n");
        expect(&l, "three");
        expect(&l, NULL);
        kube_lines_done(&l);
}

Test(kube_watch_line, what_is_kept_is_bounded)
{
        struct kube_lines l = {0};
        static char half[KUBE_ANSWER_MAX / 2];

        memset(half, 'x', sizeof half);
        cr_assert_eq(kube_lines_add(&l, half, sizeof half), 0);
        cr_assert_eq(kube_lines_add(&l, half, sizeof half), 0);
        cr_expect_eq(kube_lines_add(&l, "\n", 1), -EFBIG);
        kube_lines_done(&l);
        /* A line that was taken makes room. */
        half[10] = '\n';
        cr_assert_eq(kube_lines_add(&l, half, sizeof half), 0);
        cr_assert_eq(kube_lines_add(&l, half, sizeof half), 0);
        expect(&l, "xxxxxxxxxx");
        cr_expect_eq(kube_lines_add(&l, "0123456789", 10), 0);
        cr_expect_eq(kube_lines_add(&l, "01", 2), -EFBIG);
        kube_lines_done(&l);
}

static int parse(const char *s, struct kube_watch_line *ret)
{
        return kube_watch_line_parse(s, strlen(s), ret);
}

Test(kube_watch_line, each_type_is_told_from_the_others)
{
        static const struct {
                const char *line;
                enum kube_watch_type type;
                const char *name, *version;
        } cases[] = {
                {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"web\","
                 "\"resourceVersion\":\"7\"}}}",
                        KUBE_WATCH_CHANGED, "web", "7"},
                {"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"web\","
                 "\"resourceVersion\":\"8\"}}}",
                        KUBE_WATCH_CHANGED, "web", "8"},
                {"{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"web\","
                 "\"resourceVersion\":\"9\"}}}",
                        KUBE_WATCH_DELETED, "web", "9"},
                {"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"SecretProviderClass\","
                 "\"metadata\":{\"resourceVersion\":\"10\",\"creationTimestamp\":null}}}",
                        KUBE_WATCH_BOOKMARK, "", "10"},
                {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}",
                        KUBE_WATCH_EXPIRED, NULL, NULL},
                {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500}}",
                        KUBE_WATCH_ERROR, NULL, NULL},
                {"{\"type\":\"ERROR\",\"object\":{}}", KUBE_WATCH_ERROR, NULL, NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_kube_watch_line_ struct kube_watch_line l = {0};

                cr_assert_eq(parse(cases[i].line, &l), 0, "%s", cases[i].line);
                cr_expect_eq(l.type, cases[i].type);
                cr_expect(streq_ptr(l.name, cases[i].name));
                cr_expect(streq_ptr(l.version, cases[i].version));
                cr_expect(cJSON_IsObject(l.object));
        }
}

Test(kube_watch_line, anything_else_is_refused)
{
        static const char *const bad[] = {"", "{", "[]", "null", "{}", "{\"type\":\"ADDED\"}",
                "{\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}}",
                "{\"type\":\"PATCHED\",\"object\":{\"metadata\":{\"name\":\"a\","
                "\"resourceVersion\":\"1\"}}}",
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}",
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\","
                "\"resourceVersion\":\"\"}}}",
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\","
                "\"resourceVersion\":1}}}",
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":"
                "\"11111111111111111111111111111111111111111111111111111111111111111\"}}}",
                "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}",
                "{\"type\":\"ERROR\",\"object\":[]}"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct kube_watch_line l = {0};

                cr_expect_eq(parse(bad[i], &l), -EINVAL, "%s", bad[i]);
                cr_expect_null(l.line);
        }
}
