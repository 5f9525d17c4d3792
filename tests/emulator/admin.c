/* The admin interface: plain HTTP on the loopback, below /_emulator/. README.md has it with
 * examples. */

#include <stdio.h>
#include <strings.h>

#include "tests/emulator/call.h"
#include "tests/emulator/change.h"
#include "tests/emulator/faults.h"
#include "tests/emulator/reqlog.h"

#define LIST_DEFAULT 1000

struct admin {
        struct request *request;
        struct answer *answer;
        struct emulator *emu;
        char **s; /* segments behind _emulator */
        size_t n;
        const cJSON *body; /* an object, or NULL without a body */
};

static void fail(struct admin *a, unsigned status, const char *text)
{
        struct out o = {0};

        write_error(&o, status == 404 ? "NotFound" : "BadRequest", NULL, text);
        answer_out(a->answer, status, &o);
}

static void fail_from(struct admin *a, int r, const struct err *e)
{
        fail(a, r == -EEXIST || r == -EBUSY ? 409 : r == -ENOMEM ? 500 : 400, err_text(e));
}

static bool is(const struct admin *a, const char *method, size_t n)
{
        return streq(a->request->method, method) && a->n == n;
}

static void ok(struct admin *a)
{
        answer_text(a->answer, MHD_HTTP_OK, "{}");
}

static void not_here(struct admin *a)
{
        fail(a, MHD_HTTP_NOT_FOUND, "there is nothing here: see README.md of the emulator");
}

/* --- faults and log --- */

static void faults_path(struct admin *a)
{
        _cleanup_err_ struct err e = {0};
        struct out o = {0};
        uint64_t id = 0;

        if (is(a, "POST", 1)) {
                int r = faults_add(a->emu->faults, a->body, &id, &e);
                if (r < 0) {
                        fail_from(a, r, &e);
                        return;
                }
                out_open(&o, '{');
                out_member_int(&o, "id", (int64_t)id);
                out_close(&o, '}');
                answer_out(a->answer, MHD_HTTP_CREATED, &o);
        } else if (is(a, "GET", 1)) {
                out_open(&o, '{');
                out_key(&o, "faults");
                faults_write(a->emu->faults, &o);
                out_close(&o, '}');
                answer_out(a->answer, MHD_HTTP_OK, &o);
        } else if (is(a, "DELETE", 1)) {
                faults_clear(a->emu->faults);
                ok(a);
        } else if (is(a, "DELETE", 2)) {
                if (parse_u64(a->s[1], UINT64_MAX, &id) == 0 && faults_remove(a->emu->faults, id))
                        ok(a);
                else
                        fail(a, MHD_HTTP_NOT_FOUND, "there is no such fault");
        } else
                not_here(a);
}

static bool number(struct admin *a, const char *name, uint64_t max, uint64_t *to)
{
        const char *text = request_param(a->request, name);

        return !text || parse_u64(text, max, to) == 0;
}

static void requests_path(struct admin *a)
{
        uint64_t status = 0, since = 0, limit = LIST_DEFAULT;
        struct out o = {0};

        if (is(a, "DELETE", 1)) {
                reqlog_reset(a->emu->log);
                ok(a);
                return;
        }
        if (!is(a, "GET", 1)) {
                not_here(a);
                return;
        }
        if (!number(a, "status", 999, &status) || !number(a, "since", UINT64_MAX, &since) ||
                !number(a, "limit", REQLOG_MAX, &limit)) {
                fail(a, MHD_HTTP_BAD_REQUEST, "status, since and limit are numbers");
                return;
        }
        const struct reqlog_filter filter = {
                .method = request_param(a->request, "method"),
                .path = request_param(a->request, "path"),
                .identity = request_param(a->request, "identity"),
                .vault = request_param(a->request, "vault"),
                .operation = request_param(a->request, "operation"),
                .status = (unsigned)status,
                .since = since,
                .limit = (size_t)limit,
        };
        reqlog_write(a->emu->log, &filter, &o);
        answer_out(a->answer, MHD_HTTP_OK, &o);
}

