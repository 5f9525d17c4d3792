/* What becomes of a file whose object is deleted, disabled, expired or newly forbidden. */
#include <time.h>

#include "base/log.h"
#include "cache/alarm.h"
#include "cache/view_priv.h"

/* Between two looks at what has expired: a wall clock may be set. */
#define EXPIRY_LOOK (600 * USEC_PER_SEC)

const char *view_trouble_name(enum view_trouble t)
{
        static const char *const names[] = {
                [VIEW_FINE] = "ok",
                [VIEW_FAILING] = "failing",
                [VIEW_DELETED] = "deleted",
                [VIEW_DISABLED] = "disabled",
                [VIEW_EXPIRED] = "expired",
                [VIEW_FORBIDDEN] = "forbidden",
        };

        return names[t];
}

static enum view_trouble of_error(const struct err *e)
{
        switch (e->cause) {
        case ERR_NOT_FOUND:
                return VIEW_DELETED;
        case ERR_DISABLED:
                return e->code == -EKEYEXPIRED ? VIEW_EXPIRED : VIEW_DISABLED;
        case ERR_FORBIDDEN:
                /* The vault's firewall refuses a place, and says nothing of the object. */
                return e->code == -EACCES ? VIEW_FORBIDDEN : VIEW_FAILING;
        default:
                return VIEW_FAILING;
        }
}

/* Only what the vault said last counts: after a failure nobody knows whether an expiry that is past
 * is still the object's. Of a history the newest version speaks for all. */
enum view_trouble entry_trouble(const struct entry *en)
{
        const struct err *e = entry_error(en);

        if (e == &en->show_error)
                return VIEW_FAILING;
        if (e && e != &en->taken_error)
                return of_error(e);
        const struct vault_object *o = en->n_members > 0 ? en->members[0]->object : NULL;
        if (o && !o->enabled)
                return VIEW_DISABLED;
        if (o && o->expires != VAULT_NO_TIME &&
                o->expires <= loop_wall(cache_loop(en->view->cache)))
                return VIEW_EXPIRED;
        return VIEW_FINE;
}

static bool removes(const struct view_policy *p, enum view_trouble t)
{
        switch (t) {
        case VIEW_DELETED:
                return p->remove_deleted;
        case VIEW_DISABLED:
                return p->remove_disabled;
        case VIEW_EXPIRED:
                return p->remove_expired;
        case VIEW_FORBIDDEN:
                return p->remove_forbidden;
        default:
                return false;
        }
}

static void describe(struct entry *en, enum view_trouble t)
{
        err_done(&en->taken_error);
        err_set_cause(&en->taken_error, t == VIEW_DISABLED ? ERR_DISABLED : ERR_NOT_FOUND, -ENOENT,
                "it %s, and on_%s=remove takes its file away",
                t == VIEW_EXPIRED ? "has expired" : "is disabled", view_trouble_name(t));
        err_hint(&en->taken_error, "%s, or mount with on_%s=keep",
                t == VIEW_EXPIRED ? "set a new version" : "enable it", view_trouble_name(t));
}

/* Remembers the paths, which outlive what was shown: another reason may follow this one. */
static int remember_paths(struct entry *en)
{
        size_t n = MAX(en->n_shown, (size_t)1);
        char **paths = calloc(n, sizeof(char *));
        size_t have = 0;

        if (!paths)
                return -ENOMEM;
        for (; have < n; have++) {
                paths[have] =
                        strdup(have < en->n_shown ? en->shown[have].file->path : en->object->file);
                if (!paths[have])
                        break;
        }
        en->away = paths;
        en->n_away = have;
        if (have == n)
                return 0;
        entry_forget_away(en);
        return -ENOMEM;
}

void entry_forget_away(struct entry *en)
{
        for (size_t i = 0; i < en->n_away; i++)
                free(en->away[i]);
        free(en->away);
        en->away = NULL;
        en->n_away = 0;
}

bool entry_is_taken(struct entry *en)
{
        enum view_trouble t = entry_trouble(en);
        _cleanup_err_ struct err e = {0};

        if (!removes(&en->view->policy, t)) {
                /* Once away it stays away until the vault gives it again. */
                if (en->taken != VIEW_FINE && t != VIEW_FINE &&
                        (entry_error(en) && entry_error(en) != &en->taken_error))
                        return true;
                if (en->taken != VIEW_FINE)
                        log_info("object %s: is shown again", en->object->file);
                en->taken = VIEW_FINE;
                entry_forget_away(en);
                err_done(&en->taken_error);
                return false;
        }
        if (en->taken == t)
                return true;

        enum view_trouble before = en->taken;
        int r = before == VIEW_FINE ? remember_paths(en) : 0;
        for (size_t i = 0; i < en->n_away && r == 0; i++)
                r = view_gone(en->view, en->away[i], t == VIEW_FORBIDDEN);
        en->taken = t; /* view_replace() leaves the report to what is above */
        if (r == 0)
                r = view_replace(en, NULL, 0, &e);
        if (r < 0) {
                en->taken = before;
                if (before == VIEW_FINE)
                        entry_forget_away(en);
                log_error("object %s: is %s but cannot be taken away: %s", en->object->file,
                        view_trouble_name(t), strerror(-r));
                return false;
        }
        log_warning("object %s: is %s: its file is taken away (on_%s=remove)", en->object->file,
                view_trouble_name(t), view_trouble_name(t));
        err_done(&en->taken_error);
        if (!entry_error(en))
                describe(en, t);
        return true;
}

bool entry_is_absent(const struct entry *en)
{
        if (en->n_shown > 0 || !entry_is_settled(en))
                return false;
        switch (entry_trouble(en)) {
        case VIEW_DELETED:
        case VIEW_DISABLED:
        case VIEW_EXPIRED:
                return en->object->optional || en->taken != VIEW_FINE;
        default:
                return en->taken != VIEW_FINE;
        }
}

/* --- expiry without a poll --- */

/* A pinned object, or any where polling is off, is not asked for when it expires. */
void policy_watch_expiry(struct view *v)
{
        int64_t now = loop_wall(cache_loop(v->cache)), next = INT64_MAX;

        for (size_t i = 0; v->policy.remove_expired && i < v->n_entries; i++) {
                const struct entry *en = v->entries[i];
                const struct vault_object *o = en->n_members > 0 ? en->members[0]->object : NULL;

                if (en->n_shown > 0 && o && o->expires != VAULT_NO_TIME && o->expires > now)
                        next = MIN(next, o->expires);
        }
        if (next == INT64_MAX)
                alarm_rest(v->expiry);
        else
                alarm_set(v->expiry, loop_now(cache_loop(v->cache)) +
                                             MIN((usec_t)(next - now), EXPIRY_LOOK / USEC_PER_SEC) *
                                                     USEC_PER_SEC);
}

static void on_expiry(void *userdata)
{
        struct view *v = userdata;

        alarm_rest(v->expiry);
        for (size_t i = 0; i < v->n_entries; i++)
                entry_update(v->entries[i]);
        v->polled = true; /* by the clock alone */
        view_report_soon(v);
}

int policy_open(struct view *v)
{
        return alarm_new(cache_loop(v->cache), on_expiry, v, &v->expiry);
}
