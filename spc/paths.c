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
int path_check(struct report *r, const struct place *p, const char *path,
        const struct spc_object *o, char **ret)
{
        bool folder = o->history > 1;
        size_t extra = folder ? HISTORY_SUFFIX_MAX : 0;

        if (o->files == SPC_FILES_FOLDER || o->files == SPC_FILES_SEPARATE)
                extra += FILES_SUFFIX_MAX;

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
        size_t name_max = SPC_NAME_MAX;
        if (o->files == SPC_FILES_SEPARATE && !folder)
                name_max -= strlen(".crt");
        if (longest_part(path) > name_max) {
                report_error(r, p, "invalid path: a part of it is longer than %zu bytes", name_max);
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

/* Whether the first part of path is the number of a version that the folder may hold, or a file
 * beside it. */
static bool is_version(const char *path, int history, enum spc_files files)
{
        size_t n = strcspn(path, "/");
        int v = 0;

        if (files == SPC_FILES_SEPARATE && n > 4 &&
                (strncmp(path + n - 4, ".crt", 4) == 0 || strncmp(path + n - 4, ".key", 4) == 0))
                n -= 4;

        if (n == 0 || n > 3 || (*path == '0' && n > 1))
                return false;
        for (size_t i = 0; i < n; i++) {
                if (path[i] < '0' || path[i] > '9')
                        return false;
                v = v * 10 + (path[i] - '0');
        }
        return v < history;
}

static bool is_folder(const struct named *n)
{
        return n->history > 1 || n->files == SPC_FILES_FOLDER;
}

/* Whether the first part of path is a file of a certificate's folder. */
static bool is_folder_file(const char *path)
{
        size_t n = strcspn(path, "/");

        for (const char *const *f = spc_folder_files; *f; f++)
                if (strlen(*f) == n && strncmp(path, *f, n) == 0)
                        return true;
        return false;
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
        if (streq(a->file, b->file) && !is_folder(a) && !is_folder(b)) {
                report_error(r, &p, "file name \"%s\" is already taken by %s%s", CUT(second->file),
                        first->label, where);
                report_hint(r, "give one of them an objectAlias of its own");
                return;
        }
        const char *head = "get in each other's way";
        if (a->history > 1 && !is_folder(b))
                report_error(r, &p,
                        "\"%s\" and \"%s\" (%s%s) %s: \"%s\" is a folder of %d versions",
                        CUT(second->file), CUT(first->file), first->label, where, head,
                        CUT(a->file), a->history);
        else if (a->history > 1 && b->history > 1)
                report_error(r, &p, "\"%s\" and \"%s\" (%s%s) %s: both are folders of versions",
                        CUT(second->file), CUT(first->file), first->label, where, head);
        else if (is_folder(a))
                report_error(r, &p,
                        "\"%s\" and \"%s\" (%s%s) %s: \"%s\" is the folder of a certificate",
                        CUT(second->file), CUT(first->file), first->label, where, head,
                        CUT(a->file));
        else
                report_error(r, &p,
                        "\"%s\" and \"%s\" (%s%s) %s: \"%s\" cannot be a file and a folder",
                        CUT(second->file), CUT(first->file), first->label, where, head,
                        CUT(a->file));
        report_hint(r, "give one of them another objectAlias");
}

/* a stands above b or is the same path. */
static bool clash(const struct named *a, const struct named *b)
{
        const char *rest = below(b->file, a->file);

        if (!*rest || !is_folder(a))
                return true;
        return a->history > 1 ? is_version(rest, a->history, a->files) : is_folder_file(rest);
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