static void counters_path(struct admin *a)
{
        struct out o = {0};

        if (!is(a, "GET", 1)) {
                not_here(a);
                return;
        }
        reqlog_write_counters(a->emu->log, &o);
        answer_out(a->answer, MHD_HTTP_OK, &o);
}

/* --- settings, tokens --- */

static void settings_path(struct admin *a)
{
        static const char *const names[] = {"token_lifetime", "imds_lifetime", "page_size"};
        struct settings *s = &a->emu->settings;
        int64_t *const values[] = {&s->token_lifetime, &s->imds_lifetime, &s->page_size};
        const cJSON *j;
        struct out o = {0};

        if (!is(a, "GET", 1) && !is(a, "PATCH", 1)) {
                not_here(a);
                return;
        }
        cJSON_ArrayForEach (j, a->body) {
                size_t i = 0;
                while (i < ELEMENTSOF(names) && !streq(names[i], j->string))
                        i++;
                int64_t n = 0;
                if (i == ELEMENTSOF(names) || json_int64(a->body, j->string, &n) < 0 || n < 1) {
                        fail(a, MHD_HTTP_BAD_REQUEST,
                                "settings are token_lifetime, imds_lifetime, page_size: numbers "
                                "from 1");
                        return;
                }
                *values[i] = n;
        }
        out_open(&o, '{');
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                out_member_int(&o, names[i], *values[i]);
        out_close(&o, '}');
        answer_out(a->answer, MHD_HTTP_OK, &o);
}

static void revoke_tokens(struct admin *a)
{
        const char *client_id = json_string(a->body, "client_id");
        bool found = false;

        for (struct identity *i = store_identities(a->emu->store); i; i = i->next)
                if (!client_id || strcasecmp(client_id, i->client_id) == 0) {
                        i->generation++;
                        found = true;
                }
        if (found || !client_id)
                ok(a);
        else
                fail(a, MHD_HTTP_NOT_FOUND, "there is no such identity");
}

/* --- identities and tenants --- */

static void write_identity(struct out *o, const struct identity *i)
{
        out_open(o, '{');
        out_member(o, "client_id", i->client_id);
        out_member(o, "tenant", i->tenant);
        out_member(o, "object_id", i->object_id);
        out_member_bool(o, "system_assigned", i->system_assigned);
        out_member_bool(o, "user_assigned", i->user_assigned);
        out_member_opt(o, "resource_id", i->resource_id);
        out_key(o, "permissions");
        if (i->grants) {
                out_open(o, '{');
                for (const struct grant *g = i->grants; g; g = g->next) {
                        out_key(o, g->vault);
                        out_open(o, '{');
                        for (enum kind k = KIND_SECRET; k < KINDS; k++) {
                                out_key(o, kind_segment(k));
                                out_open(o, '[');
                                for (enum operation p = OP_GET; p < OPERATIONS; p++)
                                        if (g->mask[k] & 1U << p)
                                                out_string(o, operation_name(p));
                                out_close(o, ']');
                        }
                        out_close(o, '}');
                }
                out_close(o, '}');
        } else
                out_null(o);
        out_close(o, '}');
}

static void identities_path(struct admin *a)
{
        _cleanup_err_ struct err e = {0};
        struct out o = {0};

        if (is(a, "PUT", 2)) {
                int r = change_identity(a->emu->store, a->s[1], a->body, &e);
                if (r < 0)
                        fail_from(a, r, &e);
                else
                        ok(a);
        } else if (is(a, "DELETE", 2)) {
                if (store_remove_identity(a->emu->store, a->s[1]))
                        ok(a);
                else
                        fail(a, MHD_HTTP_NOT_FOUND, "there is no such identity");
        } else if (is(a, "GET", 1)) {
                out_open(&o, '{');
                out_key(&o, "identities");
                out_open(&o, '[');
                for (struct identity *i = store_identities(a->emu->store); i; i = i->next)
                        write_identity(&o, i);
                out_close(&o, ']');
                out_close(&o, '}');
                answer_out(a->answer, MHD_HTTP_OK, &o);
        } else
                not_here(a);
}

