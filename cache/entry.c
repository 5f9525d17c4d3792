#include "base/log.h"
#include "cache/view_priv.h"

int entry_open(struct entry *en)
{
        const struct spc_object *so = en->object;

        if (so->history > 1)
                return source_new(en, NULL, &en->list);

        en->members = calloc(1, sizeof(struct source *));
        if (!en->members)
                return -ENOMEM;
        int r = source_new(en, so->version, &en->members[0]);
        if (r < 0)
                return r;
        en->n_members = 1;
        return 0;
}

void entry_close(struct entry *en)
{
        en->list = source_free(en->list);
        for (size_t i = 0; i < en->n_members; i++)
                source_free(en->members[i]);
        free(en->members);
        en->members = NULL;
        en->n_members = 0;
}

void entry_done(struct entry *en)
{
        entry_close(en);
        shown_free(en->shown, en->n_shown);
        for (size_t i = 0; i < en->n_away; i++)
                free(en->away[i]);
        free(en->away);
        err_done(&en->select_error);
        err_done(&en->show_error);
        err_done(&en->taken_error);
        vault_unref(en->vault);
        free(en->chosen.name);
        free(en->chosen.file);
}

struct entry *entry_free(struct entry *en)
{
        if (en)
                entry_done(en);
        free(en);
        return NULL;
}

static bool is_settled(const struct source *s)
{
        return s->tried && !s->refreshing;
}

bool entry_is_settled(const struct entry *en)
{
        if (en->list && !is_settled(en->list))
                return false;
        for (size_t i = 0; i < en->n_members; i++)
                if (!is_settled(en->members[i]))
                        return false;
        return true;
}

void entry_refresh(struct entry *en)
{
        if (en->list) {
                en->list->refreshing = true;
                cache_refresh(en->list->sub);
        }
        for (size_t i = 0; i < en->n_members; i++) {
                en->members[i]->refreshing = true;
                cache_refresh(en->members[i]->sub);
        }
}

const struct err *entry_error(const struct entry *en)
{
        if (en->list && en->list->error.code)
                return &en->list->error;
        if (en->select_error.code)
                return &en->select_error;
        for (size_t i = 0; i < en->n_members; i++)
                if (en->members[i]->error.code)
                        return &en->members[i]->error;
        if (en->show_error.code)
                return &en->show_error;
        return en->taken_error.code ? &en->taken_error : NULL;
}

/* The cache logs what comes of its requests; this is about answers that cannot be shown. Before
 * anything is shown the error goes to who opens the view. */
static void set_error(struct entry *en, struct err *slot, struct err *e)
{
        bool news = !streq_ptr(slot->text, e->text);

        if (en->n_shown > 0 && news && e->code)
                log_warning("object %s: %s; what was shown last is kept", en->object->file,
                        err_text(e));
        else if (en->n_shown > 0 && news && slot->code)
                log_info("object %s: can be shown again", en->object->file);
        err_move(slot, e);
}

void entry_select_error(struct entry *en, struct err *e)
{
        set_error(en, &en->select_error, e);
}

static bool is_shown(const struct entry *en)
{
        if (en->n_shown != en->n_members)
                return false;
        for (size_t i = 0; i < en->n_members; i++)
                if (en->shown[i].from != en->members[i]->object)
                        return false;
        return true;
}

/* File i as the members have it now: the old one where nobody could tell the difference. */
static int show(const struct entry *en, size_t i, struct shown *ret, struct err *e)
{
        const struct spc_object *so = en->object;
        const struct shown *was = i < en->n_shown ? &en->shown[i] : NULL;
        struct vault_object *o = en->members[i]->object;
        const struct vault_render how = {
                .format = so->format == SPC_FORMAT_PEM   ? VAULT_FORMAT_PEM
                          : so->format == SPC_FORMAT_PFX ? VAULT_FORMAT_PFX
                                                         : VAULT_FORMAT_DEFAULT,
                .encoding = so->encoding == SPC_ENCODING_BASE64 ? VAULT_ENCODING_BASE64
                            : so->encoding == SPC_ENCODING_HEX  ? VAULT_ENCODING_HEX
                                                                : VAULT_ENCODING_UTF8,
        };
        _cleanup_sec_ struct sec *bytes = NULL;

        if (!was || was->from != o) {
                int r = vault_render(o, &how, &bytes, e);
                if (r < 0)
                        return so->history > 1
                                       ? err_wrap(e, r, "version %s", en->members[i]->version)
                                       : r;
        }
        if (was && (was->from == o || view_file_is(was->file, o, bytes))) {
                ret->file = view_file_ref(was->file);
                ret->dirty = was->dirty;
        } else {
                int r = view_file_new(so, so->history > 1 ? (int)i : -1, o, bytes,
                        cache_next_serial(view_cache(en->view)), &ret->file);
                if (r < 0)
                        return err_set_cause(e, ERR_LOCAL, r, "memory is short");
                ret->dirty = true;
        }
        ret->from = vault_object_ref(o);
        return 0;
}

void entry_update(struct entry *en)
{
        size_t n = en->n_members;
        _cleanup_err_ struct err e = {0};
        int r = 0;

        if (entry_is_taken(en))
                return;
        for (size_t i = 0; i < n; i++)
                if (!en->members[i]->object)
                        return;
        if (n == 0 || is_shown(en)) {
                set_error(en, &en->show_error, &e);
                return;
        }

        struct shown *now = calloc(n, sizeof *now);
        if (!now)
                r = err_set_cause(&e, ERR_LOCAL, -ENOMEM, "memory is short");
        for (size_t i = 0; i < n && r == 0; i++)
                r = show(en, i, &now[i], &e);
        if (r == 0)
                r = view_replace(en, now, n, &e);
        if (r < 0) {
                if (!e.code)
                        err_set(&e, r, "cannot be shown: %s", strerror(-r));
                shown_free(now, n);
        }
        set_error(en, &en->show_error, &e);
}
