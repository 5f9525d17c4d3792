#include "mount/status_json.h"

#include <stdio.h>
#include <time.h>

const char *status_time(int64_t when, char buf[static 32])
{
        struct tm tm;
        time_t t = (time_t)when;

        if (when == VAULT_NO_TIME || when == 0 || !gmtime_r(&t, &tm) ||
                strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                return NULL;
        return buf;
}

static bool add_text(cJSON *j, const char *name, const char *text)
{
        return text ? cJSON_AddStringToObject(j, name, text) : cJSON_AddNullToObject(j, name);
}

static bool add_time(cJSON *j, const char *name, int64_t when)
{
        char buf[32];

        return add_text(j, name, status_time(when, buf));
}

static bool add_number(cJSON *j, const char *name, uint64_t n)
{
        return cJSON_AddNumberToObject(j, name, (double)n);
}

static cJSON *object_json(const struct status_file *f, int64_t now)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();
        const struct view_file *v = f->file;
        const struct cache_state *s = &f->state;

        if (!add_text(j, "file", v->path) || !add_text(j, "object", v->object_name) ||
                !add_text(j, "version", v->version) || !add_time(j, "updated", v->mtime))
                return NULL;
        bool ok = s->fetched_at == 0
                          ? !!cJSON_AddNullToObject(j, "age_seconds")
                          : add_number(j, "age_seconds",
                                    (uint64_t)(now > s->fetched_at ? now - s->fetched_at : 0));
        if (!ok || !add_time(j, "expires", v->expires) ||
                !add_text(j, "error", s->error ? err_text(s->error) : NULL) ||
                !add_text(j, "type", vault_kind_name(v->kind)) ||
                !add_text(j, "id", v->object_id) || !add_text(j, "content_type", v->content_type) ||
                !cJSON_AddBoolToObject(j, "enabled", v->enabled) ||
                !add_number(j, "size", sec_len(v->bytes)) ||
                !add_time(j, "fetched", s->fetched_at) || !add_time(j, "next_poll", s->next_poll) ||
                !add_number(j, "failures", s->failures) ||
                !add_text(j, "state", view_trouble_name(f->trouble)) ||
                !cJSON_AddBoolToObject(j, "shown", true))
                return NULL;
        return TAKE_PTR(j);
}

/* An object without a file: the same members, and nothing where nothing is known. */
static cJSON *absent_json(const struct view_absent *a)
{
        static const char *const unknown[] = {"version", "updated", "age_seconds", "expires", "id",
                "content_type", "enabled", "size"};
        _cleanup_json_ cJSON *j = cJSON_CreateObject();
        const struct cache_state *s = &a->state;

        if (!add_text(j, "file", a->object->file) || !add_text(j, "object", a->object->name))
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(unknown); i++)
                if (!cJSON_AddNullToObject(j, unknown[i]))
                        return NULL;
        if (!add_text(j, "error", s->error ? err_text(s->error) : NULL) ||
                !add_text(j, "type", spc_type_name(a->object->type)) ||
                !add_time(j, "fetched", s->fetched_at) || !add_time(j, "next_poll", s->next_poll) ||
                !add_number(j, "failures", s->failures) ||
                !add_text(j, "state", view_trouble_name(a->trouble)) ||
                !cJSON_AddBoolToObject(j, "shown", false))
                return NULL;
        return TAKE_PTR(j);
}

static cJSON *selected_json(const struct view_selected *s, const char *vault)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();
        _cleanup_free_ char *words = NULL;
        const char *own = s->selector->like.vault;

        if (spc_selector_describe(s->selector, &words) < 0 || !add_text(j, "selector", words) ||
                !add_text(j, "vault", *own ? own : vault) ||
                !add_number(j, "objects", s->n_objects) ||
                !add_text(j, "error", s->state.error ? err_text(s->state.error) : NULL))
                return NULL;
        return TAKE_PTR(j);
}

static bool add_refetch(cJSON *j, const struct status_mount *m)
{
        if (!m->refetching)
                return cJSON_AddNullToObject(j, "refetch");
        cJSON *r = cJSON_AddObjectToObject(j, "refetch");
        return r && add_time(r, "next_try", m->refetch_at) &&
               add_text(r, "error", m->refetch_error);
}

cJSON *status_mount_json(const struct status_mount *m, int64_t now)
{
        _cleanup_json_ cJSON *j = cJSON_CreateObject();
        int64_t next = !m->refetching ? 0 : m->refetch_at ? m->refetch_at : now;
        char mode[8];

        snprintf(mode, sizeof mode, "%04o", (unsigned)m->mode & 0777);
        for (size_t i = 0; i < m->n_files; i++) {
                int64_t t = m->files[i].state.next_poll;
                if (t != 0 && (next == 0 || t < next))
                        next = t;
        }
        if (!add_text(j, "mountpoint", m->mountpoint) || !add_text(j, "class", m->class) ||
                !add_number(j, "keeper_pid", (uint64_t)m->keeper_pid) ||
                !add_number(j, "worker_pid", (uint64_t)m->worker_pid) ||
                !add_number(j, "generation", m->generation) || !add_time(j, "next_poll", next) ||
                !add_number(j, "fuse_requests", m->fuse_requests) ||
                !add_number(j, "refused_requests", m->refused_requests) ||
                !add_text(j, "state", m->state) || !add_text(j, "vault", m->vault) ||
                !add_text(j, "identity", m->identity) ||
                !cJSON_AddNumberToObject(j, "poll_interval_seconds",
                        (double)m->poll_interval / (double)USEC_PER_SEC) ||
                !add_number(j, "uid", m->uid) || !add_number(j, "gid", m->gid) ||
                !add_text(j, "mode", mode) || !add_number(j, "vault_requests", m->vault_requests) ||
                !add_number(j, "token_requests", m->token_requests) ||
                !add_number(j, "worker_starts", m->worker_starts) || !add_refetch(j, m))
                return NULL;
        cJSON *memory = cJSON_AddObjectToObject(j, "secret_memory");
        if (!memory || !add_number(memory, "bytes", m->secret_bytes) ||
                !cJSON_AddBoolToObject(memory, "locked", m->secrets_locked) ||
                !add_text(memory, "kind", m->secret_kind))
                return NULL;

        cJSON *objects = cJSON_AddArrayToObject(j, "objects");
        for (size_t i = 0; objects && i < m->n_files; i++) {
                cJSON *o = object_json(&m->files[i], now);
                if (!o)
                        return NULL;
                cJSON_AddItemToArray(objects, o);
        }
        for (size_t i = 0; objects && i < m->n_absent; i++) {
                cJSON *o = absent_json(&m->absent[i]);
                if (!o)
                        return NULL;
                cJSON_AddItemToArray(objects, o);
        }
        cJSON *selectors = cJSON_AddArrayToObject(j, "selectors");
        for (size_t i = 0; selectors && i < m->n_selected; i++) {
                cJSON *o = selected_json(&m->selected[i], m->vault);
                if (!o)
                        return NULL;
                cJSON_AddItemToArray(selectors, o);
        }
        return objects && selectors ? TAKE_PTR(j) : NULL;
}