static void tenants_path(struct admin *a)
{
        _cleanup_err_ struct err e = {0};

        if (!is(a, "PUT", 2)) {
                not_here(a);
                return;
        }
        int r = change_tenant(a->emu->store, a->s[1], a->body, &e);
        if (r < 0)
                fail_from(a, r, &e);
        else
                ok(a);
}

/* --- vaults and their objects --- */

static void write_vault(struct out *o, const struct vault *v)
{
        static const char *const models[] = {"policy", "rbac"};
        static const char *const networks[] = {"open", "firewall", "private"};

        out_open(o, '{');
        out_member(o, "name", v->name);
        out_member(o, "tenant", v->tenant);
        out_member(o, "location", v->location);
        out_member(o, "resource", v->resource);
        out_member(o, "model", models[v->model]);
        out_member(o, "network", networks[v->network]);
        out_member_int(o, "recoverable_days", v->recoverable_days);
        out_member_int(o, "deletion_ms", v->deletion_ms);
        for (enum kind k = KIND_SECRET; k < KINDS; k++) {
                int64_t n = 0;
                for (const struct object *obj = v->objects; obj; obj = obj->next)
                        n += obj->kind == k && obj->deleted == NO_TIME;
                out_member_int(o, kind_segment(k), n);
        }
        out_close(o, '}');
}

static void vaults_list(struct admin *a)
{
        struct out o = {0};

        out_open(&o, '{');
        out_key(&o, "vaults");
        out_open(&o, '[');
        for (struct vault *v = store_vaults(a->emu->store); v; v = v->next)
                write_vault(&o, v);
        out_close(&o, ']');
        out_close(&o, '}');
        answer_out(a->answer, MHD_HTTP_OK, &o);
}

static void answer_version(struct admin *a, const struct object *obj, const struct version *v)
{
        struct out o = {0};

        out_open(&o, '{');
        out_memberf(&o, "id", "%s/%s/%s", kind_segment(obj->kind), obj->name, v->id);
        out_member(&o, "version", v->id);
        out_member_int(&o, "created", v->attributes.created);
        out_member_bool(&o, "enabled", v->attributes.enabled);
        out_close(&o, '}');
        answer_out(a->answer, MHD_HTTP_OK, &o);
}

/* vaults/VAULT/KIND/NAME[/VERSION or rotate] */
static void object_path(struct admin *a, struct vault *v, enum kind kind)
{
        const char *name = a->s[3];
        struct object *obj = vault_find_live(v, kind, name);
        _cleanup_err_ struct err e = {0};
        int r;

        if (is(a, "PUT", 4)) {
                r = kind == KIND_SECRET ? change_secret(v, name, NULL, a->body, &obj, &e)
                    : kind == KIND_KEY  ? change_key(v, name, a->body, &obj, &e)
                                        : change_certificate(v, name, a->body, &obj, &e);
                if (r < 0)
                        fail_from(a, r, &e);
                else
                        answer_version(a, obj, obj->versions);
                return;
        }
        if (is(a, "DELETE", 4)) {
                bool any = false;
                for (enum kind k = KIND_SECRET; k < KINDS; k++) {
                        /* A certificate takes its key and secret along. */
                        struct object *o = vault_find(v, k, name);
                        bool managed = o && o->versions && o->versions->managed;
                        if (o && (k == kind || (kind == KIND_CERTIFICATE && managed))) {
                                vault_purge(v, o);
                                any = true;
                        }
                }
                if (any)
                        ok(a);
                else
                        fail(a, MHD_HTTP_NOT_FOUND, "there is no such object");
                return;
        }
        if (!obj || !obj->versions) {
                fail(a, MHD_HTTP_NOT_FOUND, "there is no such object");
                return;
        }
        if (is(a, "POST", 5) && streq(a->s[4], "rotate")) {
                r = change_rotate(v, obj, &e);
                if (r < 0)
                        fail_from(a, r, &e);
                else
                        answer_version(a, obj, obj->versions);
                return;
        }
        if (!is(a, "PATCH", 4) && !is(a, "PATCH", 5)) {
                not_here(a);
                return;
        }
        struct version *version = object_version(obj, a->n > 4 ? a->s[4] : NULL);
        if (!version) {
                fail(a, MHD_HTTP_NOT_FOUND, "there is no such version");
                return;
        }
        r = change_version(v, obj, version, a->body, &e);
        if (r < 0)
                fail_from(a, r, &e);
        else
                answer_version(a, obj, version);
}

