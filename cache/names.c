/* Names of files that cannot stand beside each other.
 *
 * The class's own were compared when it was read; what a mount's options, a vault's list or its
 * answers add to them is known here first.
 */
#include "cache/view_priv.h"

bool names_clash(const char *a, const char *b)
{
        while (*a && *a == *b)
                a++, b++;
        return (!*a && (!*b || *b == '/')) || (!*b && *a == '/');
}

bool shown_has(const struct shown *list, size_t n, const char *path)
{
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].file->path, path))
                        return true;
        return false;
}

static const struct entry *find_other(const struct entry *en, const char *path)
{
        for (size_t i = 0; i < en->view->n_entries; i++) {
                const struct entry *other = en->view->entries[i];

                for (size_t j = 0; other != en && j < other->n_shown; j++)
                        if (names_clash(path, other->shown[j].file->path))
                                return other;
        }
        return NULL;
}

/* What it shows already was let through before. */
int entry_check_names(const struct entry *en, const struct shown *now, size_t n, struct err *e)
{
        for (size_t i = 0; i < n; i++) {
                const char *path = now[i].file->path;
                const struct entry *other =
                        shown_has(en->shown, en->n_shown, path) ? NULL : find_other(en, path);

                if (!other)
                        continue;
                err_set_cause(e, ERR_USAGE, -EEXIST, "its file %s gets in the way of object %s",
                        path, other->object->file);
                err_hint(e, "give one of them another objectAlias");
                return -EEXIST;
        }
        return 0;
}
