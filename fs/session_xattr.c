#include "fs/session_xattr.h"

#include <stdio.h>
#include <time.h>

#include "fs/session_ops.h"

#define PREFIX "user.akvfs."
#define VALUE_MAX 1024

struct subject {
        const struct view_file *file;
        struct tree_state state;
};

static int put_text(char *out, const char *text)
{
        if (isempty(text))
                return -ENODATA;
        return snprintf(out, VALUE_MAX, "%.*s", VALUE_MAX - 1, text);
}

static int put_time(char *out, int64_t when)
{
        time_t t = (time_t)when;
        struct tm tm;

        if (when == 0 || when == VAULT_NO_TIME || !gmtime_r(&t, &tm))
                return -ENODATA;
        return (int)strftime(out, VALUE_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int get_object_id(const struct subject *s, char *out)
{
        return put_text(out, s->file->object_id);
}

static int get_version(const struct subject *s, char *out)
{
        return put_text(out, s->file->version);
}

static int get_enabled(const struct subject *s, char *out)
{
        return put_text(out, s->file->enabled ? "true" : "false");
}

static int get_content_type(const struct subject *s, char *out)
{
        return put_text(out, s->file->content_type);
}

static int get_expires(const struct subject *s, char *out)
{
        return put_time(out, s->file->expires);
}

static int get_updated(const struct subject *s, char *out)
{
        return put_time(out, s->file->mtime);
}

static int get_last_refresh(const struct subject *s, char *out)
{
        return put_time(out, s->state.refreshed_at);
}

static int get_last_error(const struct subject *s, char *out)
{
        return put_text(out, s->state.error);
}

/* Each writes at most VALUE_MAX bytes and returns how many, or -ENODATA where there is nothing. */
static const struct {
        const char *name;
        int (*get)(const struct subject *s, char *out);
} attributes[] = {
        {PREFIX "object_id", get_object_id},
        {PREFIX "version", get_version},
        {PREFIX "enabled", get_enabled},
        {PREFIX "content_type", get_content_type},
        {PREFIX "expires", get_expires},
        {PREFIX "updated", get_updated},
        {PREFIX "last_refresh", get_last_refresh},
        {PREFIX "last_error", get_last_error},
};

/* size 0 asks for the length; too small a buffer is ERANGE: getxattr(2). */
static void reply(fuse_req_t req, const char *value, size_t len, size_t size)
{
        if (size == 0)
                fuse_reply_xattr(req, len);
        else if (len > size)
                fuse_reply_err(req, ERANGE);
        else
                fuse_reply_buf(req, value, len);
}

static int open_subject(fuse_req_t req, fuse_ino_t id, struct subject *s, struct view_file **ret)
{
        struct tree *tree = session_turn.core->tree;

        int r = tree_read(tree, id, ret);
        if (r == 0)
                r = tree_get_state(tree, id, &s->state);
        s->file = *ret;
        return r;
}

void session_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
        _cleanup_(view_file_unrefp) struct view_file *file = NULL;
        struct subject s;
        char value[VALUE_MAX];

        if (!session_turn.core->xattr) {
                fuse_reply_err(req, ENOSYS); /* the kernel never asks again */
                return;
        }
        if (open_subject(req, id, &s, &file) < 0) {
                fuse_reply_err(req, ENODATA);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                if (streq(name, attributes[i].name)) {
                        int n = attributes[i].get(&s, value);
                        if (n < 0)
                                break;
                        reply(req, value, MIN((size_t)n, sizeof value - 1), size);
                        return;
                }
        fuse_reply_err(req, ENODATA);
}

void session_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
        _cleanup_(view_file_unrefp) struct view_file *file = NULL;
        struct subject s;
        char names[VALUE_MAX], value[VALUE_MAX];
        size_t n = 0;

        if (!session_turn.core->xattr) {
                fuse_reply_err(req, ENOSYS);
                return;
        }
        if (open_subject(req, id, &s, &file) == 0)
                for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                        if (attributes[i].get(&s, value) >= 0) {
                                size_t len = strlen(attributes[i].name) + 1;
                                memcpy(names + n, attributes[i].name, len);
                                n += len;
                        }
        reply(req, names, n, size);
}