static void vaults_path(struct admin *a)
{
        _cleanup_err_ struct err e = {0};

        if (is(a, "GET", 1))
                vaults_list(a);
        else if (is(a, "PUT", 2)) {
                int r = change_vault(a->emu->store, a->s[1], a->body, &e);
                if (r < 0)
                        fail_from(a, r, &e);
                else
                        ok(a);
        } else if (is(a, "DELETE", 2)) {
                if (store_remove_vault(a->emu->store, a->s[1]))
                        ok(a);
                else
                        fail(a, MHD_HTTP_NOT_FOUND, "there is no such vault");
        } else if (a->n >= 4) {
                struct vault *v = store_find_vault(a->emu->store, a->s[1]);
                enum kind k = KIND_SECRET;
                while (k < KINDS && !streq(a->s[2], kind_segment(k)))
                        k++;
                if (v && k < KINDS)
                        object_path(a, v, k);
                else
                        fail(a, MHD_HTTP_NOT_FOUND,
                                v ? "there are secrets, keys and certificates"
                                  : "there is no such vault");
        } else
                not_here(a);
}

/* --- all of it --- */

/* A page in a browser can be made to send requests here under a name of its own (DNS rebinding);
 * only requests that name the loopback are taken. */
static bool host_is_loopback(const struct request *r)
{
        static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
        const char *host = request_host(r);

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *rest = startswith(host, names[i]);
                if (rest && (*rest == '\0' || *rest == ':'))
                        return true;
        }
        return false;
}

static void reset(struct admin *a)
{
        faults_clear(a->emu->faults);
        reqlog_reset(a->emu->log);
        if (store_reset(a->emu->store) < 0) {
                fail(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "memory is short");
                return;
        }
        a->emu->settings = default_settings;
        ok(a);
}

static void dispatch(struct admin *a)
{
        static const struct {
                const char *segment;
                void (*handle)(struct admin *);
        } paths[] = {
                {"faults", faults_path},
                {"requests", requests_path},
                {"counters", counters_path},
                {"settings", settings_path},
                {"identities", identities_path},
                {"tenants", tenants_path},
                {"vaults", vaults_path},
        };

        if (is(a, "POST", 2) && streq(a->s[0], "tokens") && streq(a->s[1], "revoke"))
                revoke_tokens(a);
        else if (is(a, "POST", 1) && streq(a->s[0], "reset"))
                reset(a);
        else {
                for (size_t i = 0; a->n > 0 && i < ELEMENTSOF(paths); i++)
                        if (streq(a->s[0], paths[i].segment)) {
                                paths[i].handle(a);
                                return;
                        }
                not_here(a);
        }
}

void handle_admin(struct request *r, struct answer *answer)
{
        _cleanup_json_ cJSON *body = NULL;
        struct admin a = {.request = r, .answer = answer, .emu = r->emu};

        if (!host_is_loopback(r))
                fail(&a, MHD_HTTP_FORBIDDEN, "the admin interface is for the loopback only");
        else if (r->body_too_large || r->path_illegal)
                fail(&a, MHD_HTTP_BAD_REQUEST, "the request is too large or its path is broken");
        else if (r->body_len > 0 &&
                 (json_parse(r->body, r->body_len, &body) < 0 || !cJSON_IsObject(body)))
                fail(&a, MHD_HTTP_BAD_REQUEST, "the body is not a JSON object");
        else if (r->n_segments < 1 || !streq(r->segments[0], "_emulator"))
                not_here(&a);
        else {
                a.body = body;
                a.s = r->segments + 1;
                a.n = r->n_segments - 1;
                store_lock(r->emu->store);
                dispatch(&a);
                store_unlock(r->emu->store);
        }
        answer_header(answer, "Content-Type", "application/json; charset=utf-8");
}
