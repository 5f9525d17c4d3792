#include "cache/view_priv.h"

/* Which of the list the class asks for: at most `history` of them, newest first, from the version
 * that it names, else from the newest one. */
static int choose(const struct entry *en, const struct cache_versions *all, size_t *ret_start,
        size_t *ret_n, struct err *e)
{
        const struct spc_object *so = en->object;
        size_t start = 0;
        int r = 0;

        if (all->n == 0) {
                r = err_set_cause(e, ERR_NOT_FOUND, -ENOENT,
                        "vault %s has no enabled version of it", vault_url(en->vault));
                err_hint(e, "check objectName and keyvaultName, and that a version is enabled");
        } else if (*so->version && !streq(so->version, "latest")) {
                while (start < all->n && !streq(all->list[start].version, so->version))
                        start++;
                if (start == all->n) {
                        r = err_set_cause(e, ERR_NOT_FOUND, -ENOENT,
                                "this version is not among the %zu enabled ones in vault %s",
                                all->n, vault_url(en->vault));
                        err_hint(e, "leave objectVersion empty to start at the newest one");
                }
        }
        if (r < 0)
                return err_wrap(e, r,
                        "failed to get versions of objectType:%s, objectName:%s, objectVersion:%s",
                        vault_kind_name(view_kind(so->type)), so->name, so->version);
        *ret_start = start;
        *ret_n = MIN(all->n - start, (size_t)so->history);
        return 0;
}

static bool are_members(const struct entry *en, const struct vault_version *list, size_t n)
{
        if (en->n_members != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!streq(en->members[i]->version, list[i].version))
                        return false;
        return true;
}

/* A member of that version that is not kept yet. */
static struct source *find_member(const struct entry *en, const char *version)
{
        for (size_t i = 0; i < en->n_members; i++)
                if (!en->members[i]->keep && streq(en->members[i]->version, version))
                        return en->members[i];
        return NULL;
}

/* Versions that are members already keep their subscription, and with it what was fetched. On
 * failure nothing has changed. */
static int replace_members(struct entry *en, const struct vault_version *list, size_t n)
{
        struct source **now = calloc(n, sizeof(struct source *));
        if (!now)
                return -ENOMEM;

        int r = 0;
        size_t have = 0;
        for (; have < n && r == 0; have++) {
                now[have] = find_member(en, list[have].version);
                if (now[have])
                        now[have]->keep = true;
                else {
                        r = source_new(en, list[have].version, &now[have]);
                        if (r < 0)
                                break;
                }
        }
        for (size_t i = 0; i < (r < 0 ? have : en->n_members); i++) {
                struct source *s = r < 0 ? now[i] : en->members[i];

                if (s->keep)
                        s->keep = false;
                else
                        source_free(s);
        }
        if (r < 0) {
                free(now);
                return r;
        }
        free(en->members);
        en->members = now;
        en->n_members = n;
        return 0;
}

void history_select(struct entry *en, const struct cache_versions *versions)
{
        _cleanup_err_ struct err e = {0};
        size_t start = 0, n = 0;
        int r = choose(en, versions, &start, &n, &e);

        if (r == 0 && !are_members(en, versions->list + start, n)) {
                r = replace_members(en, versions->list + start, n);
                if (r < 0)
                        err_set_cause(
                                &e, ERR_LOCAL, r, "cannot fetch its versions: %s", strerror(-r));
        }
        entry_select_error(en, &e);
}
