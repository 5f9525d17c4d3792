#include "cache/view_priv.h"

enum vault_kind view_kind(enum spc_type type)
{
        switch (type) {
        case SPC_SECRET:
                return VAULT_SECRET;
        case SPC_KEY:
                return VAULT_KEY;
        case SPC_CERT:
                return VAULT_CERT;
        }
        return VAULT_SECRET;
}

/* Appends s to the private memory behind the struct. */
static const char *place(char **end, const char *s)
{
        size_t n = strlen(s) + 1;
        char *at = memcpy(*end, s, n);

        *end += n;
        return at;
}

static int64_t mtime_of(const struct vault_object *o)
{
        if (o->updated != VAULT_NO_TIME)
                return o->updated;
        return o->created != VAULT_NO_TIME ? o->created : 0;
}

static const char *or_empty(const char *s)
{
        return s ? s : "";
}

int view_file_make(const struct view_file *proto, struct view_file **ret)
{
        struct view_file *f =
                calloc(1, sizeof *f + strlen(proto->path) + strlen(proto->object_name) +
                                  strlen(proto->object_id) + strlen(proto->version) +
                                  strlen(proto->content_type) + 5);
        if (!f)
                return -ENOMEM;

        char *end = (char *)(f + 1);
        *f = (struct view_file){
                .path = place(&end, proto->path),
                .mode = proto->mode,
                .bytes = sec_ref(proto->bytes),
                .mtime = proto->mtime,
                .kind = proto->kind,
                .object_name = place(&end, proto->object_name),
                .object_id = place(&end, proto->object_id),
                .version = place(&end, proto->version),
                .content_type = place(&end, proto->content_type),
                .enabled = proto->enabled,
                .expires = proto->expires,
                .serial = proto->serial,
                .refs = 1,
        };
        *ret = f;
        return 0;
}

int view_file_path(const struct spc_object *so, int index, const char *suffix, char **ret)
{
        return index >= 0 ? xasprintf(ret, "%s/%d%s", so->file, index, suffix)
                          : xasprintf(ret, "%s%s", so->file, suffix);
}

int view_file_new(const struct spc_object *so, const char *path, const struct vault_object *o,
        struct sec *bytes, uint64_t serial, struct view_file **ret)
{
        struct view_file proto = {
                .path = path,
                .mode = so->mode,
                .bytes = bytes,
                .mtime = mtime_of(o),
                .kind = o->kind,
                .object_name = so->name,
                .object_id = or_empty(o->id),
                .version = or_empty(o->version),
                .content_type = or_empty(o->content_type),
                .enabled = o->enabled,
                .expires = o->expires,
                .serial = serial,
        };
        return view_file_make(&proto, ret);
}

struct view_file *view_file_ref(struct view_file *f)
{
        if (f)
                f->refs++;
        return f;
}

struct view_file *view_file_unref(struct view_file *f)
{
        if (!f || --f->refs > 0)
                return NULL;
        sec_unref(f->bytes);
        free(f);
        return NULL;
}

bool view_file_is(const struct view_file *f, const struct vault_object *o, const struct sec *bytes)
{
        return f->mtime == mtime_of(o) && f->enabled == o->enabled && f->expires == o->expires &&
               streq(f->object_id, or_empty(o->id)) && streq(f->version, or_empty(o->version)) &&
               streq(f->content_type, or_empty(o->content_type)) && sec_equal(f->bytes, bytes);
}
