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

struct entry *entry_free(struct entry *en)
{
        if (!en)
                return NULL;
        entry_close(en);
        shown_free(en->shown, en->n_shown);
        entry_forget_away(en);
        err_done(&en->select_error);
        err_done(&en->show_error);
        err_done(&en->taken_error);
        vault_unref(en->vault);
        free(en->chosen.name);
        free(en->chosen.file);
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

/* Every member as it is now is what is shown. */
static bool is_shown(const struct entry *en)
{
        size_t members = 0;

        for (size_t i = 0; i < en->n_shown; i++) {
                const struct shown *s = &en->shown[i];

                if (s->member >= en->n_members || s->from != en->members[s->member]->object)
                        return false;
                members = s->member + 1;
        }
        return members == en->n_members;
}

static struct vault_render how_to_render(const struct entry *en)
{
        const struct spc_object *so = en->object;
        const struct view_shape *shape = &en->view->shape;
        enum vault_files files = VAULT_FILES_ONE;

        switch (so->files) {
        case SPC_FILES_DEFAULT:
                /* One value out of a JSON text is no certificate. */
                if (shape->cert_key_files && isempty(so->json_path))
                        files = VAULT_FILES_SEPARATE;
                break;
        case SPC_FILES_COMBINED:
                break;
        case SPC_FILES_SEPARATE:
                files = VAULT_FILES_SEPARATE;
                break;
        case SPC_FILES_FOLDER:
                files = VAULT_FILES_FOLDER;
                break;
        }
        return (struct vault_render){
                .format = so->format == SPC_FORMAT_PEM   ? VAULT_FORMAT_PEM
                          : so->format == SPC_FORMAT_PFX ? VAULT_FORMAT_PFX
                                                         : VAULT_FORMAT_DEFAULT,
                .encoding = so->encoding == SPC_ENCODING_BASE64 ? VAULT_ENCODING_BASE64
                            : so->encoding == SPC_ENCODING_HEX  ? VAULT_ENCODING_HEX
                                                                : VAULT_ENCODING_UTF8,
                .files = files,
                .keep_order = shape->keep_chain_order,
                .json_path = so->json_path,
        };
}

static const struct shown *find_shown(const struct entry *en, const char *path)
{
        for (size_t i = 0; i < en->n_shown; i++)
                if (streq(en->shown[i].file->path, path))
                        return &en->shown[i];
        return NULL;
}

/* A file as member i has it now: the old one where nobody could tell the difference. */
static int show_file(const struct entry *en, size_t i, const struct vault_file *f,
        struct shown *ret, struct err *e)
{
        const struct spc_object *so = en->object;
        struct vault_object *o = en->members[i]->object;
        _cleanup_free_ char *path = NULL;

        int r = view_file_path(so, so->history > 1 ? (int)i : -1, f->suffix, &path);
        if (r == 0) {
                const struct shown *was = find_shown(en, path);

                if (was && view_file_is(was->file, o, f->bytes)) {
                        ret->file = view_file_ref(was->file);
                        ret->dirty = was->dirty;
                } else {
                        r = view_file_new(so, path, o, f->bytes, cache_next_serial(en->view->cache),
                                &ret->file);
                        ret->dirty = true;
                }
        }
        if (r < 0)
                return err_set_cause(e, ERR_LOCAL, r, "memory is short");
        ret->from = vault_object_ref(o);
        ret->member = i;
        return 0;
}

/* What is shown of the member's object already: rendering may cost seconds of key derivation. */
static size_t keep_files(const struct entry *en, size_t i, struct shown *ret)
{
        size_t n = 0;

        for (size_t k = 0; k < en->n_shown; k++) {
                const struct shown *s = &en->shown[k];

                if (s->member != i || s->from != en->members[i]->object)
                        continue;
                ret[n] = *s;
                view_file_ref(s->file);
                vault_object_ref(s->from);
                n++;
        }
        return n;
}

/* Adds all files of member i to `now`, which has room for them. */
static int show_member(
        const struct entry *en, size_t i, struct shown *now, size_t *n, struct err *e)
{
        const struct vault_render how = how_to_render(en);
        struct vault_file files[VAULT_FILES_MAX];
        size_t n_files = 0;

        size_t kept = keep_files(en, i, now + *n);
        *n += kept;
        if (kept > 0)
                return 0;
        int r = vault_render_files(en->members[i]->object, &how, files, &n_files, e);
        if (r < 0)
                return en->object->history > 1
                               ? err_wrap(e, r, "version %s", en->members[i]->version)
                               : r;
        for (size_t k = 0; k < n_files; k++) {
                if (r == 0)
                        r = show_file(en, i, &files[k], &now[*n], e);
                if (r == 0)
                        (*n)++;
                sec_unref(files[k].bytes);
        }
        return r;
}

void entry_update(struct entry *en)
{
        size_t members = en->n_members, n = 0;
        _cleanup_err_ struct err e = {0};
        int r = 0;

        if (entry_is_taken(en))
                return;
        for (size_t i = 0; i < members; i++)
                if (!en->members[i]->object)
                        return;
        if (members == 0 || is_shown(en)) {
                set_error(en, &en->show_error, &e);
                return;
        }

        struct shown *now = calloc(members * VAULT_FILES_MAX, sizeof *now);
        if (!now)
                r = err_set_cause(&e, ERR_LOCAL, -ENOMEM, "memory is short");
        for (size_t i = 0; i < members && r == 0; i++)
                r = show_member(en, i, now, &n, &e);
        if (r == 0)
                r = view_replace(en, now, n, &e);
        if (r < 0) {
                if (!e.code)
                        err_set(&e, r, "cannot be shown: %s", strerror(-r));
                shown_free(now, n);
        }
        set_error(en, &en->show_error, &e);
}
