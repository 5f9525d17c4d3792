#include <stdio.h>

#include "spc/rules.h"

int path_clean(const char *path, char **ret)
{
        char *out = malloc(strlen(path) + 2), *o = out;

        if (!out)
                return -ENOMEM;
        for (const char *part = path; *part;) {
                size_t n = strcspn(part, "/");
                if (n > 0 && !(n == 1 && *part == '.')) {
                        if (o != out)
                                *o++ = '/';
                        memcpy(o, part, n);
                        o += n;
                }
                part += n;
                part += *part == '/';
        }
        if (o == out)
                *o++ = '.';
        *o = '\0';
        *ret = out;
        return 0;
}

static size_t longest_part(const char *path)
{
        size_t longest = 0;

        for (const char *part = path; *part;) {
                size_t n = strcspn(part, "/");
                longest = MAX(longest, n);
                part += n;
                part += *part == '/';
        }
        return longest;
}

/* The provider's rules first, in its order, then those of the driver. A path that begins with ".."
 * (the driver's own names do) is caught by the provider's: no two dots in a row, anywhere. */
int path_check(struct report *r, const struct place *p, const char *path, bool folder, char **ret)
{
        size_t extra = folder ? HISTORY_SUFFIX_MAX : 0;

        if (*path == '/') {
                report_error(r, p, "file name must be a relative path");
                report_hint(r, "names are relative to the mount point: leave the first / out");
                return 0;
        }
        if (strstr(path, "..")) {
                report_error(r, p, "file name must not contain '..'");
                return 0;
        }
        if (strlen(path) + extra > SPC_PATH_MAX) {
                report_error(r, p, "invalid path: longer than %d bytes", SPC_PATH_MAX);
                return 0;
        }
        if (longest_part(path) > SPC_NAME_MAX) {
                report_error(
                        r, p, "invalid path: a part of it is longer than %d bytes", SPC_NAME_MAX);
                return 0;
        }
        _cleanup_free_ char *clean = NULL;
        if (path_clean(path, &clean) < 0)
                return -ENOMEM;
        /* The versions of an object lie in a folder whose name upstream cleans itself. */
        if (streq(clean, ".") || (!folder && !streq(clean, path))) {
                report_error(r, p, "invalid filepath: \"%s\"", CUT(path));
                if (!streq(clean, "."))
                        report_hint(r, "write %s", CUT(clean));
                return 0;
        }
        *ret = TAKE_PTR(clean);
        return 0;
}

/* Bytewise with '/' before everything else, so that what lies in a folder follows it at once. */
static int compare_paths(const char *a, const char *b)
{
        for (; *a && *a == *b; a++, b++)
                ;
        unsigned x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1U : 0;
        unsigned y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1U : 0;
        return x < y ? -1 : x > y;
}

static int compare_named(const void *a, const void *b)
{
        const struct named *x = a, *y = b;
        int c = compare_paths(x->file, y->file);

        return c ? c : (x->index < y->index ? -1 : 1);
}

/* What of path lies below folder: "" when they are the same, NULL when it is elsewhere. */
static const char *below(const char *path, const char *folder)
{
        const char *rest = startswith(path, folder);

        if (!rest || !*rest)
                return rest;
        return *rest == '/' ? rest + 1 : NULL;
}

/* Whether the first part of path is the number of a version that the folder may hold. */
static bool is_version(const char *path, int history)
{
        size_t n = strcspn(path, "/");
        int v = 0;

        if (n == 0 || n > 3 || (*path == '0' && n > 1))
                return false;
        for (size_t i = 0; i < n; i++) {
                if (path[i] < '0' || path[i] > '9')
                        return false;
                v = v * 10 + (path[i] - '0');
        }
        return v < history;
}

static void conflict(struct report *r, const struct named *a, const struct named *b)
{
        const struct named *first = a->index < b->index ? a : b;
        const struct named *second = first == a ? b : a;
        struct place p = {second->at, second->label, second->field};
        unsigned line, column;

        report_position(r, first->at, &line, &column);
        char where[32] = "";
        if (line > 0)
                snprintf(where, sizeof(where), ", line %u", line);
        if (streq(a->file, b->file) && a->history == 1 && b->history == 1) {
                report_error(r, &p, "file name \"%s\" is already taken by %s%s", CUT(second->file),
                        first->label, where);
                report_hint(r, "give one of them an objectAlias of its own");
                return;
        }
        if (a->history > 1 && b->history == 1)
                report_error(r, &p,
                        "\"%s\" and \"%s\" (%s%s) get in each other's way: \"%s\" is a folder of "
                        "%d versions",
                        CUT(second->file), CUT(first->file), first->label, where, CUT(a->file),
                        a->history);
        else if (a->history > 1)
                report_error(r, &p,
                        "\"%s\" and \"%s\" (%s%s) get in each other's way: both are folders of "
                        "versions",
                        CUT(second->file), CUT(first->file), first->label, where);
        else
                report_error(r, &p,
                        "\"%s\" and \"%s\" (%s%s) get in each other's way: \"%s\" cannot be a file "
                        "and a folder",
                        CUT(second->file), CUT(first->file), first->label, where, CUT(a->file));
        report_hint(r, "give one of them another objectAlias");
}

/* a stands above b or is the same path. */
static bool clash(const struct named *a, const struct named *b)
{
        const char *rest = below(b->file, a->file);

        if (!*rest)
                return true;
        return a->history == 1 || is_version(rest, a->history);
}

void path_find_conflicts(struct report *r, struct named *names, size_t n)
{
        if (n == 0)
                return;
        qsort(names, n, sizeof(*names), compare_named);
        /* Sorted so, all that is above names[i] is found by walking up through `above`: the
         * nearest earlier path that is a prefix, then that one's. */
        size_t *above = calloc(n, sizeof(*above));
        if (!above) {
                r->no_memory = true;
                return;
        }
        for (size_t i = 0; i < n; i++) {
                size_t candidate = i == 0 ? SIZE_MAX : i - 1;
                while (candidate != SIZE_MAX && !below(names[i].file, names[candidate].file))
                        candidate = above[candidate];
                above[i] = candidate;
                for (size_t a = candidate; a != SIZE_MAX; a = above[a])
                        if (clash(&names[a], &names[i])) {
                                conflict(r, &names[a], &names[i]);
                                break;
                        }
        }
        free(above);
}
