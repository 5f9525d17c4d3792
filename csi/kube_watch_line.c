#include "csi/kube_watch_line.h"

#include "base/wipe.h"
#include "csi/kube.h"

int kube_lines_add(struct kube_lines *l, const char *data, size_t len)
{
        size_t had = l->end - l->begin;

        if (len > KUBE_ANSWER_MAX - had)
                return -EFBIG;
        if (l->begin > 0) {
                memmove(l->buffer, l->buffer + l->begin, had);
                explicit_bzero(l->buffer + had, l->begin);
                l->begin = 0;
                l->end = had;
        }
        if (had + len > l->size) {
                size_t bigger = MIN(MAX(had + len, 2 * l->size), KUBE_ANSWER_MAX);
                char *p = wipe_realloc(l->buffer, bigger);
                if (!p)
                        return -ENOMEM;
                l->buffer = p;
                l->size = bigger;
        }
        if (len > 0)
                memcpy(l->buffer + had, data, len);
        l->end = had + len;
        return 0;
}

bool kube_lines_next(struct kube_lines *l, const char **ret, size_t *ret_len)
{
        while (l->begin < l->end) {
                const char *line = l->buffer + l->begin;
                const char *end = memchr(line, '\n', l->end - l->begin);
                if (!end)
                        return false;
                l->begin += (size_t)(end - line) + 1;
                if (end > line) {
                        *ret = line;
                        *ret_len = (size_t)(end - line);
                        return true;
                }
        }
        return false;
}

void kube_lines_done(struct kube_lines *l)
{
        erase_and_free(l->buffer);
        *l = (struct kube_lines){0};
}

const char *kube_version(const cJSON *object)
{
        const char *version = json_string(json_get(object, "metadata"), "resourceVersion");

        if (isempty(version) || strlen(version) > KUBE_VERSION_MAX)
                return NULL;
        return version;
}

static int type_of(const char *name, const cJSON *object, enum kube_watch_type *ret)
{
        int64_t code = 0;

        if (!name)
                return -EINVAL;
        if (streq(name, "ADDED") || streq(name, "MODIFIED"))
                *ret = KUBE_WATCH_CHANGED;
        else if (streq(name, "DELETED"))
                *ret = KUBE_WATCH_DELETED;
        else if (streq(name, "BOOKMARK"))
                *ret = KUBE_WATCH_BOOKMARK;
        else if (!streq(name, "ERROR"))
                return -EINVAL;
        else if (json_int64(object, "code", &code) == 0 && code == 410)
                *ret = KUBE_WATCH_EXPIRED;
        else
                *ret = KUBE_WATCH_ERROR;
        return 0;
}

int kube_watch_line_parse(const char *line, size_t len, struct kube_watch_line *ret)
{
        _cleanup_kube_watch_line_ struct kube_watch_line l = {0};

        int r = json_parse(line, len, &l.line);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return -EINVAL;
        l.object = json_get(l.line, "object");
        if (!cJSON_IsObject(l.object))
                return -EINVAL;
        r = type_of(json_string(l.line, "type"), l.object, &l.type);
        if (r < 0)
                return r;
        if (l.type != KUBE_WATCH_EXPIRED && l.type != KUBE_WATCH_ERROR) {
                l.version = kube_version(l.object);
                l.name = json_string(json_get(l.object, "metadata"), "name");
                if (l.type == KUBE_WATCH_BOOKMARK)
                        l.name = "";
                if (!l.version || !l.name)
                        return -EINVAL;
        }
        *ret = l;
        l.line = NULL;
        return 0;
}

void kube_watch_line_done(struct kube_watch_line *l)
{
        json_free(l->line);
        *l = (struct kube_watch_line){0};
}
