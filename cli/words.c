#include "cli/words.h"

#include <ctype.h>

#define NEAREST_MAX 32 /* longer words are no typing errors of ours */

void words_init(struct words *w, int argc, char **argv)
{
        *w = (struct words){.argc = argc, .argv = argv, .next = 1};
}

/* Optimal string alignment distance (insert, delete, replace, swap neighbours), '-' and '_' and
 * upper and lower case being the same. */
static unsigned distance(const char *a, const char *b)
{
        unsigned char d[NEAREST_MAX + 1][NEAREST_MAX + 1];
        size_t n = strlen(a), m = strlen(b);

        if (n > NEAREST_MAX || m > NEAREST_MAX)
                return UINT8_MAX;
        for (size_t i = 0; i <= n; i++)
                d[i][0] = (unsigned char)i;
        for (size_t j = 0; j <= m; j++)
                d[0][j] = (unsigned char)j;

        char x = 0, x_before = 0;
        for (size_t i = 1; i <= n; i++) {
                char y = 0, y_before = 0;
                x_before = x;
                x = a[i - 1] == '_' ? '-' : (char)tolower((unsigned char)a[i - 1]);
                for (size_t j = 1; j <= m; j++) {
                        y_before = y;
                        y = b[j - 1] == '_' ? '-' : (char)tolower((unsigned char)b[j - 1]);
                        unsigned best = d[i - 1][j - 1] + (x != y);
                        best = MIN(best, d[i - 1][j] + 1u);
                        best = MIN(best, d[i][j - 1] + 1u);
                        if (i > 1 && j > 1 && x == y_before && x_before == y)
                                best = MIN(best, d[i - 2][j - 2] + 1u);
                        d[i][j] = (unsigned char)best;
                }
        }
        return d[n][m];
}

const char *words_nearest(const char *word, const char *const *known, size_t n)
{
        size_t len = strlen(word);
        unsigned best = len <= 4 ? 2 : 4; /* exclusive: one error in a short word, three else */
        const char *found = NULL;

        for (size_t i = 0; i < n; i++) {
                unsigned d = distance(word, known[i]);

                if (d < best) {
                        best = d;
                        found = known[i];
                }
        }
        /* "unm" for "unmount": what was begun, if only one word begins so */
        if (!found && len >= 2) {
                for (size_t i = 0; i < n; i++) {
                        if (!startswith(known[i], word))
                                continue;
                        if (found)
                                return NULL;
                        found = known[i];
                }
        }
        return found;
}

static int unknown_option(const char *word, const struct word *table, size_t n, struct err *e)
{
        const char *names[128];
        size_t count = 0;

        for (size_t i = 0; i < n && count < ELEMENTSOF(names); i++)
                if (table[i].name)
                        names[count++] = table[i].name;
        const char *near = words_nearest(word, names, count);
        err_set_cause(e, ERR_USAGE, -EINVAL, "unknown option --%s", word);
        if (near)
                err_hint(e, "did you mean --%s?", near);
        return -EINVAL;
}

/* A value may be a word of its own, whatever it begins with. */
static int take_value(struct words *w, const char *option, const char **ret, struct err *e)
{
        if (w->next >= w->argc)
                return err_set_cause(e, ERR_USAGE, -EINVAL, "option %s needs a value", option);
        *ret = w->argv[w->next++];
        return 0;
}

static int long_option(struct words *w, const char *word, const struct word *table, size_t n,
        int *ret_id, const char **ret_value, struct err *e)
{
        const char *name = word + 2, *equals = strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);

        for (size_t i = 0; i < n; i++) {
                const struct word *t = &table[i];

                if (!t->name || strlen(t->name) != len || memcmp(t->name, name, len) != 0)
                        continue;
                const char *value = equals ? equals + 1 : NULL;
                if (value && !t->value)
                        return err_set_cause(
                                e, ERR_USAGE, -EINVAL, "option --%s takes no value", t->name);
                if (!value && t->value == true) {
                        int r = take_value(w, word, &value, e);
                        if (r < 0)
                                return r;
                }
                *ret_id = t->id;
                *ret_value = value;
                return 1;
        }
        _cleanup_free_ char *bare = strndup(name, len);
        if (!bare)
                return err_set(e, -ENOMEM, "out of memory");
        return unknown_option(bare, table, n, e);
}

static int short_option(struct words *w, const struct word *table, size_t n, int *ret_id,
        const char **ret_value, struct err *e)
{
        const char option[] = {'-', *w->cluster, '\0'};

        for (size_t i = 0; i < n; i++) {
                if (!table[i].letter || table[i].letter != option[1])
                        continue;
                const char *rest = w->cluster + 1, *value = NULL;
                w->cluster = *rest ? rest : NULL;
                if (table[i].value) {
                        value = w->cluster;
                        w->cluster = NULL;
                        if (!value) {
                                int r = take_value(w, option, &value, e);
                                if (r < 0)
                                        return r;
                        }
                }
                *ret_id = table[i].id;
                *ret_value = value;
                return 1;
        }
        return err_set_cause(e, ERR_USAGE, -EINVAL, "unknown option %s", option);
}

int words_next(struct words *w, const struct word *table, size_t n, int *ret_id,
        const char **ret_value, struct err *e)
{
        if (w->cluster)
                return short_option(w, table, n, ret_id, ret_value, e);
        if (w->next >= w->argc)
                return 0;

        const char *word = w->argv[w->next++];
        if (!w->plain && streq(word, "--")) {
                w->plain = true;
                if (w->next >= w->argc)
                        return 0;
                word = w->argv[w->next++];
        }
        /* "-" alone is a file name: standard input */
        if (w->plain || word[0] != '-' || !word[1]) {
                *ret_id = WORD_PLAIN;
                *ret_value = word;
                return 1;
        }
        if (word[1] == '-')
                return long_option(w, word, table, n, ret_id, ret_value, e);
        w->cluster = word + 1;
        return short_option(w, table, n, ret_id, ret_value, e);
}
